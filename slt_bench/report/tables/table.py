"""A table of text, as Markdown and LaTeX (booktabs)."""

import math
from dataclasses import dataclass

import pandas as pd

from slt_bench.utils.text import number

LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "_%&#{}$"}
    | {"\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}", "±": "$\\pm$"}
    | {
        "≥": "$\\geq$",
        "≤": "$\\leq$",
        "…": "\\dots{}",
        "[": "{[}",
        "]": "{]}",
        "<": "\\textless{}",
        ">": "\\textgreater{}",
    }
)


def as_csv(numbers: pd.DataFrame) -> str:
    """Return a table of numbers as CSV: six digits, and of asked sparsities, which name cells, as many as they have."""
    names = {
        column: numbers[column].map(number, na_action="ignore")
        for column in numbers.columns.intersection(["asked_sparsity"])
    }
    return numbers.assign(**names).to_csv(index=False, float_format="%.6g")


@dataclass(frozen=True)
class Table:
    """A header and rows of text, ready to be written in any format.

    Attributes:
        header: Names of the columns.
        rows: As long as the header.
        bold: (row, column) of the cells that stand out.
        of_words: Whether cells are sentences rather than numbers.
    """

    header: list[str]
    rows: list[list[str]]
    bold: frozenset[tuple[int, int]] = frozenset()
    of_words: bool = False

    def transposed(self, corner: str | None = None) -> "Table":
        """The same with a row for each column: narrow where there are few methods.

        Args:
            corner: In place of the first cell.
        """
        header, *rows = (list(line) for line in zip(self.header, *self.rows, strict=True))
        bold = frozenset((column - 1, row + 1) for row, column in self.bold if column)
        return Table([corner or header[0], *header[1:]], rows, bold)

    def cells(self) -> list[list[tuple[str, bool]]]:
        """The rows, each cell with whether it stands out."""
        return [
            [(cell, (row, column) in self.bold) for column, cell in enumerate(line)]
            for row, line in enumerate(self.rows)
        ]

    def markdown(self) -> str:
        """A pipe table."""
        body = [[f"**{cell}**" if bold else cell for cell, bold in line] for line in self.cells()]
        lines = [self.header, ["---", *["---:"] * (len(self.header) - 1)], *body]
        return "".join("| " + " | ".join(map(_in_markdown, line)) + " |\n" for line in lines)

    def latex(self) -> str:
        """A tabular that needs the LaTeX package booktabs."""
        body = [[_in_latex(cell, bold=bold) for cell, bold in line] for line in self.cells()]
        header, *rows = (" & ".join(line) + " \\\\\n" for line in ([_in_latex(cell) for cell in self.header], *body))
        width = f"p{{{0.9 / len(self.header):.2f}\\linewidth}}"
        columns = width * len(self.header) if self.of_words else "l" + "r" * (len(self.header) - 1)
        inner = f"\\toprule\n{header}\\midrule\n{''.join(rows)}\\bottomrule\n"
        return f"\\begin{{tabular}}{{{columns}}}\n{inner}\\end{{tabular}}\n"


def percent(mean: float, half_width: float = math.nan) -> str:
    """A fraction in per cent, with its interval where that is known."""
    return f"{100 * mean:.2f}" + (f" ± {100 * half_width:.2f}" if math.isfinite(half_width) else "")


def _in_markdown(cell: str) -> str:
    return " ".join(cell.replace("\\", "\\\\").replace("|", "\\|").split())


def _in_latex(cell: str, *, bold: bool = False) -> str:
    text = cell.translate(LATEX)
    return f"\\textbf{{{text}}}" if bold else text
