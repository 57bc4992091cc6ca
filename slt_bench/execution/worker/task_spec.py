"""What a process is given to do, as plain data: it travels as JSON, and plug-ins are loaded where it arrives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from slt_bench.execution.planning.arrays import packs
from slt_bench.jobs.benchmark import Job
from slt_bench.records import RECORD, Record
from slt_bench.records.runs import Executor


@dataclass(frozen=True)
class Context:
    """Where and how jobs run: what may differ between machines without changing what is measured.

    Attributes:
        data_root: The folder of data sets.
        device: cpu, cuda, cuda:1; or auto, which is decided where the job runs.
        threads: CPU threads of a job; None leaves it to torch.
        checkpoint_seconds: Time between two checkpoints.
    """

    data_root: Path
    device: str = "cpu"
    threads: int | None = None
    checkpoint_seconds: float = 180.0


class TaskSpec(BaseModel):
    """Jobs for one process.

    Attributes:
        jobs: In their order.
        folder: `results/<benchmark>`.
        context: Where they run.
        plugins: Folders of plug-ins.
        executor: What brought the jobs here.
        pack: How many jobs of one kind take their steps together.
        threads: CPU threads of jobs, by id; those of other jobs are the context's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: tuple[Job, ...]
    folder: Path
    context: Context
    plugins: tuple[Path, ...] = ()
    executor: Executor = "inline"
    pack: int = 1
    threads: dict[str, int] = Field(default_factory=dict)

    def context_of(self, job: Job) -> Context:
        """Return the context with the job's own CPU threads."""
        return replace(self.context, threads=self.threads.get(job.id, self.context.threads))

    def packs(self, jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
        """As the function `packs`."""
        return packs(jobs, self.pack)

    def has_ended(self, job: Job) -> bool:
        """Return whether the job has a record, whoever ran it."""
        return (self.folder / job.folder / RECORD).exists()

    def only(self, jobs: Sequence[Job]) -> "TaskSpec":
        """The same for some of its jobs."""
        return self.model_copy(update={"jobs": tuple(jobs)})


class ProgressListener(Protocol):
    """Who is told how the work goes."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def progressed(self, job: Job, fraction: float) -> None:
        """The part of the job's search that is done."""

    def ended(self, record: Record) -> None:
        """A job has a record."""

    def waiting(self, jobs: Sequence[Job]) -> None:
        """Only jobs are left that other processes run, or that wait for a machine."""

    def told(self, message: str) -> None:
        """Something that a person should know."""


class SilentListener:
    """A watcher that tells nobody."""

    def started(self, job: Job) -> None:
        """Nothing."""

    def progressed(self, job: Job, fraction: float) -> None:
        """Nothing."""

    def ended(self, record: Record) -> None:
        """Nothing."""

    def waiting(self, jobs: Sequence[Job]) -> None:
        """Nothing."""

    def told(self, message: str) -> None:
        """Nothing."""
