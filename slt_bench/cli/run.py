"""`run`: train, evaluate, record."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import DataRoot, Selected, Selection, check_shapes, select, takes_selection

if TYPE_CHECKING:
    from slt_bench.benchmark import Job
    from slt_bench.execution.worker import Context
    from slt_bench.states import Overview


@takes_selection
def run(
    selection: Selection,
    data_root: DataRoot = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads [default: all cores].", min=1)] = None,
    rerun: Annotated[str, typer.Option(help="Also run jobs again that are: failed, stale, all (comma list).")] = "",
    download: Annotated[bool, typer.Option(help="Fetch data sets that are missing.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only show what would be done, as `plan`.")] = False,
    reports: Annotated[Path, typer.Option(help="Folder of reports.")] = Path("reports"),
) -> None:
    """Run every job that has no record yet, then draw the report.

    Stop it at any time: what has ended is kept, and the same command goes on. Two runs may share a results folder.

    **Examples**

    `slt_bench run --benchmark quickstart`

    `slt_bench run --methods gates,edgepopup --archs wrn28_10`
    """
    from slt_bench import plugins
    from slt_bench.states import look

    selected = select(selection)
    before = {job.id: _stamp(selected.folder / job.folder) for job in selected.jobs}
    overview = look(selected.jobs, selected.folder, plugins.load())
    todo = _todo(selected, overview, rerun)
    if dry_run:
        from slt_bench.cli.show_plan import show_plan

        check_shapes(selected.jobs)
        show_plan(selected, overview, todo)
        return
    context = _check(todo, (selected.folder, reports), data_root, device, download=download)
    if threads:
        import torch

        torch.set_num_threads(threads)
    try:
        _run(selected, todo, context, before)
    except KeyboardInterrupt:
        typer.echo("slt_bench: stopped. What has ended is kept; the same command goes on from there.", err=True)
        raise typer.Exit(3) from None
    _finish(selected, reports)


def _todo(selected: Selected, overview: "Overview", rerun: str) -> "list[Job]":
    from slt_bench.errors import UserError
    from slt_bench.selection import split_list
    from slt_bench.states import ENDED

    again = {"failed": ("failed", "diverged"), "stale": ("stale",), "all": (*ENDED, "failed", "stale")}
    states = ["missing", "dead", "running"]
    for word in split_list(rerun):
        if word not in again:
            raise UserError(f"--rerun takes failed, stale or all, not '{word}'.")
        states += again[word]
    return overview.in_state(selected.jobs, *states)


def _check(
    todo: "list[Job]", folders: tuple[Path, ...], data_root: Path | None, device: str, *, download: bool
) -> "Context":
    """Find out everything that can be wrong before anything is written."""
    from slt_bench import records
    from slt_bench.data import default_root, find
    from slt_bench.data.dataset import load
    from slt_bench.data.fetch import fetch
    from slt_bench.data.root import is_present
    from slt_bench.execution.worker import Context

    context = Context(data_root or default_root(), _device(device))
    check_shapes(todo)
    for folder in folders:
        records.check_writable(folder)
    for dataset in dict.fromkeys(job.dataset for job in todo):
        if download and not is_present(find(dataset), context.data_root):
            fetch(find(dataset), context.data_root, tell=typer.echo)
        load(dataset, context.data_root, context.device)
    return context


def _device(text: str) -> str:
    import torch

    from slt_bench.errors import UserError

    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(text)
        torch.empty(1, device=device).cpu()  # fails on devices that are absent, or hold no numbers as "meta" does
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"The device '{text}' cannot be used here: {str(error).splitlines()[0]}.") from error
    return str(device)


def _stamp(folder: Path) -> int | None:
    """Tells one record of a job from the next: nobody runs a job again that ended after we looked."""
    from slt_bench.records import RECORD

    try:
        return (folder / RECORD).stat().st_mtime_ns
    except OSError:
        return None


def _run(selected: Selected, todo: "list[Job]", context: "Context", before: dict[str, int | None]) -> None:
    from slt_bench.cli.watch import watch
    from slt_bench.execution.inline import run_all

    with watch(len(todo), len(selected.jobs)) as watcher:
        run_all(todo, selected.folder, context, watcher, lambda job, folder: _stamp(folder) == before[job.id])


def _finish(selected: Selected, reports: Path) -> None:
    """Say how it ended: the table and the report, or what failed; exit 1 where a job did."""
    from slt_bench import plugins
    from slt_bench.cli.show_report import show_report
    from slt_bench.states import ENDED, look

    overview = look(selected.jobs, selected.folder, plugins.load())
    if selected.jobs[0].smoke:
        typer.echo("Smoke runs show only that everything works; no report is drawn of them.")
    elif overview.in_state(selected.jobs, *ENDED):
        chosen = {job.id for job in selected.jobs}
        stale = {job.id for job in overview.in_state(selected.jobs, "stale")}
        show_report(selected.benchmark, overview.found.only(chosen), reports / selected.benchmark.name, stale)
    typer.echo(", ".join(f"{count} {state}" for state, count in overview.counts().items()))
    for job in overview.in_state(selected.jobs, "failed"):
        typer.echo(f"failed: {job.folder}: {overview.found.records[job.id].reason}", err=True)
    if overview.in_state(selected.jobs, "failed"):
        raise typer.Exit(1)
    if overview.in_state(selected.jobs, "missing", "running", "dead"):
        raise typer.Exit(3)
