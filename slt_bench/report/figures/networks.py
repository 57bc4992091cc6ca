"""What a reader sees first of several networks: accuracy over sparsity on each, and sparsities at equal accuracy."""

from collections.abc import Mapping
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slt_bench.analysis.curves import curves
from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.report.figures.accuracy import barred_above, draw_curves, extent
from slt_bench.report.figures.axes import (
    by_label,
    depth,
    limit_accuracies,
    panels,
    position,
    short_names,
    spaced,
    sparsity_axis,
)
from slt_bench.report.figures.legends import legend_outside, line, method, methods
from slt_bench.report.style import Looks

TIMES = 1.8  # as sparse: what "nearly double" means where a baseline is at 0.5
CHARACTERS = 13  # of a title in an inch
POINTS, STUB = 200, 10  # of a guide; one of so few would be taken for a speck
TICKS = [0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99]


def accuracy_by_network(tables: Mapping[str, pd.DataFrame], looks: Looks) -> Figure:
    """A panel a network: accuracy over sparsity, as in `accuracy_over_sparsity`, with one legend for all.

    Args:
        tables: The records of each network by its title, as from `analysis.networks`.
        looks: As from `style.looks`.
    """
    figure, axes = panels(len(tables), 2.1)
    for panel, (title, table) in zip(axes, tables.items(), strict=True):
        summary = curves(table)
        learned = summary[~summary["method"].isin(REFERENCES) & (summary["n"] > 0)]
        lows, best, top = extent(summary)
        floor = depth(lows, best)
        draw_curves(panel, table, barred_above(floor, summary), looks)
        limit_accuracies(panel, floor, best, top)
        panel.set_title(_on_lines(title, panel))
        panel.set_ylabel("")
        sparsity_axis(panel, sorted(learned["sparsity"].dropna().unique()), "")
    figure.supylabel("accuracy of the hard mask (%)", fontsize="medium")
    figure.supxlabel("sparsity (log scale of remaining weights)", fontsize="medium")
    legend_outside(figure, methods(pd.concat(list(tables.values())), looks))
    return figure


def sparsity_against(trades: Mapping[str, pd.DataFrame], baselines: Mapping[str, str], looks: Looks) -> Figure:
    """A panel a network: how sparse methods are over how sparse a baseline is at the same accuracy.

    Args:
        trades: As from `analysis.matched.at_equal_accuracy`, of each network by its title.
        baselines: The label that was compared with on each of them; a panel names its own where they differ.
        looks: As from `style.looks`.
    """
    figure, axes = panels(len(trades), 2.2)
    doubled = False
    names = {baselines[title] for title in trades}
    shown = short_names([*looks, *names])
    for panel, (title, trade) in zip(axes, trades.items(), strict=True):
        doubled |= _draw_trade(panel, trade, looks)
        panel.set_title(_on_lines(title, panel))
        if len(names) > 1:
            panel.set_xlabel(shown[baselines[title]], fontsize="small")
    whose = shown[names.pop()] if len(names) == 1 else "the baseline"
    figure.supxlabel(f"sparsity of {whose} at the same accuracy", fontsize="medium")
    figure.supylabel("sparsity", fontsize="medium")
    labels = sorted(set(pd.concat(list(trades.values()))["label"]))
    thin = {"color": "#000000", "linewidth": 0.8}
    guides = [line("as sparse", **thin)]
    guides += [line(f"{TIMES:g} times as sparse", linestyle=":", **thin)] if doubled else []
    legend_outside(figure, [*(method(label, looks) for label in labels), *guides])
    return figure


def _draw_trade(axes: Axes, trade: pd.DataFrame, looks: Looks) -> bool:
    """Draws the curves of a network; whether anything is sparse enough for the line of `TIMES` to be seen."""
    for label, rows in by_label(trade):
        colour, marker = looks[label]
        places = position(rows["baseline_sparsity"]), position(rows["sparsity"])
        axes.plot(*places, color=colour, marker=marker, markevery=max(1, len(rows) // 6))
    least = min(trade["baseline_sparsity"].min(), trade["sparsity"].min())
    whole = pd.Series(np.linspace(least, trade["baseline_sparsity"].max(), POINTS))
    axes.plot(position(whole), position(whole), color="#000000", linewidth=0.8, zorder=1)
    half = whole[whole * TIMES < trade["sparsity"].max()]
    doubled = len(half) > STUB
    if doubled:
        axes.plot(position(half), position(half * TIMES), color="#000000", linewidth=0.8, linestyle=":", zorder=1)
    box, size = axes.get_position(), axes.figure.get_size_inches()  # type: ignore[union-attr]
    for axis, column, inches in (
        (axes.xaxis, "baseline_sparsity", size[0] * box.width),
        (axes.yaxis, "sparsity", size[1] * box.height),
    ):
        low, high = trade[column].min(), trade[column].max()
        shown = spaced([tick for tick in TICKS if low - 0.02 <= tick <= high + 0.02], inches)
        axis.set_ticks(position(shown), [f"{tick:g}" for tick in shown], fontsize="small")
    return doubled


def _on_lines(title: str, panel: Axes) -> str:
    """What tells a network from others below its name, in lines that are no longer than the panel is wide."""
    name, _, rest = title.partition(", ")
    columns = panel.get_gridspec().ncols  # type: ignore[union-attr]
    room = int(CHARACTERS * panel.figure.get_figwidth() / columns)  # type: ignore[union-attr]
    whole = rest.replace(" ", "\u00a0").replace(",\u00a0", ", ")  # lines break between parts only
    return "\n".join([name, *wrap(whole, room, break_long_words=False, break_on_hyphens=False)]).replace("\u00a0", " ")
