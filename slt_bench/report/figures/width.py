"""Accuracy, and where gates end, over the width of a network, as in the paper that brought the gates."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.report.figures.axes import by_label, depth, limit_accuracies, panels, spread
from slt_bench.report.figures.legends import REFERENCE_LOOKS, legend_outside, line, methods
from slt_bench.report.style import Looks
from slt_bench.utils.text import number

ROWS = 3  # sparsities in a figure
DEEP = 5.0  # as of `axes.depth`: narrow networks are less accurate without failing
SHARES = {"closed": "-", "fractional": ":", "open": "--"}


def over_width(table: pd.DataFrame, looks: Looks) -> Figure:
    """A row a sparsity: the accuracy of every method, and the shares of closed, open and fractional gates; means.

    An axis of accuracies does not reach down to all that failed (`axes.depth`).

    Args:
        table: Records as from `analysis.widths.narrower`.
        looks: As from `style.looks`.
    """
    table = table.assign(asked=table["asked_sparsity"].fillna(-1.0))  # the method's own
    learned = ~table["method"].isin(REFERENCES)
    found = spread(sorted(set(table["asked"][learned])), ROWS)
    figure, axes = panels(2 * len(found), 2.0, columns=2, sharex=True)
    shown = []
    for sparsity, (accuracy, gates) in zip(found, zip(axes[::2], axes[1::2], strict=True), strict=True):
        rows = table[(table["asked"] == sparsity) & learned]
        shown += [rows, table[~learned & table["asked"].isin([sparsity, -1.0])]]
        _accuracies(accuracy, pd.concat(shown[-2:]), looks)
        _shares(gates, rows, looks)
        named = "the methods' own sparsity" if sparsity < 0 else f"sparsity {number(sparsity)}"
        accuracy.set_title(named)
        accuracy.set_ylabel(f"{table['split'].iloc[0]} accuracy (%)")
        gates.set_ylabel("share of all gates (%)")
        gates.set_title(f"gates, {named}")
    shares = [line(f"{share} gates", color="#000000", linestyle=dashes) for share, dashes in SHARES.items()]
    legend_outside(figure, [*methods(pd.concat(shown), looks), *shares])
    for panel in axes[-2:]:
        panel.set_xlabel("width (% of the widest)")
    return figure


def _accuracies(axes: Axes, rows: pd.DataFrame, looks: Looks) -> None:
    seeds = 100 * rows.dropna(subset=["accuracy"]).groupby(["label", "method", "width"])["accuracy"].agg(
        ["mean", "min", "max"]
    )
    for (label, method), own in seeds.groupby(level=["label", "method"]):
        colour, marker = looks.get(str(label), ("", ""))
        look = REFERENCE_LOOKS.get(str(method)) or {"color": colour, "marker": marker}
        bars = [(own[end] - own["mean"]).abs() for end in ("min", "max")]  # a mean of equal numbers is not quite they
        axes.errorbar(100 * own.index.get_level_values("width"), own["mean"], yerr=bars, capsize=2, **look)
    learned = seeds[~seeds.index.get_level_values("method").isin(REFERENCES)]
    best, top = float(seeds["mean"].max()), float(seeds["max"].max())
    limit_accuracies(axes, depth(learned["mean"], best, DEEP), best, top)


def _shares(axes: Axes, rows: pd.DataFrame, looks: Looks) -> None:
    for label, own in by_label(rows.dropna(subset=[*SHARES])):
        means = 100 * own.groupby("width")[[*SHARES]].mean()
        if not means["fractional"].any():
            continue  # of methods that have no gates between 0 and 1 the mask tells all
        colour, marker = looks[label]
        for share, dashes in SHARES.items():
            axes.plot(100 * means.index, means[share], color=colour, marker=marker, linestyle=dashes)
    axes.set_ylim(-3, 103)
