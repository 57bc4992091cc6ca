"""What records hold of a published claim: an accuracy, a loss or a ratio of sparsities, with its interval."""

import math
from typing import NamedTuple

import pandas as pd

from slt_bench.analysis.matched import accuracies_at, own_best, reaches
from slt_bench.analysis.statistics import Interval, paired_interval, paired_ratio, t_interval
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.utils.text import pluralize

FEWEST = 2  # seeds that a verdict takes


class NotMeasuredError(Exception):
    """Too little was run or got through to tell, or records differ in what the claim does not name; and what."""


class Measured(NamedTuple):
    """What was measured of a claim.

    Attributes:
        interval: Over seeds: an accuracy or a loss as a fraction, or a ratio.
        more: Whether the truth may be more: the method's curve ends before its accuracy falls, or some seeds of the
            baseline never reach the accuracy.
        less: Whether it may be less: the same of the other.
        why: Why it may be more or less, in words.
        most: What it cannot exceed.
        between: Where the mean would lie if nothing were interpolated: curves may fall right behind a measured point,
            or not before the next.
    """

    interval: Interval
    more: bool = False
    less: bool = False
    why: str = ""
    most: float = math.inf
    between: tuple[float, float] = (math.nan, math.nan)


def measure(claim: PaperClaim, rows: pd.DataFrame) -> Measured:
    """What was measured of a claim.

    Args:
        claim: As published.
        rows: The records of its network under one budget, as from `analysis.frame`, "accuracy" that of its readout.

    Raises:
        NotMeasuredError: Where these records cannot tell.
    """
    if claim.ratio is not None:
        return _ratio(claim, rows)
    return Measured((_loss if claim.loss is not None else _accuracy)(claim, rows))


def _accuracy(claim: PaperClaim, rows: pd.DataFrame) -> Interval:
    """The accuracy at the claimed sparsity, over seeds."""
    return _enough(claim, t_interval(_accuracies(claim, rows).tolist()))


def _loss(claim: PaperClaim, rows: pd.DataFrame) -> Interval:
    """By how much dense training is more accurate, paired by seed."""
    return _enough(claim, paired_interval(_dense(rows), _accuracies(claim, rows)))


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
        _enough(claim, paired_ratio(own["sparsity"], other["sparsity"])),
        more=bool((own["at_end"] | other["short"]).any()),
        less=bool((other["at_end"] | own["short"]).any()),
        why="; ".join([*_unknown(claim.method, own, threshold), *_unknown(claim.baseline, other, threshold)]),
        most=math.inf if other["short"].any() else 1 / float(other["sparsity"].min()),
        between=(paired_ratio(own["held"], other["fallen"]).mean, paired_ratio(own["fallen"], other["held"]).mean),
    )


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


def _enough(claim: PaperClaim, interval: Interval) -> Interval:
    if interval.n < FEWEST:
        there = pluralize(interval.n, "seed")
        raise NotMeasuredError(f"{there} of {claim.method} can be judged there, and a verdict takes {FEWEST}")
    return interval


def _accuracies(claim: PaperClaim, rows: pd.DataFrame) -> "pd.Series[float]":
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
