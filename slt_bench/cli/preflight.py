"""What can be wrong with a run is found out before anything is written."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from slt_bench.cli.options import check_networks, left_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slt_bench.execution.planning.plan import Plan
    from slt_bench.jobs.benchmark import Job


def preflight(
    todo: "Sequence[Job]",
    folders: tuple[Path, ...],
    data_root: Path | None,
    plan: "Plan",
    *,
    download: bool,
    unmasked: str,
) -> Path:
    """Find out everything that can be wrong with a run, and return the data root.

    Args:
        todo: The jobs that are to be started.
        folders: That will be written to.
        data_root: As the user named it; None for the default.
        plan: How jobs are to be run.
        download: Whether missing data sets are fetched.
        unmasked: As of `check_networks`.

    Raises:
        UserError: Something is.
    """
    from slt_bench import records
    from slt_bench.data import default_root, find, is_folder
    from slt_bench.data.dataset import load
    from slt_bench.data.decoded import decoded
    from slt_bench.data.fetch import fetch
    from slt_bench.data.root import is_present

    root = data_root or default_root()
    check_networks(todo, unmasked)
    for folder in folders:
        records.check_writable(folder)
    for told in left_out(todo):
        typer.echo(told, err=True)
    for dataset, data_hash in dict.fromkeys((job.dataset, job.data_hash) for job in todo):
        if download and not is_present(find(dataset), root):
            fetch(find(dataset), root, tell=typer.echo)
        if is_folder(dataset):
            decoded(dataset, root, lambda text: typer.echo(text, err=True), data_hash)
        load(dataset, root, plan.device if plan.executor == "inline" else "cpu", data_hash)
    return root
