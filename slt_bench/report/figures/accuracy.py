"""Accuracy over sparsity, which every paper of the field draws."""

import math
from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.report.figures.axes import (
    by_label,
    depth,
    limit_accuracies,
    new_figure,
    position,
    short_names,
    sparsity_axis,
)
from slt_bench.report.figures.legends import legend_of
from slt_bench.report.style import COLUMN_INCHES, DENSE, RANDOM, Looks

FAR = 1.5  # times as deep as an axis should be: what lies below takes a panel of its own
ROOM = 0.02  # of an interval beyond the best and the lowest mean that is shown


def accuracy_over_sparsity(table: pd.DataFrame, curves: pd.DataFrame, looks: Looks, title: str) -> Figure:
    """Accuracy over sparsity on one architecture and data set: means with 95% intervals, a dot a seed.

    Where curves fall far, a second panel below shows all of them, and the first what lies near the best.

    Args:
        table: Records of that architecture and data set, as from `analysis.frame`.
        curves: Their summary, as from `analysis.curves`.
        looks: As from `style.looks`.
        title: Above the axes.
    """
    learned = curves[~curves["method"].isin(REFERENCES) & (curves["n"] > 0)]
    lows, best, top = extent(curves)
    floor = depth(lows, best)
    if best - lows.min() > FAR * (best - floor):
        figure = new_figure(COLUMN_INCHES, 3.2)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(5, 2))
        draw_curves(lower, table, curves, looks)
        lower.set_ylim(0, min(104.0, 1.1 * top))
    else:
        figure = new_figure(COLUMN_INCHES, 2.5)
        upper = figure.subplots()
        lower, floor = upper, float(lows.min())
    draw_curves(upper, table, barred_above(floor, curves), looks)
    limit_accuracies(upper, floor, best, top)
    for axes in (upper, lower):
        axes.set_ylabel("")  # one label stands for both
    upper.set_title(title)
    legend_of(upper)
    figure.supylabel(f"{table['split'].iloc[0]} accuracy of the hard mask (%)", fontsize="medium")
    sparsity_axis(lower, sorted(learned["sparsity"].dropna().unique()))
    return figure


def extent(curves: pd.DataFrame) -> tuple["pd.Series[float]", float, float]:
    """What an axis of these curves is limited by, in %: the low ends of what was learned, the best mean, and the top.

    Where nothing was learned it is by the ends of all, and where nothing was measured by the whole range.
    """
    found = _centred(curves)
    learned = found[~found["method"].isin(REFERENCES)]
    if found.empty:
        return pd.Series([0.0]), 100.0, 100.0
    bar = 100 * found["half_width"].clip(upper=ROOM).fillna(0)
    mean = 100 * found["mean"]
    lows = (mean - bar)[learned.index if len(learned) else found.index]
    return lows, float(mean.max()), float((mean + bar).max())


def barred_above(floor: float, curves: pd.DataFrame) -> pd.DataFrame:
    """The curves without the intervals of means below the floor, in %: bars without a mean tell nothing."""
    return curves.assign(half_width=curves["half_width"].where(100 * curves["mean"] >= floor))


def draw_curves(axes: Axes, table: pd.DataFrame, curves: pd.DataFrame, looks: Looks) -> None:
    """Every curve of one network: means with intervals, seeds, dense training and random masks; arguments as above."""
    curves = _centred(curves)
    learned = curves[~curves["method"].isin(REFERENCES)]
    names = short_names([*looks, *curves["label"]])
    for label, curve in by_label(learned):
        _draw_curve(axes, names[label], curve.sort_values("sparsity"), *looks[label])
    _draw_seeds(axes, table[table["label"].isin(learned["label"]) & (table["status"] == "done")], looks)
    _draw_dense(axes, curves, names)
    _draw_random(axes, curves, names)


def _centred(curves: pd.DataFrame) -> pd.DataFrame:
    """Where some seeds learned and others did not the median stands in place of the mean, which is near neither."""
    found = curves[curves["n"] > 0]
    mixed = found["mixed"].astype(bool)
    centre = found["mean"].where(~mixed, found["median"])
    return found.assign(mean=centre, half_width=found["half_width"].where(~mixed))


def _draw_curve(axes: Axes, name: str, curve: pd.DataFrame, colour: str, marker: str) -> None:
    axes.errorbar(
        position(curve["sparsity"]),
        100 * curve["mean"],
        yerr=100 * curve["half_width"].fillna(0),
        color=colour,
        marker=marker,
        label=name,
        capsize=2,
    )
    partly = curve[(curve["lost"] > 0) | curve["mixed"]]
    if len(partly):
        axes.plot(
            position(partly["sparsity"]), 100 * partly["mean"], linestyle="", marker=marker, markersize=7,
            markerfacecolor="none", markeredgecolor=colour, label=f"{name}: some seeds failed",
        )  # fmt: skip


def _draw_seeds(axes: Axes, done: pd.DataFrame, looks: Looks) -> None:
    """A small dot a seed."""
    colours = {label: looks[label][0] for label in done["label"].unique()}
    markers = {label: looks[label][1] for label in colours}
    if done.empty:
        return
    sns.scatterplot(
        x=position(done["sparsity"]), y=100 * done["accuracy"].to_numpy(), hue=done["label"].to_numpy(),
        style=done["label"].to_numpy(), palette=colours, markers=markers, s=7, alpha=0.5, legend=False, linewidth=0,
        ax=axes, zorder=3,
    )  # fmt: skip


def _draw_dense(axes: Axes, curves: pd.DataFrame, names: Mapping[str, str]) -> None:
    for _, row in curves[curves["method"] == "dense"].iterrows():
        mean, half = 100 * row["mean"], 100 * row["half_width"]
        axes.axhline(mean, label=f"{names[row['label']]} ({mean:.1f})", zorder=1, **DENSE)
        if math.isfinite(half):
            axes.axhspan(mean - half, mean + half, color=DENSE["color"], alpha=0.08, linewidth=0)


def _draw_random(axes: Axes, curves: pd.DataFrame, names: Mapping[str, str]) -> None:
    found = curves[curves["method"] == "random_mask"].sort_values("sparsity")
    for label, rows in found.groupby("label"):
        low, high = 100 * rows["mean"].min(), 100 * rows["mean"].max()
        axes.plot(
            position(rows["sparsity"]),
            100 * rows["mean"],
            label=f"{names[str(label)]} ({low:.0f} to {high:.0f})",
            **RANDOM,
        )
