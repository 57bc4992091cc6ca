"""What the figures share: the axis of remaining weights, panels, and files."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from slt_bench.report.figures.fonts import readable
from slt_bench.report.style import COLUMN_INCHES, TEXT_INCHES
from slt_bench.utils.files import atomic_write
from slt_bench.utils.text import number

PNG_DPI = 200
FORMATS = ("pdf", "svg", "png")
LEAST_SPAN = 0.1  # of an axis of sparsities, in powers of ten: masks of one asked sparsity stand above one another
LEAST_DENSITY = 1e-9  # that an axis shows
NEAREST_INCHES = 0.27  # two sparsities that are nearer on the axis share a tick
DEEP = 2.5
LONGEST = 36  # characters of a name that a figure shows
HEAD = 18  # of them, from the name's beginning
START, BEFORE = 10, 6  # from its beginning, and before what differs, of names that share beginning and end


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of that size in inches; it belongs to no window and no notebook."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(count: int, height: float, *, columns: int = 3, **more: Any) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, as wide as a column, or as the text where there are several side by side.

    Args:
        count: Of panels, at least 1.
        height: Of a row of them, in inches.
        columns: At most so many side by side.
        more: As of `matplotlib.figure.Figure.subplots`.
    """
    rows = -(-count // columns)
    wide = -(-count // rows)  # four are two by two, not three and one
    width = COLUMN_INCHES if wide == 1 else TEXT_INCHES
    figure = new_figure(width, rows * height)
    axes = list(figure.subplots(rows, wide, squeeze=False, **more).flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def lowest(axes: Sequence[Axes], *, hide_others: bool = True) -> list[Axes]:
    """Of panels as from `panels`, the one in each column that has none below, which the x axis's name belongs to.

    Args:
        axes: All panels.
        hide_others: Whether the others lose the labels of their ticks, as is right where all have the same.
    """
    wide = axes[0].get_gridspec().ncols  # type: ignore[union-attr]
    for above in axes[:-wide] if hide_others else ():
        above.tick_params(labelbottom=False)
    return list(axes[-wide:])


def depth(means: "pd.Series[float]", best: float, deep: float = DEEP) -> float:
    """Where an axis of accuracies ends below, so that a method that failed does not press the others together.

    Args:
        means: Of the methods, in %.
        best: The highest mean on the axis, of dense training for instance, in %.
        deep: How many times as far below the best as half of the means it may lie; and a point more.
    """
    return max(float(means.min()), best - deep * (best - float(means.median())) - 1)


def limit_accuracies(axes: Axes, floor: float, best: float, top: float) -> None:
    """End an axis of accuracies a little below what must be seen, and a little above.

    Args:
        axes: Its y axis is limited.
        floor: What must be seen below, in %, for instance as from `depth`.
        best: The highest mean, in %.
        top: What must be seen above, in %.
    """
    room = 0.06 * (best - floor) + 0.1
    axes.set_ylim(max(0.0, floor - room), min(100.0, top + room))


def position(sparsity: "pd.Series[float] | Sequence[float]") -> np.ndarray:
    """Where a sparsity lies on the axis: evenly in the logarithm of what remains."""
    return -np.log10(np.maximum(1.0 - np.asarray(sparsity, dtype=float), LEAST_DENSITY))


def sparsity_axis(
    axes: Axes, sparsities: Sequence[float], label: str = "sparsity (log scale of remaining weights)"
) -> None:
    """Ticks at the sparsities that were measured, as far as there is room for them; an axis of one is no narrower."""
    low, high = axes.get_xlim()
    if (missing := LEAST_SPAN - (high - low)) > 0:
        axes.set_xlim(low - missing / 2, high + missing / 2)
    values = sorted({rounded(sparsity) for sparsity in sparsities})
    inches = axes.figure.get_figwidth() * axes.get_position().width  # type: ignore[union-attr]
    shown = spaced(values, inches)
    axes.set_xticks(position(shown), [number(value) for value in shown], fontsize="small")
    axes.set_xlabel(label)


def rounded(sparsity: float) -> float:
    """A sparsity as an axis names it: to three digits, or as many as there are until the first that is not a nine."""
    return round(float(sparsity), max(3, math.ceil(-math.log10(max(1.0 - sparsity, LEAST_DENSITY)))))


def spaced(sparsities: Sequence[float], inches: float) -> list[float]:
    """Those of ascending sparsities for which there is room on an axis of that length from the first to the last.

    Of several that share a tick it stands at the roundest: at 0.9 that was asked for, not at 0.899 that was counted.
    """
    places = position(sparsities)
    nearest = NEAREST_INCHES * max(LEAST_SPAN, np.ptp(places)) / inches if len(places) else 0.0
    shown: list[float] = []
    for value, place in zip(sparsities, places, strict=True):
        if not shown or place - position([shown[-1]])[0] > nearest:
            shown.append(value)
        elif len(number(value)) < len(number(shown[-1])):
            shown[-1] = value
    return shown


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return what a figure shows for each name: at most `LONGEST` characters, and another text for each name.

    Longer names lose their middle; those that would read the same show where they differ, or else get a number.
    """
    wanted = sorted(set(names), key=lambda name: (len(name) > LONGEST, name))
    cut = {name: name if len(name) <= LONGEST else f"{name[:HEAD]}…{name[HEAD + 1 - LONGEST :]}" for name in wanted}
    alike: dict[str, list[str]] = {}
    for name in wanted:
        alike.setdefault(cut[name], []).append(name)
    for group in alike.values():
        long = [name for name in group if len(name) > LONGEST]
        if len(long) > 1:
            start = len(commonprefix(long))  # noqa: RUF071 - of names, not of paths
            cut |= {name: f"{name[:START]}…{name[start - BEFORE :][: LONGEST - START - 2]}…" for name in long}
    shown: dict[str, str] = {}
    for name in wanted:
        text = f"\u200b{cut[name]}" if cut[name].startswith("_") else cut[name]  # matplotlib hides the others
        numbered = (f"{text[: LONGEST - 5]} ({place})" for place in count(2))
        taken = set(shown.values())
        shown[name] = text if text not in taken else next(other for other in numbered if other not in taken)
    return shown


def spread(values: Sequence[Any], count: int) -> list[Any]:
    """At most so many of these values: the first, the last, and evenly spaced ones between."""
    if len(values) <= count:
        return list(values)
    return [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]


def by_label(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each label, in alphabetical order."""
    for label, rows in table.groupby("label", sort=True):
        yield str(label), rows


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """The figure as PDF, SVG and PNG; the paths, in that order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for kind in FORMATS]
    with readable(figure):  # a name may hold any sign
        for path in reversed(paths):  # a layout costs least on pixels
            with atomic_write(path) as temporary:
                _print(figure, temporary, path.suffix)
            figure.set_layout_engine("none")  # laid out once for all formats
    return paths


def _print(figure: Figure, path: Path, kind: str) -> None:
    """What `savefig` does, in half of its time: it draws everything once more beforehand."""
    if kind == ".pdf":
        FigureCanvasPdf(figure).print_pdf(path, metadata={"CreationDate": None})  # the same records, the same files
    elif kind == ".svg":
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})
    else:
        figure.set_dpi(PNG_DPI)  # the others have their own
        FigureCanvasAgg(figure).print_png(path, pil_kwargs={"compress_level": 3})


def inline(svg: str) -> str:
    """An SVG file as an element of a page, without the names of groups, which would stand on the page many times."""
    element = svg[svg.index("<svg") :]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', element))
    return re.sub(r' id="([^"]*)"', lambda found: found.group(0) if found.group(1) in used else "", element)
