"""How often the intervals hold the truth, counted over simulated benchmarks.

What is said in `slt_bench.analysis.statistics` about which interval to take rests on these counts. Of 2,000 intervals
that hold the truth 95 times in 100, all but one count in 10,000 lies within two points of 95%.
"""

import numpy as np
import pandas as pd
import pytest

from slt_bench.analysis.statistics import paired_interval, t_interval

BENCHMARKS = 2000
MEAN, SPREAD = 0.9, 0.01  # of test accuracies over seeds


def covered(intervals, truth):
    return np.mean([not interval.excludes(truth) for interval in intervals])


def simulated(seeds):
    """Test accuracies, a row a benchmark and a column a seed."""
    return np.random.default_rng(seeds).normal(MEAN, SPREAD, (BENCHMARKS, seeds))


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_95_percent_t_interval_covers_the_truth_however_few_the_seeds(seeds):
    assert 0.93 <= covered(map(t_interval, simulated(seeds).tolist()), MEAN) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_95_percent_paired_interval_covers_the_true_difference(seeds):
    rng = np.random.default_rng(seeds)
    common = rng.normal(0, 5 * SPREAD, (BENCHMARKS, seeds))  # what a seed does to both methods
    first = common + rng.normal(MEAN, SPREAD, (BENCHMARKS, seeds))
    second = common + rng.normal(MEAN - 0.02, SPREAD, (BENCHMARKS, seeds))
    pairs = [(pd.Series(a), pd.Series(b)) for a, b in zip(first, second, strict=True)]
    assert 0.93 <= covered((paired_interval(a, b) for a, b in pairs), 0.02) <= 0.97


def test_pairing_by_seed_narrows_the_interval_where_seeds_move_both_alike():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 5 * SPREAD, (200, 3))
    first, second = (common + rng.normal(MEAN, SPREAD, (200, 3)) for _ in range(2))
    paired = [paired_interval(pd.Series(a), pd.Series(b)).half_width for a, b in zip(first, second, strict=True)]
    assert np.median(paired) < 0.5 * np.median([t_interval(row).half_width for row in first.tolist()])
