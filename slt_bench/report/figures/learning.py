"""Learning curves: how accurate the relaxed network is after each epoch."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.report.figures.axes import by_label, panels, short_names, spread
from slt_bench.report.figures.legends import legend_of
from slt_bench.report.style import DENSE, Looks
from slt_bench.utils.text import number

MANY = 3  # sparsities that are shown


def learning_curves(epochs: pd.DataFrame, looks: Looks) -> Figure:
    """A panel for some of the sparsities: means over seeds, a band from the lowest to the highest seed.

    Args:
        epochs: Rows of epochs with the columns label, method, asked_sparsity, seed, epoch, validation_accuracy.
        looks: As from `style.looks`.
    """
    sparsities = spread(sorted(epochs["asked_sparsity"].dropna().unique()), MANY) or [None]
    figure, axes = panels(len(sparsities), 2.2, columns=3)
    names = short_names([*looks, *epochs["label"]])
    everywhere = epochs[epochs["asked_sparsity"].isna()]
    for panel, sparsity in zip(axes, sparsities, strict=True):
        for label, rows in by_label(pd.concat([epochs[epochs["asked_sparsity"] == sparsity], everywhere])):
            reference = rows["method"].iloc[0] in REFERENCES
            _draw(panel, names[label], rows, None if reference else looks[label][0])
        panel.set_title("own sparsity" if sparsity is None else f"sparsity {number(sparsity)}")
        panel.set_xlabel("epoch")
    axes[0].set_ylabel("validation accuracy,\nrelaxed (%)")
    legend_of(axes[-1])
    return figure


def _draw(panel: Axes, name: str, rows: pd.DataFrame, colour: str | None) -> None:
    over = 100 * rows.groupby("epoch")["validation_accuracy"].agg(["mean", "min", "max"])
    if colour is None:
        panel.plot(over.index, over["mean"], label=name, **DENSE)
        return
    panel.plot(over.index, over["mean"], color=colour, label=name)
    panel.fill_between(over.index, over["min"], over["max"], color=colour, alpha=0.15, linewidth=0)
