"""`run --job`: one job, in this process, with its log on the terminal."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from slt_bench.cli.options import Selected, Selection, select, use_plugins
from slt_bench.execution.planning.options import ExecutionOptions
from slt_bench.execution.worker.task_spec import SilentListener

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slt_bench.jobs.benchmark import Job
    from slt_bench.records.status import JobStatuses


def run_one(
    text: str, selection: Selection, options: ExecutionOptions, data_root: Path | None, rerun: str, *, dry_run: bool
) -> None:
    """Run the job that `text` names, of the selection, or else of the results folder.

    Raises:
        UserError: There is no such job, or it has a record and is not to be run again.
    """
    from slt_bench import records
    from slt_bench.cli.preflight import preflight
    from slt_bench.execution.executors.inline import run_inline
    from slt_bench.execution.planning.plan import make_plan, make_work
    from slt_bench.execution.planning.select import select_jobs
    from slt_bench.execution.worker.signals import Stopped, Stopper
    from slt_bench.records.status import job_status
    from slt_bench.records.superseded import superseding
    from slt_bench.utils.errors import UserError

    if options.executor not in ("auto", "inline"):
        raise UserError(f"--job runs one job in this process; it is not for --executor {options.executor}.")
    options = replace(options, executor="inline")
    use_plugins(selection.plugins)
    job, folder = _find(text, selection, data_root)
    overview = job_status([job], folder)
    chosen = select_jobs([job], overview, rerun=rerun)
    if not (chosen.todo or chosen.elsewhere):
        raise UserError(
            f"{job.folder} is {overview.states[job.id]}. `show {job.id}` shows its record; --rerun all runs it again."
        )
    if dry_run:
        _show_plan(job, folder, overview, options)
        return
    plan = make_plan([job], overview.found, options)
    root = preflight([job], (folder,), data_root, plan, download=False, unmasked="allow")  # a run has taken it
    try:
        with Stopper() as stopper, superseding(folder, chosen.todo, overview.found):
            run_inline(make_work(plan, plan.jobs, folder, root), _Waiting(), stopper, echoes=True)
    except Stopped as stopped:
        typer.echo(f"slt_bench: {stopped}. The same command goes on from the checkpoint.", err=True)
        raise typer.Exit(3) from None
    record = records.read_one(folder / job.folder)
    typer.echo(f"{record.status}: {folder / job.folder}")
    if record.status == "failed":
        raise typer.Exit(1)


class _Waiting(SilentListener):
    """Says once that another process is at the job; its log tells all else."""

    told_waiting = False

    def waiting(self, jobs: "Sequence[Job]") -> None:
        if not self.told_waiting:
            self.told_waiting = True
            typer.echo(f"Another process is at {jobs[0].folder}; waiting for it.", err=True)


def _show_plan(job: "Job", folder: Path, overview: "JobStatuses", options: ExecutionOptions) -> None:
    from slt_bench.cli.show_plan import show_plan
    from slt_bench.jobs.benchmark import Benchmark, Entry

    alone = Benchmark(name=folder.name, methods={job.label: Entry(method=job.method)}, archs=(job.arch,))
    show_plan(Selected(alone, [job], folder), overview, [job], options)


def _find(text: str, selection: Selection, data_root: Path | None) -> "tuple[Job, Path]":
    from slt_bench.records.lookup import find_job, pick

    if not (selection.benchmark or selection.methods):
        return find_job(selection.results, text)
    selected = select(selection, data_root)
    return pick(text, [(job, selected.folder) for job in selected.jobs])
