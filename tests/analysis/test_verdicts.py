"""Verdicts on published claims."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from slt_bench.analysis.statistics import t_interval
from slt_bench.analysis.verdicts import judge
from slt_bench.jobs.paper_claims import PaperClaim

GATES = {"gates": {0.5: [0.96, 0.97, 0.98], 0.9: [0.95, 0.96, 0.97], 0.99: [0.5, 0.5, 0.5]}}
DENSE = {"dense": {0.0: [0.98, 0.98, 0.98]}}
ENDS = "the grid of gates ends before its accuracy falls"
BASELINE_ENDS = "the grid of edgepopup ends before its accuracy falls"


def claim(**values):
    return PaperClaim(**({"who": "A", "method": "gates", "arch": "lenet300", "dataset": "digits"} | values))


def judged(records, **values):
    (one,) = judge([claim(**values)], records)
    return one


def verdict(records, **values):
    one = judged(records, **values)
    return one.verdict, one.reason, one.measured


def thrice(curve):
    return {sparsity: [accuracy] * 3 for sparsity, accuracy in curve.items()}


@pytest.mark.parametrize(
    ("accuracy", "relation", "expected"),
    [  # measured: 97.0 +- 2.5, from 94.5 to 99.5
        (0.94, "at least", "confirmed"),
        (0.97, "at least", "inconclusive"),
        (0.99, "at least", "inconclusive"),
        (0.996, "at least", "refuted"),
        (0.97, "about", "inconclusive"),  # wider than the band of a point on both sides
        (0.93, "about", "exceeded"),
        (1.0, "about", "inconclusive"),
    ],
)
def test_an_accuracy_is_judged_by_its_whole_interval(accuracy, relation, expected):
    found, _, measured = verdict(table(GATES), sparsity=0.5, accuracy=accuracy, relation=relation)
    assert found == expected
    assert measured.mean == pytest.approx(0.97)
    assert (measured.low, measured.high) == pytest.approx((0.945158, 0.994842), abs=1e-5)


def test_about_is_a_band_on_both_sides():
    near = table({"gates": {0.5: [0.968, 0.97, 0.972]}})  # 97.0 +- 0.5
    about = {"sparsity": 0.5, "relation": "about"}
    assert [verdict(near, accuracy=value, **about)[0] for value in (0.95, 0.9749, 0.98, 0.99)] == [
        "exceeded", "confirmed", "inconclusive", "refuted",
    ]  # fmt: skip
    assert verdict(near, accuracy=0.98, tolerance=2.0, **about)[0] == "confirmed"


def test_between_measured_sparsities_curves_are_interpolated_and_beyond_them_nothing_is_said():
    between = verdict(table(GATES), sparsity=0.8, accuracy=0.9)[2]
    assert 0.96 < between.mean < 0.97
    found, reason, measured = verdict(table(GATES), sparsity=0.3, accuracy=0.9)
    assert (found, measured) == ("not run", None)
    assert reason == "sparsity 0.3 lies outside of what was measured of gates: 0.5 to 0.99"


def test_a_point_that_missed_the_asked_sparsity_by_a_little_is_judged_all_the_same():
    near = table({"gates": {0.77: [0.5, 0.6, 0.6]}})
    near["sparsity"] = [0.762, 0.775, 0.775]
    assert verdict(near, sparsity=0.77, accuracy=0.9)[2].mean == pytest.approx(1.7 / 3)
    near["sparsity"] = [0.75, 0.775, 0.775]
    assert verdict(near, sparsity=0.77, accuracy=0.9)[2].n == 2


def test_what_is_left_after_a_loss_confirms_nothing():
    """The seed that was lost may have been the worst: dropping it may not make a verdict firmer."""
    lost = table({"gates": {0.5: [0.9, 0.9, 0.9, 0.9], 0.9: [0.9, 0.9, 0.9, None], 0.95: [0.9, 0.9, None, None]}})
    there, told = verdict(lost, sparsity=0.7, accuracy=0.8), "gates lost seed 2 at 0.95 and seed 3 at 0.9, 0.95"
    assert there[:2] == (
        "inconclusive",
        f"1 seed of gates lost there, and what is left confirms nothing; {told}",
    )
    assert there[2].n == 3
    assert verdict(lost, sparsity=0.7, accuracy=0.95)[0] == "refuted"  # what is left is bad enough
    assert verdict(lost, sparsity=0.5, accuracy=0.8)[0] == "confirmed"  # all four are there
    ended = {"gates": {0.5: [0.9, 0.9], 0.9: [None, 0.9], 0.99: [0.9, 0.9]}}
    assert verdict(table(ended), sparsity=0.95, accuracy=0.5)[2].n == 1  # a curve ends where its seed was lost


def test_the_relaxed_readout_has_its_own_accuracy():
    assert verdict(table(GATES), sparsity=0.99, accuracy=0.53)[0] == "refuted"
    assert verdict(table(GATES), sparsity=0.99, accuracy=0.53, readout="relaxed")[0] == "confirmed"


@pytest.mark.parametrize(("loss", "expected"), [(0.24, "refuted"), (0.3, "inconclusive"), (0.36, "confirmed")])
def test_a_loss_is_paired_with_dense_training(loss, expected):
    together = {"gates": {0.5: [0.9618, 0.972, 0.9802]}, "dense": {0.0: [0.965, 0.975, 0.983]}}
    found, _, measured = verdict(table(together), sparsity=0.5, loss=loss)
    assert found == expected
    assert (measured.low, measured.mean, measured.high) == pytest.approx((0.0025, 0.003, 0.0035), abs=1e-5)


def test_dense_training_is_the_same_with_and_without_a_rescaling():
    rows = pd.concat([table({"gates": {0.5: [0.98] * 3}}), table(DENSE, rescale="none")])
    assert verdict(rows, sparsity=0.5, loss=1.0)[0] == "confirmed"
    other = pd.concat([table({"gates": {0.5: [0.98] * 3}}), table(DENSE, init="uniform")])
    assert verdict(other, sparsity=0.5, loss=1.0)[0] == "not run"


def test_dense_training_of_two_settings_is_told():
    twice = table(
        {"gates": {0.5: [0.98] * 3}, "dense [lr=0.1]": {0.0: [0.98] * 3}, "dense [defaults]": {0.0: [0.9] * 3}}
    )
    twice["method"] = twice["method"].str.replace(r" \[.*", "", regex=True)
    found, why, _ = verdict(twice, sparsity=0.5, loss=1.0)
    assert found == "not run"
    assert "dense [defaults], dense [lr=0.1]" in why


def test_a_loss_about_a_number_may_be_less():
    records = table({"gates": {0.5: [0.979, 0.98, 0.981]}} | DENSE)
    about = {"sparsity": 0.5, "relation": "about"}
    assert [verdict(records, loss=loss, **about)[0] for loss in (0.5, 3.0)] == ["confirmed", "exceeded"]
    assert "no record of dense" in verdict(table(GATES), sparsity=0.99, loss=1.0)[1]


def test_a_relaxed_loss_is_taken_to_the_relaxed_accuracy_of_dense():
    """The one is of the validation split, the other of the test split: they are never mixed."""
    records = table({"gates": {0.5: [0.90, 0.91, 0.92]}, "dense": {0.0: [0.93, 0.94, 0.95]}})
    assert verdict(records, sparsity=0.5, loss=1.0, readout="relaxed")[2].mean == pytest.approx(0.03)


def test_of_several_budgets_the_one_of_most_epochs_counts():
    short = table({"gates": {0.5: [0.5, 0.5, 0.5]}}, budget="5 epochs, batches of 128", epochs=5)
    long = table({"gates": {0.5: [0.9, 0.9, 0.9]}}, budget="50 epochs, batches of 128", epochs=50)
    found, reason, measured = verdict(pd.concat([short, long]), sparsity=0.5, accuracy=0.9)
    assert (found, measured.mean) == ("confirmed", pytest.approx(0.9))
    assert reason == "of 2 budgets the one of most epochs: 50 epochs, batches of 128"
    other = long.assign(budget="50 epochs, batches of 64")
    assert verdict(pd.concat([long, other]), sparsity=0.5, accuracy=0.9)[0] == "not run"


def test_records_of_several_settings_are_told():
    records = table({"gates [sigma=0.1]": {0.5: [0.9, 0.9]}, "gates [defaults]": {0.5: [0.9, 0.9]}})
    assert "differ in settings" in verdict(records, sparsity=0.5, accuracy=0.9)[1]


TWICE = {"baseline": "edgepopup", "sparsity": 0.9, "baseline_sparsity": 0.5}


def test_a_method_is_compared_with_a_baseline_that_keeps_more():
    """The difference is paired: a seed that is hard for both says nothing against the method."""
    own = {"gates": {0.5: [0.9, 0.9, 0.9], 0.9: [0.84, 0.854, 0.87]}}
    other = {"edgepopup": {0.5: [0.845, 0.86, 0.875], 0.9: [0.6, 0.6, 0.6]}}
    one = judged(table(own | other), **TWICE)
    assert (one.verdict, one.measured.mean) == ("confirmed", pytest.approx(-0.016 / 3))  # a point, where it names none
    assert one.reason == "refuted at margins below 0.39 and confirmed from 0.68 on (points)"
    margins = {margin: verdict(table(own | other), **TWICE, margin=margin)[0] for margin in (0.0, 0.38, 0.5, 0.69)}
    assert margins == {0.0: "refuted", 0.38: "refuted", 0.5: "inconclusive", 0.69: "confirmed"}
    better = {"gates": own["gates"] | {0.9: [0.9, 0.91, 0.92]}}
    assert judged(table(better | other), **TWICE, margin=0.0).reason == "confirmed from 0.00 on (points)"


def test_no_margin_confirms_what_is_left_after_a_loss():
    own = {"gates": {0.8: [0.9] * 5, 0.9: [0.9, 0.9, 0.9, 0.9, None]}}
    one = judged(table(own | {"edgepopup": {0.5: [0.9] * 5}}), **TWICE)
    assert one.verdict == "inconclusive"
    assert "confirmed from" not in one.reason


def test_the_margin_of_mnist_is_half_a_point():
    records = table({"gates": {0.9: [0.8, 0.8, 0.8]}, "edgepopup": {0.5: [0.807, 0.807, 0.807]}})
    assert verdict(records, **TWICE)[0] == "confirmed"
    assert verdict(records.assign(dataset="mnist"), **TWICE, dataset="mnist")[0] == "refuted"


def test_a_baseline_that_is_itself_as_accurate_there_is_told():
    own = {"gates": thrice({0.5: 0.9, 0.9: 0.9})}
    flat = {"edgepopup": thrice({0.5: 0.9, 0.9: 0.895})}
    assert verdict(table(own | flat), **TWICE)[1].startswith("edgepopup itself is as accurate at 0.9 as at 0.5; ")
    falls = {"edgepopup": thrice({0.5: 0.9, 0.9: 0.85})}
    assert "itself" not in verdict(table(own | falls), **TWICE)[1]


def test_what_is_kept_is_told_beside_a_comparison():
    own = {"gates": thrice({0.5: 0.9, 0.9: 0.89, 0.95: 0.85})}
    one = judged(table(own | {"edgepopup": thrice({0.5: 0.9})}), **TWICE)
    assert (one.kept.interval.mean, one.kept.bound) == (pytest.approx(0.2), "")  # 0.1 of 0.5
    ends = judged(table(own | {"edgepopup": thrice({0.5: 0.85})}), **TWICE)
    assert (ends.kept.interval.mean, ends.kept.bound) == (pytest.approx(0.1), "at most")  # 0.05 of 0.5, or less
    never = judged(table(own | {"edgepopup": thrice({0.5: 0.95})}), **TWICE)
    assert (never.kept.interval.mean, never.kept.bound) == (pytest.approx(1.0), "at least")


def test_a_comparison_takes_records_of_both():
    assert verdict(table(GATES), **TWICE)[:2] == ("not run", "no record of edgepopup beside it")
    short = table(GATES | {"edgepopup": thrice({0.8: 0.9})})
    assert verdict(short, **TWICE)[1] == "sparsity 0.5 lies outside of what was measured of edgepopup: 0.8 to 0.8"


RATIO = {"ratio": 2.0, "baseline": "edgepopup", "within": 1.0, "relation": "about"}


def test_a_ratio_compares_sparsities_at_one_accuracy():
    other = {"edgepopup": {0.3: [0.975, 0.976, 0.975], 0.45: [0.97, 0.97, 0.97], 0.6: [0.5, 0.5, 0.5]}}
    own = {"gates": {0.5: [0.98, 0.98, 0.98], 0.9: [0.97, 0.97, 0.97], 0.99: [0.2, 0.2, 0.2]}}
    one = judged(table(own | other | DENSE), **RATIO)
    assert (one.verdict, one.measured.mean) == ("confirmed", pytest.approx(2.0))
    assert one.kept.interval.mean == pytest.approx(0.1 / 0.55)
    assert verdict(table(own | other | DENSE), **(RATIO | {"ratio": 1.2}))[0] == "exceeded"
    high = RATIO | {"ratio": 2.3}
    assert verdict(table(own | other | DENSE), **high)[0] == "refuted"


def test_a_ratio_may_be_taken_where_the_baseline_has_a_sparsity():
    other = {"edgepopup": {0.3: [0.9] * 3, 0.5: [0.84, 0.85, 0.86], 0.8: [0.2] * 3}}
    own = {"gates": thrice({0.6: 0.9, 0.9: 0.85, 0.99: 0.2})}
    there = RATIO | {"reference": "baseline", "sparsity": 0.5, "within": 0.0}
    found, reason, measured = verdict(table(own | other), **there)
    assert (found, reason, measured.mean) == ("confirmed", "", pytest.approx(0.9 / 0.5))
    further = verdict(table(own | other), **(there | {"within": 2.5}))[2]
    assert 0.9 < 0.5 * further.mean < 0.99
    assert verdict(table(own | other), **(there | {"sparsity": 0.9}))[0] == "not run"
    weak = {"gates": thrice({0.6: 0.8, 0.9: 0.7})}
    assert verdict(table(weak | other), **there)[:2] == ("refuted", "3 of 3 seeds of gates never reach 85.00%")


def test_labels_that_a_glob_names_are_one_curve():
    other = {"edgepopup": {0.3: [0.9] * 3, 0.5: [0.84, 0.85, 0.86], 0.8: [0.2] * 3}}
    own = {"gates": thrice({0.6: 0.9, 0.9: 0.85, 0.99: 0.2})}
    single = {f"gates_{place}": {sparsity: own["gates"][sparsity]} for place, sparsity in enumerate(own["gates"])}
    there = RATIO | {"reference": "baseline", "sparsity": 0.5, "within": 0.0}
    whole, parts = verdict(table(own | other), **there), verdict(table(single | other), **there, method="gates_*")
    assert parts[0] == whole[0] == "confirmed"
    assert parts[2] == whole[2]
    everything = verdict(table(single | other), **there, method="*")
    assert everything[2] == whole[2]  # a baseline is not compared with itself
    between = verdict(table(single), method="gates_*", sparsity=0.75, accuracy=0.8)[2]
    assert 0.85 < between.mean < 0.9


def test_a_ratio_tells_where_the_line_between_two_points_decides_its_verdict():
    own = {"gates": thrice({0.5: 0.98, 0.9: 0.97, 0.91: 0.2})}
    coarse = {"edgepopup": thrice({0.45: 0.97, 0.8: 0.4})}
    found, reason, measured = verdict(table(own | coarse | DENSE), **RATIO)
    assert (found, measured.mean) == ("confirmed", pytest.approx(2.0))
    assert reason == "by interpolation: the sparsities that were measured allow 1.12 to 2.02"  # 0.9/0.8, 0.91/0.45
    fine = {"edgepopup": coarse["edgepopup"] | {0.46: [0.4] * 3}}
    assert verdict(table(own | fine | DENSE), **RATIO)[:2] == ("confirmed", "")


def test_a_method_that_never_comes_near_the_accuracy_is_no_sparser_than_where_it_was_measured():
    other = {"edgepopup": thrice({0.45: 0.9, 0.8: 0.89, 0.9: 0.4})}
    records = table({"gates": {0.5: [0.7, 0.8, 0.8], 0.9: [0.6] * 3}} | other)
    low = RATIO | {"ratio": 1.2, "reference": "baseline"}
    found, reason, measured = verdict(records, **low)
    assert (found, measured.mean) == ("refuted", pytest.approx(0.5 / 0.8))
    assert reason == "3 of 3 seeds of gates never reach 89.00%"
    found, reason, measured = verdict(records, **(low | {"ratio": 0.6}))
    assert (found, measured.mean) == ("bound only", pytest.approx(0.5 / 0.8))
    late = {"gates": {0.3: [0.7, None, None], 0.9: [0.6, 0.6, 0.6]}, "edgepopup": {0.45: [0.9] * 3, 0.5: [0.4] * 3}}
    late = table(late).query("label != 'gates' or asked_sparsity == 0.9 or status == 'done'")
    measured = verdict(late, **RATIO, reference="baseline")[2]
    assert measured.mean == pytest.approx((0.3 + 0.9 + 0.9) / 3 / 0.451, abs=0.01)  # of each seed its own first


def test_a_baseline_that_never_comes_near_the_accuracy_leaves_the_least_that_the_ratio_can_be():
    own = {"gates": thrice({0.5: 0.95, 0.9: 0.95, 0.95: 0.1})}
    records = table(own | {"edgepopup": {0.45: [0.99, 0.99, 0.6], 0.6: [0.1] * 3}})
    one = judged(records, **RATIO, reference="baseline")
    assert (one.verdict, one.bound) == ("bound only", "at least")
    assert one.reason == "1 of 3 seeds of edgepopup never reaches 85.00%"
    assert one.measured.mean == pytest.approx(0.91 / 0.46, abs=0.1)
    assert verdict(records, **(RATIO | {"ratio": 1.1}), reference="baseline")[0] == "exceeded"
    ends = table({"gates": thrice({0.5: 0.95})} | {"edgepopup": {0.45: [0.95, 0.95, 0.1]}})
    found, reason, measured = verdict(ends, **RATIO, reference="baseline")
    assert (found, measured) == ("bound only", None)
    assert ENDS in reason
    assert BASELINE_ENDS in reason


def test_a_ratio_is_taken_over_seeds_that_both_have():
    own = {"gates": {0.5: [0.98, 0.98, 0.5], 0.9: [0.97, 0.97, 0.4], 0.99: [0.2, 0.2, 0.2]}}
    other = {"edgepopup": {0.3: [0.98, 0.98], 0.45: [0.97, 0.97], 0.6: [0.1, 0.1]}}
    dense = {"dense": {0.0: [0.98, 0.98]}}
    found, reason, measured = verdict(table(own | other | dense), **RATIO)
    assert (found, reason, measured.n) == ("inconclusive", "2 seeds, and a verdict takes 3", 2)
    assert measured.mean == pytest.approx(2.0)  # gates' third seed has no partner
    assert verdict(table(own | dense), **RATIO)[:2] == ("not run", "no record of edgepopup beside it")


def test_no_ratio_is_taken_to_a_sparsity_of_0():
    records = table(GATES | {"edgepopup": {0.0: [0.97, 0.98, 0.98], 0.5: [0.2, 0.2, 0.2]}} | DENSE)
    found, reason, _ = verdict(records, **(RATIO | {"within": 0.0, "reference": "baseline"}))
    assert (found, reason) == (
        "not run", "edgepopup is as accurate as that at sparsity 0 alone, and no ratio is taken to it",
    )  # fmt: skip


def test_a_ratio_may_be_taken_where_the_baseline_is_at_its_best():
    other = {"edgepopup": thrice({0.3: 0.855, 0.45: 0.845, 0.6: 0.5})}
    own = {"gates": thrice({0.5: 0.9, 0.9: 0.845, 0.99: 0.2})}
    records = table(own | other | DENSE)
    assert verdict(records, **RATIO)[0] == "bound only"  # neither comes near dense training
    alone = verdict(table(own | DENSE), **RATIO, reference="baseline")
    assert alone[:2] == ("not run", "no record of edgepopup beside it")
    found, _, measured = verdict(records, **RATIO, reference="baseline")
    assert (found, measured.mean) == ("confirmed", pytest.approx(2.0))


def test_a_grid_that_ends_too_early_gives_no_verdict_that_it_cannot_bear():
    falls = thrice({0.3: 0.98, 0.45: 0.97, 0.6: 0.1})
    holds = thrice({0.3: 0.98, 0.6: 0.98})
    lower = table({"gates": holds, "edgepopup": falls} | DENSE)
    found, reason, measured = verdict(lower, **RATIO)
    assert (found, measured.mean, reason) == ("bound only", pytest.approx(0.6 / 0.45), ENDS)
    assert verdict(lower, **(RATIO | {"ratio": 1.1}))[0] == "exceeded"
    upper = table({"gates": falls, "edgepopup": holds} | DENSE)
    low = RATIO | {"ratio": 0.9}
    assert verdict(upper, **low)[0] == "refuted"
    found, reason, measured = verdict(upper, **(RATIO | {"ratio": 0.7}))
    assert (found, measured.mean, reason) == ("bound only", pytest.approx(0.45 / 0.6), BASELINE_ENDS)
    early = thrice({0.3: 0.98, 0.5: 0.98})
    found, reason, measured = verdict(table({"gates": holds, "edgepopup": early} | DENSE), **RATIO)
    assert (found, reason, measured) == ("bound only", f"{ENDS}; {BASELINE_ENDS}", None)


def test_a_bound_alone_says_no_more_than_it_shows():
    falls = thrice({0.3: 0.98, 0.45: 0.97, 0.6: 0.1})
    at_two = {"gates": thrice({0.3: 0.98, 0.9: 0.98}), "edgepopup": falls} | DENSE
    assert verdict(table(at_two), **RATIO)[0] == "bound only"  # 2.0 at least may be far above "about 2"
    assert verdict(table(at_two), **(RATIO | {"relation": "at least"}))[:2] == ("confirmed", ENDS)
    uneven = at_two | {"gates": {0.3: [0.98] * 3, 0.8: [0.98, 0.98, 0.5], 0.9: [0.98, 0.98, 0.4]}}
    assert verdict(table(uneven), **(RATIO | {"relation": "at least"}))[0] == "bound only"


@pytest.mark.parametrize("best", [0.6, 0.8, 0.95])
def test_a_ratio_that_no_sparsity_can_reach_is_not_testable_whatever_the_method_does(best):
    """Nothing is sparser than 1: beside a baseline that is at its best at 0.6, "twice as sparse" has no meaning."""
    falls = thrice({best - 0.1: 0.98, best: 0.98, (1 + best) / 2: 0.1})
    for own in (thrice({0.5: 0.98, 0.99: 0.98}), thrice({0.5: 0.98, 0.6: 0.2}), thrice({0.5: 0.3})):
        found, why, _ = verdict(table({"gates": own, "edgepopup": falls} | DENSE), **RATIO)
        assert found == "not testable"
        assert "no ratio is above" in why
    asked = RATIO | {"ratio": 1.0}
    assert verdict(table({"gates": falls, "edgepopup": falls} | DENSE), **asked)[0] == "confirmed"


def test_what_was_not_run_is_told():
    assert verdict(table({}), sparsity=0.5, accuracy=0.9)[:2] == (
        "not run",
        "no record of gates on lenet300 and digits",
    )
    assert verdict(table(GATES), sparsity=0.5, accuracy=0.9, dataset="mnist")[0] == "not run"
    assert "the source does not say" in verdict(table(GATES), sparsity=0.5, accuracy=0.9, dataset="")[1]


@given(
    accuracies=st.lists(st.floats(0.1, 1.0), min_size=1, max_size=2),
    accuracy=st.floats(0.01, 1.0),
    relation=st.sampled_from(["at least", "about"]),
)
def test_two_seeds_are_never_enough(accuracies, accuracy, relation):
    records = table({"gates": {0.5: accuracies}})
    assert verdict(records, sparsity=0.5, accuracy=accuracy, relation=relation)[0] == "inconclusive"


@given(
    accuracies=st.lists(st.floats(0.1, 1.0), min_size=3, max_size=5),
    claims=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)),
)
def test_who_claims_more_is_never_judged_more_kindly(accuracies, claims):
    records = table({"gates": {0.5: accuracies}})
    order = ["refuted", "inconclusive", "confirmed"]
    less, more = (verdict(records, sparsity=0.5, accuracy=one)[0] for one in sorted(claims))
    assert order.index(less) >= order.index(more)


GRID = (0.05, 0.15, 0.25, 0.35, 0.45, 0.5, 0.55, 0.65, 0.75, 0.85, 0.9, 0.93, 0.96, 0.98)
RUNS = 150  # simulated experiments
SLACK = 1.96 * math.sqrt(0.03 * 0.97 / RUNS)  # by which a share of 3% is exceeded by chance once in 40 times


def experiment(rng, seeds, ratio, noise):
    """Curves that fall from 98% by a point at 0.45 (edge-popup) and at `ratio` times that (gates), with seed noise."""

    def curve(knee):
        return {
            sparsity: (0.98 - 0.01 * (sparsity / knee) ** 6 + rng.normal(0, noise / 100, seeds)).clip(0.1, 1).tolist()
            for sparsity in GRID
        }

    return table({"gates": curve(0.45 * ratio), "edgepopup": curve(0.45), "dense": {0.0: [0.98] * seeds}})


def shares(seeds, ratio, noise):
    """How often a claim of "about 2" gets each verdict where the ratio is another."""
    rng = np.random.default_rng([seeds, int(10 * ratio), int(10 * noise)])
    found = [verdict(experiment(rng, seeds, ratio, noise), **RATIO)[0] for _ in range(RUNS)]
    return {name: found.count(name) / RUNS for name in set(found)}


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.2, 0.5])
def test_simulated_experiments_are_judged_as_they_should_be(noise):
    """What is false is not confirmed, what is true is not refuted, and fewer seeds never confirm more."""
    false = [shares(seeds, 1.3, noise).get("confirmed", 0) for seeds in (2, 3, 5, 8)]
    assert max(false) <= 0.03 + SLACK
    right = [shares(seeds, 2.0, noise) for seeds in (2, 3, 5, 8)]
    assert max(found.get("refuted", 0) for found in right) <= 0.03 + SLACK
    confirmed = [found.get("confirmed", 0) for found in right]
    assert all(few <= more + 2 * SLACK for few, more in pairwise(confirmed))


@pytest.mark.slow
def test_a_simulated_difference_is_judged_as_it_should_be():
    """The same of a difference, without curves: a point below, and level, at a margin of half a point."""
    rng = np.random.default_rng(0)
    margin, runs = 0.5, 200
    slack = 1.96 * math.sqrt(0.03 * 0.97 / runs)
    confirmed = {}
    for seeds in (2, 3, 5):
        for truth in (-1.0, 0.0):
            found = []
            for _ in range(runs):
                base = 0.9 + rng.normal(0, 0.003, seeds)
                own = base + truth / 100 + rng.normal(0, 0.002, seeds)
                records = table({"gates": {0.9: own.tolist()}, "edgepopup": {0.5: base.tolist()}})
                found.append(verdict(records, **TWICE, margin=margin)[0])
            confirmed[truth, seeds] = found.count("confirmed") / runs
            assert truth == -1.0 or found.count("refuted") / runs <= 0.03 + slack
    assert max(confirmed[-1.0, seeds] for seeds in (2, 3, 5)) <= 0.03 + slack
    assert confirmed[0.0, 2] <= confirmed[0.0, 3] <= confirmed[0.0, 5]
    assert confirmed[0.0, 5] > 0.8


@given(values=st.lists(st.floats(0.5, 0.99), min_size=3, max_size=6), claimed=st.floats(0.4, 1.0))
def test_an_accuracy_is_confirmed_just_where_its_interval_says_so(values, claimed):
    interval = t_interval(values)
    found = verdict(table({"gates": {0.5: values}}), sparsity=0.5, accuracy=claimed)[0]
    assert (found == "confirmed") == (interval.low >= claimed)
    assert (found == "refuted") == (interval.high < claimed)
