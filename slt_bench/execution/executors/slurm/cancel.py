"""Ending runs."""

from pathlib import Path

from slt_bench.execution.executors.slurm import queue
from slt_bench.records import runs
from slt_bench.records.runs import Run

CANCELLED = "cancelled"


def cancel_run(folder: Path, run: Run) -> str:
    """End a run; what was done, in words.

    Args:
        folder: `results/<benchmark>`.
        run: One of its runs that is not over.

    Raises:
        UserError: SLURM refuses, or is not there.
    """
    if run.executor != "slurm":
        if runs.stop_process(run):
            return f"asked process {run.pid} to stop ({run.executor}, since {run.started})"
        return f"the {run.executor} run of {run.started} belongs to {run.host}; cancel it there"
    queue.check_available()
    tasks = [unit.task for unit in run.open_units() if unit.task]
    queue.cancel(tasks)
    runs.close_units(folder, run, dict.fromkeys([*tasks, ""], CANCELLED))  # "" are those that were never submitted
    return f"cancelled {len(tasks)} SLURM tasks, submitted {run.started}"
