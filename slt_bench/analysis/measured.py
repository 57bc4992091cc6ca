"""What records hold of a published claim: an accuracy, a loss or a ratio of sparsities, with its interval."""

import math
from typing import NamedTuple

import pandas as pd

from slt_bench.analysis.matched import accuracies_at, own_best, reaches
from slt_bench.analysis.statistics import Interval, paired_interval, paired_ratio, t_interval
from slt_bench.published import Claim
from slt_bench.words import count

FEWEST = 2  # seeds that a verdict takes


class NotMeasuredError(Exception):
    """There are no records that a verdict could be made of, and which are missing."""


class UndecidedError(Exception):
    """What the claim asks was run, and what came of it decides nothing, and why."""


class Measured(NamedTuple):
    """What was measured of a claim.

    Attributes:
        interval: Over seeds: an accuracy or a loss as a fraction, or a ratio.
        more: Whether the truth may be more: the method's curve ends before its accuracy falls.
        less: Whether it may be less: the baseline's curve ends so, or some seeds never reach the accuracy.
        most: What it cannot exceed.
        between: Where the mean would lie if nothing were interpolated: curves may fall right behind a measured point,
            or not before the next.
        short: Which seeds never reach the accuracy; they count with the least sparsity that was measured.
    """

    interval: Interval
    more: bool = False
    less: bool = False
    most: float = math.inf
    between: tuple[float, float] = (math.nan, math.nan)
    short: str = ""


def measure(claim: Claim, rows: pd.DataFrame) -> Measured:
    """What was measured of a claim.

    Args:
        claim: As published.
        rows: The records of its network under one budget, as from `analysis.frame`, "accuracy" that of its readout.

    Raises:
        NotMeasuredError: Where records are missing.
        UndecidedError: Where some seed of the baseline never reaches the accuracy that sparsities are compared at.
    """
    if claim.ratio is not None:
        return _ratio(claim, rows)
    return Measured((_loss if claim.loss is not None else _accuracy)(claim, rows))


def _accuracy(claim: Claim, rows: pd.DataFrame) -> Interval:
    """The accuracy at the claimed sparsity, over seeds."""
    return _enough(claim, t_interval(_accuracies(claim, rows).tolist()))


def _loss(claim: Claim, rows: pd.DataFrame) -> Interval:
    """By how much dense training is more accurate, paired by seed."""
    return _enough(claim, paired_interval(_dense(rows), _accuracies(claim, rows)))


def _ratio(claim: Claim, rows: pd.DataFrame) -> Measured:
    """The ratio of both methods' sparsities at one accuracy."""
    threshold = _reference(claim, rows) - claim.within / 100
    own, other = (reaches(rows[rows["label"] == label], threshold) for label in (claim.method, claim.baseline))
    if claim.sparsity is not None:  # there the baseline is, by what is claimed
        other = other.assign(sparsity=claim.sparsity, held=claim.sparsity, fallen=claim.sparsity, at_end=False)
    never = {claim.method: own["sparsity"].isna(), claim.baseline: other["sparsity"].isna()}
    told = {
        label: f"{seeds.sum()} of {count(len(seeds), 'seed')} of {label} never reach {100 * threshold:.2f}%"
        for label, seeds in never.items()
        if seeds.any() or seeds.empty
    }
    if own.empty or other.empty:
        raise NotMeasuredError("; ".join(told.values()))
    if claim.baseline in told:
        raise UndecidedError("; ".join(told.values()))
    own["sparsity"] = own["sparsity"].fillna(float(rows["sparsity"][rows["label"] == claim.method].min()))
    ratio = _enough(claim, paired_ratio(own["sparsity"], other["sparsity"]))
    return Measured(
        ratio,
        more=bool(own["at_end"].any()),
        less=bool(other["at_end"].any() or told),
        most=1 / float(other["sparsity"].min()),
        between=(paired_ratio(own["held"], other["fallen"]).mean, paired_ratio(own["fallen"], other["held"]).mean),
        short=told.get(claim.method, ""),
    )


def _reference(claim: Claim, rows: pd.DataFrame) -> float:
    """The accuracy that a ratio's threshold lies below."""
    if claim.reference == "dense":
        return float(_dense(rows).mean())
    base = rows[rows["label"] == claim.baseline]
    best = own_best(base) if claim.sparsity is None else float(accuracies_at(base, claim.sparsity).mean())
    if math.isnan(best):
        raise NotMeasuredError(f"no record of {claim.baseline} beside it")
    return best


def _enough(claim: Claim, interval: Interval) -> Interval:
    if interval.n < FEWEST:
        there = count(interval.n, "seed")
        raise NotMeasuredError(f"{there} of {claim.method} can be judged there, and a verdict takes {FEWEST}")
    return interval


def _accuracies(claim: Claim, rows: pd.DataFrame) -> "pd.Series[float]":
    """The accuracy of each seed's curve at the claimed sparsity, by seed."""
    own, sparsity = rows[rows["label"] == claim.method], claim.sparsity or 0.0
    inside = accuracies_at(own, sparsity).dropna()
    if inside.empty:
        low, high = own["sparsity"].min(), own["sparsity"].max()
        raise NotMeasuredError(f"sparsity {sparsity:g} lies outside of what was measured: {low:.3g} to {high:.3g}")
    return inside


def _dense(rows: pd.DataFrame) -> "pd.Series[float]":
    """The accuracy of dense training, by seed."""
    dense = rows[(rows["method"] == "dense") & (rows["status"] == "done")]
    if dense.empty:
        raise NotMeasuredError("no record of dense training beside it")
    accuracies: pd.Series[float] = dense.set_index("seed")["accuracy"]
    return accuracies
