"""Methods at matched accuracies and sparsities, over seeds."""

import math

import pandas as pd
import pytest

from slt_bench.analysis.frame import METRICS, frame
from slt_bench.analysis.matched import at_equal_accuracy, best_by_sparsity, comparable_sparsity, ratios
from slt_bench.analysis.statistics import t_interval
from slt_bench.records import Record


@pytest.fixture
def runs(make_job):
    """A function that makes the records of one method at one sparsity, a seed for each accuracy; None is a lost one."""

    def make(method, sparsity, accuracies, counted=None):
        for seed, accuracy in enumerate(accuracies):
            job = make_job(method=method, sparsity=sparsity, seed=seed)
            at = sparsity if counted is None else counted
            yield Record(
                id=job.id,
                job=job,
                status="diverged" if accuracy is None else "done",
                method_version=1,
                purity="frozen",
                settings={},
                metrics=dict.fromkeys(METRICS) | {"test_accuracy": accuracy, "sparsity": at},
            )

    return make


@pytest.fixture
def network(runs):
    """A function that makes a table of (method, asked sparsity, accuracies of the seeds[, counted sparsity])."""

    def make(*cells):
        return frame([record for cell in cells for record in runs(*cell)])

    return make


DENSE = ("dense", None, [0.95, 0.97], 0.0)


REMAINING = ("remaining_ratio", "remaining_low", "remaining_high")


def only(table, **wanted):
    """The one row with those values, as a dictionary."""
    for column, value in wanted.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row


def test_comparable_sparsity_is_the_mean_reach_of_the_seeds_with_its_interval(network):
    table = network(DENSE, ("edgepopup", 0.9, [0.96, 0.96, 0.96]), ("edgepopup", 0.99, [0.94, 0.92, 0.90]))
    row = only(comparable_sparsity(table), reference="dense", points=1.0)
    reaches = [1 - 10 ** -(1 + share) for share in (0.01 / 0.02, 0.01 / 0.04, 0.01 / 0.06)]
    interval = t_interval(reaches)
    assert row["accuracy"] == pytest.approx(0.95)
    assert row["sparsity"] == pytest.approx(interval.mean)
    assert (row["low"], row["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert (row["n"], row["short"], row["at_end"]) == (3, 0, False)
    assert (row["label"], row["method"], row["purity"]) == ("edgepopup", "edgepopup", "frozen")


def test_an_interval_of_sparsities_stays_within_0_and_1(network):
    table = network(("edgepopup", 0.1, [0.9, 0.9]), ("edgepopup", 0.2, [0.1, 0.1]), ("edgepopup", 0.98, [0.1, 0.9]))
    row = only(comparable_sparsity(table, (0.0,)))
    assert row["sparsity"] == pytest.approx((0.1 + 0.98) / 2)
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_references_have_no_rows_and_dense_only_where_it_is_there(network):
    cells = [("edgepopup", 0.5, [0.9, 0.9]), ("random_mask", 0.5, [0.1, 0.1])]
    with_dense = comparable_sparsity(network(DENSE, *cells), (1.0, 2.0, 5.0))
    assert set(with_dense["label"]) == {"edgepopup"}
    assert with_dense["reference"].value_counts().to_dict() == {"dense": 3, "own best": 3}
    assert set(comparable_sparsity(network(*cells))["reference"]) == {"own best"}
    assert comparable_sparsity(network(DENSE)).empty


def test_own_best_is_the_best_mean_over_seeds_at_a_sparsity(network):
    table = network(("edgepopup", 0.5, [0.9, 0.8]), ("edgepopup", 0.8, [0.7, 0.98]), ("edgepopup", 0.9, [0.2, 0.99]))
    assert only(comparable_sparsity(table, (0.0,)))["accuracy"] == pytest.approx(0.85)


def test_seeds_that_never_reach_the_accuracy_and_seeds_that_hold_it_to_the_end_are_told(network):
    table = network(DENSE, ("edgepopup", 0.5, [0.96, 0.5, 0.96]), ("edgepopup", 0.9, [0.96, 0.5, 0.5]))
    row = only(comparable_sparsity(table), reference="dense", points=1.0)
    assert (row["n"], row["short"], row["at_end"]) == (2, 1, True)


def test_a_label_that_never_reaches_the_accuracy_has_a_row_that_says_so(network):
    row = only(comparable_sparsity(network(DENSE, ("edgepopup", 0.5, [0.5, None])), (1.0,)), reference="dense")
    assert math.isnan(row["sparsity"])
    assert math.isnan(row["low"])
    assert (row["n"], row["short"], row["at_end"]) == (0, 2, False)


def test_no_line_bridges_a_lost_point_and_none_goes_on_behind_it(network):
    table = network(DENSE, ("edgepopup", 0.9, [0.96]), ("edgepopup", 0.99, [None]), ("edgepopup", 0.999, [0.96]))
    row = only(comparable_sparsity(table), reference="dense", points=1.0)
    assert row["sparsity"] == pytest.approx(1 - 10 ** -(1 + 0.01 / 0.96))
    assert not row["at_end"]


def test_one_point_is_as_far_as_a_method_that_decides_its_sparsity_reaches(network):
    row = only(comparable_sparsity(network(DENSE, ("edgepopup", None, [0.96, 0.96], 0.7)), (1.0,)), reference="dense")
    assert (row["sparsity"], row["at_end"], row["n"]) == (0.7, True, 2)


def test_the_best_is_beyond_doubt_against_every_other(network):
    table = network(
        ("edgepopup", 0.5, [0.90, 0.80, 0.70]),
        ("biprop", 0.5, [0.89, 0.79, 0.69]),  # always a point below, however far seeds lie apart
        ("edgepopup", 0.8, [0.90, 0.80, 0.70]),
        ("biprop", 0.8, [0.89, 0.83, 0.65]),  # not always
        ("edgepopup", 0.9, [0.90, 0.80, 0.70]),
        ("biprop", 0.9, [0.89, 0.79, 0.69]),
        ("sws", 0.9, [0.90, 0.79, 0.70]),  # too near to the best, unlike the other
        ("random_mask", 0.5, [0.99, 0.99, 0.99]),  # no reference is ever best
        DENSE,
    )
    assert best_by_sparsity(table) == {0.5: "edgepopup"}


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([("edgepopup", 0.5, [0.9, 0.9])], id="alone"),
        pytest.param([("edgepopup", 0.5, [0.9, 0.9]), ("biprop", 0.5, [None, None])], id="alone but for lost ones"),
        pytest.param([("edgepopup", 0.5, [0.9]), ("biprop", 0.5, [0.1])], id="one seed"),
        pytest.param([("edgepopup", 0.5, [0.9, 0.91]), ("biprop", 0.5, [0.1, None])], id="one seed in common"),
        pytest.param([("edgepopup", 0.5, [0.9, 0.9, None]), ("biprop", 0.5, [0.1, 0.1, 0.1])], id="a lost seed"),
        pytest.param([("edgepopup", 0.5, [0.9, 0.9], 0.48), ("biprop", 0.5, [0.1, 0.1])], id="not as sparse as asked"),
        pytest.param([("edgepopup", 0.5, [0.9, 0.9]), ("biprop", 0.5, [0.9, 0.9])], id="equal"),
        pytest.param([("edgepopup", None, [0.9, 0.9], 0.5), ("biprop", None, [0.1, 0.1], 0.5)], id="none asked"),
        pytest.param([("edgepopup", 0.5, [0.1, 0.1, 0.9]), ("biprop", 0.5, [0.2, 0.2])], id="worse on common seeds"),
    ],
)
def test_nobody_is_best(network, cells):
    assert best_by_sparsity(network(*cells)) == {}


def test_losses_of_the_others_do_not_take_the_best_from_it(network):
    table = network(
        ("edgepopup", 0.5, [0.9, 0.9, 0.9]), ("biprop", 0.5, [0.1, 0.1, 0.1, None]), ("sws", 0.5, [None] * 3)
    )
    assert best_by_sparsity(table) == {0.5: "edgepopup"}


def test_accuracy_ratios_are_paired_by_seed_at_the_baselines_sparsities(network):
    table = network(
        ("edgepopup", 0.9, [0.4, 0.8, 0.5]),
        ("edgepopup", 0.99, [0.4, 0.8, 0.5]),
        ("biprop", 0.9, [0.8, 0.8, None]),
        ("biprop", 0.999, [0.4, 0.4, 0.4]),
        ("random_mask", 0.9, [0.1, 0.1, 0.1]),
    )
    found = ratios(table, "edgepopup")
    assert set(found["label"]) == {"biprop"}
    found = found[found["kind"] == "accuracy at sparsity"]
    assert found["at"].tolist() == [0.9, 0.99]
    wanted = t_interval([2.0, 1.0])
    row = only(found, at=0.9)
    assert [row[name] for name in ("ratio", "low", "high")] == pytest.approx([wanted.mean, wanted.low, wanted.high])
    assert (row["n"], row["at_end"]) == (2, False)
    assert all(math.isnan(row[name]) for name in REMAINING)
    assert only(found, at=0.99)["ratio"] == pytest.approx((0.6 / 0.4 + 0.6 / 0.8) / 2)


def test_a_lost_seed_is_in_no_accuracy_ratio(network):
    table = network(("edgepopup", 0.5, [0.8, 0.8]), ("biprop", 0.5, [0.4, None]), ("biprop", 0.9, [0.4, 0.8]))
    row = only(ratios(table, "edgepopup"), kind="accuracy at sparsity")
    assert (row["ratio"], row["n"]) == (pytest.approx(0.5), 1)


def test_sparsity_ratios_tell_of_sparsities_and_of_remaining_weights(network):
    table = network(
        DENSE,
        ("edgepopup", 0.5, [0.96, 0.96, 0.96]),
        ("edgepopup", 0.9, [0.96, 0.96, 0.5]),
        ("edgepopup", 0.99, [0.0, 0.0, 0.0]),
        ("biprop", 0.9, [0.96, 0.95, 0.3]),
        ("biprop", 0.99, [0.94, 0.0, 0.3]),
    )
    row = only(ratios(table, "edgepopup", (1.0,)), kind="sparsity at accuracy")
    base = 1 - 10 ** -(1 + 0.01 / 0.96)
    reached = [1 - 10**-1.5, 0.9]
    assert row["at"] == pytest.approx(0.95)
    assert row["ratio"] == pytest.approx(sum(reached) / 2 / base)
    kept = t_interval([(1 - own) / (1 - base) for own in reached])
    assert [row["remaining_ratio"], row["remaining_high"]] == pytest.approx([kept.mean, kept.high])
    assert (kept.low < 0, row["remaining_low"]) == (True, 0.0)  # nobody keeps less than nothing
    assert (row["n"], row["at_end"]) == (2, False)


@pytest.mark.parametrize("end", ["edgepopup", "biprop"])
def test_a_sparsity_ratio_tells_that_either_reaches_its_end(network, end):
    cells = [(label, sparsity, [0.9]) for label in ("edgepopup", "biprop") for sparsity in (0.5, 0.9)]
    falls = [(label, 0.99, [0.1]) for label in ("edgepopup", "biprop") if label != end]
    assert only(ratios(network(*cells, *falls), "edgepopup", (1.0,)), kind="sparsity at accuracy")["at_end"]


def test_without_dense_the_threshold_is_below_the_baselines_own_best(network):
    table = network(("edgepopup", 0.5, [0.9, 0.8]), ("edgepopup", 0.9, [0.1, 0.1]), ("biprop", 0.5, [0.99, 0.99]))
    found = ratios(table, "edgepopup", (1.0, 5.0))
    assert found.loc[found["kind"] == "sparsity at accuracy", "at"].tolist() == pytest.approx([0.84, 0.80])


def test_a_baseline_that_decides_its_sparsity_is_compared_at_accuracies_only(network):
    table = network(DENSE, ("edgepopup", None, [0.96, 0.96], 0.8), ("biprop", 0.4, [0.96, 0.96]))
    row = only(ratios(table, "edgepopup", (1.0,)))
    assert (row["kind"], row["ratio"]) == ("sparsity at accuracy", pytest.approx(0.5))
    assert [row[name] for name in REMAINING] == pytest.approx([3.0, 3.0, 3.0])


def test_without_the_baseline_there_are_no_ratios(network):
    assert ratios(network(DENSE, ("edgepopup", 0.5, [0.9])), "biprop").empty


def test_sparsities_at_equal_accuracy_are_read_off_both_curves(network):
    falls = [("edgepopup", 0.5, [0.96, 0.94]), ("edgepopup", 0.75, [0.90, 0.88])]
    holds = [("gates", 0.9, [0.96, 0.96]), ("gates", 0.99, [0.90, 0.90])]
    found = at_equal_accuracy(network(DENSE, *falls, *holds), "edgepopup")
    row = only(found.assign(accuracy=found["accuracy"].round(4)), accuracy=0.93)  # halfway between 0.90 and 0.96
    at = [1 - 0.5 * 10 ** (-share * math.log10(2)) for share in (0.5, 1 / 6)]  # between 0.5 and 0.75
    assert (row["label"], row["n"]) == ("gates", 2)
    assert row["baseline_sparsity"] == pytest.approx(sum(at) / 2)
    assert row["sparsity"] == pytest.approx(1 - 10**-1.5)


def test_sparsities_at_equal_accuracy_end_where_a_seed_of_either_does(network):
    falls = [("edgepopup", 0.5, [0.96, 0.94]), ("edgepopup", 0.75, [0.90, 0.88])]
    holds = [("gates", 0.9, [0.96, 0.96]), ("gates", 0.99, [0.91, 0.90])]
    found = at_equal_accuracy(network(*falls, *holds), "edgepopup")
    assert 0.91 < found["accuracy"].min() < 0.915  # at 0.91 a seed of gates still is at its sparsest
    assert 0.935 < found["accuracy"].max() <= 0.94  # which the weaker seed of edgepopup has at best


def test_a_failure_is_not_a_loss(network):
    table = network(DENSE, ("edgepopup", 0.5, [0.96]), ("edgepopup", 0.8, [None]), ("edgepopup", 0.9, [0.96]))
    table["status"] = table["status"].replace("diverged", "failed")
    row = only(comparable_sparsity(table, (1.0,)), reference="dense")
    assert (row["sparsity"], row["at_end"]) == (0.9, True)


def test_tables_keep_their_columns_where_they_are_empty():
    empty = pd.DataFrame(columns=frame([]).columns)
    assert "short" in comparable_sparsity(empty)
    assert "remaining_ratio" in ratios(empty, "edgepopup")
    assert "baseline_sparsity" in at_equal_accuracy(empty, "edgepopup")
    assert best_by_sparsity(empty) == {}
