"""Signals that ask a process to stop: answered at once, or, while a search steps, between two steps.

SIGINT is Ctrl-C, SIGHUP a closed terminal, SIGTERM comes from `kill` and `scancel`, SIGUSR2 from SLURM shortly before a
time limit or a preemption.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from types import FrameType
from typing import Any, Self

SAME_SECONDS = 1.0  # signals that come together are one wish: schedulers and the kernel send some several times
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
Handler = Callable[[int, FrameType | None], Any] | int | None


class Stopped(BaseException):
    """Somebody asked this process to stop. No `except Exception` of a plug-in holds it up."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Stopper:
    """Turns signals into `Stopped`, as a context manager; the handlers that were there come back afterwards.

    A signal that the process was told to ignore, as `nohup` does, stays ignored. Outside the main thread nothing is
    turned into anything.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._since = 0.0
        self._deferred = 0  # how many blocks that defer are being run: those of jobs that take steps together
        self._before: dict[int, Handler] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """While the block runs, the first signal only sets `requested`; one that comes later stops at once."""
        self._deferred += 1
        try:
            yield
        finally:
            self._deferred -= 1
        self.check()

    def check(self) -> None:
        """Stop here if that was asked for.

        Raises:
            Stopped: It was.
        """
        if self.requested is not None:
            raise Stopped(self.requested)

    def _handle(self, signum: int, _: FrameType | None) -> None:
        now = monotonic()
        again = self.requested is not None
        if again and now - self._since < SAME_SECONDS:
            return
        self.requested, self._since = signum, now
        if again or not self._deferred:
            raise Stopped(signum)
