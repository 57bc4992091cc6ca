"""What a report says over all networks: verdicts on published claims, and how often a method is better than another."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from slt_bench.analysis.statistics import probability_of_improvement
from slt_bench.analysis.verdicts import Judged
from slt_bench.benchmark import REFERENCES
from slt_bench.report.plates import Plate, source, write_table
from slt_bench.report.tables.claims import claims_frame, claims_table
from slt_bench.report.tables.table import Table

FEW_TASKS = 2  # below which there is nothing to take a mean over


def overall_plates(
    table: pd.DataFrame, verdicts: Sequence[Judged], baseline: str, command: str, out: Path
) -> list[Plate]:
    """The tables that stand above the networks' sections; each is written into the report's folder too.

    Args:
        table: All records that are compared, as from `analysis.frame`.
        verdicts: On the claims.
        baseline: The label that others are compared with.
        command: What draws the report.
        out: The report's folder.
    """
    plates = []
    if verdicts:
        judged = claims_table(verdicts)
        files = write_table(out, "claims", judged, claims_frame(verdicts))
        caption = (
            "Each published claim beside what was measured here: the mean over seeds and its 95% interval, on the "
            "curve at the claimed sparsity. A claim is not held where the whole interval lies below it, exceeded "
            "where it lies above by more than the tolerance, and not measured where the records cannot tell."
        )
        plates.append(Plate("Published claims", caption, source(table, command), table=judged, files=files))
    chances = _chances(table, baseline)
    if len(chances):
        shown = Table(["method", f"better than {baseline}", "tasks"], [_cells(row) for _, row in chances.iterrows()])
        files = write_table(out, "improvement", shown, chances)
        caption = (
            f"The probability that a run of the method is more accurate than one of {baseline}, over networks, data "
            "sets and sparsities that both have (Agarwal et al. 2021), with 95% bootstrap intervals over seeds."
        )
        plates.append(Plate("Probability of improvement", caption, source(table, command), table=shown, files=files))
    return plates


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
