"""Figures of a report. Each function takes DataFrames and gives a matplotlib figure."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slt_bench.report.style import COLUMN_INCHES, DENSE, RANDOM, looks, use_style

FORMATS = ("pdf", "svg", "png")
REFERENCES = ("dense", "random_mask")


def accuracy_over_sparsity(table: pd.DataFrame, curves: pd.DataFrame, title: str) -> Figure:
    """Accuracy over sparsity on one architecture and data set: means with 95% intervals, a dot a seed.

    Args:
        table: Records of that architecture and data set, as from `analysis.frame`.
        curves: Their summary, as from `analysis.curves`.
        title: Above the axes.
    """
    use_style()
    figure, axes = plt.subplots(figsize=(COLUMN_INCHES, 2.9), layout="constrained")
    learned = curves[~curves["label"].isin(REFERENCES) & (curves["n"] > 0)]
    for label, (colour, marker) in looks(curves[~curves["label"].isin(REFERENCES)]["label"]).items():
        _draw_curve(axes, label, learned[learned["label"] == label], table[table["label"] == label], colour, marker)
    notes = [_draw_reference(axes, curves, "dense", DENSE)]
    floor = _floor(learned, curves)
    notes.append(_draw_random(axes, curves, floor))
    _sparsity_axis(axes, sorted(learned["sparsity"].dropna().unique()))
    axes.set_ylim(bottom=floor)
    axes.set_ylabel("test accuracy of the hard mask (%)")
    axes.set_title(title)
    axes.legend(loc="lower left")
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """The figure as PDF, SVG and PNG; the paths, in that order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for kind in FORMATS]
    for path in paths:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else _undated(path))
    plt.close(figure)
    return paths


def _undated(path: Path) -> dict[str, None] | None:
    return {"CreationDate": None} if path.suffix == ".pdf" else None


def _draw_curve(axes: Axes, label: str, curve: pd.DataFrame, seeds: pd.DataFrame, colour: str, marker: str) -> None:
    if curve.empty:
        return
    curve = curve.sort_values("sparsity")
    x = _position(curve["sparsity"])
    axes.errorbar(
        x,
        100 * curve["mean"],
        yerr=100 * curve["half_width"].fillna(0),
        color=colour,
        marker=marker,
        label=label,
        capsize=2,
    )
    done = seeds[seeds["status"] == "done"]
    sns.scatterplot(
        x=_position(done["sparsity"]), y=100 * done["test_accuracy"], color=colour, marker=marker, s=7, alpha=0.5,
        legend=False, linewidth=0, ax=axes, zorder=3,
    )  # fmt: skip
    partly = curve[curve["lost"] > 0]
    if len(partly):
        axes.plot(
            _position(partly["sparsity"]), 100 * partly["mean"], linestyle="", marker=marker, markersize=7,
            markerfacecolor="none", markeredgecolor=colour, label=f"{label}: seeds lost here",
        )  # fmt: skip


def _draw_reference(axes: Axes, curves: pd.DataFrame, label: str, look: dict[str, object]) -> str:
    rows = curves[(curves["label"] == label) & (curves["n"] > 0)]
    if rows.empty:
        return ""
    mean, half = 100 * rows["mean"].iloc[0], 100 * rows["half_width"].iloc[0]
    axes.axhline(mean, label=f"{label} ({mean:.1f})", zorder=1, **look)  # type: ignore[arg-type]
    if math.isfinite(half):
        axes.axhspan(mean - half, mean + half, color=str(look["color"]), alpha=0.08, linewidth=0)
    return label


def _draw_random(axes: Axes, curves: pd.DataFrame, floor: float) -> str:
    rows = curves[(curves["label"] == "random_mask") & (curves["n"] > 0)].sort_values("sparsity")
    if rows.empty:
        return ""
    low, high = 100 * rows["mean"].min(), 100 * rows["mean"].max()
    text = f"random_mask ({low:.0f} to {high:.0f}{', below the axis' if high < floor else ''})"
    axes.plot(_position(rows["sparsity"]), 100 * rows["mean"], label=text, **RANDOM)  # type: ignore[arg-type]
    return text


def _floor(learned: pd.DataFrame, curves: pd.DataFrame) -> float:
    """The bottom of the axis: room for every learned curve, not for what lies near chance."""
    if learned.empty:
        return max(0.0, 100 * float(curves["mean"].min()) - 5) if curves["mean"].notna().any() else 0.0
    lowest = 100 * float((learned["mean"] - learned["half_width"].fillna(0)).min())
    top = 100 * float(curves["mean"].max())
    return max(0.0, lowest - 0.15 * (top - lowest) - 0.3)


def _position(sparsity: "pd.Series[float] | Sequence[float]") -> np.ndarray:
    """Where a sparsity lies: evenly in the logarithm of what remains."""
    return -np.log10(1.0 - np.asarray(sparsity, dtype=float))


def _sparsity_axis(axes: Axes, sparsities: Sequence[float]) -> None:
    shown: list[float] = []
    for value in (round(number, 3) for number in sparsities):
        if not shown or _position([value])[0] - _position([shown[-1]])[0] > 0.12:
            shown.append(value)
    axes.set_xticks(_position(shown), [f"{value:g}" for value in shown])
    axes.set_xlabel("sparsity (counted on the mask; log scale of what remains)")
