"""Records as a DataFrame, a row a record."""

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import pandas as pd

from slt_bench.data.catalogue import DATASETS
from slt_bench.records import Record
from slt_bench.utils.text import pluralize

EMPTY = (
    *("id", "label", "method", "method_version", "purity", "arch", "dataset", "init", "rescale", "budget"),
    *("epochs", "labels", "split", "asked_sparsity", "seed", "status", "learned", "images", "n", "machine", "versions"),
)
COSTS = ("seconds", "search_seconds", "peak_memory_mb")
CELL = ["label", "arch", "dataset", "init"]
METRICS = (
    "accuracy",
    "validation_accuracy",
    "relaxed_accuracy",
    "binarisation_gap",
    "sparsity",
    "fractional",
    "closed",
    "open",
    "shuffled_accuracy",
    "redrawn_accuracy",
    "inverted_accuracy",
)


@dataclass(frozen=True)
class Sorted:
    """Records sorted by what a comparison may do with them: compare them, or only tell of them."""

    compared: list[Record]
    left_out: dict[str, str]


def comparable(records: Iterable[Record], stale: Collection[str] = ()) -> Sorted:
    """Leave out, with the reason: smoke records, records of older versions of a method, and those that failed.

    Args:
        records: Of one benchmark.
        stale: Ids of records that are known to be stale, beside those that a newer record shows to be.
    """
    listed = list(records)
    newest: dict[str, int] = {}
    for record in listed:
        newest[record.job.method] = max(newest.get(record.job.method, 0), record.method_version)
    kept: list[Record] = []
    left_out: dict[str, str] = {}
    for record in listed:
        if record.job.smoke:
            left_out[record.job.folder] = "a smoke run"
        elif record.method_version < newest[record.job.method] or record.id in stale:
            left_out[record.job.folder] = f"stale: version {record.method_version} of {record.job.method}"
        elif record.status == "failed":
            left_out[record.job.folder] = f"failed: {record.reason}"
        else:
            kept.append(record)
    return Sorted(kept, left_out)


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """A row a record.

    Columns: id, label, method, method_version, purity, arch, dataset, init, rescale, budget, labels (of the training
    split), split (that the accuracy is measured on: test or validation), asked_sparsity (NaN where the method decides),
    seed, status, learned (False where the accuracy is within noise of chance, which a method that learned nothing has;
    True of a random mask, which learns nothing by design), images (on which the accuracy is measured), n, seconds (of
    the whole job), search_seconds, peak_memory_mb, machine (what times may be compared on: hardware, device, threads,
    packs), versions, and the metrics as fractions in [0, 1], `accuracy` first; a metric that was not measured is NaN,
    and so are all metrics of a record that is not "done".
    Where records of one label differ in method or settings at one place and sparsity, their labels tell the settings,
    so that they are never taken for seeds of one another. From one sparsity to the next settings may change, as tuned
    ones do.
    """
    records = list(records)
    names = _data_names(records)
    labels = _labels(records, names)
    rows = []
    for record in records:
        job = record.job
        done = record.status == "done"
        metrics = {name: record.metrics.get(name) for name in METRICS} | {"accuracy": record.accuracy}
        metrics = metrics if done else dict.fromkeys(METRICS)
        rows.append(
            {
                "id": record.id,
                "label": labels[record.id],
                "method": job.method,
                "method_version": record.method_version,
                "purity": record.purity,
                "arch": job.arch,
                "dataset": names[job.id],
                "init": job.init,
                "rescale": job.rescale,
                "budget": job.budget.text(),
                "epochs": job.budget.epochs,
                "labels": job.budget.labels,
                "split": job.budget.scores,
                "asked_sparsity": job.sparsity,
                "seed": job.seed,
                "status": record.status,
                "learned": not done or _has_learned(record),
                "images": _scored(record)[0],
                "n": record.n,
                "seconds": record.seconds.get("total"),
                "search_seconds": record.seconds.get("search"),
                "peak_memory_mb": record.peak_memory_mb,
                "machine": _machine(record),
                "versions": _versions(record),
                **metrics,
            }
        )
    columns = list(rows[0]) if rows else [*EMPTY, *COSTS, *METRICS]
    table = pd.DataFrame(rows, columns=columns)
    numbers = ["asked_sparsity", *METRICS, *(name for name in COSTS if name in columns)]
    return table.astype(dict.fromkeys(numbers, "float64"))


def _has_learned(record: Record) -> bool:
    """Whether an accuracy is further from chance than three standard deviations of counting the images."""
    images, chance = _scored(record)
    noise = 3 * math.sqrt(chance * (1 - chance) / images) if images else 0.0
    return record.job.method == "random_mask" or record.accuracy is None or record.accuracy > chance + noise


def _scored(record: Record) -> tuple[int, float]:
    """How many images an accuracy is measured on, and what chance has there; zeros where nobody knows."""
    if record.images is not None and record.chance is not None:
        return record.images, record.chance
    info = DATASETS.get(record.job.dataset)
    if info is None:
        return 0, 0.0
    return info.test if record.job.budget.scores == "test" else info.train // 10, info.chance


def learning(records: Iterable[Record]) -> pd.DataFrame:
    """A row an epoch of each record: id, epoch, validation_accuracy in [0, 1], and what else its curve holds."""
    rows = [{"id": record.id} | row for record in records for row in record.curve]
    return pd.DataFrame(rows, columns=None if rows else ["id", "epoch", "validation_accuracy"])


def layers(records: Iterable[Record]) -> pd.DataFrame:
    """A row a layer of each record.

    Columns: id, layer (its name), place (0 is the first), size, density in [0, 1], units (its outputs), and how many of
    those are dead (NaN where that was not counted).
    """
    rows = [
        {
            "id": record.id,
            "layer": layer.name,
            "place": place,
            "size": prod(layer.shape),
            "density": layer.density,
            "units": layer.shape[0],
            "dead": layer.dead_units,
        }
        for record in records
        for place, layer in enumerate(record.layers)
    ]
    columns = ["id", "layer", "place", "size", "density", "units", "dead"]
    return pd.DataFrame(rows, columns=columns).astype({"dead": "float64"})


def histograms(records: Iterable[Record]) -> pd.DataFrame:
    """A row a bin of the gates of each record that has them: id, low and high (edges in [0, 1]), share of all gates."""
    rows = [
        {"id": record.id, "low": index / len(counts), "high": (index + 1) / len(counts), "share": number / sum(counts)}
        for record in records
        if sum(counts := record.gate_histogram)
        for index, number in enumerate(counts)
    ]
    return pd.DataFrame(rows, columns=["id", "low", "high", "share"])


def _machine(record: Record) -> str:
    made = record.provenance
    threads = (
        f", {pluralize(made['threads'], 'thread')}" if made.get("device", "cpu") == "cpu" and "threads" in made else ""
    )
    packed = f", packs of {made['packed']}" if made.get("packed", 1) > 1 else ""
    return f"{made.get('hardware') or 'an unknown machine'}{threads}{packed}"


def _versions(record: Record) -> str:
    made = record.provenance
    commit = f" at {made['commit']}" if made.get("commit") else ""
    return f"slt_bench {made.get('slt_bench', '?')}{commit}, torch {made.get('torch', '?')}"


def _data_names(records: Sequence[Record]) -> dict[str, str]:
    """The name of each record's data set by its id: one name for one content in one size, whatever its paths are."""
    first: dict[str, str] = {}
    return {record.id: first.setdefault(record.job.data_key, record.job.data_name) for record in records}


def _labels(records: Sequence[Record], names: Mapping[str, str]) -> dict[str, str]:
    """The label of each record by its id, with the settings where they are not the same in a cell of that label."""
    variants: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for record in records:
        job = record.job
        cell = (job.label, job.arch, names[job.id], job.init, job.rescale, job.budget.text(), job.sparsity)
        variants[cell].add(_variant(record))
    mixed = {str(cell[0]) for cell, found in variants.items() if len(found) > 1}
    return {
        record.id: f"{record.job.label} [{_variant(record)}]" if record.job.label in mixed else record.job.label
        for record in records
    }


def _variant(record: Record) -> str:
    settings = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(record.job.settings.items()))
    method = "" if record.job.method == record.job.label else f"{record.job.method}: "
    return method + (settings or "defaults")
