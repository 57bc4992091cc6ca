"""The runner of this process: job after job, sharing the folder with any other runner."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from slt_bench.benchmark import Job
from slt_bench.claims import claimed
from slt_bench.execution.worker import Context, run_job
from slt_bench.files import clear_partial, write_text
from slt_bench.records import JOB, RECORD, Record

WAIT_SECONDS = 1.0


class Watcher(Protocol):
    """Who is told how the work goes."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def progressed(self, job: Job, fraction: float) -> None:
        """The part of the job's search that is done."""

    def ended(self, record: Record) -> None:
        """A job has a record."""

    def waiting(self, jobs: Sequence[Job]) -> None:
        """Only jobs are left that other processes run."""


def run_all(
    jobs: Sequence[Job], folder: Path, context: Context, watcher: Watcher, is_open: Callable[[Job, Path], bool]
) -> None:
    """Run every open job that no other living process runs, and wait for those that one does.

    Args:
        jobs: In their order.
        folder: `results/<benchmark>`.
        context: Where they run.
        watcher: Told of each step.
        is_open: Whether a job, with its own folder, still has to be run; asked again once it is claimed.
    """
    left = list(jobs)
    while left:
        elsewhere = [job for job in left if not _run_one(job, folder / job.folder, context, watcher, is_open)]
        if len(elsewhere) == len(left):
            watcher.waiting(elsewhere)
            time.sleep(WAIT_SECONDS)
        left = elsewhere


def _run_one(job: Job, folder: Path, context: Context, watcher: Watcher, is_open: Callable[[Job, Path], bool]) -> bool:
    """Run a job unless somebody else does; whether it has ended."""
    if not is_open(job, folder):
        return True
    folder.mkdir(parents=True, exist_ok=True)
    with claimed(folder) as mine:
        if not mine:
            return False
        if not is_open(job, folder):  # it ended elsewhere between the two looks
            return True
        clear_partial(folder)
        (folder / RECORD).unlink(missing_ok=True)
        write_text(folder / JOB, job.model_dump_json(indent=1))
        watcher.started(job)
        watcher.ended(run_job(job, folder, context, lambda fraction: watcher.progressed(job, fraction)))
    return True
