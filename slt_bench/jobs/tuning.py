"""Equal tuning: as many trials for every method, under one budget, judged on validation.

The trials of a method are its untuned settings and the points of a Halton sequence (Halton 1960; Bergstra and Bengio
2012 for why points beat grids) in the ranges that its settings declare, or that the benchmark gives in their place.
They do not depend on each other's results: so all of them are known at the start, run in any order through any
executor, and go on where they were stopped. With one seed a trial, the best of many often leads by less than the noise
of a seed: the best few of each method and sparsity are then tried with more seeds, and the best mean wins.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from scipy.stats import qmc

from slt_bench.jobs.benchmark import Benchmark, Entry, Job, Tuned, nearest, resolve_settings
from slt_bench.method import Choice, Range
from slt_bench.registry import Registry
from slt_bench.utils.errors import UserError, unknown

SUFFIX = "-tune"
MOST = 20  # points that are looked at for a trial


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


def trials(benchmark: Benchmark, labels: Iterable[str], registry: Registry) -> list[Trial]:
    """All trials of some of a benchmark's labels, as many of each; methods that declare no ranges have none.

    Raises:
        UserError: No method declares any, or one too few; or a benchmark's own ranges make no sense.
    """
    found: list[Trial] = []
    for label in labels:
        entry = benchmark.methods[label]
        method = entry.method or label
        ranges = _ranges(label, entry, registry.find(method).settings_class.search_ranges())
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


def final_jobs(benchmark: Benchmark, jobs: Iterable[Job], cells: Collection[tuple[str, float | None]]) -> list[Job]:
    """Return the jobs of the finalists with the seeds that are theirs.

    Args:
        benchmark: Whose methods are tuned.
        jobs: Of the trials.
        cells: The label and sparsity of each finalist.
    """
    first = benchmark.tune.seeds[0]
    chosen = [job for job in jobs if job.seed == first and (job.label, job.sparsity) in cells]
    return [job.model_copy(update={"seed": seed}) for job in chosen for seed in benchmark.tune.final_seeds]


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
