"""Claims: one process runs a job, and a job whose process has died is taken over.

A claim is an exclusive file in the job's folder with host, pid, the process's start time and a token; its modification
time is the heartbeat. On the same host the process itself is asked whether it lives; on another host a heartbeat older
than `DEAD_AFTER` seconds by the file system's own clock means that it is dead.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

CLAIM = "claim"
BEAT_SECONDS = 15.0
DEAD_AFTER = 300.0


@dataclass(frozen=True)
class Claim:
    """Who runs a job."""

    host: str
    pid: int
    started: str
    token: str

    @classmethod
    def of_this_process(cls) -> "Claim":
        """A new claim of the process that asks."""
        return cls(socket.gethostname(), os.getpid(), _start_time(os.getpid()), uuid4().hex)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold the claim on a job's folder while the block runs; gives False where another living process holds it.

    The claim's heart beats in a thread. Afterwards it is removed, unless somebody else has taken it over meanwhile.
    """
    own = _take(folder)
    if own is None:
        yield False
        return
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(folder / CLAIM, stop), daemon=True)
    heart.start()
    try:
        yield True
    finally:
        stop.set()
        heart.join()
        with _locked(folder):
            if read_claim(folder) == own:
                (folder / CLAIM).unlink(missing_ok=True)


def read_claim(folder: Path) -> Claim | None:
    """The claim on a job's folder, dead or alive; None where there is none."""
    try:
        return Claim(**json.loads((folder / CLAIM).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError):
        return Claim("unreadable", 0, "", "")


def is_alive(folder: Path, claim: Claim) -> bool:
    """Whether the process that holds the claim still lives, as far as can be told from here."""
    if claim.host == socket.gethostname():
        return _start_time(claim.pid) == claim.started
    return _age(folder / CLAIM) < DEAD_AFTER


def _take(folder: Path) -> Claim | None:
    own = Claim.of_this_process()
    with _locked(folder):
        holder = read_claim(folder)
        if holder and is_alive(folder, holder):
            return None
        temporary = folder / f".{CLAIM}-{own.token}"
        temporary.write_text(json.dumps(asdict(own)), encoding="utf-8")
        temporary.replace(folder / CLAIM)
    return own


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A short exclusive section among the processes that want a claim; a process that dies in it lets go."""
    with (folder / f".{CLAIM}-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(path)


def _age(path: Path) -> float:
    """Seconds since the heartbeat, by the clock of the file system that holds it."""
    probe = path.with_name(f".{CLAIM}-clock-{uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _start_time(pid: int) -> str:
    """When a process of this host started, in the kernel's ticks; empty where there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "alive" if pid and not Path("/proc/self/stat").exists() and _signals(pid) else ""
    return "" if fields[0] == "Z" else fields[19]


def _signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
