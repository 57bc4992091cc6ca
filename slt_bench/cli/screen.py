"""What tables are printed on."""

import os
import sys

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDTH = 120  # of lines, where there is no terminal to ask: in a pipe, a file
ANY = 100_000


def screen() -> Console:
    """The terminal, or lines of `WIDTH` columns where there is none; `COLUMNS` of the environment goes before both."""
    console = Console()
    told = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return console if told else Console(width=WIDTH)


def fits(table: Table, console: Console) -> bool:
    """Whether a table can be printed with no cell cut or folded."""
    return Measurement.get(console, console.options.update(width=ANY), table).maximum <= console.width
