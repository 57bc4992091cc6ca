"""Sparsity-accuracy curves: the mean over seeds with its interval, at each sparsity."""

import math

import pandas as pd

from slt_bench.analysis.frame import CELL
from slt_bench.analysis.statistics import t_interval


def curves(table: pd.DataFrame, metric: str = "test_accuracy") -> pd.DataFrame:
    """Summarise records over seeds.

    Args:
        table: As from `frame`.
        metric: The column to summarise.

    Returns:
        A row for each method, architecture, data set, init and asked sparsity, ordered by them, with the columns of
        `CELL`, method, purity, asked_sparsity, sparsity (mean of the counted), mean, half_width (of the 95% t
        interval), n (seeds that are "done"), lost (seeds that collapsed or diverged), and statuses, which names those.
    """
    rows = []
    for key, group in table.groupby([*CELL, "asked_sparsity"], dropna=False, sort=True):
        done = group[group["status"] == "done"]
        interval = t_interval([float(value) for value in done[metric].dropna()])
        lost = group[group["status"] != "done"]["status"]
        rows.append(
            dict(zip([*CELL, "asked_sparsity"], key, strict=True))
            | {
                "method": group["method"].iloc[0],
                "purity": group["purity"].iloc[0],
                "sparsity": float(done["sparsity"].mean()) if len(done) else math.nan,
                "mean": interval.mean,
                "half_width": interval.half_width,
                "n": interval.n,
                "lost": len(lost),
                "statuses": ", ".join(
                    f"{count} {status}" for status, count in lost.value_counts().sort_index().items()
                ),
            }
        )
    columns = [*CELL, "asked_sparsity", "method", "purity", "sparsity", "mean", "half_width", "n", "lost", "statuses"]
    return pd.DataFrame(rows, columns=columns)
