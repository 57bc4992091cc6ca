"""Equal tuning: as many trials for every method, under one budget, judged on validation.

The trials of a method are its untuned settings and the points of a Halton sequence (Halton 1960; Bergstra and Bengio
2012 for why points beat grids) in the ranges that its settings declare. They do not depend on each other's results: so
all of them are known at the start, run in any order through any executor, and go on where they were stopped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import qmc

from slt_bench.benchmark import Benchmark, Entry, resolve_settings
from slt_bench.errors import UserError
from slt_bench.method import Range
from slt_bench.plugins import Registry
from slt_bench.records import Record

SUFFIX = "-tune"


@dataclass(frozen=True)
class Trial:
    """One of a method's trials.

    Attributes:
        label: Of the method in the benchmark.
        number: 0 are the untuned settings.
        tried: What is tried in place of them.
    """

    label: str
    number: int
    tried: Mapping[str, float]

    @property
    def name(self) -> str:
        """Its label among all trials."""
        return f"{self.label}-{self.number}"


@dataclass(frozen=True)
class Winner:
    """What came of a method's trials.

    Attributes:
        trial: The best.
        score: Its mean validation accuracy, in [0, 1].
        first: That of the untuned settings.
        trials: How many there were.
        seconds: That all of them took.
    """

    trial: Trial
    score: float
    first: float
    trials: int
    seconds: float


def trials(benchmark: Benchmark, registry: Registry) -> list[Trial]:
    """All trials of a benchmark's methods, as many of each; methods that declare no ranges have none.

    Raises:
        UserError: No method declares any.
    """
    found: list[Trial] = []
    for label, entry in benchmark.methods.items():
        method = entry.method or label
        ranges = registry.find(method).settings_class.search
        if not ranges:
            continue
        known = [resolve_settings(method, entry.settings, registry)]
        found.append(Trial(label, 0, {}))
        for tried in _points(ranges):
            settings = resolve_settings(method, entry.settings | tried, registry)
            if settings in known:  # which happens where a default lies on a point
                continue
            found.append(Trial(label, len(known), tried))
            known.append(settings)
            if len(known) == benchmark.tune.trials:
                break
    if not found:
        raise UserError(f"No method of {benchmark.name} declares what could be tuned.")
    return found


def _points(ranges: Mapping[str, Range]) -> Iterator[dict[str, float]]:
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
        own = {"method": entry.method or trial.label, "tuned": dict(trial.tried), "sparsities": None}
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


def winners(found: list[Trial], records: Mapping[str, list[Record]]) -> dict[str, Winner]:
    """The best trial of each label: the one of highest mean validation accuracy, of equal ones the first.

    A job that diverged or failed counts as 0.

    Args:
        found: All trials.
        records: Of each trial, by its name; each of them complete.
    """
    best: dict[str, Winner] = {}
    for label in dict.fromkeys(trial.label for trial in found):
        own = [trial for trial in found if trial.label == label]
        scores = {trial.number: _score(records[trial.name]) for trial in own}
        top = max(own, key=lambda trial: scores[trial.number])
        seconds = sum(record.seconds.get("total", 0.0) for trial in own for record in records[trial.name])
        best[label] = Winner(top, scores[top.number], scores[own[0].number], len(own), seconds)
    return best


def _score(records: list[Record]) -> float:
    values = [(record.accuracy or 0.0) if record.status == "done" else 0.0 for record in records]
    return sum(values) / len(values)
