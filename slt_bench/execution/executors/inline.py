"""The executor of this process: job after job, sharing the folder with any other runner."""

import time

from slt_bench.execution.worker.attempt import attempt_all
from slt_bench.execution.worker.signals import Stopper
from slt_bench.execution.worker.task_spec import ProgressListener, TaskSpec

WAIT_SECONDS = 1.0


def run_inline(
    work: TaskSpec, watcher: ProgressListener, stopper: Stopper, *, captures: bool = False, echoes: bool = False
) -> None:
    """Run every open job that no other living process runs, and wait for those that one does.

    Args:
        work: The jobs.
        watcher: Told of each step.
        stopper: Knows whether this process is to stop.
        captures: As of `job_log`.
        echoes: As of `job_log`.

    Raises:
        Stopped: That was asked for.
        StorageError: Files cannot be written.
    """
    left = list(work.jobs)
    while left:
        elsewhere = attempt_all(left, work, watcher, stopper, captures=captures, echoes=echoes)
        if len(elsewhere) == len(left):
            watcher.waiting(elsewhere)
            time.sleep(WAIT_SECONDS)
        left = elsewhere
