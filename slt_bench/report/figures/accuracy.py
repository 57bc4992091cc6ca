"""Accuracy over sparsity, which every paper of the field draws."""

import math

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slt_bench.benchmark import REFERENCES
from slt_bench.report.figures.axes import add_legend, by_label, position, short, sparsity_axis
from slt_bench.report.style import COLUMN_INCHES, DENSE, RANDOM, Looks, use_style

ROOM = 0.02  # of an interval above the best mean that is shown
NEAR = 6.0  # points below the best that the upper of two panels shows
FAR = 24.0  # points that one panel can hold


def accuracy_over_sparsity(table: pd.DataFrame, curves: pd.DataFrame, looks: Looks, title: str) -> Figure:
    """Accuracy over sparsity on one architecture and data set: means with 95% intervals, a dot a seed.

    Where curves fall far, a second panel below shows all of them, and the first what lies near the best.

    Args:
        table: Records of that architecture and data set, as from `analysis.frame`.
        curves: Their summary, as from `analysis.curves`.
        looks: As from `style.looks`.
        title: Above the axes.
    """
    use_style()
    learned = curves[~curves["method"].isin(REFERENCES) & (curves["n"] > 0)]
    lowest, top = _extent(learned, curves)
    if top - lowest > FAR:
        figure, (upper, lower) = plt.subplots(
            2, 1, figsize=(COLUMN_INCHES, 3.6), layout="constrained", sharex=True, height_ratios=(5, 2)
        )
        draw_curves(lower, table, curves, looks)
        lower.set_ylim(0, 104)
        floor = top - NEAR
    else:
        figure, upper = plt.subplots(figsize=(COLUMN_INCHES, 2.9), layout="constrained")
        lower = upper
        floor = lowest - 0.15 * (top - lowest) - 0.3
    near = curves.assign(half_width=curves["half_width"].where(100 * curves["mean"] >= floor))
    draw_curves(upper, table, near, looks)
    room = 100 * float((curves["mean"] + curves["half_width"].clip(upper=ROOM).fillna(0)).max()) - top
    upper.set_ylim(max(0.0, floor), min(100.0, top + max(0.1 * (top - floor), room + 0.1)))
    for axes in (upper, lower):
        axes.set_ylabel("")  # one label stands for both
    upper.set_title(title)
    add_legend(upper, "lower left")
    figure.supylabel(f"{table['split'].iloc[0]} accuracy of the hard mask (%)", fontsize="medium")
    sparsity_axis(lower, sorted(learned["sparsity"].dropna().unique()))
    return figure


def draw_curves(axes: Axes, table: pd.DataFrame, curves: pd.DataFrame, looks: Looks) -> None:
    """Every curve of one network: means with intervals, seeds, dense training and random masks; arguments as above."""
    learned = curves[~curves["method"].isin(REFERENCES) & (curves["n"] > 0)]
    for label, curve in by_label(learned):
        _draw_curve(axes, label, curve.sort_values("sparsity"), *looks[label])
    _draw_seeds(axes, table[table["label"].isin(learned["label"]) & (table["status"] == "done")], looks)
    _draw_dense(axes, curves)
    _draw_random(axes, curves)


def _draw_curve(axes: Axes, label: str, curve: pd.DataFrame, colour: str, marker: str) -> None:
    axes.errorbar(
        position(curve["sparsity"]),
        100 * curve["mean"],
        yerr=100 * curve["half_width"].fillna(0),
        color=colour,
        marker=marker,
        label=short(label),
        capsize=2,
    )
    partly = curve[curve["lost"] > 0]
    if len(partly):
        axes.plot(
            position(partly["sparsity"]), 100 * partly["mean"], linestyle="", marker=marker, markersize=7,
            markerfacecolor="none", markeredgecolor=colour, label=f"{short(label)}: seeds lost here",
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


def _draw_dense(axes: Axes, curves: pd.DataFrame) -> None:
    for _, row in curves[(curves["method"] == "dense") & (curves["n"] > 0)].iterrows():
        mean, half = 100 * row["mean"], 100 * row["half_width"]
        axes.axhline(mean, label=f"{short(row['label'])} ({mean:.1f})", zorder=1, **DENSE)
        if math.isfinite(half):
            axes.axhspan(mean - half, mean + half, color=DENSE["color"], alpha=0.08, linewidth=0)


def _draw_random(axes: Axes, curves: pd.DataFrame) -> None:
    found = curves[(curves["method"] == "random_mask") & (curves["n"] > 0)].sort_values("sparsity")
    for label, rows in found.groupby("label"):
        low, high = 100 * rows["mean"].min(), 100 * rows["mean"].max()
        axes.plot(
            position(rows["sparsity"]),
            100 * rows["mean"],
            label=f"{short(str(label))} ({low:.0f} to {high:.0f})",
            **RANDOM,
        )


def _extent(learned: pd.DataFrame, curves: pd.DataFrame) -> tuple[float, float]:
    """The lowest and the highest that learned curves, and the dense line, reach, in per cent."""
    shown = learned if len(learned) else curves
    top = 100 * float(curves["mean"].max())
    lowest = 100 * float((shown["mean"] - shown["half_width"].fillna(0)).min())
    return (lowest, top) if math.isfinite(lowest) and math.isfinite(top) else (0.0, 100.0)
