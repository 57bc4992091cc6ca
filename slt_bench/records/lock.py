"""Claims: one process runs a job, and a job whose process has died is taken over.

A claim is an exclusive file in the job's folder with host, pid, the process's start time and a token; its modification
time is the heartbeat. On the same host the process itself is asked whether it lives, which no clock can mislead. On
another host a heartbeat older than `DEAD_AFTER` seconds by the file system's own clock means that it is dead, and so
does a later start of the same SLURM task.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

from slt_bench.records.attempts import task_id
from slt_bench.utils.errors import StorageError
from slt_bench.utils.files import storage_error

CLAIM = "claim"
BEAT_SECONDS = 15.0
DEAD_AFTER = 300.0


@dataclass(frozen=True)
class JobLock:
    """Who runs a job.

    Attributes:
        host, pid, started: The process; `started` is its start time in the kernel's ticks.
        token: Tells two claims of a process apart.
        place: The host's boot and its space of process ids; only there does `pid` mean anything.
        task, restarts: SLURM's id of the task, and how often it was put back into the queue; empty and 0 elsewhere.
    """

    host: str
    pid: int
    started: str
    token: str
    place: str = ""
    task: str = ""
    restarts: int = 0

    @classmethod
    def of_this_process(cls) -> "JobLock":
        """A new claim of the process that asks."""
        restarts = os.environ.get("SLURM_RESTART_COUNT", "")
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=start_time(os.getpid()),
            token=uuid4().hex,
            place=this_place(),
            task=task_id(),
            restarts=int(restarts) if restarts.isdecimal() else 0,
        )


@contextlib.contextmanager
def lock_job(folder: Path) -> Iterator[bool]:
    """Hold the claim on a job's folder while the block runs; gives False where another living process holds it.

    The claim's heart beats in a thread. Afterwards it is removed, unless somebody else has taken it over meanwhile.
    """
    own = _take(folder)
    if own is None:
        yield False
        return
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(folder, own, stop), daemon=True)
    heart.start()
    try:
        yield True
    finally:
        stop.set()
        heart.join()
        with contextlib.suppress(OSError), _locked(folder):  # a claim that stays is that of a dead process soon
            if read_claim(folder) == own:
                (folder / CLAIM).unlink(missing_ok=True)


def read_claim(folder: Path) -> JobLock | None:
    """The claim on a job's folder, dead or alive; None where there is none."""
    try:
        return JobLock(**json.loads((folder / CLAIM).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError):
        return JobLock("unreadable", 0, "", "")


def is_locked(folder: Path) -> bool:
    """Whether a living process holds the claim on a job's folder, as far as can be told from here."""
    claim = read_claim(folder)
    return claim is not None and is_alive(folder, claim)


def is_alive(folder: Path, claim: JobLock) -> bool:
    """Whether the process that holds the claim still lives, as far as can be told from here."""
    if claim.host == socket.gethostname() and claim.place in ("", this_place()):
        return start_time(claim.pid) == claim.started
    return _age(folder / CLAIM) < DEAD_AFTER


def _take(folder: Path) -> JobLock | None:
    try:
        return _take_file(folder)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(folder / CLAIM, error) from error


def _take_file(folder: Path) -> JobLock | None:
    own = JobLock.of_this_process()
    with _locked(folder):
        holder = read_claim(folder)
        if holder and not _is_former(holder, own) and is_alive(folder, holder):
            return None
        temporary = folder / f".{CLAIM}-{own.token}"
        try:
            temporary.write_text(json.dumps(asdict(own)), encoding="utf-8")
            temporary.replace(folder / CLAIM)
        finally:
            temporary.unlink(missing_ok=True)
    return own


def _is_former(holder: JobLock, own: JobLock) -> bool:
    """Whether the holder is an earlier start of the SLURM task that this process is: SLURM has ended that."""
    return bool(own.task) and holder.task == own.task and holder.restarts < own.restarts


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A short exclusive section among the processes that want a claim; a process that dies in it lets go."""
    with (folder / f".{CLAIM}-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _beat(folder: Path, own: JobLock, stop: threading.Event) -> None:
    """Keep the claim alive, as long as it is ours."""
    while not stop.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):
            if read_claim(folder) == own:
                os.utime(folder / CLAIM)


def _age(path: Path) -> float:
    """Seconds since the heartbeat, by the clock of the file system that holds it; where we may not write, by ours."""
    probe = path.with_name(f".{CLAIM}-clock-{uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except OSError:
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime
        return 0.0
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


@cache
def this_place() -> str:
    """This host since it was started, and the space of process ids that this process sees; empty where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - no path that exists
    except OSError:
        return ""


def start_time(pid: int) -> str:
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
