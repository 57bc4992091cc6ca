"""Accuracy, and where gates end, over the width of a network, as in the paper that brought the gates."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slt_bench.benchmark import REFERENCES
from slt_bench.report.figures.axes import add_legend, by_label, panels, short, spread
from slt_bench.report.style import DENSE, RANDOM, Looks

ROWS = 3  # sparsities in a figure
SHARES = {"closed": "-", "fractional": ":", "open": "--"}


def over_width(table: pd.DataFrame, looks: Looks) -> Figure:
    """A row a sparsity: the accuracy of every method, and the shares of closed, open and fractional gates; means.

    Args:
        table: Records as from `analysis.widths.narrower`.
        looks: As from `style.looks`.
    """
    asked = table["asked_sparsity"].fillna(-1.0)  # the method's own
    learned = ~table["method"].isin(REFERENCES)
    found = spread(sorted(set(asked[learned])), ROWS)
    figure, axes = panels(2 * len(found), 2.0, columns=2, sharex=True)
    for sparsity, (accuracy, gates) in zip(found, zip(axes[::2], axes[1::2], strict=True), strict=True):
        rows = table[(asked == sparsity) & learned]
        _accuracies(accuracy, pd.concat([rows, table[~learned & asked.isin([sparsity, -1.0])]]), looks)
        _shares(gates, rows, looks)
        named = "the methods' own sparsity" if sparsity < 0 else f"sparsity {sparsity:g}"
        accuracy.set_title(named)
        accuracy.set_ylabel(f"{table['split'].iloc[0]} accuracy (%)")
        gates.set_ylabel("share of all gates (%)")
        gates.set_title(f"gates, {named}")
    add_legend(axes[0], "best")
    add_legend(axes[1], "best")
    for panel in axes[-2:]:
        panel.set_xlabel("width (% of the widest)")
    return figure


def _accuracies(axes: Axes, rows: pd.DataFrame, looks: Looks) -> None:
    for label, own in by_label(rows):
        method = own["method"].iloc[0]
        if method in REFERENCES:
            look = RANDOM if method == "random_mask" else DENSE
        else:
            look = {"color": looks[label][0], "marker": looks[label][1]}
        seeds = (
            100 * own.dropna(subset=["accuracy"]).groupby("width")["accuracy"].agg(["mean", "min", "max"])
        ).dropna()
        bars = [seeds["mean"] - seeds["min"], seeds["max"] - seeds["mean"]]
        axes.errorbar(100 * seeds.index, seeds["mean"], yerr=bars, label=short(label), capsize=2, **look)


def _shares(axes: Axes, rows: pd.DataFrame, looks: Looks) -> None:
    for label, own in by_label(rows.dropna(subset=[*SHARES])):
        means = 100 * own.groupby("width")[[*SHARES]].mean()
        if not means["fractional"].any():
            continue  # of methods that have no gates between 0 and 1 the mask tells all
        colour, marker = looks[label]
        for share, dashes in SHARES.items():
            name = f"{short(label)}: {share}"
            axes.plot(100 * means.index, means[share], color=colour, marker=marker, linestyle=dashes, label=name)
    axes.set_ylim(-3, 103)
