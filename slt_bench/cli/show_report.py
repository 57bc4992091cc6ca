"""A report's tables on the terminal, and where its page lies."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slt_bench.benchmark import Benchmark
from slt_bench.records import Found
from slt_bench.report.build import build


def show_report(benchmark: Benchmark, found: Found, out: Path) -> None:
    """Draw the report of these records and print its tables."""
    drawn = build(benchmark.name, found, out, benchmark.title, benchmark.about)
    console = Console()
    for title, content in drawn.tables.items():
        table = Table(
            title=f"{escape(title)}: test accuracy (%) over sparsity", title_justify="left", box=box.SIMPLE_HEAD
        )
        for index, name in enumerate(content.header):
            table.add_column(escape(name), justify="left" if index == 0 else "right")
        for row in content.rows:
            table.add_row(*map(escape, row))
        console.print(table)
    if drawn.left_out:
        console.print(f"{len(drawn.left_out)} records left out; the page says why.")
    console.print(f"report: {drawn.page}", soft_wrap=True)
