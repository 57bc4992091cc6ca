"""Intervals over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean with its interval.

    Attributes:
        mean: Of the values; NaN where there is none.
        half_width: Of the interval; NaN below two values, which say nothing of their spread.
        n: How many values there are.
    """

    mean: float
    half_width: float
    n: int


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of independent values with Student's t interval.

    Args:
        values: Finite numbers, as one accuracy a seed.
        confidence: In (0, 1).
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, 0)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, math.nan, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    quantile = float(stats.t.ppf(0.5 + confidence / 2, n - 1))
    return Interval(mean, quantile * math.sqrt(variance / n), n)
