"""From relaxed gates to a hard mask: the binarisation gap, fractional gates, and where gates end."""

import pandas as pd
from matplotlib.figure import Figure

from slt_bench.report.figures.axes import by_label, lowest, panels, position, short_names, sparsity_axis, spread
from slt_bench.report.figures.legends import legend_of, legend_outside
from slt_bench.report.style import Looks
from slt_bench.utils.text import number

MANY = 4  # histograms in a panel
SHADES = ("#000000", "#0072B2", "#D55E00", "#999933")
DASHES = ("-", "--", "-.", ":")


def binarisation(table: pd.DataFrame, looks: Looks) -> Figure:
    """Beside each other: what the relaxed network has over the hard one, and the share of fractional gates.

    Args:
        table: Records as from `analysis.frame`, of methods with gates.
        looks: As from `style.looks`.
    """
    figure, (gap, share) = panels(2, 2.2, columns=2)
    names = short_names(looks)
    for label, rows in by_label(table):
        colour, marker = looks[label]
        at = rows["asked_sparsity"].fillna(rows["sparsity"].round(2))
        means = rows.assign(at=at).groupby("at")[["binarisation_gap", "fractional"]].mean()
        for panel, column in ((gap, "binarisation_gap"), (share, "fractional")):
            panel.plot(
                position(list(means.index)), 100 * means[column], color=colour, marker=marker, label=names[label]
            )
    gap.axhline(0.0, color="#777777", linewidth=0.8)
    gap.set_ylabel("relaxed minus hard (points)")
    gap.set_title("binarisation gap")
    share.set_ylabel("fractional gates (%)")
    share.set_title("gates strictly between 0 and 1")
    legend_of(share)
    sparsities = [float(value) for value in table["asked_sparsity"].fillna(table["sparsity"].round(2)).unique()]
    for panel in (gap, share):
        sparsity_axis(panel, sparsities, "sparsity")
    return figure


def gate_histograms(bins: pd.DataFrame) -> Figure:
    """A panel a method: how many of the gates end where, for some sparsities; means over seeds.

    Args:
        bins: Rows of bins with the columns label, asked_sparsity, low, high, share.
    """
    found = list(by_label(bins))
    names = short_names(bins["label"])
    figure, axes = panels(len(found), 2.0, columns=3, sharey=True)
    for panel, (label, rows) in zip(axes, found, strict=True):
        at = rows["asked_sparsity"].fillna(-1.0)  # the method's own sparsity
        for index, sparsity in enumerate(spread(sorted(set(at)), MANY)):
            means = rows[at == sparsity].groupby(["low", "high"])["share"].mean().reset_index()
            edges = [*means["low"], means["high"].iloc[-1]]
            name = "own" if sparsity < 0 else number(sparsity)
            panel.stairs(100 * means["share"], edges, color=SHADES[index], linestyle=DASHES[index], label=name)
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.minorticks_off()
        panel.set_title(names[label])
    for panel in lowest(axes):
        panel.set_xlabel("gate")
    legend_outside(figure, axes[-1].get_legend_handles_labels()[0], "sparsity")
    axes[0].set_ylabel("share of all gates (%)")
    return figure
