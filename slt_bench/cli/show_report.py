"""A report's tables on the terminal, and where its page lies."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table

from slt_bench.analysis.verdicts import ClaimVerdict
from slt_bench.cli.screen import screen
from slt_bench.cli.show_accuracies import accuracies
from slt_bench.report.build import ReportSource, build
from slt_bench.report.tables.claims import claims_table


def show_report(source: ReportSource, out: Path) -> None:
    """Draw a report and print its tables."""
    drawn = build(source, out)
    console = screen()
    for title, content in drawn.tables.items():
        for table in accuracies(title, content, console):
            console.print(table)
    if drawn.verdicts:
        console.print(_claims(drawn.verdicts))
    if drawn.flagged:
        console.print(f"{len(drawn.flagged)} tickets are doubtful; the page says why.")
    if drawn.left_out:
        console.print(f"{len(drawn.left_out)} records left out; the page says why.")
    console.print(f"report: {drawn.page}", soft_wrap=True)


def _claims(verdicts: Sequence[ClaimVerdict]) -> Table:
    table = Table(title="Published claims", title_justify="left", box=box.SIMPLE_HEAD)
    content = claims_table(verdicts)
    for name in content.header[:-1]:  # the page tells why
        table.add_column(name, overflow="fold")
    for row in content.rows:
        table.add_row(*(escape(cell) for cell in row[:-1]))
    return table
