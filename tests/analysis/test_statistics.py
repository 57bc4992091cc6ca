"""Intervals over seeds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slt_bench.analysis.statistics import t_interval

accuracies = st.lists(st.floats(0, 1), min_size=2, max_size=20).filter(lambda values: np.std(values) > 1e-9)


@given(values=accuracies, confidence=st.floats(0.5, 0.99))
def test_the_interval_is_that_of_scipy(values, confidence):
    low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    interval = t_interval(values, confidence)
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.mean - interval.half_width == pytest.approx(low, abs=1e-9)
    assert interval.mean + interval.half_width == pytest.approx(high, abs=1e-9)


def test_one_seed_has_no_interval_and_none_has_no_mean():
    assert t_interval([0.7]).mean == 0.7
    assert math.isnan(t_interval([0.7]).half_width)
    assert math.isnan(t_interval([]).mean)
    assert t_interval([]).n == 0


def test_a_95_percent_interval_covers_the_truth():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        interval = t_interval(list(rng.normal(0.9, 0.01, 3)))
        covered += abs(interval.mean - 0.9) <= interval.half_width
    assert 0.93 <= covered / 2000 <= 0.97
