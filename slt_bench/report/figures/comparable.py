"""The highest sparsity at which a method is still about as accurate as a reference."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from slt_bench.report.figures.axes import panels, position, short_names, sparsity_axis
from slt_bench.report.figures.legends import legend_outside
from slt_bench.report.style import Looks

TITLES = {"dense": "of dense training", "own best": "of its own best"}
MARGIN = 0.15  # beyond the measured sparsities, on the axis


def highest_sparsity(reach: pd.DataFrame, looks: Looks, sparsities: list[float]) -> Figure:
    """A row a method: how sparse it gets within 1 and 2 points of dense training, and of its own best.

    Args:
        reach: As from `analysis.matched.comparable_sparsity`.
        looks: As from `style.looks`.
        sparsities: That were measured; the ends of the axis.
    """
    references = [name for name in TITLES if (reach["reference"] == name).any()]
    labels = sorted(set(reach["label"]), reverse=True)
    figure, axes = panels(len(references), 0.9 + 0.34 * len(labels), columns=2, sharey=True)
    for panel, reference in zip(axes, references, strict=True):
        rows = reach[reach["reference"] == reference]
        for points, filled, offset in _points(rows):
            _draw(panel, rows[rows["points"] == points], labels, looks, offset, filled=filled)
        panel.set_title(f"within so many points {TITLES[reference]}")
        panel.set_ylim(-0.6, len(labels) - 0.4)
        ends = position([min(sparsities), max(sparsities)])
        panel.set_xlim(ends[0] - MARGIN, ends[1] + MARGIN)
        sparsity_axis(panel, sparsities, "highest sparsity")
    legend_outside(figure, [_handle(points, filled=filled) for points, filled, _ in _points(reach)])
    names = short_names(labels)
    axes[0].set_yticks(range(len(labels)), [names[label] for label in labels])
    return figure


def _points(rows: pd.DataFrame) -> list[tuple[float, bool, float]]:
    """The allowances, whether their marker is filled, and how far from the row's middle it stands."""
    values = sorted(set(rows["points"]))
    return [(value, index == 0, 0.14 - 0.28 * index) for index, value in enumerate(values)]


def _draw(panel: Axes, rows: pd.DataFrame, labels: list[str], looks: Looks, offset: float, *, filled: bool) -> None:
    for _, row in rows.dropna(subset=["sparsity"]).iterrows():
        colour, marker = looks[row["label"]]
        x = position([row["sparsity"]])
        low, high = (position([row[end]]) if pd.notna(row[end]) else x for end in ("low", "high"))
        y = labels.index(row["label"]) + offset
        panel.errorbar(
            x, [y], xerr=[x - low, high - x], color=colour, marker=marker, capsize=2, linestyle="",
            markerfacecolor=colour if filled else "white",
        )  # fmt: skip
        if row["at_end"]:
            panel.annotate(
                "≥", (x[0], y), xytext=(-9, -2.5), textcoords="offset points", fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},
            )  # fmt: skip


def _handle(points: float, *, filled: bool) -> Line2D:
    """An entry of the legend: any method's marker, filled or not."""
    name = f"{points:g} point" + ("" if points == 1 else "s")
    return Line2D(
        [], [], color="#555555", marker="o", linestyle="", label=name, markerfacecolor="#555555" if filled else "white"
    )
