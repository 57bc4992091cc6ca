"""`data`: what data sets are there, and how to get them."""

from typing import Annotated

import typer

from slt_bench.cli.options import DataRoot

app = typer.Typer(help="Show, fetch and verify data sets.", no_args_is_help=True)


@app.command("status")
def status(data_root: DataRoot = None) -> None:
    """Show which data sets are there."""
    from slt_bench.data import DATASETS, default_root
    from slt_bench.data.root import is_present, locate

    root = data_root or default_root()
    typer.echo(f"data root: {root}")
    for info in DATASETS.values():
        where = (
            "in scikit-learn"
            if not info.folder
            else str(locate(info, root).folder)
            if is_present(info, root)
            else "missing"
        )
        typer.echo(f"  {info.name:<14} {where}")


@app.command("get")
def get(names: Annotated[str, typer.Argument(help="Comma list or globs.")], data_root: DataRoot = None) -> None:
    """Fetch data sets through torchvision, and verify them by the official checksums; decode `folder:PATH`."""
    from slt_bench.data import DATASETS, default_root, find, folder_exists, is_folder
    from slt_bench.data.fetch import fetch
    from slt_bench.jobs.parsing import choose

    for name in choose("data set", names, DATASETS, is_folder, folder_exists):
        fetch(find(name), data_root or default_root(), tell=typer.echo)


@app.command("verify")
def verify(
    names: Annotated[str, typer.Argument(help="Comma list or globs.")] = "*", data_root: DataRoot = None
) -> None:
    """Check the data sets that are there by the official checksums of their unpacked files.

    Of `folder:PATH@SIDE` every image is read anew, and the decoded copy is compared with its own checksums.
    """
    from slt_bench.data import DATASETS, default_root, find, folder_exists, is_folder
    from slt_bench.data.decoded import verify_copy
    from slt_bench.data.root import is_present, verify
    from slt_bench.jobs.parsing import choose

    root = data_root or default_root()
    for name in choose("data set", names, DATASETS, is_folder, folder_exists):
        if is_folder(name):
            typer.echo(f"{name}: {verify_copy(name, root, typer.echo)}")
            continue
        if names == "*" and not is_present(find(name), root):
            continue
        typer.echo(f"{name}: {verify(find(name), root)}")
