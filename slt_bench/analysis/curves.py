"""Sparsity-accuracy curves: the mean over seeds with its interval, at each sparsity."""

import math
from collections import Counter

import numpy as np
import pandas as pd

from slt_bench.analysis.frame import CELL
from slt_bench.analysis.statistics import t_interval


def curves(table: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
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
    needed = table[list(dict.fromkeys([*CELL, "asked_sparsity", "method", "purity", "status", "sparsity", metric]))]
    for key, group in needed.groupby([*CELL, "asked_sparsity"], dropna=False, sort=True):
        done = (group["status"] == "done").to_numpy()
        values, sparsities = group[metric].to_numpy()[done], group["sparsity"].to_numpy()[done]
        interval = t_interval(values[~np.isnan(values)].tolist())
        lost = Counter(group["status"][~done])
        rows.append(
            dict(zip([*CELL, "asked_sparsity"], key, strict=True))
            | {
                "method": group["method"].iloc[0],
                "purity": group["purity"].iloc[0],
                "sparsity": float(sparsities.mean()) if len(sparsities) else math.nan,
                "mean": interval.mean,
                "half_width": interval.half_width,
                "n": interval.n,
                "lost": lost.total(),
                "statuses": ", ".join(f"{count} {status}" for status, count in sorted(lost.items())),
            }
        )
    columns = [*CELL, "asked_sparsity", "method", "purity", "sparsity", "mean", "half_width", "n", "lost", "statuses"]
    return pd.DataFrame(rows, columns=columns)
