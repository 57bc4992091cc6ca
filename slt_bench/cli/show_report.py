"""A report's tables on the terminal, and where its page lies."""

import re
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slt_bench.analysis.verdicts import Judged
from slt_bench.report.build import Source, build
from slt_bench.report.tables.claims import claims_table
from slt_bench.report.tables.table import Table as Content

METHOD_WIDTH = 14  # of a column, with its space


def show_report(source: Source, out: Path) -> None:
    """Draw a report and print its tables, a row a sparsity, so that they fit."""
    drawn = build(source, out)
    console = Console()
    for title, content in drawn.tables.items():
        console.print(_accuracies(title, content, console.width))
    if drawn.verdicts:
        console.print(_claims(drawn.verdicts))
    if drawn.flagged:
        console.print(f"{len(drawn.flagged)} tickets are doubtful; the page says why.")
    if drawn.left_out:
        console.print(f"{len(drawn.left_out)} records left out; the page says why.")
    console.print(f"report: {drawn.page}", soft_wrap=True)


def _accuracies(title: str, content: Content, width: int) -> Table:
    """A row a sparsity; or a row a method, where so many columns do not fit."""
    if METHOD_WIDTH * len(content.rows) > width:
        return _wide(title, content)
    shown = content.transposed("sparsity" + content.header[0].removeprefix("method (purity)"))
    table = Table(title=f"{escape(title)}: accuracy (%)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(escape(shown.header[0].replace(", ", "\n")), no_wrap=True)
    for label in shown.header[1:]:
        table.add_column(escape(label.replace(" (", "\n(")), justify="right")
    for (sparsity, _), *cells in shown.cells():
        table.add_row(sparsity.replace("own sparsity", "own"), *(_cell(cell, bold=bold) for cell, bold in cells))
    return table


def _wide(title: str, content: Content) -> Table:
    """Means alone, which fit into lines."""
    table = Table(
        title=f"{escape(title)}: accuracy (%)", title_justify="left", box=box.SIMPLE_HEAD, caption_justify="left",
        caption="Means; their intervals are on the page, and where masks lie that are not as sparse as asked (*).",
    )  # fmt: skip
    table.add_column(escape(content.header[0].partition(",")[0]), overflow="fold")
    for name in content.header[1:]:
        table.add_column(escape(name.replace(" sparsity", "")), justify="right")
    for (label, _), *cells in content.cells():
        table.add_row(escape(label), *(_cell(_mean(cell), bold=bold) for cell, bold in cells))
    return table


def _mean(cell: str) -> str:
    """A cell without its interval, and a * where it is not at the asked sparsity."""
    short = re.sub(r" ± [\d.]+", "", cell)
    return re.sub(r" at [\d.]+", "*", short)


def _claims(verdicts: Sequence[Judged]) -> Table:
    table = Table(title="Published claims", title_justify="left", box=box.SIMPLE_HEAD)
    content = claims_table(verdicts)
    for name in content.header[:-1]:  # the page tells why
        table.add_column(name)
    for row in content.rows:
        table.add_row(*(escape(cell) for cell in row[:-1]))
    return table


def _cell(text: str, *, bold: bool) -> str:
    shown = escape(text.replace(" (n=", "\n(n="))
    return f"[bold]{shown}[/bold]" if bold and shown else shown
