"""Methods at matched points: how sparse each gets at one accuracy, and how accurate at one sparsity.

Every function takes the records, as from `frame`, of one network (architecture, data set, init, rescale) and budget. A
curve is what one label gave with one seed, over the counted sparsity. It ends where the seed was lost (it diverged),
which has no counted sparsity and stands at the asked one: sparser points of that seed are left out, and towards the
loss the accuracy falls to 0, so that no line bridges it.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slt_bench.analysis.interpolation import Reach, accuracy_at, sparsity_at
from slt_bench.analysis.statistics import FEWEST, NOTHING, Interval, paired_interval, paired_ratio, t_interval
from slt_bench.jobs.benchmark import REFERENCES, SPARSITY_TOLERANCE

FloatArray = NDArray[np.float64]
NEEDED = ["label", "method", "purity", "asked_sparsity", "sparsity", "seed", "status", "learned", "accuracy"]
LOST = ("diverged",)
REACHES = [
    *("label", "method", "purity", "reference", "points", "accuracy", "sparsity", "low", "high", "n", "at_end", "short")
]
RATIOS = [
    *("label", "kind", "at", "ratio", "low", "high", "n"),
    *("remaining_ratio", "remaining_low", "remaining_high", "at_end"),
]
TRADES = ["label", "accuracy", "baseline_sparsity", "sparsity", "n"]
LEVELS = 41  # of accuracy, at which sparsities are compared


def comparable_sparsity(table: pd.DataFrame, points: Sequence[float] = (1.0, 2.0)) -> pd.DataFrame:
    """The highest sparsity at which each learned label is within some points of a reference accuracy.

    Args:
        table: Of one network and budget, as from `frame`.
        points: Percentage points below the reference.

    Returns:
        A row for each label that is learned, reference and number of points, with the columns of `REACHES`: reference
        is "dense" (the mean of dense's accuracy; no rows where it is not there) or "own best" (the best mean over
        seeds that the label has at any asked sparsity); accuracy the threshold, a fraction; sparsity the mean over the
        n seeds that reach it, with its 95% t interval, low and high, cut to [0, 1]; at_end that a seed's sparsest
        point still reaches it, so that the true value may be higher; short how many seeds never reach it.
    """
    rows = []
    for label, group in _learned(table).groupby("label", sort=True):
        for reference, best in {"dense": _dense(table), "own best": own_best(group)}.items():
            if not math.isnan(best):
                about = {"label": label, "method": group["method"].iloc[0], "purity": group["purity"].iloc[0]}
                rows += [about | {"reference": reference} | _reached(group, best, point) for point in points]
    return pd.DataFrame(rows, columns=REACHES)


def best_by_sparsity(table: pd.DataFrame) -> dict[float, str]:
    """The learned label that is better than every other at an asked sparsity, where one is beyond doubt.

    Its mean accuracy is the best, and its 95% paired interval over seeds lies above 0 against every other learned label
    measured there, which takes three seeds in common. A label is never best alone, where one of its seeds was lost or
    learned nothing, or where it keeps more weights than asked by over `SPARSITY_TOLERANCE`; nobody is, where such a
    label has the best mean.

    Args:
        table: Of one network and budget, as from `frame`.

    Returns:
        Label by asked sparsity, with no entry where none is best.
    """
    learned = _learned(table)
    found = {asked: _best(learned[learned["asked_sparsity"] == asked]) for asked in _asked(learned)}
    return {asked: label for asked, label in found.items() if label is not None}


def ratios(table: pd.DataFrame, baseline: str, points: Sequence[float] = (1.0, 2.0)) -> pd.DataFrame:
    """Each other learned label over a baseline, by seed: accuracies at one sparsity, sparsities at one accuracy.

    Args:
        table: Of one network and budget, as from `frame`.
        baseline: The label below the line.
        points: Percentage points below dense's mean accuracy, or where it is not there the baseline's own best,
            which give the thresholds of accuracy.

    Returns:
        A row for each label and each asked sparsity of the baseline or threshold, with the columns of `RATIOS`: kind
        is "accuracy at sparsity" or "sparsity at accuracy"; at the asked sparsity or the threshold, a fraction; ratio
        the mean over the n seeds where both have a value, with its 95% t interval, low and high; remaining_ratio, of
        the second kind only, the mean ratio of the remaining weights, below 1 where the label keeps fewer, with its
        interval, remaining_low (at least 0) and remaining_high; at_end that one of those seeds still reaches the
        threshold at its sparsest point. Seeds where either is lost, or short of the threshold, are in no ratio: n
        tells. Empty where the table has no baseline.
    """
    base = table.loc[table["label"] == baseline, NEEDED]
    dense = _dense(table)
    reference = own_best(base) if math.isnan(dense) else dense
    below = _by_asked(base)
    rows = []
    for label, group in _learned(table).groupby("label", sort=True):
        if label == baseline or base.empty:
            continue
        measured = _by_asked(group)
        for sparsity, other in below.items():
            own = measured[sparsity] if sparsity in measured else accuracies_at(group, sparsity)
            rows.append({"label": label} | _accuracy_ratio(own, other, sparsity))
        if not math.isnan(reference):
            rows += [{"label": label} | _sparsity_ratio(group, base, reference - point / 100) for point in points]
    return pd.DataFrame(rows, columns=RATIOS)


def at_equal_accuracy(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """How sparse each other learned label is where a baseline is as accurate, for every accuracy that both pass.

    Args:
        table: Of one network and budget, as from `frame`.
        baseline: The label to compare with.

    Returns:
        A row for each label and accuracy, evenly between the lowest and the highest that both have somewhere, with the
        columns of `TRADES`: baseline_sparsity and sparsity are means over the n seeds that both have. Accuracies are
        left out that one of those never reaches with either, or still has at its sparsest point, where the true
        sparsity is not known.
    """
    base = table.loc[table["label"] == baseline, NEEDED]
    rows = []
    for label, group in _learned(table).groupby("label", sort=True):
        if label == baseline or base.empty:
            continue
        for accuracy in np.linspace(*_common(group["accuracy"], base["accuracy"]), LEVELS):
            first, second = reaches(group, accuracy), reaches(base, accuracy)
            seeds = first.index.intersection(second.index)
            known = pd.concat([first.loc[seeds], second.loc[seeds]])
            if len(seeds) and known["sparsity"].notna().all() and not known["at_end"].any():
                means = (second.loc[seeds, "sparsity"].mean(), first.loc[seeds, "sparsity"].mean())
                rows.append((label, accuracy, *means, len(seeds)))
    return pd.DataFrame(rows, columns=TRADES)


def _common(first: "pd.Series[float]", second: "pd.Series[float]") -> tuple[float, float]:
    """The lowest and the highest that both go through."""
    return max(first.min(), second.min()), min(first.max(), second.max())


def _learned(table: pd.DataFrame) -> pd.DataFrame:
    return table.loc[~table["method"].isin(REFERENCES), NEEDED]  # few columns: rows are picked many times


def _asked(rows: pd.DataFrame) -> list[float]:
    """The sparsities that were asked for, ascending."""
    return sorted(rows["asked_sparsity"].dropna().unique().tolist())


def _dense(table: pd.DataFrame) -> float:
    """The mean accuracy of dense over seeds; NaN where it was not measured."""
    return float(table.loc[(table["method"] == "dense") & (table["status"] == "done"), "accuracy"].mean())


def _reached(rows: pd.DataFrame, reference: float, points: float) -> dict[str, Any]:
    """How sparse the seeds of one label get some points below a reference."""
    accuracy = reference - points / 100
    found = reaches(rows, accuracy)
    reached = found[found["sparsity"].notna()]
    interval = t_interval(reached["sparsity"].tolist())
    low, high = np.clip([interval.low, interval.high], 0, 1)
    return {
        "points": points,
        "accuracy": accuracy,
        "sparsity": interval.mean,
        "low": float(low),
        "high": float(high),
        "n": interval.n,
        "at_end": bool(reached["at_end"].any()),
        "short": len(found) - len(reached),
    }


def _best(rows: pd.DataFrame) -> str | None:
    """The best label beyond doubt at one asked sparsity."""
    accuracies = {str(label): _by_seed(group) for label, group in rows.groupby("label")}
    measured = {label: values for label, values in accuracies.items() if len(values)}
    if len(measured) < 2:
        return None
    best = max(measured, key=lambda label: float(measured[label].mean()))
    others = [values for label, values in measured.items() if label != best]
    leads = [paired_interval(measured[best], other) for other in others]
    doubtless = all(lead.low > 0 and lead.n >= FEWEST for lead in leads)
    return best if doubtless and _sound(rows[rows["label"] == best]) else None


def _by_asked(rows: pd.DataFrame) -> dict[float, "pd.Series[Any]"]:
    """The test accuracies of one label by seed, at each sparsity that it was asked for; ascending."""
    groups = {asked: rows[rows["asked_sparsity"] == asked] for asked in _asked(rows)}
    return {asked: _by_seed(group) for asked, group in groups.items()}


def _by_seed(rows: pd.DataFrame) -> "pd.Series[Any]":
    """The test accuracies of one label at one asked sparsity, by seed."""
    values = rows["accuracy"].to_numpy()
    known = (rows["status"] == "done").to_numpy() & ~np.isnan(values)
    return pd.Series(values[known], rows["seed"].to_numpy()[known])


def _sound(rows: pd.DataFrame) -> bool:
    """Whether each seed of one label learned at one asked sparsity, and it is as sparse as asked."""
    short = float((rows["asked_sparsity"] - rows["sparsity"]).mean())
    return bool(rows["learned"].all()) and not rows["status"].isin(LOST).any() and short <= SPARSITY_TOLERANCE


def _accuracy_ratio(own: "pd.Series[Any]", other: "pd.Series[Any]", sparsity: float) -> dict[str, Any]:
    interval = paired_ratio(own, other)
    about = {"kind": "accuracy at sparsity", "at": sparsity}
    return about | _ratio(interval) | _remaining_ratio(NOTHING) | {"at_end": False}


def _sparsity_ratio(rows: pd.DataFrame, base: pd.DataFrame, accuracy: float) -> dict[str, Any]:
    first, second = reaches(rows, accuracy), reaches(base, accuracy)
    both = first["sparsity"].dropna().index.intersection(second["sparsity"].dropna().index)
    about = {"kind": "sparsity at accuracy", "at": accuracy}
    remaining = paired_ratio(1 - first["sparsity"], 1 - second["sparsity"])
    at_end = bool((first.loc[both, "at_end"] | second.loc[both, "at_end"]).any())
    sparsity = paired_ratio(first["sparsity"], second["sparsity"])
    return about | _ratio(sparsity) | _remaining_ratio(remaining) | {"at_end": at_end}


def _ratio(interval: Interval) -> dict[str, Any]:
    return {"ratio": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}


def _remaining_ratio(interval: Interval) -> dict[str, Any]:
    low = float(np.maximum(interval.low, 0))
    return {"remaining_ratio": interval.mean, "remaining_low": low, "remaining_high": interval.high}


def own_best(rows: pd.DataFrame) -> float:
    """The best mean accuracy over seeds of one label; NaN where it has none."""
    done = rows[rows["status"] == "done"]
    return float(done.groupby("asked_sparsity", dropna=False)["accuracy"].mean().max())


def accuracies_at(rows: pd.DataFrame, sparsity: float) -> "pd.Series[Any]":
    """The accuracy of each seed of one label at a sparsity, by seed; NaN where its curve does not go there.

    A curve that ends just before it goes there where that sparsity was asked for, and missed by no more than
    `SPARSITY_TOLERANCE`.
    """
    found = {}
    for seed, sparsities, accuracies, lost in _curves(rows):
        found[seed] = accuracy_at(sparsities[~lost], accuracies[~lost], sparsity)
    asked = rows[(rows["asked_sparsity"] == sparsity) & ((rows["sparsity"] - sparsity).abs() <= SPARSITY_TOLERANCE)]
    return pd.Series(found, dtype="float64").fillna(_by_seed(asked))


def reaches(rows: pd.DataFrame, accuracy: float) -> pd.DataFrame:
    """How far each seed of one label holds an accuracy: a row a seed, with the columns of `Reach`."""
    found: dict[Any, Reach] = {}
    for seed, sparsities, accuracies, _ in _curves(rows):
        found[seed] = sparsity_at(sparsities, accuracies, accuracy)
    values = [(reach.sparsity, reach.held, reach.fallen, reach.at_end) for reach in found.values()]
    table = pd.DataFrame(values, index=list(found), columns=["sparsity", "held", "fallen", "at_end"])
    return table.astype({"sparsity": "float64", "held": "float64", "fallen": "float64", "at_end": "bool"})


def _curves(rows: pd.DataFrame) -> Iterator[tuple[Any, FloatArray, FloatArray, NDArray[np.bool_]]]:
    """The curve of each seed of one label, to where it was lost: sparsities, accuracies, and whether it was lost."""
    kept = rows[rows["status"].isin(("done", *LOST)) & ~(rows["sparsity"] >= 1)]  # a mask that keeps nothing
    lost = (kept["status"] != "done").to_numpy()
    sparsities = np.where(lost, kept["asked_sparsity"], kept["sparsity"])
    accuracies = np.where(lost, 0.0, kept["accuracy"])
    seeds = kept["seed"].to_numpy()
    order = np.lexsort((~lost, sparsities, seeds))
    for part in np.split(order, np.flatnonzero(np.diff(seeds[order])) + 1) if len(order) else ():
        seen = part[: int(np.argmax(lost[part])) + 1] if lost[part].any() else part
        yield seeds[part[0]], sparsities[seen], accuracies[seen], lost[seen]
