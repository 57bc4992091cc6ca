"""Following what was submitted: from records and claims, and from SLURM's queue, whose answers are written down."""

import time
from pathlib import Path

from slt_bench import records
from slt_bench.execution.executors.slurm import queue
from slt_bench.execution.worker.task_spec import ProgressListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records import runs
from slt_bench.records.attempts import read_progress
from slt_bench.records.lock import is_locked
from slt_bench.records.runs import Run, Unit

LOOK_SECONDS = 1.0
ASK_SECONDS = 5.0
DONE = "done"
GRACE_SECONDS = 10.0  # for a record to become visible on a shared disk after its task has left the queue


def follow(work: TaskSpec, watcher: ProgressListener) -> None:
    """Wait until each job has a record, or nobody is left to make one.

    Args:
        work: The jobs.
        watcher: Told of each record.
    """
    left = list(work.jobs)
    running: set[str] = set()
    lost_since: dict[str, float] = {}
    asked = 0.0
    while left:
        if time.monotonic() - asked >= ASK_SECONDS:
            refresh(work.folder)
            asked = time.monotonic()
        promised = runs.promised(runs.read_runs(work.folder), "slurm")
        for job in list(left):
            folder = work.folder / job.folder
            if work.has_ended(job):
                watcher.ended(records.read_one(folder))
                left.remove(job)
            elif is_locked(folder):
                _tell_running(job, folder, running, watcher)
                lost_since.pop(job.id, None)
            elif job.id in promised:
                lost_since.pop(job.id, None)
            elif time.monotonic() - lost_since.setdefault(job.id, time.monotonic()) > GRACE_SECONDS:
                watcher.told(f"{job.folder} has left the queue without a record; `show {job.id}` tells what is known.")
                left.remove(job)
        if left and len(running) == 0:
            watcher.waiting(left)
        if left:
            time.sleep(LOOK_SECONDS)
    _close_finished(work)


def refresh(folder: Path) -> None:
    """Ask the queue about tasks that may still run, and note those that will not; does nothing where it is silent."""
    own = [run for run in runs.read_runs(folder) if run.executor == "slurm" and run.user == runs.this_user()]
    waiting = [run for run in own if run.open_units()]
    in_queue = queue.tasks_in_queue() if waiting else None
    if in_queue is None:
        return
    for run in waiting:
        gone = [unit for unit in run.open_units() if unit.task and unit.task not in in_queue]
        done = {unit.task for unit in gone if _is_done(folder, run, unit)}
        words = queue.what_became_of([unit.task for unit in gone if unit.task not in done])
        over = {unit.task: DONE if unit.task in done else _lost(unit.task, words.get(unit.task, "")) for unit in gone}
        if over:
            runs.close_units(folder, run, over)


def _close_finished(work: TaskSpec) -> None:
    """Note that the tasks are over whose jobs have all ended; the queue may not know yet."""
    ended = {job.id for job in work.jobs if work.has_ended(job)}
    for run in runs.read_runs(work.folder):
        finished = [unit.task for unit in run.open_units() if unit.task and ended.issuperset(unit.jobs)]
        if finished:
            runs.close_units(work.folder, run, dict.fromkeys(finished, DONE))


def _is_done(folder: Path, run: Run, unit: Unit) -> bool:
    """Return whether each job of a unit has a record."""
    return all((folder / job.folder / records.RECORD).exists() for job in run.jobs if job.id in unit.jobs)


def _lost(task: str, words: str) -> str:
    return f"SLURM task {task} left the queue" + (words and f": {words}")


def _tell_running(job: Job, folder: Path, running: set[str], watcher: ProgressListener) -> None:
    if job.id not in running:
        running.add(job.id)
        watcher.started(job)
    fraction = read_progress(folder)
    if fraction is not None:
        watcher.progressed(job, fraction)
