"""A report's tables on the terminal, and where its page lies."""

from collections.abc import Collection
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slt_bench.benchmark import Benchmark
from slt_bench.records import Found
from slt_bench.report.build import build


def show_report(benchmark: Benchmark, found: Found, out: Path, stale: Collection[str] = ()) -> None:
    """Draw the report of these records and print its tables, a row a sparsity, so that they fit."""
    drawn = build(benchmark.name, found, out, benchmark.title, benchmark.about, stale)
    console = Console()
    for title, content in drawn.tables.items():
        shown = content.transposed()
        table = Table(title=f"{escape(title)}: test accuracy (%)", title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column(escape(shown.header[0].replace(", ", "\n")), no_wrap=True)
        for label in shown.header[1:]:
            table.add_column(escape(label.replace(" (", "\n(")), justify="right")
        for sparsity, *cells in shown.rows:
            table.add_row(
                sparsity.replace("own sparsity", "own"), *(escape(cell.replace(" (n=", "\n(n=")) for cell in cells)
            )
        console.print(table)
    if drawn.left_out:
        console.print(f"{len(drawn.left_out)} records left out; the page says why.")
    console.print(f"report: {drawn.page}", soft_wrap=True)
