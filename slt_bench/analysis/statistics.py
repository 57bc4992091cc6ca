"""Intervals over seeds, for one method and for pairs of methods."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

TASK = ["arch", "dataset", "init", "rescale", "budget", "asked_sparsity"]
FEWEST = 3  # seeds that a verdict, a test or a lead takes
WORST = -1.0  # below every accuracy


@dataclass(frozen=True)
class Interval:
    """A mean with its interval.

    Attributes:
        mean: Of the values; NaN where there is none.
        low, high: Ends of the interval; NaN below two values, which say nothing of their spread.
        n: How many values there are.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half of the way from low to high; NaN where they are unknown."""
        return (self.high - self.low) / 2

    def excludes(self, value: float) -> bool:
        """Whether a value lies outside; False where the ends are unknown, since nothing is known then."""
        return value < self.low or value > self.high


NOTHING = Interval(math.nan, math.nan, math.nan, 0)  # of no value


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of independent values with Student's t interval (Student 1908, "The probable error of a mean").

    It covers the truth as often as it says for normal values, whatever their number; tables and figures use it since
    seeds are few, where a bootstrap covers too seldom.

    Args:
        values: Finite numbers, as one accuracy a seed.
        confidence: In (0, 1).
    """
    n = len(values)
    if n < 2:
        return _without_ends(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half_width = float(special.stdtrit(n - 1, 0.5 + confidence / 2)) * math.sqrt(variance / n)
    return Interval(mean, mean - half_width, mean + half_width, n)


def paired_interval(first: "pd.Series[Any]", second: "pd.Series[Any]", confidence: float = 0.95) -> Interval:
    """How much the first is above the second: the mean of the differences by seed, with its t interval.

    Where both take the same frozen weights and batches under a seed, what the seed does to both cancels, so that it is
    narrower than an interval from the two means.

    Args:
        first: Values indexed by seed; only seeds that both have count, and no NaN.
        second: What is taken from them.
        confidence: In (0, 1).

    Raises:
        ValueError: A seed is there twice.
    """
    pairs = _pairs(first, second)
    return t_interval((pairs["first"] - pairs["second"]).tolist(), confidence)


def paired_ratio(first: "pd.Series[Any]", second: "pd.Series[Any]", confidence: float = 0.95) -> Interval:
    """The mean of the ratios first / second by seed, with its t interval.

    Args:
        first: Values indexed by seed; only seeds that both have count, no NaN, and none where the second is 0.
        second: What they are divided by.
        confidence: In (0, 1).

    Raises:
        ValueError: A seed is there twice.
    """
    pairs = _pairs(first, second)
    pairs = pairs[pairs["second"] != 0]
    return t_interval((pairs["first"] / pairs["second"]).tolist(), confidence)


def probability_of_improvement(
    table: pd.DataFrame,
    label: str,
    baseline: str,
    metric: str = "accuracy",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """How likely a run of one label is better than a run of another, on a task drawn at random.

    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (arXiv 2108.13264),
    section 4.3: the mean over tasks of P(X > Y) + P(X = Y) / 2, which on each task is the Mann-Whitney U over the
    number of pairs. The interval is the percentile one of their stratified bootstrap (section 4.1): seeds are drawn
    anew within each task, for each label on its own.

    Args:
        table: As from `frame`, of any number of networks. A run that diverged is worse than every other.
        label: Whose improvement it is.
        baseline: Over whom.
        metric: A column in which more is better.
        confidence: In (0, 1).
        resamples: How often the seeds are drawn anew.
        seed: Of the drawing.

    Returns:
        mean, low and high in [0, 1], 0.5 where neither is better, and n, the number of tasks (`TASK`) that both have.
        The mean is NaN where there is none; low and high are NaN also where a label has but one run on a task.
    """
    tasks = _tasks(table, label, baseline, metric)
    if not tasks:
        return _without_ends([])
    wins = [_wins(first, second) for first, second in tasks]
    mean = float(np.mean([won.mean() for won in wins]))
    if min(min(won.shape) for won in wins) < 2:
        return Interval(mean, math.nan, math.nan, len(tasks))
    rng = np.random.default_rng(seed)
    drawn = np.mean([_resampled(won, resamples, rng) for won in wins], axis=0)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, float(low), float(high), len(tasks))


def _without_ends(values: Sequence[float]) -> Interval:
    """The interval of no value or of one."""
    return Interval(values[0] if values else math.nan, math.nan, math.nan, len(values))


def _pairs(first: "pd.Series[Any]", second: "pd.Series[Any]") -> pd.DataFrame:
    """Columns first and second, a row a seed that both have."""
    if first.index.has_duplicates or second.index.has_duplicates:
        raise ValueError("A seed is there twice, so that values cannot be paired by seed.")
    return pd.concat({"first": first, "second": second}, axis=1, join="inner").dropna()


def _tasks(
    table: pd.DataFrame, label: str, baseline: str, metric: str
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The values of both labels, an array of each, on every task that both have."""
    known = ((table["status"] == "done") & table[metric].notna()) | (table["status"] == "diverged")
    ended = table[known & table["label"].isin((label, baseline))]
    tasks = []
    for _, rows in ended.groupby(TASK, dropna=False):
        own = (rows["label"] == label).to_numpy()
        values = np.where(rows["status"] == "diverged", WORST, rows[metric].to_numpy(np.float64))
        if own.any() and not own.all():
            tasks.append((values[own], values[~own]))
    return tasks


def _wins(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """A row for each of the first, a column for each of the second: 1 where the first is more, 1/2 where equal."""
    return 0.5 * (1 + np.sign(first[:, None] - second))


def _resampled(wins: NDArray[np.float64], resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The mean of `wins` in each resample of its rows and, on their own, of its columns."""
    n, m = wins.shape
    rows = rng.multinomial(n, np.full(n, 1 / n), resamples) / n  # how often each was drawn, as a share
    columns = rng.multinomial(m, np.full(m, 1 / m), resamples) / m
    means: NDArray[np.float64] = ((rows @ wins) * columns).sum(axis=1)
    return means
