"""Two sets of records, cell by cell: what is better, what is worse, and what noise alone would do."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from slt_bench.analysis.statistics import FEWEST, Interval, paired_interval
from slt_bench.utils.errors import UserError
from slt_bench.utils.text import number, pluralize

SAME = ["label", "arch", "dataset", "init", "rescale"]
CELL = [*SAME, "budget", "asked_sparsity"]
NUMBERS = ["asked_sparsity", "first", "second", "difference", "low", "high", "p"]
COLUMNS = [*CELL, "first", "second", "difference", "low", "high", "n", "lost", "p", "mark"]
TOLD = {name: name for name in SAME} | {"arch": "network", "dataset": "data set", "asked_sparsity": "sparsity"}
MOST_TOLD = 12  # values of a side that an error lists
LEVEL = 0.05  # of the whole comparison
ROUNDING = 1e-12
Cells = dict[tuple[object, ...], pd.DataFrame]


@dataclass(frozen=True)
class Comparison:
    """What two sets of records differ in.

    Attributes:
        cells: A row a cell that both have, with the columns of `COLUMNS`: over the n seeds that are done on both
            sides, the mean test accuracies and the mean difference (second minus first) with its 95% interval, all
            fractions; lost, how many seeds learned in the first and learned nothing, diverged or failed in the second;
            p of the paired t test, NaN below three seeds; mark: "lost" where one is, else "better" or "worse" (p below
            5%), "=", "1 seed" or "2 seeds", or "-" where no seed is done on both sides.
        only_first, only_second: Cells that only one side has, in words.
        regressions: Cells that are worse beyond noise, in words.
        dense: Whether the first and the second side have tickets that keep everything, paired with each sparsity of
            the other side.
    """

    cells: pd.DataFrame
    only_first: list[str]
    only_second: list[str]
    regressions: list[str]
    dense: tuple[bool, bool] = (False, False)


def compare(first: pd.DataFrame, second: pd.DataFrame) -> Comparison:
    """Compare the records of two folders, commits or methods.

    A mark is about its cell alone. Among many cells some are marked by chance, so a regression is a cell that is still
    worse after Holm's correction over all cells (Holm 1979) at 5%, or one where a seed is lost.

    Tickets that keep every weight, as those of dense training do, are paired with every sparsity that the other side
    has of their label on their network.

    Args:
        first: As from `analysis.frame`, of failed records too; what was.
        second: What is now.

    Raises:
        UserError: One label has other budgets or another version of its method on the two sides; or they have no cell,
            or no seed of a cell, in common.
    """
    _check(first, second)
    sides = [dict(list(table.groupby(CELL, dropna=False))) for table in (first, second)]
    sides = [{_known(key): rows for key, rows in side.items()} for side in sides]
    spread = [_spread(one, other) for one, other in (sides, sides[::-1])]
    dense = (spread[0].keys() != sides[0].keys(), spread[1].keys() != sides[1].keys())
    sides = spread
    both = [key for key in sides[0] if key in sides[1]]
    if not any(set(sides[0][key]["seed"]) & set(sides[1][key]["seed"]) for key in both):
        raise UserError(f"Nothing can be paired: {_why_nothing(first, second, common=bool(both))}.")
    rows = [dict(zip(CELL, key, strict=True)) | _cell(sides[0][key], sides[1][key]) for key in both]
    cells = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, "float64"))
    adjusted = holm(cells["p"].to_numpy())
    worse = (cells["mark"] == "lost") | ((adjusted < LEVEL) & (cells["difference"] < 0))
    return Comparison(
        cells,
        only_first=[_words(key) for key in sides[0] if key not in sides[1]],
        only_second=[_words(key) for key in sides[1] if key not in sides[0]],
        regressions=[_words(both[index]) for index in np.flatnonzero(worse)],
        dense=dense,
    )


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of p-values (Holm 1979); NaN stays NaN and is no test.

    Args:
        p: (n,) in [0, 1].

    Returns:
        (n,) in [0, 1]: below a level where the test is significant at that level in the whole family.
    """
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted = np.full(len(p), math.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * steps))
    return adjusted


def _spread(side: Cells, other: Cells) -> Cells:
    """A side's cells; one whose tickets keep everything stands at every sparsity of the other side in its place."""
    found: Cells = {}
    for key, rows in side.items():
        *place, sparsity = key
        twins = [twin for twin in other if list(twin[:-1]) == place and twin[-1] is not None]
        whole = sparsity is None and key not in other and (rows["sparsity"].dropna() == 0).all()
        if twins and whole and rows["sparsity"].notna().any():
            found |= dict.fromkeys(twins, rows)
        else:
            found[key] = rows
    return found


def _why_nothing(first: pd.DataFrame, second: pd.DataFrame, *, common: bool) -> str:
    """What the two sides have nothing in common of, in words."""
    if common:
        return f"the seeds are {_listed(first['seed'])} on the first side and {_listed(second['seed'])} on the second"
    for column, name in TOLD.items():
        known = [{_sparsity(value) if column == "asked_sparsity" else value for value in side[column]}
                 for side in (first, second)]  # fmt: skip
        if not known[0] & known[1]:
            here, there = (_listed(values) for values in known)
            return f"the first side has {name} {here}, the second {there}"
    return "no label has one network, init, rescale, budget and sparsity on both sides"


def _sparsity(value: float) -> str:
    return "of the method's own choice" if math.isnan(value) else f"{value:g}"


def _listed(values: Iterable[object]) -> str:
    found = sorted(set(map(str, values)))
    return ", ".join(found[:MOST_TOLD]) + (f" and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else "")


def _check(first: pd.DataFrame, second: pd.DataFrame) -> None:
    for column, name in (("budget", "budget"), ("method_version", "version of the method")):
        known = [dict(list(table.groupby(SAME)[column])) for table in (first, second)]
        for key in (key for key in known[0] if key in known[1]):
            here, there = (sorted(set(map(str, side[key]))) for side in known)
            if here != there:
                label, arch, dataset, *_ = key
                raise UserError(
                    f"{label} on {arch} and {dataset} has another {name} on each side: {', '.join(here)}, and "
                    f"{', '.join(there)}. What differs in it cannot be compared."
                )


def _cell(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, object]:
    before, after = (rows[rows["status"] == "done"].set_index("seed")["accuracy"] for rows in (first, second))
    learned = pd.Index(first.loc[(first["status"] == "done") & first["learned"], "seed"])
    ended = pd.Index(second.loc[(second["status"] != "done") | ~second["learned"].astype(bool), "seed"])
    lost = len(learned.intersection(ended))
    both = before.index.intersection(after.index)
    before, after = before[both], after[both]
    interval = paired_interval(after, before)
    numbers = {
        "first": before.mean(),
        "second": after.mean(),
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "lost": lost,
    }
    p = _p(after, before, first["images"].max())
    return numbers | {"p": p, "mark": "lost" if lost else _mark(interval, p)}


def _mark(difference: Interval, p: float) -> str:
    if math.isnan(p):
        return pluralize(difference.n, "seed") if difference.n else "-"
    if p >= LEVEL:
        return "="
    return "better" if difference.mean > 0 else "worse"


def _p(after: "pd.Series[float]", before: "pd.Series[float]", images: float) -> float:
    """Of the two-sided paired t test over seeds; NaN where they are too few to know their spread.

    Seeds may agree by chance, since accuracies are counts of images. Two networks whose accuracies differ by d disagree
    on d of the images or more, so that counting alone gives a difference a variance of about d / images (McNemar 1947),
    which the spread between seeds is not taken to be below.

    Args:
        after: Accuracies by seed, in [0, 1].
        before: Likewise.
        images: On how many images they were measured; 0 where nobody knows.
    """
    differences = (after - before).dropna().to_numpy()
    n = len(differences)
    if n < FEWEST:
        return math.nan
    mean = float(differences.mean())
    counting = abs(mean) / images if images else 0.0
    variance = max(float(differences.var(ddof=1)), counting, ROUNDING**2)
    return float(2 * stats.t.sf(abs(mean) / math.sqrt(variance / n), n - 1))


def _known(key: tuple[object, ...]) -> tuple[object, ...]:
    """A cell's key, equal to itself also where the sparsity is the method's own."""
    return tuple(None if isinstance(part, float) and math.isnan(part) else part for part in key)


def _words(key: tuple[object, ...]) -> str:
    label, arch, dataset, *_, sparsity = key
    asked = f"sparsity {number(sparsity)}" if isinstance(sparsity, float) else "own sparsity"
    return f"{label} on {arch} and {dataset}, {asked}"
