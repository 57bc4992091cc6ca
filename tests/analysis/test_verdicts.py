"""Verdicts on published claims."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from slt_bench.analysis.verdicts import judge
from slt_bench.jobs.paper_claims import PaperClaim

GATES = {"gates": {0.5: [0.96, 0.97, 0.98], 0.9: [0.95, 0.96, 0.97], 0.99: [0.5, 0.5, 0.5]}}
DENSE = {"dense": {0.0: [0.98, 0.98, 0.98]}}
ENDS = "the grid of gates ends before its accuracy falls"
BASELINE_ENDS = "the grid of edgepopup ends before its accuracy falls"


def claim(**values):
    return PaperClaim(**({"who": "A", "method": "gates", "arch": "lenet300", "dataset": "digits"} | values))


def verdict(records, **values):
    (judged,) = judge([claim(**values)], records)
    return judged.verdict, judged.reason, judged.measured


@pytest.mark.parametrize(
    ("accuracy", "relation", "expected"),
    [
        (0.97, "at least", "held"),
        (0.99, "at least", "held"),  # 97.0 +- 2.5: its interval reaches 99.5
        (0.996, "at least", "not held"),
        (0.94, "at least", "held"),  # exceeded from 93.5 on: low end 94.5 minus a point
        (0.93, "at least", "exceeded"),
        (1.0, "about", "held"),  # a point of tolerance
        (0.93, "about", "exceeded"),
    ],
)
def test_an_accuracy_is_judged_by_its_whole_interval(accuracy, relation, expected):
    found, _, measured = verdict(table(GATES), sparsity=0.5, accuracy=accuracy, relation=relation)
    assert found == expected
    assert measured.mean == pytest.approx(0.97)
    assert (measured.low, measured.high) == pytest.approx((0.945158, 0.994842), abs=1e-5)


def test_a_mean_that_falls_short_is_told_though_the_claim_is_held():
    assert "falls short" in verdict(table(GATES), sparsity=0.5, accuracy=0.98)[1]
    assert verdict(table(GATES), sparsity=0.5, accuracy=0.96)[1] == ""


def test_between_measured_sparsities_curves_are_interpolated_and_beyond_them_nothing_is_said():
    between = verdict(table(GATES), sparsity=0.8, accuracy=0.9)[2]
    assert 0.96 < between.mean < 0.97
    found, reason, measured = verdict(table(GATES), sparsity=0.3, accuracy=0.9)
    assert (found, measured) == ("not measured", None)
    assert reason == "sparsity 0.3 lies outside of what was measured: 0.5 to 0.99"


def test_a_point_that_missed_the_asked_sparsity_by_a_little_is_judged_all_the_same():
    near = table({"gates": {0.77: [0.5, 0.6]}})
    near["sparsity"] = [0.762, 0.775]
    assert verdict(near, sparsity=0.77, accuracy=0.9)[2].mean == pytest.approx(0.55)
    near["sparsity"] = [0.75, 0.775]
    assert verdict(near, sparsity=0.77, accuracy=0.9)[0] == "not measured"


def test_a_curve_ends_where_its_seed_was_lost():
    lost = {"gates": {0.5: [0.9, 0.9], 0.9: [None, 0.9], 0.99: [0.9, 0.9]}}
    found, reason, _ = verdict(table(lost), sparsity=0.95, accuracy=0.5)
    assert (found, reason) == ("not measured", "1 seed of gates can be judged there, and a verdict takes 2")


def test_the_relaxed_readout_has_its_own_accuracy():
    assert verdict(table(GATES), sparsity=0.99, accuracy=0.55)[0] == "not held"
    assert verdict(table(GATES), sparsity=0.99, accuracy=0.55, readout="relaxed")[0] == "held"


@pytest.mark.parametrize(("loss", "expected"), [(0.5, "held"), (0.1, "held"), (5.0, "exceeded")])
def test_a_loss_is_paired_with_dense_training(loss, expected):
    together = {"gates": {0.5: [0.96, 0.972, 0.98]}, "dense": {0.0: [0.965, 0.975, 0.983]}}
    found, _, measured = verdict(table(together), sparsity=0.5, loss=loss)
    assert found == expected
    assert measured.mean == pytest.approx(0.0036667, abs=1e-6)


def test_a_relaxed_loss_is_taken_to_the_relaxed_accuracy_of_dense():
    """The one is of the validation split, the other of the test split: they are never mixed."""
    records = table({"gates": {0.5: [0.90, 0.91, 0.92]}, "dense": {0.0: [0.93, 0.94, 0.95]}})
    assert verdict(records, sparsity=0.5, loss=1.0, readout="relaxed")[2].mean == pytest.approx(0.03)


def test_seeds_that_were_lost_are_told():
    lost = table({"gates": {0.5: [0.9, 0.9, None], 0.9: [0.9, 0.9, None]}})
    assert verdict(lost, sparsity=0.7, accuracy=0.9)[2].n == 2
    assert verdict(lost, sparsity=0.7, accuracy=0.9)[1] == "gates lost seed 2 at 0.5, 0.9"
    lost = table({"gates": {0.5: [0.9, 0.9, 0.9, 0.9], 0.9: [0.9, 0.9, 0.9, None], 0.95: [0.9, 0.9, None, None]}})
    assert verdict(lost, sparsity=0.7, accuracy=0.9)[1] == "gates lost seed 2 at 0.95 and seed 3 at 0.9, 0.95"


def test_of_several_budgets_the_one_of_most_epochs_counts():
    short = table({"gates": {0.5: [0.5, 0.5, 0.5]}}, budget="5 epochs, batches of 128", epochs=5)
    long = table({"gates": {0.5: [0.9, 0.9]}}, budget="50 epochs, batches of 128", epochs=50)
    found, reason, measured = verdict(pd.concat([short, long]), sparsity=0.5, accuracy=0.9)
    assert (found, measured.mean) == ("held", pytest.approx(0.9))
    assert reason == "of 2 budgets the one of most epochs: 50 epochs, batches of 128"
    other = long.assign(budget="50 epochs, batches of 64")
    assert verdict(pd.concat([long, other]), sparsity=0.5, accuracy=0.9)[0] == "not measured"


def test_records_of_several_settings_are_told():
    records = table({"gates [sigma=0.1]": {0.5: [0.9, 0.9]}, "gates [defaults]": {0.5: [0.9, 0.9]}})
    assert "differ in settings" in verdict(records, sparsity=0.5, accuracy=0.9)[1]


def test_a_loss_that_is_too_large_for_noise_is_not_held():
    assert verdict(table(GATES | DENSE), sparsity=0.99, loss=1.0)[0] == "not held"
    assert "no record of dense" in verdict(table(GATES), sparsity=0.99, loss=1.0)[1]


RATIO = {"ratio": 2.0, "baseline": "edgepopup", "within": 1.0, "relation": "about"}


def test_a_ratio_compares_sparsities_at_one_accuracy():
    other = {"edgepopup": {0.3: [0.975, 0.976, 0.975], 0.45: [0.97, 0.97, 0.97], 0.6: [0.5, 0.5, 0.5]}}
    own = {"gates": {0.5: [0.98, 0.98, 0.98], 0.9: [0.97, 0.97, 0.97], 0.99: [0.2, 0.2, 0.2]}}
    found, _, measured = verdict(table(own | other | DENSE), **RATIO)
    assert found == "held"
    assert measured.mean == pytest.approx(2.0)
    assert verdict(table(own | other | DENSE), **(RATIO | {"ratio": 3.0}))[0] == "not held"
    assert verdict(table(own | other | DENSE), **(RATIO | {"ratio": 1.2}))[0] == "exceeded"


def test_a_ratio_may_be_taken_where_the_baseline_has_a_sparsity():
    other = {"edgepopup": {0.3: [0.9, 0.9], 0.5: [0.84, 0.86], 0.8: [0.2, 0.2]}}
    own = {"gates": {0.6: [0.9, 0.9], 0.9: [0.85, 0.85], 0.99: [0.2, 0.2]}}
    there = RATIO | {"reference": "baseline", "sparsity": 0.5, "within": 0.0}
    found, reason, measured = verdict(table(own | other), **there)
    assert (found, reason, measured.mean) == ("held", "", pytest.approx(0.9 / 0.5))
    further = verdict(table(own | other), **(there | {"within": 2.5}))[2]
    assert 0.9 < 0.5 * further.mean < 0.99
    assert verdict(table(own | other), **(there | {"sparsity": 0.9}))[0] == "not measured"
    weak = {"gates": {0.6: [0.8, 0.8], 0.9: [0.7, 0.7]}}
    assert verdict(table(weak | other), **there)[:2] == (
        "not held", "2 of 2 seeds of gates never reach 85.00%",
    )  # fmt: skip


def test_labels_that_a_glob_names_are_one_curve():
    other = {"edgepopup": {0.3: [0.9, 0.9], 0.5: [0.84, 0.86], 0.8: [0.2, 0.2]}}
    own = {"gates": {0.6: [0.9, 0.9], 0.9: [0.85, 0.85], 0.99: [0.2, 0.2]}}
    single = {f"gates_{place}": {sparsity: own["gates"][sparsity]} for place, sparsity in enumerate(own["gates"])}
    there = RATIO | {"reference": "baseline", "sparsity": 0.5, "within": 0.0}
    whole, parts = verdict(table(own | other), **there), verdict(table(single | other), **there, method="gates_*")
    assert parts[0] == whole[0] == "held"
    assert parts[2] == whole[2]
    everything = verdict(table(single | other), **there, method="*")
    assert everything[2] == whole[2]  # a baseline is not compared with itself
    between = verdict(table(single), method="gates_*", sparsity=0.75, accuracy=0.8)[2]
    assert 0.85 < between.mean < 0.9


def test_a_ratio_tells_where_its_verdict_hangs_on_the_line_between_two_points():
    own = {"gates": {0.5: [0.98, 0.98, 0.98], 0.9: [0.97, 0.97, 0.97], 0.91: [0.2, 0.2, 0.2]}}
    coarse = {"edgepopup": {0.45: [0.97, 0.97, 0.97], 0.8: [0.4, 0.4, 0.4]}}
    found, reason, measured = verdict(table(own | coarse | DENSE), **RATIO)
    assert (found, measured.mean) == ("held", pytest.approx(2.0))
    assert reason == "by interpolation: the sparsities that were measured allow 1.12 to 2.02"  # 0.9/0.8, 0.91/0.45
    assert verdict(table(own | coarse | DENSE), **(RATIO | {"ratio": 3.0}))[1] == ""
    assert "allow 1.12 to 2.02" in verdict(table(own | coarse | DENSE), **(RATIO | {"ratio": 1.2}))[1]
    fine = {"edgepopup": coarse["edgepopup"] | {0.46: [0.4, 0.4, 0.4]}}
    assert verdict(table(own | fine | DENSE), **RATIO)[:2] == ("held", "")


def test_a_method_that_never_comes_near_the_accuracy_is_no_sparser_than_where_it_was_measured():
    other = {"edgepopup": {0.45: [0.9, 0.9], 0.8: [0.89, 0.89], 0.9: [0.4, 0.4]}}
    records = table({"gates": {0.5: [0.7, 0.8], 0.9: [0.6, 0.6]}} | other)
    found, reason, measured = verdict(records, **RATIO, reference="baseline")
    assert (found, measured.mean) == ("not held", pytest.approx(0.5 / 0.8))
    assert reason == "2 of 2 seeds of gates never reach 89.00%"
    found, reason, measured = verdict(records, **(RATIO | {"ratio": 0.6}), reference="baseline")
    assert (found, measured.mean) == ("undecided", pytest.approx(0.5 / 0.8))
    assert reason == "2 of 2 seeds of gates never reach 89.00%"
    late = {"gates": {0.3: [0.7, None, None], 0.9: [0.6, 0.6, 0.6]}, "edgepopup": {0.45: [0.9] * 3, 0.5: [0.4] * 3}}
    late = table(late).query("label != 'gates' or asked_sparsity == 0.9 or status == 'done'")
    measured = verdict(late, **RATIO, reference="baseline")[2]
    assert measured.mean == pytest.approx((0.3 + 0.9 + 0.9) / 3 / 0.451, abs=0.01)  # of each seed its own first


def test_a_baseline_that_never_comes_near_the_accuracy_leaves_the_least_that_the_ratio_can_be():
    own = {"gates": {0.5: [0.95, 0.95], 0.9: [0.95, 0.95], 0.95: [0.1, 0.1]}}
    records = table(own | {"edgepopup": {0.45: [0.99, 0.8], 0.6: [0.1, 0.1]}})
    (one,) = judge([claim(**RATIO, reference="baseline")], records)
    assert (one.verdict, one.bound) == ("undecided", "at least")
    assert one.reason == "1 of 2 seeds of edgepopup never reaches 88.50%"
    assert one.measured.mean == pytest.approx(0.9038 / 0.45, abs=0.1)
    assert verdict(records, **(RATIO | {"ratio": 1.1}), reference="baseline")[0] == "exceeded"
    ends = table({"gates": {0.5: [0.95, 0.95]}} | {"edgepopup": {0.45: [0.95, 0.1]}})
    assert verdict(ends, **RATIO, reference="baseline") == (
        "undecided",
        f"{ENDS}; 1 of 2 seeds of edgepopup never reaches 51.50%; {BASELINE_ENDS}",
        None,
    )


def test_a_ratio_is_taken_over_seeds_that_both_have():
    own = {"gates": {0.5: [0.98, 0.98, 0.5], 0.9: [0.97, 0.97, 0.4], 0.99: [0.2, 0.2, 0.2]}}
    other = {"edgepopup": {0.3: [0.98, 0.98], 0.45: [0.97, 0.97], 0.6: [0.1, 0.1]}}
    dense = {"dense": {0.0: [0.98, 0.98]}}
    assert verdict(table(own | other | dense), **RATIO)[0] == "held"  # gates' third seed has no partner
    alone = {"edgepopup": {0.3: [0.98], 0.45: [0.1]}}
    assert verdict(table(own | alone | dense), **RATIO)[:2] == (
        "not measured", "1 seed of gates can be judged there, and a verdict takes 2",
    )  # fmt: skip
    assert verdict(table(own | dense), **RATIO)[:2] == ("not measured", "no record of edgepopup beside it")


def test_no_ratio_is_taken_to_a_sparsity_of_0():
    records = table(GATES | {"edgepopup": {0.0: [0.97, 0.98, 0.98], 0.5: [0.2, 0.2, 0.2]}} | DENSE)
    found, reason, _ = verdict(records, **(RATIO | {"within": 0.0, "reference": "baseline"}))
    assert (found, reason) == (
        "not measured", "edgepopup is as accurate as that at sparsity 0 alone, and no ratio is taken to it",
    )  # fmt: skip


def test_a_ratio_may_be_taken_where_the_baseline_is_at_its_best():
    other = {"edgepopup": {0.3: [0.855, 0.855], 0.45: [0.845, 0.845], 0.6: [0.5, 0.5]}}
    own = {"gates": {0.5: [0.9, 0.9], 0.9: [0.845, 0.845], 0.99: [0.2, 0.2]}}
    records = table(own | other | DENSE)
    assert verdict(records, **RATIO)[0] == "undecided"  # neither comes near dense training
    alone = verdict(table(own | DENSE), **RATIO, reference="baseline")
    assert alone[:2] == ("not measured", "no record of edgepopup beside it")
    found, _, measured = verdict(records, **RATIO, reference="baseline")
    assert found == "held"
    assert measured.mean == pytest.approx(2.0)


def test_a_grid_that_ends_too_early_gives_no_verdict_that_it_cannot_bear():
    falls = {0.3: [0.98, 0.98], 0.45: [0.97, 0.97], 0.6: [0.1, 0.1]}
    holds = {0.3: [0.98, 0.98], 0.6: [0.98, 0.98]}
    dense = {"dense": {0.0: [0.98, 0.98]}}
    lower = table({"gates": holds, "edgepopup": falls} | dense)
    found, reason, measured = verdict(lower, **RATIO)
    assert (found, measured.mean) == ("undecided", pytest.approx(0.6 / 0.45))
    assert reason == ENDS
    assert verdict(lower, **(RATIO | {"ratio": 1.1}))[0] == "exceeded"
    upper = table({"gates": falls, "edgepopup": holds} | dense)
    assert verdict(upper, **RATIO)[0] == "not held"
    found, reason, measured = verdict(upper, **(RATIO | {"ratio": 0.7}))
    assert (found, measured.mean) == ("undecided", pytest.approx(0.45 / 0.6))
    assert reason == BASELINE_ENDS
    early = {0.3: [0.98, 0.98], 0.5: [0.98, 0.98]}
    assert verdict(table({"gates": holds, "edgepopup": early} | dense), **RATIO) == (
        "undecided", f"{ENDS}; {BASELINE_ENDS}", None
    )  # fmt: skip


def test_a_ratio_that_no_sparsity_can_reach_is_not_held_wherever_the_grid_ends():
    falls = {0.8: [0.98, 0.98], 0.9: [0.98, 0.98], 0.95: [0.1, 0.1]}
    holds = {0.8: [0.98, 0.98], 0.98: [0.98, 0.98]}
    records = table({"gates": holds, "edgepopup": falls, "dense": {0.0: [0.98, 0.98]}})
    found, why, measured = verdict(records, **RATIO)
    assert (found, why) == ("not held", f"{ENDS}; since no sparsity is above 1, at most 1.11")
    assert measured.mean == pytest.approx(0.98 / 0.9, abs=0.01)
    assert verdict(records, **(RATIO | {"ratio": 1.12}))[0] == "undecided"  # 1.11 is about as much
    both = table({"gates": holds, "edgepopup": holds, "dense": {0.0: [0.98, 0.98]}})
    assert verdict(both, **RATIO) == (
        "not held", f"{ENDS}; {BASELINE_ENDS}; since no sparsity is above 1, at most 1.02", None
    )  # fmt: skip


def test_a_bound_alone_says_no_more_than_it_shows():
    falls = {0.3: [0.98, 0.98], 0.45: [0.97, 0.97], 0.6: [0.1, 0.1]}
    at_two = {"gates": {0.3: [0.98, 0.98], 0.9: [0.98, 0.98]}, "edgepopup": falls, "dense": {0.0: [0.98, 0.98]}}
    assert verdict(table(at_two), **RATIO)[0] == "undecided"  # 2.0 at least may be far above "about 2"
    assert verdict(table(at_two), **(RATIO | {"relation": "at least"}))[:2] == ("held", ENDS)
    one = table(at_two | {"gates": {0.3: [0.98, 0.5], 0.9: [0.98, 0.4]}})
    assert verdict(one, **RATIO) == (
        "undecided", f"1 of 2 seeds of gates never reaches 97.00%; {ENDS}", None
    )  # fmt: skip
    uneven = at_two | {"gates": {0.3: [0.98, 0.98], 0.8: [0.98, 0.5], 0.9: [0.98, 0.4]}}
    assert verdict(table(uneven), **(RATIO | {"relation": "at least"}))[0] == "undecided"


def test_a_ratio_takes_every_seed():
    other = {"edgepopup": {0.3: [0.98] * 3, 0.45: [0.97] * 3, 0.6: [0.1] * 3}}
    own = {"gates": {0.5: [0.98, 0.98, 0.5], 0.9: [0.97, 0.97, 0.4], 0.99: [0.2, 0.2, 0.2]}}
    found, reason, _ = verdict(table(own | other | DENSE), **RATIO)
    assert found == "undecided"
    short, close = reason.split("; ")
    assert short == "1 of 3 seeds of gates never reaches 97.00%"
    assert close == "the mean falls short, but its interval does not rule the claim out"


def test_what_was_not_run_is_not_measured():
    assert verdict(table({}), sparsity=0.5, accuracy=0.9)[:2] == (
        "not measured",
        "no record of gates on lenet300 and digits",
    )
    assert verdict(table(GATES), sparsity=0.5, accuracy=0.9, dataset="mnist")[0] == "not measured"
    assert "the source does not say" in verdict(table(GATES), sparsity=0.5, accuracy=0.9, dataset="")[1]


@given(
    accuracies=st.lists(st.floats(0.1, 1.0), max_size=1),
    accuracy=st.floats(0.01, 1.0),
    relation=st.sampled_from(["at least", "about"]),
)
def test_one_seed_is_never_enough(accuracies, accuracy, relation):
    records = table({"gates": {0.5: accuracies}})
    assert verdict(records, sparsity=0.5, accuracy=accuracy, relation=relation)[0] == "not measured"


@given(
    accuracies=st.lists(st.floats(0.1, 1.0), min_size=2, max_size=5),
    claims=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)),
    relation=st.sampled_from(["at least", "about"]),
)
def test_who_claims_more_is_never_judged_more_kindly(accuracies, claims, relation):
    records = table({"gates": {0.5: accuracies}})
    order = ["not held", "held", "exceeded"]
    less, more = (verdict(records, sparsity=0.5, accuracy=one, relation=relation)[0] for one in sorted(claims))
    assert order.index(less) >= order.index(more)
