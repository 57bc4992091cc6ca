"""Units that a mask leaves without a weight."""

import math

import pandas as pd

from slt_bench.report.tables.table import Table
from slt_bench.utils.text import number


def dead_table(dead: pd.DataFrame) -> Table:
    """The share of dead units in per cent, a row a sparsity, a column a method.

    Args:
        dead: As from `analysis.structure.dead_units`.
    """
    labels = sorted(set(dead["label"]))
    cells = {(row["label"], _key(row["asked_sparsity"])): f"{100 * row['dead']:.2f}" for _, row in dead.iterrows()}
    keys = sorted({key for _, key in cells}, key=lambda key: math.inf if key is None else key)
    rows = [["own" if key is None else number(key), *(cells.get((label, key), "") for label in labels)] for key in keys]
    return Table(["sparsity", *labels], rows)


def _key(sparsity: float) -> float | None:
    return None if math.isnan(sparsity) else sparsity
