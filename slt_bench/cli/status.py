"""`status`: how far a benchmark is, from files alone."""

from pathlib import Path

import typer

from slt_bench.cli.options import Selection, select, takes_selection


@takes_selection
def status(selection: Selection) -> None:
    """Show how many jobs are done, running, failed, stale or missing. Takes the options of the `run` it asks about.

    Exit code 0 where every job has ended well, 1 where one failed, 3 where jobs are left.
    """
    from slt_bench.plugins import load
    from slt_bench.states import ENDED, look

    selected = select(selection)
    overview = look(selected.jobs, selected.folder, load())
    counts = overview.counts()
    typer.echo(
        f"{selected.benchmark.name}: {len(selected.jobs)} jobs: " + ", ".join(f"{n} {s}" for s, n in counts.items())
    )
    for job in overview.in_state(selected.jobs, "running", "dead", "failed", "diverged", "collapsed", "stale"):
        record = overview.found.records.get(job.id)
        typer.echo(f"  {overview.states[job.id]:<9} {job.folder}  {record.reason if record else ''}".rstrip())
    for place, reason in overview.found.problems.items():
        typer.echo(f"  unreadable {_short(place)}: {reason}")
    if "failed" in counts:
        raise typer.Exit(1)
    if set(counts) - set(ENDED):
        raise typer.Exit(3)


def _short(place: str) -> str:
    return str(Path(*Path(place).parts[-3:]))
