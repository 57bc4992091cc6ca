"""How a run shows itself: a bar with the time left on a terminal, a line a job elsewhere."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from slt_bench.benchmark import Job
from slt_bench.records import Record


class ConsoleWatcher:
    """Tells a console what happens."""

    def __init__(self, progress: Progress, jobs: int) -> None:
        self.progress = progress
        self.jobs: TaskID = progress.add_task("jobs", total=jobs, current="")
        self.ended_jobs = 0
        self.told_waiting = False
        self.last = 0.0

    def started(self, job: Job) -> None:
        """Name the job."""
        self.progress.update(self.jobs, current=job.folder)

    def progressed(self, job: Job, fraction: float) -> None:  # noqa: ARG002 - the bar names the job already
        """Move the bar, a few times a second."""
        now = time.monotonic()
        if now - self.last > 0.2:
            self.last = now
            self.progress.update(self.jobs, completed=self.ended_jobs + fraction)

    def ended(self, record: Record) -> None:
        """A line for the record."""
        self.ended_jobs += 1
        self.progress.update(self.jobs, completed=self.ended_jobs)
        accuracy, sparsity = record.metrics.get("test_accuracy"), record.metrics.get("sparsity")
        result = "" if accuracy is None or sparsity is None else f"{100 * accuracy:.2f}% at sparsity {sparsity:.4f}"
        smoke = " (smoke)" if record.job.smoke else ""
        flags = f" [{'; '.join(record.flags)}]" if record.flags else ""
        line = f"{record.status}{smoke}  {record.job.folder}  {result}{flags} {record.reason}"
        self.progress.console.print(escape(line.rstrip()), highlight=False, soft_wrap=True)

    def waiting(self, jobs: Sequence[Job]) -> None:
        """Say once that others are at work."""
        if not self.told_waiting:
            self.told_waiting = True
            names = ", ".join(job.folder for job in jobs[:3]) + (", ..." if len(jobs) > 3 else "")
            self.progress.console.print(
                f"waiting for {len(jobs)} jobs that other runs are at: {escape(names)}", soft_wrap=True
            )


@contextlib.contextmanager
def watch(todo: int, total: int) -> Iterator[ConsoleWatcher]:
    """A watcher for a run of `todo` of a benchmark's `total` jobs."""
    console = Console()
    console.print(f"{todo} of {total} jobs to run")
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[current]}"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=600
    ) as bar:
        yield ConsoleWatcher(bar, todo)
