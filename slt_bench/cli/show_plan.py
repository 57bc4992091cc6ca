"""What `plan` and `run --dry-run` print."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slt_bench.benchmark import Job
from slt_bench.cli.options import Selected
from slt_bench.cost import Estimate, estimate
from slt_bench.states import ORDER, Overview


def show_plan(selected: Selected, overview: Overview, todo: list[Job]) -> None:
    """A row for each method, architecture and data set: its jobs by state; below it, what is to be run and its cost."""
    states = [state for state in ORDER if state in overview.counts()]
    table = Table("method", "arch", "data set", "init", "jobs", *states, box=box.SIMPLE_HEAD)
    for column in table.columns[:4]:
        column.overflow = "fold"
    cells: dict[tuple[str, str, str, str], list[str]] = {}
    for job in selected.jobs:
        cells.setdefault(job.cell, []).append(overview.states[job.id])
    for (label, arch, dataset, init), found in cells.items():
        counts = [str(found.count(state) or "") for state in states]
        table.add_row(*map(escape, (label, arch, dataset, init)), str(len(found)), *counts)
    console = Console()
    console.print(table)
    cost = _cost(estimate(todo, overview.found))
    console.print(f"{selected.benchmark.name}: {len(selected.jobs)} jobs, {len(todo)} to run. {cost}")
    for state in ("failed", "stale"):
        if count := len([job for job in overview.in_state(selected.jobs, state) if job not in todo]):
            console.print(f"{count} {state}: run them again with --rerun {state}.")


def _cost(cost: Estimate) -> str:
    if not cost.known and not cost.unknown:
        return ""
    if not cost.known:
        return "What they cost is not known before the first of their kind has run."
    rest = f", and {cost.unknown} jobs of kinds that have not run yet" if cost.unknown else ""
    return f"About {cost.seconds / 3600:.2g} hours for {cost.known} of them, by the records of {cost.hardware}{rest}."
