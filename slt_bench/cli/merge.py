"""`merge`: the records of several machines in one file, which git can keep."""

from pathlib import Path
from typing import Annotated

import typer


def merge(
    sources: Annotated[list[Path], typer.Argument(help="Folders as results/lenet_mnist, of one benchmark.")],
    into: Annotated[Path, typer.Option(help="The folder whose records.jsonl is written.")],
) -> None:
    """Gather records in one `records.jsonl`. Nothing is overwritten: of two that differ the older stays, and is told.

    Exit code 1 where records differ or cannot be read.
    """
    from slt_bench import records

    merged = records.merge(sources, into)
    typer.echo(f"{into / records.LINES}: {len(merged.added)} added, {len(merged.same)} there already.")
    for job in merged.conflicts:
        typer.echo(f"conflict: {job} has another outcome than the record that is there, which stays.", err=True)
    for place, reason in merged.problems.items():
        typer.echo(f"left out: {place}: {reason}", err=True)
    if merged.conflicts or merged.problems:
        raise typer.Exit(1)
