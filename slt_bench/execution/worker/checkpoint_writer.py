"""Checkpoints of a running job: every few minutes, when it is asked to stop, and when its search has ended."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from slt_bench.execution.worker.signals import Stopper
from slt_bench.records.attempts import CHECKPOINT
from slt_bench.training.checkpoint import Checkpoint, read_checkpoint, set_aside, write_checkpoint
from slt_bench.utils.errors import StorageError
from slt_bench.utils.tensor_file import DamagedError

MOST_TIME = 0.02  # of a search's time that goes into writing checkpoints
WORTH_SECONDS = 10.0  # of work: less is not kept at the end of a search
log = logging.getLogger("slt_bench.job")


class JobCheckpointWriter:
    """Keeps the state of a job's search in its folder.

    Args:
        folder: The job's.
        identity: What a checkpoint must agree in to be gone on from.
        every: Seconds between two; more where writing one takes long.
        stopper: Who knows whether to stop.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], every: float, stopper: Stopper) -> None:
        self.path = folder / CHECKPOINT
        self.identity = identity
        self.every = every
        self.pause = every
        self.stopper = stopper
        self.last = monotonic()
        self._usable = True

    def find(self) -> Checkpoint | None:
        """What an earlier attempt left. What cannot be used is set aside, and the job starts over."""
        try:
            found = read_checkpoint(self.path, self.identity)
        except DamagedError as error:
            log.warning("%s It is kept as %s; the job starts over.", error, set_aside(self.path).name)
            return None
        if found:
            log.info("goes on from a checkpoint at %.1f%%", 100 * found.fraction)
        self.last = monotonic()
        return found

    def discard(self) -> None:
        """Set aside what was found, so that the next attempt starts over."""
        log.warning("The checkpoint cannot be loaded; it is kept as %s.", set_aside(self.path).name)

    def between_steps(self, take: Callable[[], Checkpoint]) -> bool:
        """Write a checkpoint if it is time to; return whether the search is to stop here."""
        stop = self.stopper.requested is not None
        if stop or monotonic() - self.last >= self.pause:
            self._write(take())
        return stop

    def after_search(self, take: Callable[[], Checkpoint]) -> None:
        """Write a last checkpoint, so that a job that is stopped while it is scored need not search again."""
        if monotonic() - self.last >= min(self.every, WORTH_SECONDS):
            self._write(take())

    def remove(self) -> None:
        """The job has ended: nothing is left to go on from."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _write(self, checkpoint: Checkpoint) -> None:
        start = monotonic()
        if self._usable:
            try:
                write_checkpoint(self.path, self.identity, checkpoint)
                log.info("checkpoint at %.1f%%", 100 * checkpoint.fraction)
            except (TypeError, ValueError, RecursionError) as error:
                self._usable = False
                log.warning("No checkpoints of this job: %s.", error)
            except StorageError as error:
                log.warning("%s The search goes on without a new checkpoint.", error)
        self.last = monotonic()
        self.pause = max(self.every, (self.last - start) / MOST_TIME)
