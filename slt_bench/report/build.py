"""A report: figures, tables and one page, from records alone."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from slt_bench.analysis import frame
from slt_bench.analysis.networks import NETWORK, UNDER, baseline_of, has_wider
from slt_bench.analysis.verdicts import ClaimVerdict, judge
from slt_bench.analysis.widths import narrower
from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.records import LoadedRecords, Record
from slt_bench.report.overall import Overall, overall_plates
from slt_bench.report.page import render
from slt_bench.report.plates import ReportData
from slt_bench.report.pool import drawing
from slt_bench.report.style import assign_styles
from slt_bench.report.tables.table import Table
from slt_bench.utils.errors import UserError, unknown
from slt_bench.utils.files import write_text

BASELINE = "edgepopup"  # that ratios are taken to where nobody names another, and it is there
LONGEST_STEM = 120


@dataclass(frozen=True)
class ReportSource:
    """What a report is drawn from.

    Attributes:
        name: Of the report.
        found: The records, and what could not be read.
        title: At the top of the page.
        about: Below the title.
        claims: That others have published.
        stale: Ids of records that are stale: left out.
        pending: What jobs that have no record wait for, by the name of their folder.
        baseline: The label that ratios are taken to; empty: edgepopup, or else the first.
        command: What draws it, for the captions.
    """

    name: str
    found: LoadedRecords
    title: str = ""
    about: str = ""
    claims: Sequence[PaperClaim] = ()
    stale: frozenset[str] = frozenset()
    pending: Mapping[str, str] = field(default_factory=dict)
    baseline: str = ""
    command: str = ""


@dataclass
class Report:
    """What was drawn.

    Attributes:
        page: The HTML file.
        tables: The accuracy table of each network and budget, by its heading.
        verdicts: On the claims.
        flagged: What makes tickets doubtful, by the name of their folder; their records are in it all the same.
        left_out: Records that are not in it, with the reason.
    """

    page: Path
    tables: dict[str, Table] = field(default_factory=dict)
    verdicts: list[ClaimVerdict] = field(default_factory=list)
    flagged: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def build(source: ReportSource, out: Path) -> Report:
    """Draw a report.

    Args:
        source: What it is drawn from.
        out: The folder to write to: `index.html`, `figures/`, `tables/`.

    Raises:
        UserError: There is no record that can be compared, nor a claim; or no record has the baseline's label.
    """
    usable = frame.comparable(source.found.records.values(), source.stale)
    left_out = usable.left_out | source.found.problems
    if not usable.compared and not source.claims:
        reasons = sorted(set(left_out.values())) or ["there are none"]
        raise UserError(f"No records of '{source.name}' can be drawn: {'; '.join(reasons[:3])}.")
    table = frame.frame(usable.compared)
    materials = list(_materials(source, usable.compared, table, out))
    verdicts = judge(source.claims, table)
    with drawing(materials) as drawn:
        looked = assign_styles(_labels(table))
        plates = overall_plates(Overall(table, verdicts, looked, _baseline(source, table), _command(source), out))
        sections = list(drawn)
    flagged = {record.job.folder: "; ".join(record.flags) for record in usable.compared if record.flags}
    report = Report(out / "index.html", verdicts=verdicts, flagged=flagged, left_out=left_out)
    report.tables = {section.heading: section.accuracy for section in sections}
    summary = (
        f"{len(usable.compared)} records compared, {len(source.pending)} jobs without one, {len(left_out)} left out."
    )
    lists = {
        "Doubtful tickets (compared all the same)": flagged,
        "Jobs without a record": source.pending,
        "Left out": left_out,
    }
    write_text(report.page, render(source.title or source.name, source.about, summary, plates, sections, lists))
    return report


def _materials(source: ReportSource, records: Sequence[Record], table: pd.DataFrame, out: Path) -> Iterator[ReportData]:
    """What each section is made of: one a network and budget."""
    if table.empty:
        return
    several = table.groupby(NETWORK)["budget"].transform("nunique") > 1
    table = table.assign(stem=table[NETWORK].agg("-".join, axis=1) + ("-" + table["budget"]).where(several, ""))
    all_looks, baseline = assign_styles(_labels(table)), _baseline(source, table)
    keys = table[["id", "label", "method", "asked_sparsity", "sparsity", "seed", "status"]]
    more = [keys.drop(columns="sparsity"), keys, keys]
    setting = UNDER[1:]
    parts = [frame.learning(records), frame.layers(records), frame.histograms(records)]
    epochs, layers, bins = (part.merge(key, on="id") for part, key in zip(parts, more, strict=True))
    for (arch, dataset, init, rescale, budget), rows in table.groupby(UNDER, sort=True):
        ids = set(rows["id"])
        yield ReportData(
            title=f"{arch} on {dataset}",
            heading=f"{arch} on {dataset} ({init} weights, rescale {rescale}; {budget})",
            stem=_cut(rows["stem"].iloc[0]),
            table=rows,
            epochs=epochs[epochs["id"].isin(ids)],
            layers=layers[layers["id"].isin(ids)],
            bins=bins[bins["id"].isin(ids)],
            widths=narrower(table[(table[setting] == [dataset, init, rescale, budget]).all(axis=1)], str(arch)),
            looks=all_looks,
            baseline=baseline_of(rows, baseline, table),
            command=_command(source),
            out=out,
            brief=has_wider(rows, table),
        )


def _baseline(source: ReportSource, table: pd.DataFrame) -> str:
    learned = _labels(table)
    if source.baseline and source.baseline not in learned:
        raise unknown("label to compare with", source.baseline, learned)
    usual = BASELINE if BASELINE in learned else learned[0] if learned else ""
    return source.baseline or usual


def _labels(table: pd.DataFrame) -> list[str]:
    """Those of the methods that search for a mask."""
    return sorted(set(table["label"][~table["method"].isin(REFERENCES)]))


def _command(source: ReportSource) -> str:
    return source.command or f"python -m slt_bench report {source.name}"


def _cut(stem: str) -> str:
    """A name that a file system takes, still its own."""
    if len(stem) <= LONGEST_STEM:
        return stem
    return f"{stem[:LONGEST_STEM]}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
