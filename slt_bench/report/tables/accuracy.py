"""Accuracy at matched sparsity."""

import math
from collections.abc import Mapping

import pandas as pd

from slt_bench.jobs.benchmark import REFERENCES, SPARSITY_TOLERANCE
from slt_bench.report.tables.table import Table, percent
from slt_bench.utils.text import number

BY_METHOD = "method (purity)"


def accuracy_table(curves: pd.DataFrame, best: Mapping[float, str] | None = None) -> Table:
    """Accuracy in per cent of each method at each asked sparsity of one architecture and data set.

    A cell is the mean over seeds with its 95% interval; their number n where it is not that of most cells, which the
    header tells. Where some seeds learned and others did not, it is the median, the range, and how many learned. Seeds
    that diverged are told, not averaged.

    Args:
        curves: As from `analysis.curves`.
        best: The label that stands out at an asked sparsity, as from `analysis.matched.best_by_sparsity`.
    """
    sparsities = sorted(curves["asked_sparsity"].dropna().unique())
    common = int(curves["n"].mode().iloc[0]) if len(curves) else 0
    header = [f"{BY_METHOD}, n={common}", *map(number, sparsities), "own sparsity"]
    rows = []
    order = curves.assign(reference=curves["method"].isin(REFERENCES)).sort_values(["reference", "label"])
    for label, group in order.groupby("label", sort=False):
        cells = {
            row["asked_sparsity"]: _cell(row, common) for _, row in group.dropna(subset=["asked_sparsity"]).iterrows()
        }
        own = [_cell(row, common) + _at(row) for _, row in group[group["asked_sparsity"].isna()].iterrows()]
        purity = group["purity"].iloc[0]
        rows.append([f"{label} ({purity})", *(cells.get(value, "") for value in sparsities), "; ".join(own)])
    labels = list(order["label"].unique())
    bold = frozenset(
        (labels.index(label), 1 + sparsities.index(value)) for value, label in (best or {}).items() if label in labels
    )
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return Table(header, rows, bold)


def _cell(row: "pd.Series[float]", common: int) -> str:
    lost = f" [{row['statuses']}]" if row["lost"] else ""
    if not row["n"]:
        return lost.strip() or "-"
    seeds = f" (n={row['n']})" if row["n"] != common else ""
    elsewhere = _at(row) if abs(row["sparsity"] - row["asked_sparsity"]) > SPARSITY_TOLERANCE else ""
    if row["mixed"]:
        spread = f"{percent(row['low'])} to {percent(row['high'])}"
        return f"median {percent(row['median'])} ({spread}; {row['learned']} of {row['n']} learned){lost}{elsewhere}"
    nothing = " (none learned)" if not row["learned"] else ""
    return f"{percent(row['mean'], row['half_width'])}{nothing}{seeds}{lost}{elsewhere}"


def _at(row: "pd.Series[float]") -> str:
    return f" at {row['sparsity']:.3f}" if math.isfinite(row["sparsity"]) else ""
