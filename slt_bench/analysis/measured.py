"""What records say of a published claim: an accuracy, a loss, a difference or a ratio of sparsities, over seeds."""

import math
from typing import NamedTuple

import pandas as pd

from slt_bench.analysis.matched import accuracies_at, own_best, reaches
from slt_bench.analysis.statistics import Interval, paired_interval, paired_ratio, t_interval
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.utils.text import pluralize


class NotMeasuredError(Exception):
    """Too little was run to tell, or records differ in what the claim does not name; and what."""


class Kept(NamedTuple):
    """The weights that a method keeps over those that its baseline keeps, where both are equally accurate.

    Attributes:
        interval: Of that ratio over seeds; below 1 where the method keeps fewer.
        bound: What the mean is where some curves end too early: the truth is "at least" or "at most" that.
    """

    interval: Interval
    bound: str


class Measured(NamedTuple):
    """What was measured of a claim.

    Attributes:
        interval: Over seeds: as fractions an accuracy, dense minus the method, or the method minus its baseline; or a
            ratio.
        more: Whether the truth may be more: the method's curve ends before its accuracy falls, or some seeds of the
            baseline never reach the accuracy.
        less: Whether it may be less: the same of the other.
        notes: What else a reader must know, in words.
        most: The largest ratio that any method could have here.
        between: Where the mean would lie if nothing were interpolated: curves may fall right behind a measured point,
            or not before the next.
        kept: The ratio of remaining weights; None where the claim names no baseline, or it is not known.
        lost: Seeds of the method that have no accuracy where it is asked for.
        baseline_too: Whether the baseline itself is as accurate at the method's sparsity, within the margin.
    """

    interval: Interval
    more: bool = False
    less: bool = False
    notes: tuple[str, ...] = ()
    most: float = math.inf
    between: tuple[float, float] = (math.nan, math.nan)
    kept: Kept | None = None
    lost: int = 0
    baseline_too: bool = False


def measure(claim: PaperClaim, rows: pd.DataFrame) -> Measured:
    """What was measured of a claim.

    Args:
        claim: As published.
        rows: The records of its network under one budget, as from `analysis.frame`, "accuracy" that of its readout.

    Raises:
        NotMeasuredError: Where these records cannot tell.
    """
    if claim.kind == "ratio":
        return _ratio(claim, rows)
    if claim.kind == "baseline_sparsity":
        return _difference(claim, rows)
    accuracies, lost = _accuracies(rows, claim.method, claim.sparsity or 0.0)
    if claim.kind == "accuracy":
        return Measured(t_interval(accuracies.tolist()), lost=lost)
    return Measured(paired_interval(_dense(rows), accuracies), lost=lost)


def _difference(claim: PaperClaim, rows: pd.DataFrame) -> Measured:
    """How much more accurate the method is at its sparsity than the baseline at its own, paired by seed."""
    sparsity, below = claim.sparsity or 0.0, claim.baseline_sparsity or 0.0
    if rows[rows["label"] == claim.baseline].empty:
        raise NotMeasuredError(f"no record of {claim.baseline} beside it")
    other, _ = _accuracies(rows, claim.baseline, below)
    accuracies, lost = _accuracies(rows, claim.method, sparsity)
    threshold = float(other.mean()) - claim.points / 100
    own = _reached(rows[rows["label"] == claim.method], threshold)
    base = own.assign(sparsity=below, at_end=False, short=False)
    there = paired_interval(accuracies_at(rows[rows["label"] == claim.baseline], sparsity).dropna(), other)
    return Measured(
        paired_interval(accuracies, other),
        kept=_kept(own, base),
        lost=lost,
        baseline_too=there.low >= claim.band[0],
    )


def _ratio(claim: PaperClaim, rows: pd.DataFrame) -> Measured:
    """The ratio of both methods' sparsities at one accuracy, of the seeds that both have.

    A seed that never reaches the accuracy is at most as sparse as where it was measured first, and counts so.
    """
    threshold = _reference(claim, rows) - claim.within / 100
    own, other = (_reached(rows[rows["label"] == label], threshold) for label in (claim.method, claim.baseline))
    if other.empty:
        raise NotMeasuredError(f"no record of {claim.baseline} beside it")
    if claim.sparsity is not None:  # there the baseline is, by what is claimed
        there = {"sparsity": claim.sparsity, "held": claim.sparsity, "fallen": claim.sparsity}
        other = other.assign(**there, at_end=False, short=False)
    seeds = own.index.intersection(other.index)
    own, other = own.loc[seeds], other.loc[seeds]
    if (other["sparsity"] == 0).any():
        raise NotMeasuredError(
            f"{claim.baseline} is as accurate as that at sparsity 0 alone, and no ratio is taken to it"
        )
    return Measured(
        paired_ratio(own["sparsity"], other["sparsity"]),
        more=bool((own["at_end"] | other["short"]).any()),
        less=bool((other["at_end"] | own["short"]).any()),
        notes=(*_unknown(claim.method, own, threshold), *_unknown(claim.baseline, other, threshold)),
        most=math.inf if other["short"].any() else float((1 / other["sparsity"]).mean()),
        between=(paired_ratio(own["held"], other["fallen"]).mean, paired_ratio(own["fallen"], other["held"]).mean),
        kept=_kept(own, other),
    )


def _kept(own: pd.DataFrame, other: pd.DataFrame) -> Kept | None:
    """The ratio of remaining weights of two tables as from `_reached`; None where it may be more as well as less."""
    if own["short"].any() or other["at_end"].any():
        return None if own["at_end"].any() or other["short"].any() else _kept_bound(own, other, "at least")
    return _kept_bound(own, other, "at most" if own["at_end"].any() or other["short"].any() else "")


def _kept_bound(own: pd.DataFrame, other: pd.DataFrame, bound: str) -> Kept:
    return Kept(paired_ratio(1 - own["sparsity"], 1 - other["sparsity"]), bound)


def _reached(rows: pd.DataFrame, accuracy: float) -> pd.DataFrame:
    """How far each seed holds an accuracy; those that never reach it ("short") as sparse as where they begin."""
    found = reaches(rows, accuracy)
    begin = rows["sparsity"].fillna(rows["asked_sparsity"]).groupby(rows["seed"]).min()
    return found.assign(short=found["sparsity"].isna(), sparsity=found["sparsity"].fillna(begin))


def _unknown(label: str, reached: pd.DataFrame, accuracy: float) -> list[str]:
    """Why it is not known how sparse a label is at an accuracy, in words."""
    seeds, short = pluralize(len(reached), "seed"), int(reached["short"].sum())
    verb = "reaches" if short == 1 else "reach"
    never = [f"{short} of {seeds} of {label} never {verb} {100 * accuracy:.2f}%"] * bool(short)
    ends = [f"the grid of {label} ends before its accuracy falls"] * bool(reached["at_end"].any())
    return [*never, *ends]


def _reference(claim: PaperClaim, rows: pd.DataFrame) -> float:
    """The accuracy that a ratio's threshold lies below."""
    if claim.reference == "dense":
        return float(_dense(rows).mean())
    base = rows[rows["label"] == claim.baseline]
    best = own_best(base) if claim.sparsity is None else float(accuracies_at(base, claim.sparsity).mean())
    if math.isnan(best):
        raise NotMeasuredError(f"no record of {claim.baseline} beside it")
    return best


def _accuracies(rows: pd.DataFrame, label: str, sparsity: float) -> tuple["pd.Series[float]", int]:
    """The accuracy of each seed's curve of a label at a sparsity, by seed, and how many seeds have none there."""
    own = rows[rows["label"] == label]
    inside = accuracies_at(own, sparsity).dropna()
    if inside.empty:
        low, high = own["sparsity"].min(), own["sparsity"].max()
        raise NotMeasuredError(
            f"sparsity {sparsity:g} lies outside of what was measured of {label}: {low:.3g} to {high:.3g}"
        )
    return inside, own["seed"].nunique() - len(inside)


def _dense(rows: pd.DataFrame) -> "pd.Series[float]":
    """The accuracy of dense training, by seed."""
    dense = rows[(rows["method"] == "dense") & (rows["status"] == "done")]
    if dense.empty:
        raise NotMeasuredError("no record of dense training beside it")
    if dense["seed"].duplicated().any():
        labels = ", ".join(sorted(dense["label"].unique()))
        raise NotMeasuredError(f"records of dense training differ in settings: {labels}")
    accuracies: pd.Series[float] = dense.set_index("seed")["accuracy"]
    return accuracies
