"""A job's log: one file in its folder, wherever it ran, that grows with every attempt."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from slt_bench.utils.files import storage_error
from slt_bench.utils.printing import print_anything

LOG = "log.txt"
NAMES = ("slt_bench.job", "py.warnings")
_present: ContextVar[Path | None] = ContextVar("the folder of the job whose turn it is", default=None)


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """While the block runs, it is this job's turn: no other's log takes anything."""
    before = _present.set(folder)
    try:
        yield
    finally:
        _present.reset(before)


class _Own(logging.Filter):
    """Of jobs that take their steps together, each writes into its own log."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def filter(self, _: logging.LogRecord) -> bool:
        """Whether it concerns this job, or no job in particular."""
        return _present.get() in (None, self.folder)


class _QuietFile(logging.FileHandler):
    """A log on a disk that may fill: what does not fit is lost, and nobody is told of that."""

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802 - its name in logging
        """Do nothing."""


@contextlib.contextmanager
def job_log(folder: Path, *, captures: bool, echoes: bool = False) -> Iterator[None]:
    """While the block runs, what concerns the job goes into its log.

    Args:
        folder: The job's.
        captures: Also everything that the process prints, down to its libraries: for processes that run jobs only.
        echoes: Also show it on standard error.
    """
    path = folder / LOG
    try:
        handlers: list[logging.Handler] = [_QuietFile(path, encoding="utf-8")]
    except OSError as error:
        raise storage_error(path, error) from error
    if echoes:
        handlers.append(logging.StreamHandler())
    own = _Own(folder)
    form = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")
    logging.captureWarnings(True)
    for handler in handlers:
        handler.setFormatter(form)
        handler.addFilter(own)
        for name in NAMES:
            logging.getLogger(name).addHandler(handler)
    logging.getLogger(NAMES[0]).setLevel(logging.INFO)
    try:
        with _captured(path) if captures else contextlib.nullcontext():
            yield
    finally:
        for handler in handlers:
            for name in NAMES:
                logging.getLogger(name).removeHandler(handler)
            with contextlib.suppress(OSError):
                handler.close()
        if not logging.getLogger(NAMES[0]).handlers:
            logging.captureWarnings(False)


@contextlib.contextmanager
def _captured(path: Path) -> Iterator[None]:
    """Standard output and error into a file, at the level of the descriptors."""
    print_anything()
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for number in (1, 2):
            os.dup2(target, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(target)
