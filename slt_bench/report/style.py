"""One look for every figure: a method keeps its colour and marker everywhere; readable in grey, colour-blind safe."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Okabe and Ito's palette, ordered so that neighbours also differ in lightness.
_LOOKS = [
    ("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "^"), ("#D55E00", "D"),
    ("#56B4E9", "v"), ("#CC79A7", "P"), ("#999933", "X"), ("#882255", "<"), ("#44AA99", ">"), ("#117733", "h"),
]  # fmt: skip
_FIXED = {"gates": 0, "edgepopup": 1, "gates_structured": 2, "edgepopup_global": 3, "gates_best": 5}
DENSE: dict[str, Any] = {"color": "#000000", "linestyle": "--", "linewidth": 1.0}
RANDOM: dict[str, Any] = {"color": "#777777", "linestyle": ":", "linewidth": 1.2}
COLUMN_INCHES = 3.5  # the width of a column in most proceedings
TEXT_INCHES = 7.0  # that of two
Looks = Mapping[str, tuple[str, str]]  # colour and marker by label

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "text.parse_math": False,  # names may hold dollars
    "pdf.fonttype": 42,  # embeds TrueType, as publishers ask
    "svg.fonttype": "none",
    "svg.hashsalt": "slt_bench",  # the same records give the same file
}


def assign_styles(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each label. Known methods have theirs; others take what is left, in alphabetical order."""
    wanted = sorted(set(labels))
    taken = {_FIXED[label] for label in wanted if label in _FIXED}
    free = [index for index in range(len(_LOOKS)) if index not in taken]
    others = [label for label in wanted if label not in _FIXED]
    chosen = {label: _FIXED[label] for label in wanted if label in _FIXED}
    chosen |= {label: free.pop(0) if free else len(_LOOKS) + number for number, label in enumerate(others)}
    return {label: _look(index) for label, index in chosen.items()}


def _look(index: int) -> tuple[str, str]:
    """Where there are more labels than looks, colours come again with other markers."""
    turn, place = divmod(index, len(_LOOKS))
    return _LOOKS[place][0], _LOOKS[(place + 3 * turn) % len(_LOOKS)][1]


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Give what is drawn and saved within its look, whatever matplotlib's settings are; they come back afterwards."""
    from slt_bench.report.figures import matplotlib as mpl  # noqa: PLC0415 - only processes that draw need it

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield
