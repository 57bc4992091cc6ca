"""Equal tuning: as many trials for every method, under one budget, judged on validation.

The trials of a method are its untuned settings and the points of a Halton sequence (Halton 1960; Bergstra and Bengio
2012 for why points beat grids) in the ranges that its settings declare, or that the benchmark gives in their place.
They do not depend on each other's results: so all of them are known at the start, run in any order through any
executor, and go on where they were stopped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from scipy.stats import qmc

from slt_bench.jobs.benchmark import Benchmark, Entry, Tuned, nearest, resolve_settings
from slt_bench.method import Choice, Range
from slt_bench.records import Record
from slt_bench.registry import Registry
from slt_bench.utils.errors import UserError, unknown

SUFFIX = "-tune"
MOST = 20  # points that are looked at for a trial
MISSED = 0.005  # how far below the asked sparsity a mask may be: no trial wins by keeping more weights


@dataclass(frozen=True)
class Trial:
    """One of a method's trials.

    Attributes:
        label: Of the method in the benchmark.
        number: 0 are the untuned settings.
        tried: What is tried in place of them.
        values: Of all settings that are searched: as tried, or untuned, but for a default of None.
    """

    label: str
    number: int
    tried: Mapping[str, float | str] = field(hash=False)
    values: Mapping[str, float | str] = field(hash=False)

    @property
    def name(self) -> str:
        """Its label among all trials."""
        return f"{self.label}-{self.number}"


@dataclass(frozen=True)
class Winner:
    """What came of a method's trials at a sparsity.

    Attributes:
        trial: The best.
        sparsity: The asked one; None where the method decides.
        score: Its mean validation accuracy, in [0, 1].
        first: That of the untuned settings.
        trials: How many there were.
    """

    trial: Trial
    sparsity: float | None
    score: float
    first: float
    trials: int


def trials(benchmark: Benchmark, labels: Iterable[str], registry: Registry) -> list[Trial]:
    """All trials of some of a benchmark's labels, as many of each; methods that declare no ranges have none.

    Raises:
        UserError: No method declares any, or one too few; or a benchmark's own ranges make no sense.
    """
    found: list[Trial] = []
    for label in labels:
        entry = benchmark.methods[label]
        method = entry.method or label
        ranges = _ranges(label, entry, registry.find(method).settings_class.search)
        if not ranges:
            continue
        known = [resolve_settings(method, entry.settings, registry)]
        untuned = {name: value for name, value in known[0].model_dump().items() if name in ranges and value is not None}
        found.append(Trial(label, 0, {}, untuned))
        for tried in islice(_points(ranges), MOST * benchmark.tune.trials):
            settings = resolve_settings(method, entry.settings | tried, registry)
            if settings in known:  # a default may lie on a point
                continue
            found.append(Trial(label, len(known), tried, tried))
            known.append(settings)
            if len(known) == benchmark.tune.trials:
                break
        if len(known) < benchmark.tune.trials:
            raise UserError(f"What '{label}' may try makes {len(known)} trials, not {benchmark.tune.trials}.")
    if not found:
        raise UserError(f"No method that was chosen of {benchmark.name} declares what could be tuned.")
    return found


def _ranges(label: str, entry: Entry, declared: Mapping[str, Range | Choice]) -> Mapping[str, Range | Choice]:
    """What is tried of a label's settings: the benchmark's own ranges, each on the scale that the method declares."""
    if entry.search is None:
        return declared
    return {name: _range(label, name, ends, declared) for name, ends in entry.search.items()}


def _range(label: str, name: str, ends: tuple[float, float], declared: Mapping[str, Range | Choice]) -> Range:
    known = {name: found for name, found in declared.items() if isinstance(found, Range)}
    if name not in known:
        raise unknown(f"setting that {label} can be tuned in", name, known)
    low, high = ends
    if not low < high or (known[name].log and low <= 0):
        above = " above 0" if known[name].log else ""
        raise UserError(f"{label}: `tune` cannot try {name} from {low:g} to {high:g}: give two rising numbers{above}.")
    return replace(known[name], low=low, high=high)


def _points(ranges: Mapping[str, Range | Choice]) -> Iterator[dict[str, float | str]]:
    sequence = qmc.Halton(len(ranges), scramble=False)
    sequence.fast_forward(1)  # the first point is the lower end of everything
    while True:
        (point,) = sequence.random(1)
        yield {name: found.at(float(part)) for (name, found), part in zip(ranges.items(), point, strict=True)}


def tuning_benchmark(benchmark: Benchmark, found: list[Trial]) -> Benchmark:
    """The benchmark whose methods are the trials: its budget reads no test split."""
    tune = benchmark.tune
    budget = benchmark.budget.model_copy(
        update={"scores": "validation", "epochs": tune.epochs or benchmark.budget.epochs}
    )
    entries: dict[str, Entry] = {}
    for trial in found:
        entry = benchmark.methods[trial.label]
        own: dict[str, Any] = {
            "method": entry.method or trial.label,
            "settings": entry.settings | dict(trial.tried),
            "tuned": (),
            "sparsities": _sparsities(entry, tune.sparsities),
        }
        entries[trial.name] = entry.model_copy(update=own)
    changes: dict[str, Any] = {
        "name": benchmark.name + SUFFIX,
        "title": f"Trials of {benchmark.name}",
        "methods": entries,
        "archs": tune.archs or benchmark.archs,
        "sparsities": tune.sparsities or benchmark.sparsities,
        "seeds": tune.seeds,
        "budget": budget,
        "claims": (),
    }
    return benchmark.model_copy(update=changes)


def _sparsities(entry: Entry, tried: Sequence[float] | None) -> tuple[float, ...] | None:
    """Where a label with sparsities of its own is tried: wherever one of its jobs would have what is found."""
    if entry.sparsities is None or tried is None:
        return entry.sparsities
    points = [Tuned(sparsity=sparsity, settings={}) for sparsity in tried]
    used = [nearest(points, own) for own in entry.sparsities]
    return tuple(sparsity for sparsity, point in zip(tried, points, strict=True) if point in used)


def winners(found: list[Trial], records: Iterable[Record]) -> list[Winner]:
    """The best trial of each label at each sparsity: that of the highest mean validation accuracy, the first of equals.

    A job that diverged, failed or missed the asked sparsity counts as 0.

    Args:
        found: All trials.
        records: Of all their jobs.
    """
    cells: dict[tuple[str, float | None], dict[Trial, list[Record]]] = {}
    trials = {trial.name: trial for trial in found}
    for record in sorted(records, key=lambda record: trials[record.job.label].number):
        trial = trials[record.job.label]
        cells.setdefault((trial.label, record.job.sparsity), {}).setdefault(trial, []).append(record)
    labels = list(dict.fromkeys(trial.label for trial in found))
    order = sorted(cells, key=lambda cell: (labels.index(cell[0]), cell[1] or 0.0))
    return [_winner(sparsity, cells[label, sparsity]) for label, sparsity in order]


def at_an_end(winner: Winner, found: Sequence[Trial]) -> dict[str, str]:
    """Which of the winner's numbers are the "lowest" or "highest" of all that its label tried: better may lie beyond.

    Args:
        winner: What came of the trials.
        found: All trials, of any label; the untuned settings are one of them.
    """
    told: dict[str, str] = {}
    for name, value in winner.trial.values.items():
        tried = [trial.values[name] for trial in found if trial.label == winner.trial.label and name in trial.values]
        numbers = [number for number in tried if isinstance(number, float | int)]
        if len(set(numbers)) > 2:
            ends: dict[float | str, str] = {min(numbers): "lowest", max(numbers): "highest"}
            told |= {name: ends[value]} if value in ends else {}
    return told


def _winner(sparsity: float | None, runs: Mapping[Trial, list[Record]]) -> Winner:
    scores = {trial: _score(records) for trial, records in runs.items()}
    best = max(scores, key=lambda trial: scores[trial])
    return Winner(best, sparsity, scores[best], next(iter(scores.values())), len(scores))


def _score(records: Sequence[Record]) -> float:
    return sum((record.accuracy or 0.0) for record in records if _counts(record)) / len(records)


def _counts(record: Record) -> bool:
    """Whether a mask was found that is as sparse as it was asked to be."""
    asked, counted = record.job.sparsity, record.metrics.get("sparsity")
    return record.status == "done" and (asked is None or (counted or 0.0) >= asked - MISSED)
