"""Which trial of a method's settings wins, judged by the validation accuracy of its records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slt_bench.jobs.tuning import Trial
from slt_bench.records import Record

MISSED = 0.005  # how far below the asked sparsity a mask may be: no trial wins by keeping more weights


@dataclass(frozen=True)
class Winner:
    """What came of a method's trials at a sparsity.

    Attributes:
        trial: The best.
        sparsity: The asked one; None where the method decides.
        score: Its mean validation accuracy over its seeds, in [0, 1].
        first: That of the untuned settings.
        trials: How many there were.
    """

    trial: Trial
    sparsity: float | None
    score: float
    first: float
    trials: int


def winners(found: list[Trial], records: Iterable[Record]) -> list[Winner]:
    """The best trial of each label at each sparsity: that of the highest mean validation accuracy, the first of equals.

    A job that diverged, failed or missed the asked sparsity counts as 0. Where some trials have more seeds than others,
    one of those wins: the others were left behind.

    Args:
        found: All trials.
        records: Of all their jobs.
    """
    return [_winner(sparsity, runs) for (_, sparsity), runs in _cells(found, records)]


def finalists(found: list[Trial], records: Iterable[Record], number: int) -> set[tuple[str, float | None]]:
    """Return the best trials of each label at each sparsity, as the trial's name and the sparsity.

    Args:
        found: All trials.
        records: Of all their jobs.
        number: How many of each.
    """
    chosen: set[tuple[str, float | None]] = set()
    for (_, sparsity), runs in _cells(found, records):
        scores = {trial: _score(there) for trial, there in runs.items()}
        best = sorted(scores, key=lambda trial: -scores[trial])[:number]
        chosen |= {(trial.name, sparsity) for trial in best}
    return chosen


Runs = dict[Trial, list[Record]]


def _cells(found: list[Trial], records: Iterable[Record]) -> list[tuple[tuple[str, float | None], Runs]]:
    """The records of each trial, by label and sparsity; trials in the order of their numbers."""
    cells: dict[tuple[str, float | None], Runs] = {}
    trials = {trial.name: trial for trial in found}
    for record in sorted(records, key=lambda record: trials[record.job.label].number):
        trial = trials[record.job.label]
        cells.setdefault((trial.label, record.job.sparsity), {}).setdefault(trial, []).append(record)
    labels = list(dict.fromkeys(trial.label for trial in found))
    order = sorted(cells, key=lambda cell: (labels.index(cell[0]), cell[1] or 0.0))
    return [(cell, cells[cell]) for cell in order]


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


def _winner(sparsity: float | None, runs: Runs) -> Winner:
    scores = {trial: _score(records) for trial, records in runs.items()}
    most = max(map(len, runs.values()))
    best = max((trial for trial in runs if len(runs[trial]) == most), key=lambda trial: scores[trial])
    return Winner(best, sparsity, scores[best], next(iter(scores.values())), len(scores))


def _score(records: Sequence[Record]) -> float:
    return sum((record.accuracy or 0.0) for record in records if _counts(record)) / len(records)


def _counts(record: Record) -> bool:
    """Whether a mask was found that is as sparse as it was asked to be."""
    asked, counted = record.job.sparsity, record.metrics.get("sparsity")
    return record.status == "done" and (asked is None or (counted or 0.0) >= asked - MISSED)
