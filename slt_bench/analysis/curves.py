"""Sparsity-accuracy curves: the mean over seeds with its interval, at each sparsity."""

import math
from collections import Counter

import numpy as np
import pandas as pd

from slt_bench.analysis.frame import CELL
from slt_bench.analysis.statistics import t_interval

COLUMNS = [
    *("asked_sparsity", "method", "purity", "sparsity", "mean", "half_width", "median", "low", "high"),
    *("n", "learned", "mixed", "lost", "statuses"),
]


def curves(table: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
    """Summarise records over seeds.

    Args:
        table: As from `frame`.
        metric: The column to summarise.

    Returns:
        A row for each method, architecture, data set, init and asked sparsity, ordered by them, with the columns of
        `CELL`, method, purity, asked_sparsity, sparsity (mean of the counted), mean, half_width (of the 95% t
        interval), median, low and high (the extremes), n (seeds that are "done"), learned (how many of those did), lost
        (seeds that diverged), statuses, which names those, and mixed: whether some seeds learned and others did not, so
        that a mean would describe neither.
    """
    rows = []
    needed = table[
        list(dict.fromkeys([*CELL, "asked_sparsity", "method", "purity", "status", "learned", "sparsity", metric]))
    ]
    for key, group in needed.groupby([*CELL, "asked_sparsity"], dropna=False, sort=True):
        done = (group["status"] == "done").to_numpy()
        values, sparsities = group[metric].to_numpy()[done], group["sparsity"].to_numpy()[done]
        values = values[~np.isnan(values)]
        interval = t_interval(values.tolist())
        learned = int((group["status"].eq("done") & group["learned"]).sum())
        lost = Counter(group["status"][~done])
        rows.append(
            dict(zip([*CELL, "asked_sparsity"], key, strict=True))
            | {
                "method": group["method"].iloc[0],
                "purity": group["purity"].iloc[0],
                "sparsity": float(sparsities.mean()) if len(sparsities) else math.nan,
                "mean": interval.mean,
                "half_width": interval.half_width,
                "median": float(np.median(values)) if len(values) else math.nan,
                "low": values.min(initial=math.inf),
                "high": values.max(initial=-math.inf),
                "n": interval.n,
                "learned": learned,
                "mixed": 0 < learned < int(done.sum()),
                "lost": lost.total(),
                "statuses": ", ".join(f"{count} {status}" for status, count in sorted(lost.items())),
            }
        )
    return pd.DataFrame(rows, columns=[*CELL, *COLUMNS])
