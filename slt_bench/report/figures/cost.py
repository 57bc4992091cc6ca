"""What accuracy costs: time of the search, and memory."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.report.figures.axes import by_label, panels, short_names
from slt_bench.report.figures.legends import legend_of
from slt_bench.report.style import DENSE, Looks

DENSE_MARKER = "*"
LEAST = 1e-4  # an error that is drawn, as a fraction


def accuracy_over_cost(table: pd.DataFrame, looks: Looks) -> Figure:
    """Error, upside down, over the search's seconds and peak memory; a dot a record, darker where it is sparser.

    The error is on a log scale, on which both what learned nothing and what differs by a tenth of a point can be seen.

    Args:
        table: Records as from `analysis.frame`, all made on one machine.
        looks: As from `style.looks`.
    """
    figure, (time, memory) = panels(2, 2.2, columns=2, sharey=True)
    names = short_names([*looks, *table["label"]])
    for label, rows in by_label(table):
        dense = rows["method"].iloc[0] in REFERENCES
        colour, marker = (DENSE["color"], DENSE_MARKER) if dense else looks[label]
        shade: Any = 1.0 if dense else (0.35 + 0.6 * rows["sparsity"].fillna(0.0)).clip(0.0, 1.0).to_numpy()
        for panel, column in ((time, "search_seconds"), (memory, "peak_memory_mb")):
            panel.scatter(
                rows[column], 100 * (1 - rows["accuracy"]).clip(lower=LEAST), color=colour, marker=marker,
                label=names[label], s=40 if dense else 14, alpha=shade, linewidth=0,
            )  # fmt: skip
    for panel in (time, memory):
        panel.set_xlim(left=0)
    time.set_yscale("log")
    time.invert_yaxis()  # of both panels
    time.yaxis.set_major_formatter("{x:g}")
    time.yaxis.set_minor_formatter(_some)
    time.set_xlabel("search (s)")
    memory.set_xlabel("peak memory (MB)")
    time.set_ylabel(f"{table['split'].iloc[0]} error (%)")
    legend_of(memory)
    return figure


def _some(value: float, _: float) -> str:
    """Labels of the ticks between powers of ten: of 2 and 5 times them."""
    digit = int(f"{value:e}"[0])
    return f"{value:g}" if digit in (2, 5) else ""
