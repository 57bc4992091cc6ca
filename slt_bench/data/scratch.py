"""Folders for what is not whole yet: gone when the block ends, and removed by others when its process was killed."""

import fcntl
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from slt_bench.utils.files import TEMPORARY

LOCK = "lock"
ABANDONED_SECONDS = 86_400.0  # since the last write of a process that cannot be asked


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder to decode into, gone afterwards. Its lock, held as long as this process lives, names the host."""
    scratch = parent / f"{TEMPORARY}{uuid4().hex}"
    scratch.mkdir()
    try:
        with (scratch / f"{LOCK}-new").open("w") as lock:
            lock.write(socket.gethostname())
            lock.flush()
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            (scratch / f"{LOCK}-new").rename(scratch / LOCK)  # so that nobody ever sees it free
            yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Remove what killed decodes left: of this host where the lock is free, of others where nothing was written long.

    A lock of another host says nothing on some file systems, and neither does none.
    """
    for scratch in parent.glob(f"{TEMPORARY}*"):
        with suppress(OSError):
            if _is_free(scratch / LOCK) or time.time() - _last_written(scratch) > ABANDONED_SECONDS:
                shutil.rmtree(scratch, ignore_errors=True)


def _is_free(lock: Path) -> bool:
    """Whether the process of this host that held a lock is gone."""
    try:
        with lock.open() as file:
            if file.read() != socket.gethostname():
                return False
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is held, or nobody can know
    except OSError:
        return False
    return True


def _last_written(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
