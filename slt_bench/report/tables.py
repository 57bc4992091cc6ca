"""Tables of a report, as Markdown, LaTeX (booktabs) and CSV from one list of rows."""

import math
from dataclasses import dataclass

import pandas as pd

from slt_bench.benchmark import REFERENCES, SPARSITY_TOLERANCE

LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "_%&#{}$"}
    | {"\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}", "±": "$\\pm$"}
)
BY_METHOD = "method (purity)"


@dataclass(frozen=True)
class Table:
    """A header and rows of text, ready to be written in any format."""

    header: list[str]
    rows: list[list[str]]

    def transposed(self) -> "Table":
        """The same with a row for each column: narrow where there are few methods."""
        header, *rows = (list(line) for line in zip(self.header, *self.rows, strict=True))
        return Table([header[0].replace(BY_METHOD, "sparsity"), *header[1:]], rows)

    def markdown(self) -> str:
        """A pipe table."""
        lines = [self.header, ["---", *["---:"] * (len(self.header) - 1)], *self.rows]
        return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)

    def latex(self) -> str:
        """A tabular that needs the LaTeX package booktabs."""
        header, *rows = (" & ".join(map(_latex, line)) + " \\\\\n" for line in (self.header, *self.rows))
        columns = "l" + "r" * (len(self.header) - 1)
        body = f"\\toprule\n{header}\\midrule\n{''.join(rows)}\\bottomrule\n"
        return f"\\begin{{tabular}}{{{columns}}}\n{body}\\end{{tabular}}\n"


def accuracy_table(curves: pd.DataFrame) -> Table:
    """Test accuracy in per cent of each method at each asked sparsity of one architecture and data set.

    A cell is the mean over seeds with its 95% interval; their number n where it is not that of most cells, which the
    header tells. Seeds that were lost are told, not averaged.

    Args:
        curves: As from `analysis.curves`.
    """
    sparsities = sorted(curves["asked_sparsity"].dropna().unique())
    common = int(curves["n"].mode().iloc[0]) if len(curves) else 0
    header = [f"{BY_METHOD}, n={common}", *(f"{value:g}" for value in sparsities), "own sparsity"]
    rows = []
    order = curves.assign(reference=curves["method"].isin(REFERENCES)).sort_values(["reference", "label"])
    for label, group in order.groupby("label", sort=False):
        cells = {
            row["asked_sparsity"]: _cell(row, common) for _, row in group.dropna(subset=["asked_sparsity"]).iterrows()
        }
        own = [_cell(row, common) + _at(row) for _, row in group[group["asked_sparsity"].isna()].iterrows()]
        purity = group["purity"].iloc[0]
        rows.append([f"{label} ({purity})", *(cells.get(value, "") for value in sparsities), "; ".join(own)])
    table = Table(header, rows)
    return table if any(row[-1] for row in rows) else Table(header[:-1], [row[:-1] for row in rows])


def _cell(row: "pd.Series[float]", common: int) -> str:
    lost = f" [{row['statuses']}]" if row["lost"] else ""
    if not row["n"]:
        return lost.strip() or "-"
    spread = f" ± {100 * row['half_width']:.2f}" if math.isfinite(row["half_width"]) else ""
    seeds = f" (n={row['n']})" if row["n"] != common else ""
    elsewhere = _at(row) if abs(row["sparsity"] - row["asked_sparsity"]) > SPARSITY_TOLERANCE else ""
    return f"{100 * row['mean']:.2f}{spread}{seeds}{lost}{elsewhere}"


def _at(row: "pd.Series[float]") -> str:
    return f" at {row['sparsity']:.3f}" if math.isfinite(row["sparsity"]) else ""


def _latex(text: str) -> str:
    return text.translate(LATEX)
