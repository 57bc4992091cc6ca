"""Legends, which stand outside of the panels: within them they would cover what is drawn."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.report.figures.axes import short_names
from slt_bench.report.figures.fonts import readable
from slt_bench.report.style import DENSE, RANDOM, TEXT_INCHES, Looks

REFERENCE_LOOKS: dict[str, dict[str, Any]] = {"dense": DENSE, "random_mask": RANDOM}
COLUMNS = 4
MANY, ENTRY_INCHES = 10, 0.165  # entries that stand above, and the height of one


def legend_of(axes: Axes) -> None:
    """A legend of what is drawn on these axes."""
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        legend_outside(axes.figure.get_figure(root=True), handles)


def legend_outside(figure: Figure, handles: Sequence[Artist | Container], title: str = "") -> None:
    """One legend for all panels of a figure, which grows by it: above them, or beside them if it has many entries.

    Args:
        figure: Of constrained layout.
        handles: At least one, with labels.
        title: Of the legend.
    """
    width, height = figure.get_size_inches()
    if len(handles) > MANY:
        figure.set_size_inches(max(TEXT_INCHES, width), max(height, ENTRY_INCHES * (len(handles) + 1)))
        figure.legend(handles=handles, loc="outside right upper", title=title)
        return
    for columns in range(min(COLUMNS, len(handles)), 0, -1):
        legend = figure.legend(handles=handles, loc="outside upper center", ncols=columns, title=title)
        with readable(legend):
            box = legend.get_window_extent()
        if columns == 1 or box.width < figure.bbox.width:
            break
        legend.remove()
    figure.set_size_inches(width, height + box.height / figure.dpi)


def methods(table: pd.DataFrame, looks: Looks) -> list[Line2D]:
    """What stands for the labels of records, and for dense training and random masks where there are such.

    Args:
        table: Records with the columns label and method.
        looks: As from `style.looks`.
    """
    labels = sorted(set(table["label"][~table["method"].isin(REFERENCES)]))
    there = [name for name in REFERENCE_LOOKS if (table["method"] == name).any()]
    return [method(label, looks) for label in labels] + [line(name, **REFERENCE_LOOKS[name]) for name in there]


def method(label: str, looks: Looks) -> Line2D:
    """What stands for one label."""
    colour, marker = looks[label]
    return line(short_names(looks)[label], color=colour, marker=marker)


def line(name: str, **look: Any) -> Line2D:
    """What stands for anything else that is drawn as a line."""
    return Line2D([], [], label=name, **look)
