"""Verdicts on published claims, from records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from slt_bench.analysis.matched import accuracies_at, own_best, reaches
from slt_bench.analysis.statistics import Interval, paired_interval, paired_ratio, t_interval
from slt_bench.published import Claim
from slt_bench.words import count

Verdict = Literal["held", "exceeded", "not held", "not measured"]
NETWORK = ["dataset", "init", "rescale"]
COLUMNS = {"hard": "accuracy", "relaxed": "relaxed_accuracy"}
UNKNOWN = "unknown"  # a ratio where both curves end before their accuracy falls
FEWEST = 2  # seeds that a verdict takes


@dataclass(frozen=True)
class Judged:
    """A claim and what became of it.

    Attributes:
        claim: As published.
        verdict: "not held": the whole 95% interval lies below what was claimed. "exceeded": the whole interval lies
            above it by more than the tolerance. "held": neither. "not measured": the records cannot tell.
        measured: The accuracy, the loss (both as fractions), or the ratio, over seeds; None where there is none.
        reason: Why it is not measured, or what else there is to know.
    """

    claim: Claim
    verdict: Verdict
    measured: Interval | None
    reason: str


class _Measured(NamedTuple):
    """What was measured of a claim.

    Attributes:
        interval: Over seeds.
        bound: "at least" or "at most" where a curve ends too early, `UNKNOWN` where both do; empty where none does.
        most: What it cannot exceed.
        between: Where the mean would lie if nothing were interpolated: curves may fall right behind a measured point,
            or not before the next.
        short: Which seeds never reach the accuracy; they count with the least sparsity that was measured.
    """

    interval: Interval
    bound: str = ""
    most: float = math.inf
    between: tuple[float, float] = (math.nan, math.nan)
    short: str = ""


class _NotMeasuredError(Exception):
    """The records cannot tell, and why."""


def judge(claims: Sequence[Claim], table: pd.DataFrame) -> list[Judged]:
    """The verdict on each claim.

    A claim is not refuted by noise: it is held unless the whole interval lies on the wrong side of it, and the reason
    says where the mean does. "about" allows the tolerance below, too. A loss is held unless the whole interval lies
    above it, and exceeded where the whole interval lies below it by more than the tolerance.

    Where a curve of a ratio ends before its accuracy falls, the ratio is a bound: only what it shows is said, with what
    is known beside it, that no sparsity is above 1. A method that never comes near the accuracy is at most as sparse as
    where it was measured first. Sparsities between measured points are interpolated, and where a verdict hangs on that,
    it is told.
    Seeds that were lost are told, and a ratio takes every seed. Of several budgets the one of most epochs counts.

    Args:
        claims: As a benchmark lists them.
        table: Records as from `analysis.frame`.
    """
    return [_judge(claim, table) for claim in claims]


def _judge(claim: Claim, table: pd.DataFrame) -> Judged:
    try:
        rows, note = _network(claim, table)
        found = _measure(claim, rows)
        verdict, remark = _verdict(claim, found)
    except _NotMeasuredError as reason:
        return Judged(claim, "not measured", None, str(reason))
    measured = None if found.bound == UNKNOWN else found.interval
    reasons = [remark, _interpolated(claim, found, verdict), note]
    return Judged(claim, verdict, measured, "; ".join(filter(None, reasons)))


def _measure(claim: Claim, rows: pd.DataFrame) -> _Measured:
    if claim.ratio is not None:
        return _ratio(claim, rows)
    return _Measured((_loss if claim.loss is not None else _accuracy)(claim, rows))


def _verdict(claim: Claim, found: _Measured) -> tuple[Verdict, str]:
    """The verdict, and where the mean lies where the interval alone decides."""
    measured, bound, most, _, short = found
    low, high, mean, claimed = measured.low, measured.high, measured.mean, _claimed(claim)
    if claim.loss is not None:  # the less the better
        low, high, mean, claimed = -high, -low, -mean, -claimed
    allowed = claimed - (claim.allowance if claim.relation == "about" else 0.0)
    if bound in ("at least", UNKNOWN) and most < allowed:
        what = "the grids of both end early" if bound == UNKNOWN else "a lower bound"
        return "not held", f"{what}; and since no sparsity is above 1, at most {most:.2f}"
    if bound == UNKNOWN:
        raise _NotMeasuredError(short or "the grids of both end before their accuracy falls")
    if high < allowed and bound != "at least":
        return "not held", "; ".join(filter(None, [bound and "an upper bound", short]))
    if low > claimed + claim.allowance and bound != "at most":
        return "exceeded", bound and "a lower bound"
    if bound == "at least" and claim.relation == "at least" and mean >= claimed:
        return "held", "a lower bound"
    if bound:
        ends = claim.method if bound == "at least" else claim.baseline
        early = f"the ratio is {bound} {mean:.2f}: the grid of {ends} ends too early to tell"
        raise _NotMeasuredError(short or early)
    if mean < allowed:
        return "held", "the mean falls short, but its interval does not rule the claim out"
    return "held", ""


def _interpolated(claim: Claim, found: _Measured, verdict: Verdict) -> str:
    """What to know of a ratio where what was measured, without a line between the points, allows another verdict."""
    allowance = claim.allowance if verdict == "exceeded" else -claim.allowance * (claim.relation == "about")
    low, high = found.between
    if claim.ratio is None or found.bound or not low < claim.ratio + allowance < high:
        return ""
    return f"by interpolation: the sparsities that were measured allow {low:.2f} to {high:.2f}"


def _claimed(claim: Claim) -> float:
    if claim.accuracy is not None:
        return claim.accuracy
    return claim.ratio if claim.ratio is not None else (claim.loss or 0.0) / 100


def _network(claim: Claim, table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The records of the claim's network under one budget, and what a reader must know of the choice."""
    rows = table[(table["arch"] == claim.arch) & (table["labels"] == "true")]
    rows = rows[rows["dataset"] == claim.dataset] if claim.dataset else rows
    rows = rows.assign(accuracy=rows[COLUMNS[claim.readout]])  # of every method alike: each readout has its split
    own = rows[(rows["label"] == claim.method) & (rows["status"] == "done")]
    if own.empty:
        where = claim.arch + (f" and {claim.dataset}" if claim.dataset else "")
        several = rows["label"].str.startswith(f"{claim.method} [").any()  # as `frame` tells settings apart
        differ = ": its records there differ in settings" if several else ""
        raise _NotMeasuredError(f"no record of {claim.method} on {where}{differ}")
    networks = own[NETWORK].drop_duplicates()
    if len(networks) > 1:
        raise _NotMeasuredError(
            f"{len(networks)} data sets, inits or rescalings were measured, and the claim names none"
        )
    notes = [] if claim.dataset else [f"on {networks['dataset'].iloc[0]}; the source does not say on what"]
    budgets = own[["budget", "epochs"]].drop_duplicates()
    budget, *others = budgets["budget"][budgets["epochs"] == budgets["epochs"].max()]
    if others:
        raise _NotMeasuredError(f"budgets differ, and none has most epochs: {budget}; {others[0]}")
    if len(budgets) > 1:
        notes.append(f"of {len(budgets)} budgets the one of most epochs: {budget}")
    same = rows[NETWORK].eq(networks.iloc[0]).all(axis=1) & (rows["budget"] == budget)
    return rows[same], "; ".join([*notes, *_lost(rows[same & rows["label"].isin([claim.method, claim.baseline])])])


def _lost(rows: pd.DataFrame) -> list[str]:
    """Which seeds of which label were lost somewhere on their curve."""
    lost = rows[rows["status"] != "done"].groupby("label")["seed"].unique()
    return [f"{label} lost seed {', '.join(map(str, sorted(seeds)))} on the way" for label, seeds in lost.items()]


def _accuracy(claim: Claim, rows: pd.DataFrame) -> Interval:
    """The accuracy at the claimed sparsity, over seeds."""
    return _enough(claim, t_interval(_accuracies(claim, rows).tolist()))


def _loss(claim: Claim, rows: pd.DataFrame) -> Interval:
    """By how much dense training is more accurate, paired by seed."""
    return _enough(claim, paired_interval(_dense(rows), _accuracies(claim, rows)))


def _ratio(claim: Claim, rows: pd.DataFrame) -> _Measured:
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
    if own.empty or claim.baseline in told:
        raise _NotMeasuredError("; ".join(told.values()))
    own["sparsity"] = own["sparsity"].fillna(float(rows["sparsity"][rows["label"] == claim.method].min()))
    ratio = _enough(claim, paired_ratio(own["sparsity"], other["sparsity"]))
    ends = (bool(own["at_end"].any()), bool(other["at_end"].any() or told))
    bound = {(True, True): UNKNOWN, (True, False): "at least", (False, True): "at most", (False, False): ""}[ends]
    between = paired_ratio(own["held"], other["fallen"]).mean, paired_ratio(own["fallen"], other["held"]).mean
    return _Measured(ratio, bound, 1 / float(other["sparsity"].min()), between, told.get(claim.method, ""))


def _reference(claim: Claim, rows: pd.DataFrame) -> float:
    """The accuracy that a ratio's threshold lies below."""
    if claim.reference == "dense":
        return float(_dense(rows).mean())
    base = rows[rows["label"] == claim.baseline]
    best = own_best(base) if claim.sparsity is None else float(accuracies_at(base, claim.sparsity).mean())
    if math.isnan(best):
        raise _NotMeasuredError(f"no record of {claim.baseline} beside it")
    return best


def _enough(claim: Claim, interval: Interval) -> Interval:
    if interval.n < FEWEST:
        there = count(interval.n, "seed")
        raise _NotMeasuredError(f"{there} of {claim.method} can be judged there, and a verdict takes {FEWEST}")
    return interval


def _accuracies(claim: Claim, rows: pd.DataFrame) -> "pd.Series[float]":
    """The accuracy of each seed's curve at the claimed sparsity, by seed."""
    own, sparsity = rows[rows["label"] == claim.method], claim.sparsity or 0.0
    inside = accuracies_at(own, sparsity).dropna()
    if inside.empty:
        low, high = own["sparsity"].min(), own["sparsity"].max()
        raise _NotMeasuredError(f"sparsity {sparsity:g} lies outside of what was measured: {low:.3g} to {high:.3g}")
    return inside


def _dense(rows: pd.DataFrame) -> "pd.Series[float]":
    """The accuracy of dense training, by seed."""
    dense = rows[(rows["method"] == "dense") & (rows["status"] == "done")]
    if dense.empty:
        raise _NotMeasuredError("no record of dense training beside it")
    accuracies: pd.Series[float] = dense.set_index("seed")["accuracy"]
    return accuracies
