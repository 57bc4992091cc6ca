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

from slt_bench.jobs.benchmark import Job
from slt_bench.records import Record
from slt_bench.utils.text import pluralize


class ConsoleWatcher:
    """Tells a console what happens."""

    def __init__(self, progress: Progress, jobs: int) -> None:
        self.progress = progress
        self.jobs: TaskID = progress.add_task("jobs", total=jobs, current="")
        self.ended_jobs = 0
        self.fractions: dict[str, float] = {}  # of the jobs that run
        self.told_waiting = False
        self.last = 0.0

    def started(self, job: Job) -> None:
        """Name the job."""
        self.fractions[job.id] = 0.0
        running = len(self.fractions)
        self.progress.update(self.jobs, current=job.folder if running == 1 else f"{running} running")

    def progressed(self, job: Job, fraction: float) -> None:
        """Move the bar, a few times a second."""
        self.fractions[job.id] = fraction
        now = time.monotonic()
        if now - self.last > 0.2:
            self.last = now
            self.progress.update(self.jobs, completed=self.ended_jobs + sum(self.fractions.values()))

    def ended(self, record: Record) -> None:
        """A line for the record."""
        self.ended_jobs += 1
        self.fractions.pop(record.id, None)
        self.progress.update(self.jobs, completed=self.ended_jobs + sum(self.fractions.values()))
        accuracy, sparsity = record.accuracy, record.metrics.get("sparsity")
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
            text = f"waiting for {pluralize(len(jobs), 'job')} that run elsewhere, or are to: {names}"
            self.progress.console.print(escape(text), soft_wrap=True)

    def told(self, message: str) -> None:
        """A line for the message."""
        self.progress.console.print(escape(message), highlight=False, soft_wrap=True)


@contextlib.contextmanager
def watch(todo: int, elsewhere: int, total: int) -> Iterator[ConsoleWatcher]:
    """A watcher for a run of `todo` of a benchmark's `total` jobs, and of those that run or wait `elsewhere`."""
    console = Console()
    others = f", {elsewhere} run or wait elsewhere" if elsewhere else ""
    console.print(f"{todo} of {pluralize(total, 'job')} to run{others}")
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
        yield ConsoleWatcher(bar, todo + elsewhere)
