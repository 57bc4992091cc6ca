"""Verdicts on published claims, from records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from slt_bench.analysis.measured import Measured, NotMeasuredError, measure
from slt_bench.analysis.statistics import Interval
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.utils.text import number

Verdict = Literal["held", "exceeded", "not held", "undecided", "not measured"]
Bound = Literal["", "at least", "at most"]
NETWORK = ["dataset", "init", "rescale"]
COLUMNS = {"hard": "accuracy", "relaxed": "relaxed_accuracy"}


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim and what became of it.

    Attributes:
        claim: As published.
        verdict: "not held": the whole 95% interval lies below what was claimed. "exceeded": the whole interval lies
            above it by more than the tolerance. "held": neither. "undecided": a ratio is a bound that leaves the claim
            open, or not even that. "not measured": too little was run, or got through.
        measured: The accuracy, the loss (both as fractions), or the ratio, over seeds; None where there is none.
        reason: Why it is undecided or not measured, or what else there is to know.
        bound: What `measured` is where it is a bound: the truth is "at least" or "at most" that.
    """

    claim: PaperClaim
    verdict: Verdict
    measured: Interval | None
    reason: str
    bound: Bound = ""


def judge(claims: Sequence[PaperClaim], table: pd.DataFrame) -> list[ClaimVerdict]:
    """The verdict on each claim.

    A claim is not refuted by noise: it is held unless the whole interval lies on the wrong side of it, and the reason
    says where the mean does. "about" allows the tolerance below, too. A loss is held unless the whole interval lies
    above it, and exceeded where the whole interval lies below it by more than the tolerance.

    Where a curve of a ratio ends before its accuracy falls, the ratio is a bound: only what it shows is said, with what
    is known beside it, that no sparsity is above 1. A seed that never comes near the accuracy is at most as sparse as
    where it was measured first. Where such a bound leaves the claim open it is undecided. Sparsities between measured
    points are interpolated, and where a verdict hangs on that, it is told.
    Seeds that were lost are told, and a ratio takes every seed. Of several budgets the one of most epochs counts.

    Args:
        claims: As a benchmark lists them.
        table: Records as from `analysis.frame`.
    """
    return [_judge(claim, table) for claim in claims]


def _judge(claim: PaperClaim, table: pd.DataFrame) -> ClaimVerdict:
    try:
        rows, note = _network(claim, _as_one(claim, table))
        found = measure(claim, rows)
        verdict, remark = _verdict(claim, found)
    except NotMeasuredError as reason:
        return ClaimVerdict(claim, "not measured", None, str(reason))
    measured = None if found.more and found.less else found.interval
    reasons = [found.why, remark, _interpolated(claim, found, verdict), note]
    return ClaimVerdict(claim, verdict, measured, "; ".join(filter(None, reasons)), _bound(found))


def _as_one(claim: PaperClaim, table: pd.DataFrame) -> pd.DataFrame:
    """The records, those of all labels that the claim is about under one name: its own."""
    about = claim.labels(table["label"].unique())
    return table.assign(label=table["label"].where(~table["label"].isin(about), claim.method))


def _verdict(claim: PaperClaim, found: Measured) -> tuple[Verdict, str]:
    """The verdict, and where the mean lies where the interval alone decides."""
    low, mean, high, claimed = found.interval.low, found.interval.mean, found.interval.high, _claimed(claim)
    if claim.loss is not None:  # the less the better
        low, mean, high, claimed = -high, -mean, -low, -claimed
    allowed = claimed - (claim.allowance if claim.relation == "about" else 0.0)
    if (found.most if found.more else high) < allowed:
        return "not held", f"since no sparsity is above 1, at most {found.most:.2f}" if found.more else ""
    if low > claimed + claim.allowance and not found.less:
        return "exceeded", ""
    if found.more and not found.less and claim.relation == "at least" and mean >= claimed:
        return "held", ""
    open_by_interval = not found.more and mean < allowed
    remark = "the mean falls short, but its interval does not rule the claim out" if open_by_interval else ""
    return "undecided" if found.more or found.less else "held", remark


def _bound(found: Measured) -> Bound:
    if found.more == found.less:
        return ""
    return "at least" if found.more else "at most"


def _interpolated(claim: PaperClaim, found: Measured, verdict: Verdict) -> str:
    """What to know of a ratio where what was measured, without a line between the points, allows another verdict."""
    allowance = claim.allowance if verdict == "exceeded" else -claim.allowance * (claim.relation == "about")
    low, high = found.between
    if claim.ratio is None or found.more or found.less or not low < claim.ratio + allowance < high:
        return ""
    return f"by interpolation: the sparsities that were measured allow {low:.2f} to {high:.2f}"


def _claimed(claim: PaperClaim) -> float:
    if claim.accuracy is not None:
        return claim.accuracy
    return claim.ratio if claim.ratio is not None else (claim.loss or 0.0) / 100


def _network(claim: PaperClaim, table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The records of the claim's network under one budget, and what a reader must know of the choice."""
    rows = table[(table["arch"] == claim.arch) & (table["labels"] == "true")]
    rows = rows[rows["dataset"].map(claim.is_on).astype(bool)] if claim.dataset else rows
    rows = rows.assign(accuracy=rows[COLUMNS[claim.readout]])  # of every method alike: each readout has its split
    own = rows[(rows["label"] == claim.method) & (rows["status"] == "done")]
    if own.empty:
        where = claim.arch + (f" and {claim.dataset}" if claim.dataset else "")
        several = rows["label"].str.startswith(f"{claim.method} [").any()  # as `frame` tells settings apart
        differ = ": its records there differ in settings" if several else ""
        raise NotMeasuredError(f"no record of {claim.method} on {where}{differ}")
    networks = own[NETWORK].drop_duplicates()
    if len(networks) > 1:
        raise NotMeasuredError(
            f"{len(networks)} data sets, inits or rescalings were measured, and the claim names none"
        )
    notes = [] if claim.dataset else [f"on {networks['dataset'].iloc[0]}; the source does not say on what"]
    budgets = own[["budget", "epochs"]].drop_duplicates()
    budget, *others = budgets["budget"][budgets["epochs"] == budgets["epochs"].max()]
    if others:
        raise NotMeasuredError(f"budgets differ, and none has most epochs: {budget}; {others[0]}")
    if len(budgets) > 1:
        notes.append(f"of {len(budgets)} budgets the one of most epochs: {budget}")
    same = rows[NETWORK].eq(networks.iloc[0]).all(axis=1) & (rows["budget"] == budget)
    return rows[same], "; ".join([*notes, *_lost(rows[same & rows["label"].isin([claim.method, claim.baseline])])])


def _lost(rows: pd.DataFrame) -> list[str]:
    """Which seeds of which label were lost, and at which asked sparsities."""
    notes = []
    for label, lost in rows[rows["status"] != "done"].groupby("label"):
        where: dict[str, list[int]] = {}
        for seed in sorted(lost["seed"].unique()):
            asked = lost.loc[lost["seed"] == seed, "asked_sparsity"].dropna()
            where.setdefault(", ".join(number(value) for value in sorted(asked.unique())), []).append(seed)
        told = (
            f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" + (f" at {at}" if at else "")
            for at, seeds in where.items()
        )
        notes.append(f"{label} lost {' and '.join(told)}")
    return notes
