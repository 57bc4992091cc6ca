"""`show`: everything that is known of one job."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import Plugins, Results, use_plugins

if TYPE_CHECKING:
    from slt_bench.records import Record
    from slt_bench.records.attempts import Attempt


def show(
    job: Annotated[str, typer.Argument(help="Its id, the beginning of one, or its name as `status` shows it.")],
    log: Annotated[bool, typer.Option(help="Also print its log, wherever it ran.")] = False,
    results: Results = Path("results"),
    plugins: Plugins = None,
) -> None:
    """Show a job: what it is, its state, its attempts, what it measured or why it failed."""
    from slt_bench.execution.executors.slurm.follow import refresh
    from slt_bench.records.attempts import read_attempts
    from slt_bench.records.lookup import find_job
    from slt_bench.records.status import job_status

    use_plugins(plugins)
    found, folder = find_job(results, job)
    place = folder / found.folder
    refresh(folder)
    overview = job_status([found], folder)
    detail = overview.details.get(found.id, "")
    typer.echo(f"{found.folder}\n  {overview.states[found.id]}" + (f": {detail}" if detail else ""))
    definition = found.model_dump(mode="json", exclude={"benchmark", "settings", "budget", "smoke"}, exclude_none=True)
    typer.echo("  " + ", ".join(f"{name} {value}" for name, value in definition.items()))
    record = overview.found.records.get(found.id)
    settings = record.settings if record else found.settings
    typer.echo(
        f"  {found.budget.text()}; " + (", ".join(f"{k} {v}" for k, v in settings.items()) or "default settings")
    )
    for attempt in read_attempts(place):
        typer.echo(f"  {_attempt(attempt)}")
    if record:
        _show_record(record)
    for unit in (unit for run in overview.runs for unit in run.units if found.id in unit.jobs and unit.task):
        typer.echo(f"  SLURM task {unit.task}" + (f": {unit.over}" if unit.over else ""))
    if log:
        _show_logs(place, folder, found.id)


def _attempt(attempt: "Attempt") -> str:
    place = f"{attempt.host}, process {attempt.pid}, {attempt.executor} {attempt.task}".rstrip()
    start = f", from {100 * attempt.resumed:.0f}%" if attempt.resumed else ""
    end = f"{attempt.outcome} at {attempt.ended}" if attempt.ended else "no end was noted"
    return f"attempt {attempt.number}: {attempt.started} on {place}{start}: {end}"


def _show_record(record: "Record") -> None:
    for name, value in record.metrics.items():
        if value is not None:
            typer.echo(f"  {name:<20} {value:.4f}")
    if record.flags:
        typer.echo(f"  flags: {'; '.join(record.flags)}")
    times = ", ".join(f"{name} {value:.1f} s" for name, value in record.seconds.items())
    memory = f", at most {record.peak_memory_mb:.0f} MiB" if record.peak_memory_mb else ""
    typer.echo(f"  {times}{memory}")
    typer.echo("  " + ", ".join(f"{name} {value}" for name, value in record.provenance.items()))
    if record.traceback:
        typer.echo(record.traceback)


def _show_logs(place: Path, folder: Path, job: str) -> None:
    """The job's own log, and those of the SLURM tasks that were to run it."""
    from slt_bench.execution.worker.log import LOG
    from slt_bench.records.runs import RUNS, read_runs

    paths = [place / LOG]
    for run in read_runs(folder):
        tasks = [unit.task for unit in run.units if job in unit.jobs and unit.task]
        paths += [path for task in tasks for path in sorted((folder / RUNS / run.id).glob(f"{task}_*_log.out"))]
    there = [path for path in paths if path.exists()]
    for path in there:
        typer.echo(f"--- {path}")
        typer.echo(path.read_text(encoding="utf-8", errors="replace").rstrip())
    if not there:
        typer.echo("There is no log: nobody has begun this job here.")
