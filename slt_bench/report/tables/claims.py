"""Published claims beside what was measured."""

import math
from collections.abc import Sequence

import pandas as pd

from slt_bench.analysis.statistics import NOTHING, Interval
from slt_bench.analysis.verdicts import ClaimVerdict
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.report.tables.table import Table, percent
from slt_bench.utils.text import number


def claims_table(verdicts: Sequence[ClaimVerdict]) -> Table:
    """A row a claim: who says what, what was measured, what is kept at equal accuracy, the verdict, and why.

    Args:
        verdicts: As from `analysis.verdicts.judge`.
    """
    rows = [
        [
            f"{one.claim.who}: {_subject(one.claim)}",
            _claimed(one.claim),
            _measured(one),
            _kept(one),
            one.verdict,
            one.reason,
        ]
        for one in verdicts
    ]
    header = ["claim", "claimed", "measured", "weights kept / baseline's", "verdict", "why"]
    return Table(header, rows, of_words=True)


def claims_frame(verdicts: Sequence[ClaimVerdict]) -> pd.DataFrame:
    """The same as numbers: a row a claim: its own fields, what was measured and kept with intervals, the verdict."""
    rows = []
    for one in verdicts:
        interval = one.measured or NOTHING
        measured = {"measured": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
        kept = one.kept.interval if one.kept else NOTHING
        remaining = {"kept": kept.mean, "kept_low": kept.low, "kept_high": kept.high}
        told = {"bound": one.bound, "verdict": one.verdict, "reason": one.reason}
        rows.append(one.claim.model_dump(mode="json") | measured | remaining | told)
    return pd.DataFrame(rows)


def _subject(claim: PaperClaim) -> str:
    where = f"{claim.arch} on {claim.dataset}" if claim.dataset else claim.arch
    against = f" against {claim.baseline}" if claim.baseline else ""
    return f"{claim.method}{against}, {where}" + (f" ({claim.where})" if claim.where else "")


def _claimed(claim: PaperClaim) -> str:
    at = f" at sparsity {number(claim.sparsity)}" if claim.sparsity is not None else ""
    if claim.accuracy is not None:
        return f"{claim.relation} {100 * claim.accuracy:g}%{at}"
    if claim.loss is not None:
        limit = "at most" if claim.relation == "at least" else "about"
        return f"{limit} {_points(claim.loss)} below dense{at}"
    if claim.baseline_sparsity is not None:
        other = f"{claim.baseline} at {number(claim.baseline_sparsity)}"
        return f"{claim.method}{at.replace(' sparsity', '')} at most {_points(claim.points)} below {other}"
    if claim.reference == "dense":
        reference = "dense"
    else:
        reference = f"the best of {claim.baseline}" if claim.sparsity is None else f"{claim.baseline}{at}"
    near = f"within {_points(claim.within)} of" if claim.within else "as accurate as"
    return f"{claim.relation} {claim.ratio:g} times the sparsity, {near} {reference}"


def _points(number: float) -> str:
    return f"{number:g} point" + ("" if number == 1 else "s")


def _measured(one: ClaimVerdict) -> str:
    interval = one.measured
    if interval is None or not math.isfinite(interval.mean):
        return "-"
    bound, seeds = f"{one.bound} " if one.bound else "", f" (n={interval.n})"
    if one.claim.accuracy is not None:
        return f"{percent(interval.mean, interval.half_width)}%{seeds}"
    if one.claim.loss is not None:
        return f"{percent(interval.mean, interval.half_width)} points below{seeds}"
    if one.claim.baseline_sparsity is not None:
        sign = "+" if interval.mean > 0 else ""
        return f"{sign}{percent(interval.mean, interval.half_width)} points{seeds}"
    return f"{bound}{_ratio(interval)}{seeds}"


def _kept(one: ClaimVerdict) -> str:
    return f"{one.kept.bound} {_ratio(one.kept.interval)}".strip() if one.kept else ""


def _ratio(interval: Interval) -> str:
    spread = f" ± {interval.half_width:.2f}" if math.isfinite(interval.half_width) else ""
    return f"{interval.mean:.2f}{spread}"
