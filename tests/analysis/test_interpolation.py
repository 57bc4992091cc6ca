"""Between the measured points of a curve."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slt_bench.analysis.interpolation import Reach, accuracy_at, sparsity_at

GRID = (0.0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
fractions = st.floats(0, 1)
percents = st.integers(0, 100).map(lambda percent: percent / 100)  # far enough apart not to be taken for equal


@st.composite
def curves(draw, least=1, accuracies=fractions):
    """Sparsities in ascending order with any accuracies, monotone or not."""
    sparsities = sorted(draw(st.lists(st.sampled_from(GRID), min_size=least, unique=True)))
    return sparsities, draw(st.lists(accuracies, min_size=len(sparsities), max_size=len(sparsities)))


@given(curve=curves(), data=st.data())
def test_a_measured_point_is_given_as_it_is_in_any_order(curve, data):
    order = data.draw(st.permutations(range(len(curve[0]))))
    sparsities, accuracies = ([values[i] for i in order] for values in curve)
    for sparsity, accuracy in zip(*curve, strict=True):
        assert accuracy_at(sparsities, accuracies, sparsity) == accuracy


@given(curve=curves(least=2), share=st.floats(0, 1), data=st.data())
def test_between_two_points_the_accuracy_lies_between_theirs(curve, share, data):
    sparsities, accuracies = curve
    left = data.draw(st.integers(0, len(sparsities) - 2))
    sparsity = sparsities[left] + share * (sparsities[left + 1] - sparsities[left])
    low, high = sorted(accuracies[left : left + 2])
    assert low - 1e-12 <= accuracy_at(sparsities, accuracies, sparsity) <= high + 1e-12


@given(curve=curves(), sparsity=st.floats(0, 0.9999))
def test_outside_the_measured_range_nothing_is_known(curve, sparsity):
    inside = curve[0][0] - 1e-6 <= sparsity <= curve[0][-1]
    near = any(abs(math.log10((1 - sparsity) / (1 - point))) <= 1e-3 for point in curve[0])
    assert math.isnan(accuracy_at(*curve, sparsity)) == (not inside and not near)


def test_the_line_is_straight_in_the_logarithm_of_the_remaining_weights():
    assert accuracy_at([0.9, 0.999], [0.8, 0.6], 0.99) == pytest.approx(0.7)
    assert sparsity_at([0.9, 0.999], [0.8, 0.6], 0.7).sparsity == pytest.approx(0.99)


def test_rounding_of_the_counted_sparsity_does_not_end_a_curve():
    assert accuracy_at([0.1 + 0.2], [0.9], 0.3) == 0.9
    assert accuracy_at([0.8, 0.9499], [0.9, 0.7], 0.95) == 0.7
    assert math.isnan(accuracy_at([0.8, 0.94], [0.9, 0.7], 0.95))


def test_accuracies_of_one_sparsity_are_averaged():
    assert accuracy_at([0.3, 0.1 + 0.2, 0.9], [0.8, 0.9, 0.1], 0.3) == pytest.approx(0.85)
    assert sparsity_at([0.5, 0.9, 0.9], [0.9, 0.9, 0.7], 0.8) == Reach(0.9, at_end=True, held=0.9)


@pytest.mark.parametrize("curve", [([], []), ([math.nan], [0.9]), ([0.5], [math.nan])])
def test_a_curve_without_points_says_nothing(curve):
    assert math.isnan(accuracy_at(*curve, 0.5))
    reach = sparsity_at(*curve, 0.0)
    assert math.isnan(reach.sparsity)
    assert not reach.at_end


@given(curve=curves(accuracies=percents), accuracy=percents)
def test_the_reach_agrees_with_a_fine_search_along_the_curve(curve, accuracy):
    depths = -np.log10(1 - np.array(curve[0]))
    fine = np.union1d(np.linspace(depths[0], depths[-1], 1000), depths)
    reached = np.flatnonzero(np.interp(fine, depths, curve[1]) >= accuracy)
    reach = sparsity_at(*curve, accuracy)
    assert math.isnan(reach.sparsity) == (not len(reached))
    if len(reached):
        after = fine[min(reached[-1] + 1, len(fine) - 1)]
        assert fine[reached[-1]] - 1e-9 <= -math.log10(1 - reach.sparsity) <= after + 1e-9


@given(curve=curves(), thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_higher_threshold_never_reaches_further(curve, thresholds):
    low, high = sorted(thresholds)
    easy, hard = sparsity_at(*curve, low), sparsity_at(*curve, high)
    assert math.isnan(hard.sparsity) or hard.sparsity <= easy.sparsity + 1e-9
    assert easy.at_end or not hard.at_end


@given(curve=curves(), accuracy=st.floats(0, 1))
def test_a_curve_reaches_no_further_than_its_end(curve, accuracy):
    reach = sparsity_at(*curve, accuracy)
    assert math.isnan(reach.sparsity) == (max(curve[1]) < accuracy - 1e-9)
    assert reach.at_end == (curve[1][-1] >= accuracy - 1e-9)
    if reach.at_end:
        assert reach.sparsity == reach.held == curve[0][-1]
    elif not math.isnan(reach.sparsity):
        assert reach.held <= reach.sparsity <= reach.fallen
        assert curve[0].index(reach.fallen) == curve[0].index(reach.held) + 1


def test_the_last_fall_counts_on_a_curve_that_rises_again():
    reach = sparsity_at([0.5, 0.8, 0.9, 0.99], [0.9, 0.7, 0.9, 0.5], 0.8)
    assert reach == Reach(pytest.approx(1 - 10**-1.25), at_end=False, held=0.9, fallen=0.99)


def test_a_threshold_that_is_met_but_for_rounding_is_met():
    assert sparsity_at([0.5], [0.3], 0.1 + 0.2) == Reach(0.5, at_end=True, held=0.5)


@pytest.mark.parametrize(("sparsities", "sparsity"), [([0.5, 1.0], 0.5), ([-0.1, 0.5], 0.5), ([0.5, 0.6], 1.0)])
def test_what_is_no_sparsity_is_refused(sparsities, sparsity):
    with pytest.raises(ValueError, match=r"not in \[0, 1\)"):
        accuracy_at(sparsities, [0.9, 0.8], sparsity)


def test_a_curve_has_an_accuracy_for_each_sparsity():
    with pytest.raises(ValueError, match="2 sparsities, but 1 acc"):
        accuracy_at([0.1, 0.2], [0.9], 0.1)
