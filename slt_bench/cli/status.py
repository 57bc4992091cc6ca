"""`status`: how far benchmarks are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import DataRoot, Selection, select, takes, use_plugins

if TYPE_CHECKING:
    from collections.abc import Callable

    from slt_bench.jobs.benchmark import Job
    from slt_bench.records.status import JobStatuses

    Look = Callable[[], "list[tuple[str, list[Job], JobStatuses]]"]

MANY = 12  # jobs of a state that are listed


@takes(Selection)
def status(
    selection: Selection,
    names: Annotated[
        list[str] | None, typer.Argument(help="Benchmarks, as in results/; globs [default: all that are there].")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it live, until nothing runs or waits.")] = False,
    data_root: DataRoot = None,
    full: Annotated[bool, typer.Option("--full", help="List every job, also those that are done or missing.")] = False,
) -> None:
    """Show how many jobs are done, running, waiting, failed, stale, stopped, dead or missing, from files alone.

    Names show what the runs in these folders were asked to do; the options of a `run` show how far that is.

    Exit code 0 where every job has ended well, 1 where one failed, 3 where jobs are left.
    """
    from slt_bench.records.status import ENDED

    use_plugins(selection.plugins)
    looked = _looker(selection, names, data_root)
    if watch:
        from slt_bench.cli.status_live import show_live

        show_live(looked)
    states: set[str] = set()
    for name, jobs, overview in looked():
        _show(name, jobs, overview, full=full)
        states |= set(overview.counts())
    if "failed" in states:
        raise typer.Exit(1)
    if states - set(ENDED):
        raise typer.Exit(3)


def _looker(selection: Selection, names: list[str] | None, data_root: Path | None) -> "Look":
    """What looks at what was asked for, anew each time it is called."""
    from slt_bench import records
    from slt_bench.execution.executors.slurm.follow import refresh
    from slt_bench.jobs.parsing import choose
    from slt_bench.records.lookup import folders, known_jobs
    from slt_bench.records.status import job_status
    from slt_bench.utils.errors import UserError

    if selection.benchmark or selection.methods:
        if names:
            raise UserError("Name benchmarks, or give the options of a run; not both.")
        selected = select(selection, data_root)
        places = {selected.benchmark.name: selected.folder}
        asked: dict[str, list[Job]] | None = {selected.benchmark.name: selected.jobs}
    else:
        known = folders(selection.results)
        if not known:
            raise UserError(f"There are no results in {selection.results}.")
        chosen = choose("benchmark with results", ",".join(names), known) if names else list(known)
        places, asked = {name: known[name] for name in chosen}, None

    def looked() -> "list[tuple[str, list[Job], JobStatuses]]":
        found = []
        for name, folder in places.items():
            refresh(folder)
            there = records.read(folder)
            jobs = asked[name] if asked else known_jobs(folder, there)
            found.append((name, jobs, job_status(jobs, folder, found=there)))
        return found

    return looked


def _show(name: str, jobs: "list[Job]", overview: "JobStatuses", *, full: bool) -> None:
    from slt_bench.records.status import ORDER

    counts = ", ".join(f"{n} {state}" for state, n in overview.counts().items())
    typer.echo(f"{name}: {len(jobs)} jobs: {counts}")
    for state in ORDER:
        if state in ("done", "missing") and not full:
            continue
        members = overview.in_state(jobs, state)
        shown = members if full else members[:MANY]
        for job in shown:
            typer.echo(f"  {state:<9} {job.folder}  {overview.details.get(job.id, '')}".rstrip())
        if len(members) > len(shown):
            typer.echo(f"  {state:<9} ... and {len(members) - len(shown)} more (--full lists them)")
    for told in overview.data_changes(jobs):
        typer.echo(f"  {told}")
    for place, reason in overview.found.problems.items():
        typer.echo(f"  unreadable {Path(*Path(place).parts[-3:])}: {reason}")
