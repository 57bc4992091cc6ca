"""A report's table of accuracies on the terminal: as much of it as fits, and nothing cut off."""

import re
from collections.abc import Iterator
from itertools import pairwise

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slt_bench.cli.screen import fits
from slt_bench.report.tables.table import Table as Content

CAPTION = (
    "Means, of frozen weights where nothing else is said; their intervals are on the page, and where masks lie that "
    "are not as sparse as asked (*)."
)


def accuracies(title: str, content: Content, console: Console) -> list[Table]:
    """The accuracies of one network.

    Args:
        title: Of the network.
        content: As from `accuracy_table`.
        console: On which they are to be seen.

    Returns:
        A row a sparsity, with intervals; where that is too wide, means, a row a method; and where that is too wide as
        well, the same in as few tables as show some of the sparsities each.
    """
    title = f"{escape(title)}: accuracy (%)"
    whole = _by_sparsity(title, content)
    if fits(whole, console):
        return [whole]
    for parts in range(1, len(content.header)):
        tables = list(_by_method(title, content, parts))
        if all(fits(table, console) for table in tables):
            break
    return tables


def _by_sparsity(title: str, content: Content) -> Table:
    shown = content.transposed("sparsity" + content.header[0].removeprefix("method (purity)"))
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(escape(shown.header[0].replace(", ", "\n")), no_wrap=True)
    for label in shown.header[1:]:
        table.add_column(escape(label.replace(" (", "\n(")), justify="right")
    for (sparsity, _), *cells in shown.cells():
        table.add_row(_short(sparsity), *(_cell(cell, bold=bold) for cell, bold in cells))
    return table


def _by_method(title: str, content: Content, parts: int) -> Iterator[Table]:
    """Means alone, the sparsities on so many tables."""
    count = len(content.header) - 1
    edges = [round(count * part / parts) for part in range(parts + 1)]
    for first, last in pairwise(edges):
        table = Table(box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
        table.title = title if first == 0 else None
        table.caption = CAPTION if last == count else None
        table.add_column(escape(content.header[0].replace(" (purity)", "")), overflow="fold")
        for name in content.header[1 + first : 1 + last]:
            table.add_column(_short(name), justify="right")
        for (label, _), *cells in content.cells():
            shown = cells[first:last]
            if any(cell for cell, _ in shown):
                method = escape(label.removesuffix(" (frozen)"))
                table.add_row(method, *(_cell(_mean(cell), bold=bold) for cell, bold in shown))
        yield table


def _mean(cell: str) -> str:
    """A cell without its interval, and a * where it is not at the asked sparsity."""
    short = re.sub(r" ± [\d.]+", "", cell)
    return re.sub(r" at [\d.]+", "*", short)


def _short(sparsity: str) -> str:
    return escape(sparsity.replace("own sparsity", "own"))


def _cell(text: str, *, bold: bool) -> str:
    shown = escape(text.replace(" (n=", "\n(n="))
    return f"[bold]{shown}[/bold]" if bold and shown else shown
