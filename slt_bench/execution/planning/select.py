"""What is to be run of the jobs that somebody selected. `run`, `plan`, `tune` and `run --job` all ask here."""

from collections.abc import Sequence
from dataclasses import dataclass

from slt_bench.jobs.benchmark import Job
from slt_bench.jobs.parsing import split_list
from slt_bench.records.runs import promised
from slt_bench.records.status import ENDED, JobStatuses, State
from slt_bench.utils.errors import UserError

RERUNS: dict[str, tuple[State, ...]] = {
    "failed": ("failed", "diverged"),
    "stale": ("stale",),
    "all": (*ENDED, "failed", "stale"),
}


@dataclass(frozen=True)
class JobsToRun:
    """The jobs that a run is about, in the order of the selection.

    Attributes:
        todo: To be started.
        elsewhere: At which another run is, or for which one waits; they are followed, not started.
    """

    todo: tuple[Job, ...]
    elsewhere: tuple[Job, ...]


def select_jobs(jobs: Sequence[Job], statuses: JobStatuses, *, rerun: str = "", executor: str = "inline") -> JobsToRun:
    """Return which jobs are to be started, and which are in other hands.

    Args:
        jobs: The selection.
        statuses: Of these jobs, now.
        rerun: Which jobs with a record are run again: a comma list of failed, stale and all.
        executor: What will run them. On SLURM, a job for which a run on this machine waits is started, too, for
            SLURM does not know of that run.

    Raises:
        UserError: A word of `rerun` is unknown.
    """
    chosen = {job.id for job in statuses.in_state(jobs, "missing", "stopped", "dead")}
    chosen |= {job.id for job in statuses.in_state(jobs, *_states_to_rerun(rerun))}
    if executor == "slurm":
        theirs = promised(statuses.runs, "slurm")
        chosen |= {job.id for job in statuses.in_state(jobs, "waiting") if job.id not in theirs}
    busy = statuses.in_state(jobs, "running", "waiting")
    return JobsToRun(tuple(job for job in jobs if job.id in chosen), tuple(job for job in busy if job.id not in chosen))


def _states_to_rerun(rerun: str) -> list[State]:
    states: list[State] = []
    for word in split_list(rerun):
        if word not in RERUNS:
            raise UserError(f"--rerun takes failed, stale or all, not '{word}'.")
        states += RERUNS[word]
    return states
