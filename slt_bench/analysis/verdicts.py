"""Verdicts on published claims, from records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from slt_bench.analysis.matched import accuracies_at, reaches
from slt_bench.analysis.statistics import Interval, paired_interval, paired_ratio, t_interval
from slt_bench.published import Claim

Verdict = Literal["held", "exceeded", "not held", "not measured"]
NETWORK = ["dataset", "init", "rescale"]
COLUMNS = {"hard": "test_accuracy", "relaxed": "relaxed_accuracy"}
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


class _NotMeasuredError(Exception):
    """The records cannot tell, and why."""


def judge(claims: Sequence[Claim], table: pd.DataFrame) -> list[Judged]:
    """The verdict on each claim.

    A claim is not refuted by noise: it is held unless the whole interval lies on the wrong side of it, and the reason
    says where the mean does. "about" allows the tolerance below, too. A loss is held unless the whole interval lies
    above it, and exceeded where the whole interval lies below it by more than the tolerance.

    Args:
        claims: As a benchmark lists them.
        table: Records as from `analysis.frame`.
    """
    return [_judge(claim, table) for claim in claims]


def _judge(claim: Claim, table: pd.DataFrame) -> Judged:
    try:
        rows, note = _network(claim, table)
        if claim.ratio is not None:
            measured, bound = _ratio(claim, rows)
        else:
            measured, bound = (_loss if claim.loss is not None else _accuracy)(claim, rows), ""
        verdict, remark = _verdict(claim, measured, bound)
    except _NotMeasuredError as reason:
        return Judged(claim, "not measured", None, str(reason))
    return Judged(claim, verdict, measured, "; ".join(part for part in (remark, note) if part))


def _verdict(claim: Claim, measured: Interval, bound: str) -> tuple[Verdict, str]:
    """The verdict, and where the mean lies where the interval alone decides."""
    low, high, mean, claimed = measured.low, measured.high, measured.mean, _claimed(claim)
    if claim.loss is not None:  # the less the better
        low, high, mean, claimed = -high, -low, -mean, -claimed
    allowed = claimed - (claim.allowance if claim.relation == "about" else 0.0)
    if high < allowed:
        if bound == "at least":
            raise _NotMeasuredError(
                f"the ratio is at least {mean:.2f}: the grid of {claim.method} ends too early to tell"
            )
        return "not held", ""
    if bound == "at most":
        raise _NotMeasuredError(f"the ratio is at most {mean:.2f}: the grid of {claim.baseline} ends too early to tell")
    if low > claimed + claim.allowance:
        return "exceeded", "a lower bound" if bound else ""
    if mean < allowed:
        return "held", "the mean falls short, but its interval does not rule the claim out"
    return "held", "a lower bound" if bound else ""


def _claimed(claim: Claim) -> float:
    if claim.accuracy is not None:
        return claim.accuracy
    return claim.ratio if claim.ratio is not None else (claim.loss or 0.0) / 100


def _network(claim: Claim, table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The records of the claim's network under one budget, and what a reader must know of the choice."""
    rows = table[table["arch"] == claim.arch]
    rows = rows[rows["dataset"] == claim.dataset] if claim.dataset else rows
    own = rows[(rows["label"] == claim.method) & (rows["status"] == "done")]
    if own.empty:
        where = claim.arch + (f" and {claim.dataset}" if claim.dataset else "")
        raise _NotMeasuredError(f"no record of {claim.method} on {where}")
    networks = own[NETWORK].drop_duplicates()
    if len(networks) > 1:
        raise _NotMeasuredError(
            f"{len(networks)} data sets, inits or rescalings were measured, and the claim names none"
        )
    notes = [] if claim.dataset else [f"on {networks['dataset'].iloc[0]}; the source does not say on what"]
    budgets = own["budget"].value_counts()
    budget = budgets.index[0]
    if len(budgets) > 1:
        notes.append(f"of {len(budgets)} budgets the one with most records: {budget}")
    same = rows[NETWORK].eq(networks.iloc[0]).all(axis=1) & (rows["budget"] == budget)
    return rows[same], "; ".join(notes)


def _accuracy(claim: Claim, rows: pd.DataFrame) -> Interval:
    """The accuracy at the claimed sparsity, over seeds."""
    return _enough(claim, t_interval(_accuracies(claim, rows).tolist()))


def _loss(claim: Claim, rows: pd.DataFrame) -> Interval:
    """By how much dense training is more accurate, paired by seed."""
    return _enough(claim, paired_interval(_dense(rows), _accuracies(claim, rows)))


def _ratio(claim: Claim, rows: pd.DataFrame) -> tuple[Interval, str]:
    """The ratio of both methods' sparsities at one accuracy, and which bound it is where a curve ends too early."""
    threshold = float(_dense(rows).mean()) - claim.within / 100
    own, other = (reaches(rows[rows["label"] == label], threshold) for label in (claim.method, claim.baseline))
    for label, found in ((claim.method, own), (claim.baseline, other)):
        if found["sparsity"].notna().sum() < FEWEST:
            raise _NotMeasuredError(f"fewer than {FEWEST} seeds of {label} reach {100 * threshold:.2f}%")
    ratio = _enough(claim, paired_ratio(own["sparsity"], other["sparsity"]))
    ends = (bool(own["at_end"].any()), bool(other["at_end"].any()))
    if all(ends):
        raise _NotMeasuredError("the grids of both end before their accuracy falls")
    return ratio, {(True, False): "at least", (False, True): "at most", (False, False): ""}[ends]


def _enough(claim: Claim, interval: Interval) -> Interval:
    if interval.n < FEWEST:
        raise _NotMeasuredError(f"{interval.n} seeds of {claim.method} are there, and a verdict takes {FEWEST}")
    return interval


def _accuracies(claim: Claim, rows: pd.DataFrame) -> "pd.Series[float]":
    """The accuracy of each seed's curve at the claimed sparsity, by seed."""
    own, sparsity = rows[rows["label"] == claim.method], claim.sparsity or 0.0
    inside = accuracies_at(own.assign(test_accuracy=own[COLUMNS[claim.readout]]), sparsity).dropna()
    if inside.empty:
        low, high = own["sparsity"].min(), own["sparsity"].max()
        raise _NotMeasuredError(f"sparsity {sparsity:g} lies outside of what was measured: {low:.3g} to {high:.3g}")
    return inside


def _dense(rows: pd.DataFrame) -> "pd.Series[float]":
    """The accuracy of dense training, by seed."""
    dense = rows[(rows["method"] == "dense") & (rows["status"] == "done")]
    if dense.empty:
        raise _NotMeasuredError("no record of dense training beside it")
    accuracies: pd.Series[float] = dense.set_index("seed")["test_accuracy"]
    return accuracies
