"""Legends of several panels, which stand above them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from slt_bench.benchmark import REFERENCES
from slt_bench.report.figures.axes import short
from slt_bench.report.style import DENSE, RANDOM, Looks

REFERENCE_LOOKS: dict[str, dict[str, Any]] = {"dense": DENSE, "random_mask": RANDOM}
COLUMNS = 4


def legend_above(figure: Figure, handles: Sequence[Line2D]) -> None:
    """One legend for all panels of a figure."""
    figure.legend(handles=handles, loc="outside upper center", ncols=min(COLUMNS, len(handles)))


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
    return line(short(label), color=colour, marker=marker)


def line(name: str, **look: Any) -> Line2D:
    """What stands for anything else that is drawn as a line."""
    return Line2D([], [], label=name, **look)
