"""Intervals over seeds, and over pairs of methods."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slt_bench.analysis.statistics import (
    Interval,
    paired_interval,
    paired_ratio,
    probability_of_improvement,
    t_interval,
)

accuracies = st.lists(st.floats(0, 1), min_size=2, max_size=20).filter(lambda values: np.std(values) > 1e-9)
few = st.lists(st.sampled_from((0.1, 0.2, 0.3, 0.4)), min_size=1, max_size=6)  # with ties


@given(values=accuracies, confidence=st.floats(0.5, 0.99))
def test_the_t_interval_is_that_of_scipy(values, confidence):
    low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    interval = t_interval(values, confidence)
    assert interval.mean == pytest.approx(np.mean(values))
    assert (interval.low, interval.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert interval.half_width == pytest.approx((high - low) / 2, abs=1e-9)
    assert interval.n == len(values)


def test_one_seed_has_no_interval_and_none_has_no_mean():
    one, none = t_interval([0.7]), t_interval([])
    assert (one.mean, one.n, none.n) == (0.7, 1, 0)
    assert math.isnan(none.mean)
    for interval in (one, none):
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert math.isnan(interval.half_width)
        assert not interval.excludes(-100)


@pytest.mark.parametrize("values", [[0.1] * 3, [0.3, 0.1 + 0.2], [0.0, 1e-200], [0.0] * 2])
def test_equal_values_have_no_width_and_no_warning(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = t_interval(values)
    assert interval.low == pytest.approx(interval.mean, abs=1e-12)
    assert interval.high == pytest.approx(interval.mean, abs=1e-12)


def test_an_interval_excludes_what_lies_outside():
    interval = Interval(0.5, 0.4, 0.6, 3)
    assert [interval.excludes(value) for value in (0.39, 0.4, 0.5, 0.6, 0.61)] == [True, False, False, False, True]


@given(differences=accuracies)
def test_the_paired_interval_agrees_with_the_paired_t_test(differences):
    second = pd.Series(np.linspace(0.2, 0.9, len(differences)))
    first = second + differences
    low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
    interval = paired_interval(first, second)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=1e-7), pytest.approx(high, abs=1e-7))


def test_only_seeds_that_both_have_are_paired():
    first = pd.Series({2: 0.9, 0: 0.5, 1: 0.8, 3: math.nan})
    second = pd.Series({1: 0.7, 2: 0.6, 3: 0.1, 4: 0.2})
    interval = paired_interval(first, second)
    assert (interval.mean, interval.n) == (pytest.approx(0.2), 2)
    assert paired_interval(first, second.loc[[4]]).n == 0


def test_a_ratio_is_the_mean_of_the_seeds_ratios():
    interval = paired_ratio(pd.Series({0: 0.4, 1: 0.9, 2: 0.5}), pd.Series({0: 0.2, 1: 0.9, 2: 0.0, 3: 1.0}))
    assert interval == t_interval([2.0, 1.0])


def test_a_seed_that_is_there_twice_cannot_be_paired():
    twice = pd.Series([0.1, 0.2], index=[0, 0])
    with pytest.raises(ValueError, match="twice"):
        paired_interval(twice, twice)


def runs(label, accuracies, **cell):
    network = {"arch": "lenet300", "dataset": "mnist", "init": "signed_constant", "rescale": "density", "budget": "1"}
    task = {"asked_sparsity": 0.5, "status": "done"}
    return [
        network | task | {"label": label, "seed": seed, "accuracy": accuracy} | cell
        for seed, accuracy in enumerate(accuracies)
    ]


@given(first=few, second=few)
def test_on_one_task_the_probability_is_the_mann_whitney_u_over_the_pairs(first, second):
    interval = probability_of_improvement(pd.DataFrame(runs("a", first) + runs("b", second)), "a", "b", resamples=9)
    wanted = stats.mannwhitneyu(first, second).statistic / (len(first) * len(second))
    assert interval.mean == pytest.approx(wanted)


def test_the_probability_is_the_mean_over_tasks_that_both_have():
    rows = runs("a", [0.9, 0.9]) + runs("b", [0.8, 0.8])  # always better
    rows += runs("a", [0.5, 0.5], asked_sparsity=math.nan) + runs("b", [0.5, 0.5], asked_sparsity=math.nan)  # ties
    rows += runs("a", [0.1, 0.1], init="normal") + runs("b", [0.8, 0.8], init="normal")  # always worse
    rows += runs("a", [0.7, 0.7, 0.7], arch="lenet5") + runs("c", [0.1], arch="lenet5")  # not a task of both
    interval = probability_of_improvement(pd.DataFrame(rows), "a", "b")
    assert interval == Interval(0.5, 0.5, 0.5, 3)  # the same within each task, so that no resample differs


def test_a_run_that_diverged_is_worse_than_every_other():
    rows = runs("a", [0.9, 0.9]) + runs("a", [math.nan], status="diverged") + runs("b", [0.8, 0.8])
    assert probability_of_improvement(pd.DataFrame(rows), "a", "b").mean == pytest.approx(2 / 3)
    assert probability_of_improvement(pd.DataFrame(rows), "b", "a").mean == pytest.approx(1 / 3)
    both = rows + runs("b", [math.nan], status="diverged")
    assert probability_of_improvement(pd.DataFrame(both), "a", "b").mean == pytest.approx((6 + 0.5) / 9)


def test_the_probability_has_no_interval_from_single_runs_and_no_mean_without_tasks():
    table = pd.DataFrame(runs("a", [0.9]) + runs("b", [0.8, 0.7]))
    interval = probability_of_improvement(table, "a", "b")
    assert (interval.mean, interval.n) == (1.0, 1)
    assert math.isnan(interval.low)
    assert math.isnan(probability_of_improvement(table, "a", "c").mean)


def test_the_stratified_bootstrap_draws_seeds_as_a_plain_loop_does():
    first, second = np.array([0.5, 0.6, 0.7, 0.9]), np.array([0.4, 0.65, 0.8])
    interval = probability_of_improvement(
        pd.DataFrame(runs("a", first) + runs("b", second)), "a", "b", confidence=0.5, resamples=20_000
    )
    rng = np.random.default_rng(5)
    drawn = [(rng.choice(first, 4)[:, None] > rng.choice(second, 3)).mean() for _ in range(20_000)]
    low, high = np.quantile(drawn, [0.25, 0.75])
    assert interval.low == pytest.approx(low, abs=0.02)
    assert interval.high == pytest.approx(high, abs=0.02)
    assert interval.low < interval.mean < interval.high
