"""What jobs cost, a column a machine: times of different machines are never mixed."""

import math

import pandas as pd

from slt_bench.report.tables.table import Table


def cost_table(table: pd.DataFrame) -> Table:
    """Median seconds of the search, and of the whole job, and the highest peak memory, of each method.

    Args:
        table: Records of one network and budget, as from `analysis.frame`.
    """
    machines = sorted(set(table["machine"]))
    parts = ("search", "job", "memory", "n")
    header = ["method", *(f"{part}: {machine}" for machine in machines for part in parts)]
    rows = []
    for label, group in table.groupby("label", sort=True):
        on = [group[group["machine"] == machine] for machine in machines]
        rows.append([str(label), *(cell for there in on for cell in _cells(there))])
    return Table(header, rows)


def _cells(rows: pd.DataFrame) -> list[str]:
    if rows.empty:
        return ["", "", "", ""]
    peak = rows["peak_memory_mb"].max()
    memory = f"{peak:,.0f} MB" if math.isfinite(peak) else "-"
    return [_seconds(rows["search_seconds"]), _seconds(rows["seconds"]), memory, str(len(rows))]


def _seconds(values: "pd.Series[float]") -> str:
    median = values.median()
    return f"{median:.1f} s" if math.isfinite(median) else "-"
