"""`merge`: the records of several machines in one file, which git can keep."""

from pathlib import Path
from typing import Annotated

import typer


def merge(
    sources: Annotated[list[Path], typer.Argument(help="Folders as results/lenet_mnist, of one benchmark.")],
    into: Annotated[Path, typer.Option(help="The folder whose records.jsonl is written.")],
) -> None:
    """Gather records in one `records.jsonl`. Of two that differ the one that is there stays, and the other is told.

    Only a failure gives way to what did not fail, and an older version of a method to a newer one.

    Exit code 1 where records differ or cannot be read.
    """
    from slt_bench import records

    merged = records.merge(sources, into)
    counts = f"{len(merged.added)} added, {len(merged.replaced)} replaced, {len(merged.same)} there already"
    typer.echo(f"{into / records.LINES}: {counts}.")
    for job in merged.conflicts:
        typer.echo(f"conflict: {job} has another outcome than the record that is there, which stays.", err=True)
    for place, reason in merged.problems.items():
        typer.echo(f"left out: {place}: {reason}", err=True)
    if merged.conflicts or merged.problems:
        raise typer.Exit(1)
