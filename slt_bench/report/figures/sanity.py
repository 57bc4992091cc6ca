"""Sanity checks: a ticket beside its own mask shuffled or inverted, and beside other weights under its mask."""

import pandas as pd
from matplotlib.figure import Figure

from slt_bench.report.figures.axes import by_label, lowest, panels, position, short_names, sparsity_axis
from slt_bench.report.figures.legends import legend_outside, line
from slt_bench.report.style import Looks

KINDS = {
    "validation_accuracy": ("ticket", "-", None),
    "shuffled_accuracy": ("mask shuffled within layers", "--", "#777777"),
    "redrawn_accuracy": ("weights redrawn", ":", "#000000"),
    "inverted_accuracy": ("mask inverted", "-.", "#777777"),
}


def sanity_checks(table: pd.DataFrame, looks: Looks) -> Figure:
    """A panel a method, over sparsity: what is left of its accuracy where mask or weights are not its own.

    Args:
        table: Records as from `analysis.frame` that were shuffled and redrawn; those of an older suite not inverted.
        looks: As from `style.looks`.
    """
    found = list(by_label(table))
    names = short_names(looks)
    figure, axes = panels(len(found), 2.0, columns=3, sharex=True, sharey=True)
    for panel, (label, rows) in zip(axes, found, strict=True):
        colour, marker = looks[label]
        at = rows["asked_sparsity"].fillna(rows["sparsity"].round(2))
        means = rows.assign(at=at).groupby("at")[list(KINDS)].mean()
        for column, (_, dashes, own) in KINDS.items():
            if means[column].isna().all():
                continue
            panel.plot(
                position(list(means.index)), 100 * means[column], linestyle=dashes, color=own or colour,
                marker=marker if own is None else "",
            )  # fmt: skip
        panel.set_ylim(0, 104)
        panel.set_title(names[label])
    everywhere = table["asked_sparsity"].fillna(table["sparsity"].round(2)).unique()
    for panel in lowest(axes):  # all have one axis
        sparsity_axis(panel, [float(value) for value in everywhere], "sparsity")
    axes[0].set_ylabel("validation accuracy (%)")
    legend_outside(
        figure,
        [
            line(name, color=own or "#555555", linestyle=dashes, marker="o" if own is None else "")
            for column, (name, dashes, own) in KINDS.items()
            if table[column].notna().any()
        ],
    )
    return figure
