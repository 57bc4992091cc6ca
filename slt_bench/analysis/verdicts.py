"""Verdicts on published claims, from records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from slt_bench.analysis.measured import Kept, Measured, NotMeasuredError, measure
from slt_bench.analysis.statistics import FEWEST, Interval
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.utils.text import number, pluralize

Verdict = Literal["confirmed", "exceeded", "refuted", "inconclusive", "bound only", "not testable", "not run"]
Bound = Literal["", "at least", "at most"]
NETWORK = ["dataset", "init", "rescale"]
COLUMNS = {"hard": "accuracy", "relaxed": "relaxed_accuracy"}


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim and what became of it.

    Attributes:
        claim: As published.
        verdict: "confirmed": the whole 95% interval lies where the claim is true (`PaperClaim.band`). "refuted": the
            whole interval lies on its wrong side. "exceeded": of what is said to be "about" a number there is more (of
            a loss less) in the whole interval. "inconclusive": the interval holds both, or there are fewer than
            `FEWEST` seeds, or a seed of the method was lost, so that the rest may be the better part. "bound only": a
            curve ends before the question is answered. "not testable": no method could have made the claim true on
            these curves. "not run": too little was run.
        measured: As of `Measured.interval`; None where nothing was measured.
        reason: Why it is not decided, or what else there is to know.
        bound: What `measured` is where it is a bound: the truth is "at least" or "at most" that.
        kept: The ratio of remaining weights at equal accuracy, where the claim names a baseline.
        baseline_too: Whether the baseline itself is as accurate at the method's sparsity, within the margin.
    """

    claim: PaperClaim
    verdict: Verdict
    measured: Interval | None
    reason: str
    bound: Bound = ""
    kept: Kept | None = None
    baseline_too: bool = False


def judge(claims: Sequence[PaperClaim], table: pd.DataFrame) -> list[ClaimVerdict]:
    """The verdict on each claim.

    Nothing is confirmed by noise, and nothing refuted by it: that takes the whole two-sided 95% interval over three
    seeds or more, so that either error has a chance of 2.5% at most.

    Where a curve of a ratio ends before its accuracy falls, the ratio is a bound. A seed that never comes near the
    accuracy is at most as sparse as where it was measured first. Sparsities between measured points are interpolated,
    and the reason says so where that decides the verdict. Of several budgets the one of most epochs counts.

    Args:
        claims: As a benchmark lists them.
        table: Records as from `analysis.frame`.
    """
    return [_judge(claim, table) for claim in claims]


def _judge(claim: PaperClaim, table: pd.DataFrame) -> ClaimVerdict:
    try:
        rows, notes = _network(claim, _as_one(claim, table))
        found = measure(claim, rows)
    except NotMeasuredError as reason:
        return ClaimVerdict(claim, "not run", None, str(reason))
    verdict, why = _decide(claim, found)
    reasons = [
        *found.notes,
        _same_baseline(claim, found),
        why,
        *_margins(claim, found),
        _interpolated(claim, found, verdict),
        *notes,
    ]
    measured = None if found.more and found.less else found.interval
    words = "; ".join(filter(None, reasons))
    return ClaimVerdict(claim, verdict, measured, words, _bound(found), found.kept, found.baseline_too)


def _decide(claim: PaperClaim, found: Measured) -> tuple[Verdict, str]:
    """The verdict, and what to say of how it came about: the first rule that applies."""
    interval, (floor, ceiling) = found.interval, claim.band
    if claim.kind == "loss":  # the less the better
        interval = Interval(-interval.mean, -interval.high, -interval.low, interval.n)
        floor, ceiling = -ceiling, -floor
    above, bounded = interval.low >= floor and not found.less, found.more or found.less
    within = math.isinf(ceiling) or (interval.high <= ceiling and not found.more)
    saturated = f"{claim.baseline} is so sparse there that no ratio is above {found.most:.2f}"
    few = f"{pluralize(interval.n, 'seed')}, and a verdict takes {FEWEST}"
    lost = f"{pluralize(found.lost, 'seed')} of {claim.method} lost there, and what is left confirms nothing"
    rules: list[tuple[Verdict, bool, str]] = [
        ("not testable", found.most < floor, saturated),
        ("inconclusive", interval.n < FEWEST, few),
        ("refuted", interval.high < floor and not found.more, ""),
        ("inconclusive", above and found.lost > 0, lost),
        ("exceeded", above and interval.low > ceiling, ""),
        ("confirmed", above and within, ""),
        ("bound only", bounded, ""),
        ("inconclusive", True, ""),
    ]
    return next((verdict, why) for verdict, applies, why in rules if applies)


def _margins(claim: PaperClaim, found: Measured) -> list[str]:
    """The verdicts at all other margins, in words: what is confirmed at one is confirmed at each wider one."""
    low, high = 100 * found.interval.low, 100 * found.interval.high
    if claim.kind != "baseline_sparsity" or found.interval.n < FEWEST:
        return []
    parts = [f"refuted at margins below {-high:.2f}"] * (high < 0)
    parts += [f"confirmed from {max(0.0, -low):.2f} on"] * (not found.lost)
    return [f"{' and '.join(parts)} (points)"] if parts else []


def _as_one(claim: PaperClaim, table: pd.DataFrame) -> pd.DataFrame:
    """The records, those of all labels that the claim is about under one name: its own."""
    about = claim.labels(table["label"].unique())
    return table.assign(label=table["label"].where(~table["label"].isin(about), claim.method))


def _same_baseline(claim: PaperClaim, found: Measured) -> str:
    """That the baseline itself is as accurate at the method's sparsity: "twice as sparse" then says little."""
    sparsity, below = number(claim.sparsity or 0.0), number(claim.baseline_sparsity or 0.0)
    return f"{claim.baseline} itself is as accurate at {sparsity} as at {below}" if found.baseline_too else ""


def _bound(found: Measured) -> Bound:
    if found.more == found.less:
        return ""
    return "at least" if found.more else "at most"


def _interpolated(claim: PaperClaim, found: Measured, verdict: Verdict) -> str:
    """What to know of a ratio where what was measured, without a line between the points, allows another verdict."""
    low, high = found.between
    edges = [edge for edge in claim.band if low < edge < high]
    decided = verdict in ("confirmed", "refuted", "exceeded")
    if claim.kind != "ratio" or found.more or found.less or not edges or not decided:
        return ""
    return f"by interpolation: the sparsities that were measured allow {low:.2f} to {high:.2f}"


def _network(claim: PaperClaim, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
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
    alike = rows[NETWORK].eq(networks.iloc[0])
    alike["rescale"] |= rows["method"] == "dense"  # which keeps every weight, and so divides by 1
    same = alike.all(axis=1) & (rows["budget"] == budget)
    lost = rows[same & rows["label"].isin([claim.method, claim.baseline]) & (rows["status"] != "done")]
    return rows[same], [*notes, *_lost(lost)]


def _lost(rows: pd.DataFrame) -> list[str]:
    """Which seeds of which label were lost, and at which asked sparsities."""
    notes = []
    for label, lost in rows.groupby("label"):
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
