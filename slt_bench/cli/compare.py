"""`compare`: what two sets of records differ in."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import Results

if TYPE_CHECKING:
    import pandas as pd

    from slt_bench.analysis.compare import Comparison
    from slt_bench.records import LoadedRecords


def compare(
    first: Annotated[str, typer.Argument(help="A benchmark with records, a folder, or COMMIT:BENCHMARK.")],
    second: Annotated[str, typer.Argument(help="Likewise: what is held against the first.")],
    within: Annotated[str, typer.Option("--in", help="A benchmark or folder: compare two of its labels instead.")] = "",
    results: Results = Path("results"),
    csv: Annotated[Path | None, typer.Option(help="Write the cells into this file too.")] = None,
) -> None:
    """Compare two results folders, commits or methods, cell by cell, paired by seed.

    What both sides have run goes under its label in the second: names may change.

    Tickets that keep every weight, as those of dense, are compared with every sparsity of the other side.

    Exit code 1 where something is worse beyond noise: after Holm's correction over all cells, or lost altogether; 2
    where nothing can be paired.

    **Examples**

    `slt_bench compare results/before results/after`

    `slt_bench compare HEAD~5:lenet_mnist lenet_mnist`

    `slt_bench compare edgepopup gates --in lenet_mnist`

    `slt_bench compare dense gates --in lenet_mnist`
    """
    from slt_bench.analysis.compare import compare as compare_tables
    from slt_bench.report.tables.table import as_csv
    from slt_bench.utils.files import write_text

    if within:
        shared = f"{second} against {first}"
        table = _table(_found(within, results), within)
        tables = [_of_label(table, label, shared) for label in (first, second)]
    else:
        before, after = (_found(name, results) for name in (first, second))
        now = [record.job for record in after.records.values()]
        tables = [_table(before.under(now), first), _table(after, second)]
    found = compare_tables(*tables)
    _show(found, first, second)
    if csv:
        write_text(csv, as_csv(found.cells))
    if found.regressions:
        raise typer.Exit(1)
    if _is_void(found):
        raise typer.Exit(2)


def _table(found: "LoadedRecords", name: str) -> "pd.DataFrame":
    """The records of that name that can be compared.

    Raises:
        UserError: There are none.
    """
    from slt_bench.analysis.frame import comparable, frame
    from slt_bench.utils.errors import UserError

    for place, reason in found.problems.items():
        typer.echo(f"left out: {place}: {reason}", err=True)
    usable = comparable(found.records.values())
    if not usable.compared:
        raise UserError(f"There are no records to compare in '{name}'.")
    versions = {record.job.method: record.method_version for record in usable.compared}
    failed = [
        record
        for record in found.records.values()
        if record.status == "failed"
        and not record.job.smoke
        and record.method_version == versions.get(record.job.method, record.method_version)
    ]
    return frame([*usable.compared, *failed])


def _found(name: str, results: Path) -> "LoadedRecords":
    from slt_bench import records
    from slt_bench.records.lookup import folders
    from slt_bench.utils.errors import unknown

    commit, colon, benchmark = name.partition(":")
    if colon:
        return _at_commit(commit, benchmark, results)
    there = folders(results)
    folder = there.get(name.rstrip("/")) or Path(name)
    if not folder.is_dir():
        raise unknown(
            "benchmark with records", name, there, "A folder, or COMMIT:BENCHMARK, is right too; labels need --in."
        )
    return records.read(folder)


def _at_commit(commit: str, benchmark: str, results: Path) -> "LoadedRecords":
    """The records of a benchmark as git has them at a commit."""
    from slt_bench.records import LINES, LoadedRecords
    from slt_bench.utils.errors import UserError

    place = f"{commit}:./{benchmark}/{LINES}"
    git = ["git", "-C", str(results if results.is_dir() else Path())]
    done = subprocess.run([*git, "show", place], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"Git has no records at {place} in {results}: {done.stderr.strip().splitlines()[0]}.")
    found = LoadedRecords()
    for number, line in enumerate(done.stdout.splitlines(), start=1):
        found.add(line, f"{place}:{number}")
    return found


def _of_label(table: "pd.DataFrame", label: str, shared: str) -> "pd.DataFrame":
    """The records of one label, under a name that both sides share, whatever its method's version is."""
    from slt_bench.utils.errors import unknown

    if label not in set(table["label"]):
        raise unknown("label", label, set(table["label"]))
    return table[table["label"] == label].assign(label=shared, method_version=0)


def _show(found: "Comparison", first: str, second: str) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from slt_bench.cli.screen import screen
    from slt_bench.utils.text import number

    console = screen()
    table = Table(title="accuracy (%)", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("label", "network", "sparsity", first, second, "difference", "n", "lost", ""):
        table.add_column(escape(name), justify="left" if name in ("label", "network") else "right")
    for _, row in found.cells.iterrows():
        sparsity = "own" if row["asked_sparsity"] != row["asked_sparsity"] else number(row["asked_sparsity"])
        spread = "" if row["low"] != row["low"] else f" ± {50 * (row['high'] - row['low']):.2f}"
        network = f"{row['arch']}, {row['dataset']}"
        means = [f"{100 * row[side]:.2f}" for side in ("first", "second")]
        table.add_row(
            escape(row["label"]), escape(network), sparsity, *means,
            f"{100 * row['difference']:+.2f}{spread}", str(row["n"]), str(row["lost"] or ""), row["mark"],
        )  # fmt: skip
    console.print(table)
    for name, whole in zip((first, second), found.dense, strict=True):
        if whole:
            console.print(f"{name} keeps every weight; it is compared with every sparsity of the other.", markup=False)
    for name, only in ((first, found.only_first), (second, found.only_second)):
        if only:
            console.print(f"Only in {name}: {'; '.join(only)}.", markup=False)
    if found.regressions:
        console.print(f"Worse beyond noise: {'; '.join(found.regressions)}.", markup=False)
    elif _is_void(found):
        console.print("Nothing is compared: no seed is done on both sides.")
    else:
        console.print("Nothing is worse beyond noise.")


def _is_void(found: "Comparison") -> bool:
    """Whether no seed of any cell is done on both sides."""
    return bool((found.cells["mark"] == "-").all())
