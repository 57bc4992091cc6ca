"""A section of a report: the figures and tables of one network under one budget, as plain data."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from slt_bench.analysis.curves import curves
from slt_bench.analysis.matched import best_by_sparsity, comparable_sparsity, ratios
from slt_bench.analysis.structure import dead_units
from slt_bench.report.figures.accuracy import accuracy_over_sparsity
from slt_bench.report.figures.axes import rounded
from slt_bench.report.figures.comparable import highest_sparsity
from slt_bench.report.figures.cost import accuracy_over_cost
from slt_bench.report.figures.densities import layer_densities
from slt_bench.report.figures.gates import binarisation, gate_histograms
from slt_bench.report.figures.learning import learning_curves
from slt_bench.report.figures.sanity import sanity_checks
from slt_bench.report.figures.width import over_width
from slt_bench.report.notes import notes
from slt_bench.report.plates import Plate, ReportData, SectionData, source, write_figure, write_table
from slt_bench.report.style import style
from slt_bench.report.tables.accuracy import accuracy_table
from slt_bench.report.tables.comparable import comparable_table, ratio_table
from slt_bench.report.tables.cost import cost_table
from slt_bench.report.tables.dead import dead_table
from slt_bench.report.tables.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BRIEF = (
    "A narrower version of a network that has a section of its own: layers, gates, learning curves, sanity checks and "
    "cost are drawn there. --archs {} draws them of this one."
)


@style()
def draw(material: ReportData) -> SectionData:
    """Write the figures and tables of one network into the report's folder."""
    summary = curves(material.table)
    accuracy = accuracy_table(summary, best_by_sparsity(material.table))
    plates = [
        _accuracy_figure(material, summary),
        _table(
            material,
            "accuracy",
            "Accuracy at matched sparsity",
            f"Mean {material.split} accuracy (%) of the hard masks with 95% t intervals over seeds. Bold: better than "
            "every other method, by a paired 95% interval over seeds that excludes 0. A seed has learned nothing where "
            "its accuracy is within three standard deviations of chance.",
            accuracy.transposed("sparsity" + accuracy.header[0].removeprefix("method (purity)")),
            summary,
            written=accuracy,
        ),
        *_compared(material),
        *(() if material.brief else _looked_into(material)),
    ]
    return SectionData(material.heading, plates, accuracy, BRIEF.format(material.arch) if material.brief else "")


def _compared(material: ReportData) -> Iterator[Plate]:
    """How sparse the methods get at one accuracy."""
    table, learned, looks = material.table, material.learned, material.looks
    reach = comparable_sparsity(table)
    if len(reach):
        sparsities = list(learned["sparsity"].dropna().map(rounded).unique())
        yield _figure(
            material, "comparable", "Highest sparsity at comparable accuracy",
            lambda: highest_sparsity(reach, looks, sparsities),
            "How sparse each method gets before its accuracy falls below that of dense training, or its own best, "
            "by more than 1 or 2 points: the last crossing of each seed's curve, interpolated between measured "
            "sparsities, never beyond them; mean and 95% interval over seeds. ≥: a seed is that accurate at its "
            "sparsest point still.",
            reach["label"],
        )  # fmt: skip
        yield _table(
            material, "comparable", "Sparsity at matched accuracy",
            "The highest sparsity within 1 and 2 points of the mean of dense training, and of the method's own best.",
            comparable_table(reach), reach,
        )  # fmt: skip
    compared = ratios(table, material.baseline) if material.baseline else pd.DataFrame()
    if len(compared):
        yield _table(
            material, "ratios", f"Compared with {material.baseline}",
            "Ratios over the seeds that both have, with 95% intervals. Below 1, the ratio of remaining weights says "
            "that the method keeps fewer. Where a curve ends, a ratio is a bound at most: "
            "that method, or the baseline, may be as accurate beyond.",
            ratio_table(compared, material.baseline), compared,
        )  # fmt: skip


def _looked_into(material: ReportData) -> Iterator[Plate]:
    """What the tickets are like, how they were found, and at what cost."""
    learned, looks = material.learned, material.looks
    densities = material.layers[material.layers["id"].isin(learned["id"])]
    if len(densities):
        yield _figure(
            material, "layers", "Layer densities", lambda: layer_densities(densities),
            "The share of weights that the mask keeps in each layer, the first layer at the top; means over seeds.",
            densities["label"],
        )  # fmt: skip
    if len(material.widths):
        yield _figure(
            material, "width", "Over the width of the network", lambda: over_width(material.widths, looks),
            "Accuracy of the hard masks (means; bars from the lowest seed to the highest), and "
            "the shares of gates that end at 0, at 1 and between, of methods that have such.",
            material.widths["label"], material.widths,
        )  # fmt: skip
    dead = dead_units(densities)
    if len(dead):
        yield _table(
            material, "dead", "Units without a weight",
            "The share of all units (outputs of a layer) that no kept weight leads to (%), at each sparsity; means "
            "over seeds.",
            dead_table(dead), dead,
        )  # fmt: skip
    relaxed = learned.dropna(subset=["binarisation_gap", "fractional"])
    if len(relaxed):
        yield _figure(
            material, "gap", "Relaxed against hard", lambda: binarisation(relaxed, looks),
            "Validation accuracy of the relaxed network minus that of its hard mask, and the share of gates that are "
            "neither 0 nor 1 at the end of the search; means over seeds.",
            relaxed["label"],
        )  # fmt: skip
    bins = material.bins[material.bins["id"].isin(learned["id"])]
    if len(bins):
        yield _figure(
            material, "gates", "Where the gates end", lambda: gate_histograms(bins),
            "Histograms of the relaxed network's gates at the end of the search, in bins of 0.05; means over seeds.",
            bins["label"],
        )  # fmt: skip
    epochs = material.epochs[material.epochs["method"] != "random_mask"]
    if epochs["epoch"].max() > 1:  # one epoch makes no curve
        yield _figure(
            material, "learning", "Learning curves", lambda: learning_curves(epochs, looks),
            "Validation accuracy of the relaxed network after each epoch, mean over seeds; the band goes from the "
            "lowest seed to the highest.",
            epochs["label"],
        )  # fmt: skip
    checked = learned.dropna(subset=["shuffled_accuracy", "redrawn_accuracy", "validation_accuracy"])
    if len(checked):
        yield _figure(
            material, "sanity", "Sanity checks", lambda: sanity_checks(checked, looks),
            "Validation accuracy of the tickets, of the same masks shuffled within their layers, of other weights "
            "under the same masks, and of what the masks remove. A ticket counts where all of these fall to chance.",
            checked["label"],
        )  # fmt: skip
    yield from _costs(material)


def _costs(material: ReportData) -> Iterator[Plate]:
    trained = material.table[material.table["method"] != "random_mask"]
    done = trained.dropna(subset=["accuracy", "search_seconds", "peak_memory_mb"])
    for number, (machine, rows) in enumerate(done.groupby("machine", sort=True), start=1):
        yield _figure(
            material, f"cost-{number}", f"Accuracy against cost on {machine}",
            partial(accuracy_over_cost, rows, material.looks),
            f"{material.split.capitalize()} accuracy over the seconds of the search, and over the job's peak memory; a "
            "dot a record, darker "
            f"where the mask is sparser. Only records made on {machine}.",
            rows["label"], rows,
        )  # fmt: skip
    yield _table(
        material, "cost", "Cost",
        "Medians of the search's time and of the whole job's, and the highest peak memory. Each machine has columns "
        "of its own. Jobs that shared a machine slowed each other down.",
        cost_table(material.table), material.table[["label", "machine", "seconds", "search_seconds", "peak_memory_mb"]],
    )  # fmt: skip


def _accuracy_figure(material: ReportData, summary: pd.DataFrame) -> Plate:
    seeds, budget = material.table["seed"].nunique(), material.table["budget"].iloc[0]
    return _figure(
        material, "accuracy", "Accuracy over sparsity",
        lambda: accuracy_over_sparsity(material.table, summary, material.looks, material.title),
        f"Mean {material.split} accuracy of the hard masks over up to {seeds} seeds with 95% t intervals; a dot is a "
        f"seed. Every method had {budget}.{notes(material.table)}",
        material.table["label"],
    )  # fmt: skip


def _figure(
    material: ReportData,
    kind: str,
    title: str,
    make: "Callable[[], Figure]",
    caption: str,
    labels: "pd.Series[str]",
    rows: pd.DataFrame | None = None,
) -> Plate:
    made_of = source(material.table if rows is None else rows, material.command)
    alt = f"{title} on {material.title}, of {', '.join(sorted(set(labels)))}. {caption}"
    return write_figure(make(), material.out, _stem(kind, material), title, caption, made_of, alt)


def _table(
    material: ReportData,
    kind: str,
    title: str,
    caption: str,
    table: Table,
    numbers: pd.DataFrame,
    written: Table | None = None,
) -> Plate:
    """A table on the page and in files; `written` where the files hold it in another shape."""
    files = write_table(material.out, _stem(kind, material), written or table, numbers)
    return Plate(title, caption, source(material.table, material.command), table=table, files=files)


def _stem(kind: str, material: ReportData) -> str:
    return f"{kind}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', material.stem)}"
