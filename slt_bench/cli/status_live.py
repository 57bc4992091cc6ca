"""`status --watch`: a table that goes along, with the rate and the time left."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from slt_bench.jobs.benchmark import Job
from slt_bench.records.status import ENDED, ORDER, JobStatuses
from slt_bench.utils.text import duration

LOOK_SECONDS = 2.0
Looked = list[tuple[str, list[Job], JobStatuses]]


def show_live(looked: Callable[[], Looked]) -> None:
    """Show what `looked` gives, again and again, until nothing runs or waits, or Ctrl-C."""
    console = Console()
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                now = looked()
                live.update(table(now), refresh=True)
                if not any(overview.in_state(jobs, "running", "waiting") for _, jobs, overview in now):
                    return
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return


def table(looked: Looked) -> Table:
    """A row a benchmark: its jobs by state, how far it is, the rate and the time left."""
    states = [state for state in ORDER if any(state in overview.counts() for _, _, overview in looked)]
    grid = Table("benchmark", "", *states, "jobs/h", "left")
    for name, jobs, overview in looked:
        counts = overview.counts()
        part = _finished(jobs, overview)
        a_second = rate(jobs, overview)
        left = duration((len(jobs) - part) / a_second) if a_second and part < len(jobs) else ""
        speed = f"{3600 * a_second:.3g}" if a_second else ""
        bar = ProgressBar(total=max(len(jobs), 1), completed=part, width=24)
        grid.add_row(name, bar, *(str(counts.get(state, "")) for state in states), speed, left)
    return grid


def rate(jobs: list[Job], overview: JobStatuses, now: datetime | None = None) -> float:
    """Jobs a second since the oldest run that is not over began; parts of running jobs count. 0 where nothing runs."""
    starts = [run.started for run in overview.runs if run.open_units()]
    if not starts:
        return 0.0
    start = datetime.fromisoformat(min(starts))
    seconds = ((now or datetime.now(UTC)) - start).total_seconds()
    ended = sum(1 for job in jobs if _ended_since(job, overview, start))
    return (ended + _parts(jobs, overview)) / seconds if seconds > 0 else 0.0


def _finished(jobs: list[Job], overview: JobStatuses) -> float:
    return len(overview.in_state(jobs, *ENDED, "failed")) + _parts(jobs, overview)


def _parts(jobs: list[Job], overview: JobStatuses) -> float:
    return sum(overview.fractions.get(job.id, 0.0) for job in overview.in_state(jobs, "running"))


def _ended_since(job: Job, overview: JobStatuses, start: datetime) -> bool:
    record = overview.found.records.get(job.id)
    ended = record.provenance.get("ended") if record else None
    return bool(ended) and datetime.fromisoformat(str(ended)) >= start
