"""Some jobs, one after another, in a process that does nothing else: a SLURM task."""

import os
from time import monotonic, sleep

from slt_bench.execution.worker.attempt import attempt_all, died
from slt_bench.execution.worker.signals import Stopper
from slt_bench.execution.worker.task_spec import SilentListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.registry import VARIABLE
from slt_bench.utils.import_torch import OPTIMISERS, load_torch

WAIT_SECONDS = 2.0


def run_unit(work: TaskSpec, stopper: Stopper, patience: float = 0.0) -> list[Job]:
    """Run the jobs; those whose last attempt ended without a word come last, so that they end no other's.

    Args:
        work: The jobs.
        stopper: Knows whether this process is to stop.
        patience: Seconds to wait for jobs that other processes are at, or died at where this host cannot see it.

    Returns:
        Those that another living process was at, also after all others had ended.

    Raises:
        Stopped: That was asked for.
        StorageError: Files cannot be written.
    """
    load_torch(OPTIMISERS)  # lest all of torch is looked through for garbage after each job
    os.environ[VARIABLE] = os.pathsep.join(map(str, work.plugins))
    left = sorted(work.jobs, key=lambda job: died(work.folder / job.folder))
    end = monotonic() + patience
    while True:
        left = attempt_all(left, work, SilentListener(), stopper, captures=True)
        if not left or monotonic() > end:
            return left
        sleep(WAIT_SECONDS)
