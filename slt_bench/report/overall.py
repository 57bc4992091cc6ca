"""What a report says over all networks: verdicts on published claims, and methods on each network, side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from slt_bench.analysis.matched import at_equal_accuracy, comparable_sparsity
from slt_bench.analysis.networks import baseline_of, networks
from slt_bench.analysis.statistics import probability_of_improvement
from slt_bench.analysis.verdicts import ClaimVerdict
from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.report.notes import notes
from slt_bench.report.plates import Plate, source, write_figure, write_table
from slt_bench.report.style import Looks, style
from slt_bench.report.tables.claims import claims_frame, claims_table
from slt_bench.report.tables.comparable import sparsest_table
from slt_bench.report.tables.table import Table

FEW_TASKS = 2  # below which there is nothing to take a mean over
POINT = 1.0  # below dense training, at which networks are compared


@dataclass(frozen=True)
class Overall:
    """What the plates above the networks' sections are made of.

    Attributes:
        table: All records that are compared, as from `analysis.frame`.
        verdicts: On the claims.
        looks: Of the labels in the whole report.
        baseline: The label that others are compared with.
        command: What draws the report.
        out: The report's folder, into which each plate is written too.
    """

    table: pd.DataFrame
    verdicts: Sequence[ClaimVerdict]
    looks: Looks
    baseline: str
    command: str
    out: Path

    @property
    def source(self) -> str:
        """What stands below each."""
        return source(self.table, self.command)


def overall_plates(material: Overall) -> list[Plate]:
    """The figures and tables that stand above the networks' sections."""
    plates: list[Plate] = []
    found = networks(material.table)
    if len(found) > 1:
        with style():
            plates += _side_by_side(material, found)
    table, verdicts, baseline, out = material.table, material.verdicts, material.baseline, material.out
    if verdicts:
        judged = claims_table(verdicts)
        files = write_table(out, "claims", judged, claims_frame(verdicts))
        caption = (
            "Each published claim beside what was measured here: the mean over seeds and its 95% interval, on the "
            "curve at the claimed sparsity. Confirmed: the whole interval lies where the claim is true, from three "
            "seeds or more. Refuted: it lies on the wrong side. Exceeded: there is more of what is said to be about a "
            "number. Inconclusive: the interval holds both. Bound only: a curve ends before the question is answered. "
            "Not testable: no method could have made the claim true here. No correction is made for the number of "
            "claims."
        )
        plates.append(Plate("Published claims", caption, material.source, table=judged, files=files))
    chances = _chances(table, baseline)
    if len(chances):
        shown = Table(["method", f"better than {baseline}", "tasks"], [_cells(row) for _, row in chances.iterrows()])
        files = write_table(out, "improvement", shown, chances)
        caption = (
            f"The probability that a run of the method is more accurate than one of {baseline}, over networks, data "
            "sets and sparsities that both have (Agarwal et al. 2021), with 95% bootstrap intervals over seeds."
        )
        plates.append(Plate("Probability of improvement", caption, material.source, table=shown, files=files))
    return plates


def _side_by_side(material: Overall, found: Mapping[str, pd.DataFrame]) -> Iterator[Plate]:
    """Curves of all networks, the sparsest tickets near dense training, and sparsities at the baseline's accuracy."""
    from slt_bench.report.figures.networks import (  # noqa: PLC0415 - matplotlib loads only where it draws
        TIMES,
        accuracy_by_network,
        sparsity_against,
    )

    yield write_figure(
        accuracy_by_network(found, material.looks), material.out, "networks", "Every network",
        "Mean accuracy of the hard masks over sparsity with 95% t intervals over seeds; a dot is a seed. A larger "
        "open marker: some seeds diverged, or learned nothing while others did; then it is the median. Of networks "
        f"that differ in their width alone, the widest.{notes(material.table)}",
        material.source,
    )  # fmt: skip
    reached = pd.concat(
        [comparable_sparsity(rows, (POINT,)).assign(network=title) for title, rows in found.items()], ignore_index=True
    )
    near = reached[reached["reference"] == "dense"]
    if len(near):
        shown = sparsest_table(near)
        files = write_table(material.out, "sparsest", shown, near)
        caption = (
            "The highest sparsity at which each method is within 1 point of dense training under the same budget: the "
            "mean over seeds, interpolated between measured sparsities. ≥: a seed still is at its sparsest point."
        )
        yield Plate("The sparsest tickets within a point", caption, material.source, table=shown, files=files)
    baselines = {title: baseline_of(rows, material.baseline, material.table) for title, rows in found.items()}
    trades = {title: at_equal_accuracy(rows, baselines[title]) for title, rows in found.items()}
    trades = {title: trade for title, trade in trades.items() if len(trade) > 1}
    if trades:
        elsewhere = (
            f" A network without {material.baseline} has another label of its method in its place, named below it."
            if any(baselines[title] != material.baseline for title in trades)
            else ""
        )
        yield write_figure(
            sparsity_against(trades, baselines, material.looks), material.out, "against",
            f"Sparsity at the accuracy of {material.baseline}",
            f"How sparse each method is where {material.baseline} is as accurate: means over the seeds that both "
            "have, along all accuracies that each of them passes. Above the line a method keeps fewer weights; on the "
            f"dotted one it removes {TIMES:g} times as many.{elsewhere}",
            material.source,
        )  # fmt: skip


def _chances(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    learned = table[~table["method"].isin(REFERENCES)]
    rows = []
    for label in sorted(set(learned["label"]) - {baseline}):
        chance = probability_of_improvement(learned, label, baseline)
        if chance.n >= FEW_TASKS:
            rows.append(
                {"label": label, "probability": chance.mean, "low": chance.low, "high": chance.high, "tasks": chance.n}
            )
    return pd.DataFrame(rows)


def _cells(row: "pd.Series[float]") -> list[str]:
    return [str(row["label"]), f"{row['probability']:.2f} [{row['low']:.2f}, {row['high']:.2f}]", str(row["tasks"])]
