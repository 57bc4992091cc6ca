"""`run`: train, evaluate, record."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import (
    DataRoot,
    Selected,
    Selection,
    check_execution,
    check_networks,
    select,
    takes,
)
from slt_bench.execution.planning.options import ExecutionOptions

if TYPE_CHECKING:
    from slt_bench.execution.planning.plan import Plan
    from slt_bench.execution.planning.select import JobsToRun
    from slt_bench.execution.worker.task_spec import TaskSpec
    from slt_bench.records import LoadedRecords
    from slt_bench.records.status import JobStatuses
    from slt_bench.report.build import ReportSource


@takes(Selection, ExecutionOptions)
def run(
    selection: Selection,
    options: ExecutionOptions,
    data_root: DataRoot = None,
    rerun: Annotated[str, typer.Option(help="Also run jobs again that are: failed, stale, all (comma list).")] = "",
    job: Annotated[str | None, typer.Option(help="Only this job, here, showing its log: its id, or its name.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow what was submitted to SLURM until it has ended.")] = True,
    download: Annotated[bool, typer.Option(help="Fetch data sets that are missing.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only show what would be done, as `plan`.")] = False,
    reports: Annotated[Path, typer.Option(help="Folder of reports.")] = Path("reports"),
    report: Annotated[bool, typer.Option(help="Draw the report afterwards.")] = True,
) -> None:
    """Run every job that has no record yet, then draw the report.

    Stop it at any time: what has ended is kept, and the same command goes on from the last checkpoints. Several runs
    may share a results folder; each job is done once.

    **Examples**

    `slt_bench run --benchmark quickstart`

    `slt_bench run --methods gates,edgepopup --archs wrn28_10 --max-parallel 2`

    `slt_bench run --benchmark lenet_mnist --executor slurm --slurm partition=main`
    """
    check_execution(options)
    if job:
        from slt_bench.cli.run_one import run_one

        run_one(job, selection, options, data_root, rerun, dry_run=dry_run)
        return
    selected = select(selection, data_root)
    drawn = reports if report else None
    if run_selected(selected, options, data_root, drawn, rerun, wait=wait, download=download, dry_run=dry_run):
        _finish(selected, drawn)


def run_selected(
    selected: Selected,
    options: ExecutionOptions,
    data_root: Path | None,
    reports: Path | None = None,
    rerun: str = "",
    *,
    wait: bool = True,
    download: bool = False,
    dry_run: bool = False,
) -> bool:
    """Run the jobs that have no record yet, or show what would be done; whether they were run."""
    from slt_bench.cli.preflight import preflight
    from slt_bench.execution.executors.slurm.follow import refresh
    from slt_bench.execution.planning.plan import complete, make_plan, make_work
    from slt_bench.execution.planning.select import select_jobs
    from slt_bench.records.status import job_status

    refresh(selected.folder)
    overview = job_status(selected.jobs, selected.folder)
    if not dry_run:
        for told in overview.data_changes(selected.jobs):
            typer.echo(told, err=True)
    chosen = select_jobs(selected.jobs, overview, rerun=rerun, executor=options.executor)
    if dry_run:
        from slt_bench.cli.show_plan import show_plan

        check_networks(selected.jobs, selected.benchmark.unmasked)
        show_plan(selected, overview, chosen.todo, options)
        return False
    folders = (selected.folder, reports) if reports else (selected.folder,)
    planned = chosen.todo if options.executor == "slurm" else (*chosen.todo, *chosen.elsewhere)
    plan = make_plan(planned, overview.found, options)
    root = preflight(chosen.todo, folders, data_root, plan, download=download, unmasked=selected.benchmark.unmasked)
    plan = complete(plan)
    for note in plan.notes:
        typer.echo(note, err=True)
    work = make_work(plan, (*chosen.todo, *chosen.elsewhere), selected.folder, root)
    _run(selected, plan, work, chosen, overview.found, wait=wait)
    return True


def _run(
    selected: Selected, plan: "Plan", work: "TaskSpec", chosen: "JobsToRun", found: "LoadedRecords", *, wait: bool
) -> None:
    """Run what is to be run, and wait for what others are at; a signal ends it with exit code 3."""
    from slt_bench.cli.progress import watch
    from slt_bench.execution.executors.slurm.follow import follow
    from slt_bench.execution.planning.plan import carry_out, submit
    from slt_bench.execution.worker.signals import Stopped, Stopper
    from slt_bench.records.superseded import superseding
    from slt_bench.utils.text import pluralize

    again = False
    try:
        with (
            Stopper() as stopper,
            watch(len(chosen.todo), len(chosen.elsewhere), len(selected.jobs)) as watcher,
            superseding(selected.folder, chosen.todo, found) as again,
        ):
            if plan.executor != "slurm":
                carry_out(plan, work, selected.jobs, watcher, stopper)
                return
            with stopper.deferred():  # what SLURM has, we must know
                tasks = submit(plan, work, selected.jobs)
            if tasks:
                watcher.told(f"submitted {pluralize(tasks, 'task')} in {pluralize(len(plan.arrays), 'array')}")
            if wait:
                follow(work, watcher)
    except Stopped as stopped:
        typer.echo(f"slt_bench: {_farewell(plan, stopped.signum, again=again)}", err=True)
        raise typer.Exit(3) from None


def _farewell(plan: "Plan", signum: int, *, again: bool) -> str:
    how = "stopped" if signum == signal.SIGINT else f"stopped by {signal.Signals(signum).name}"
    if plan.executor == "slurm":
        return f"{how} waiting. What was submitted goes on: `status --watch` shows it, `cancel` ends it."
    over = " (with --rerun it starts over with what has ended)" if again else ""
    return f"{how}. What has ended is kept; the same command goes on from there{over}."


def _finish(selected: Selected, reports: Path | None) -> None:
    """Say how it ended: the table and the report, or what failed; exit 1 where a job did."""
    from slt_bench.records.status import ENDED, OPEN, job_status

    overview = job_status(selected.jobs, selected.folder)
    if selected.jobs[0].smoke:
        typer.echo("Smoke runs show only that everything works; no report is drawn of them.")
    elif reports and overview.in_state(selected.jobs, *ENDED):
        from slt_bench.cli.show_report import show_report

        show_report(_source(selected, overview), reports / selected.benchmark.name)
    typer.echo(", ".join(f"{number} {state}" for state, number in overview.counts().items()))
    for job in overview.in_state(selected.jobs, "failed", "stopped", "dead"):
        state, words = overview.states[job.id], overview.details.get(job.id, "")
        typer.echo(f"{state}: {job.folder}: {words}", err=True)
    if overview.in_state(selected.jobs, "failed"):
        raise typer.Exit(1)
    if overview.in_state(selected.jobs, *OPEN):
        raise typer.Exit(3)


def _source(selected: Selected, overview: "JobStatuses") -> "ReportSource":
    """What the report of the selected jobs is drawn from."""
    from slt_bench.cli.report import pending
    from slt_bench.report.build import ReportSource

    benchmark = selected.benchmark
    found = overview.found.only({job.id for job in selected.jobs}).under(selected.jobs)
    return ReportSource(
        name=benchmark.name,
        found=found,
        title=benchmark.title,
        about=benchmark.about,
        claims=benchmark.claims,
        stale=frozenset(job.id for job in overview.in_state(selected.jobs, "stale")),
        pending=pending(selected.jobs, selected.folder, found),
    )
