"""Sparsity at matched accuracy, and ratios to a baseline."""

import math

import pandas as pd

from slt_bench.report.tables.table import Table

KINDS = {"accuracy at sparsity": "accuracy at sparsity {at:g}", "sparsity at accuracy": "sparsity at {percent:.2f}%"}


def comparable_table(reach: pd.DataFrame) -> Table:
    """The highest sparsity of each method at an accuracy near that of dense training, and near its own best.

    Args:
        reach: As from `analysis.matched.comparable_sparsity`.
    """
    pairs = zip(reach["points"], reach["reference"], strict=True)
    return _reach_table(reach.assign(column=[f"within {points:g} of {reference}" for points, reference in pairs]))


def sparsest_table(reach: pd.DataFrame) -> Table:
    """The same at one accuracy on each of several networks.

    Args:
        reach: As from `analysis.matched.comparable_sparsity`, a row a label and network, with the column `network`.
    """
    return _reach_table(reach.assign(column=reach["network"]))


def ratio_table(ratios: pd.DataFrame, baseline: str) -> Table:
    """Each method's accuracy and sparsity as multiples of a baseline's.

    Args:
        ratios: As from `analysis.matched.ratios`.
        baseline: Its label.
    """
    header = ["method", f"compared with {baseline}", "ratio", "ratio of remaining weights", "n"]
    rows = [
        [
            str(row["label"]),
            KINDS[row["kind"]].format(at=row["at"], percent=100 * row["at"]),
            _ratio(row["ratio"], row["low"], row["high"]) + (" (a curve ends)" if row["at_end"] else ""),
            _ratio(row["remaining_ratio"], row["remaining_low"], row["remaining_high"], "", ".2f"),
            str(int(row["n"])),
        ]
        for _, row in ratios.iterrows()
    ]
    return Table(header, rows)


def _reach_table(reach: pd.DataFrame) -> Table:
    """A row a label, and a column for each value of `column`, in the order in which they come."""
    columns = list(dict.fromkeys(reach["column"]))
    rows = []
    for label, group in reach.groupby("label", sort=True):
        cells = {row["column"]: _cell(row) for _, row in group.iterrows()}
        rows.append([f"{label} ({group['purity'].iloc[0]})", *(cells.get(column, "") for column in columns)])
    return Table(["method (purity)", *columns], rows)


def _cell(row: "pd.Series[float]") -> str:
    short = f" ({row['short']:.0f} of {row['n'] + row['short']:.0f} seeds never)" if row["short"] else ""
    if not math.isfinite(row["sparsity"]):
        return f"never{short if row['n'] else ''}"
    half = (row["high"] - row["low"]) / 2
    spread = f" ± {half:.3f}" if math.isfinite(half) else ""
    return f"{'≥ ' if row['at_end'] else ''}{row['sparsity']:.3f}{spread}{short}"


def _ratio(ratio: float, low: float, high: float, unknown: str = "-", digits: str = ".3f") -> str:
    if not math.isfinite(ratio):
        return unknown
    return f"{ratio:{digits}}" + (f" [{low:{digits}}, {high:{digits}}]" if math.isfinite(low) else "")
