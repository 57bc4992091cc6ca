"""Two sets of records, cell by cell."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tables import table

from slt_bench.analysis.compare import compare, holm
from slt_bench.utils.errors import UserError

seeds = st.lists(st.floats(0.1, 0.9).map(lambda value: round(value, 4)), min_size=3, max_size=6)


def test_differences_are_paired_by_seed():
    before = table({"gates": {0.5: [0.90, 0.80, 0.70]}})
    after = table({"gates": {0.5: [0.91, 0.82, 0.71]}})
    row = compare(before, after).cells.iloc[0]
    assert row["difference"] == pytest.approx(0.04 / 3)
    assert row["p"] == pytest.approx(stats.ttest_rel([0.91, 0.82, 0.71], [0.90, 0.80, 0.70]).pvalue)
    assert (row["n"], row["mark"]) == (3, "=")


def test_marks():
    before = {
        "up": [0.5, 0.6, 0.7],
        "down": [0.5, 0.6, 0.7],
        "one": [0.5],
        "two": [0.5] * 2,
        "lost": [0.5, 0.5],
        "even": [0.5, 0.6, 0.7],
    }
    after = {
        "up": [0.6, 0.7, 0.8],
        "down": [0.4, 0.5, 0.6],
        "one": [0.9],
        "two": [0.9] * 2,
        "lost": [None, None],
        "even": [0.5, 0.6, 0.7],
    }
    first, second = (table({name: {0.5: values} for name, values in side.items()}) for side in (before, after))
    found = compare(first, second)
    marks = dict(zip(found.cells["label"], found.cells["mark"], strict=True))
    assert marks == {"up": "better", "down": "worse", "one": "1 seed", "two": "2 seeds", "lost": "lost", "even": "="}
    assert sorted(found.regressions) == [
        "down on lenet300 and digits, sparsity 0.5",
        "lost on lenet300 and digits, sparsity 0.5",
    ]


@pytest.mark.parametrize("status", ["diverged", "failed"])
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_seed_that_is_lost_is_a_regression(status, lost):
    before = table({"gates": {0.5: [0.9, 0.9, 0.9]}})
    after = table({"gates": {0.5: [0.9] * (3 - lost) + [None] * lost}})
    after["status"] = after["status"].replace("diverged", status)
    found = compare(before, after)
    assert found.cells[["n", "lost", "mark"]].to_numpy().tolist() == [[3 - lost, lost, "lost"]]
    assert found.regressions == ["gates on lenet300 and digits, sparsity 0.5"]


def test_a_seed_that_no_longer_learns_is_lost():
    before, after = table({"gates": {0.5: [0.9, 0.9, 0.9]}}), table({"gates": {0.5: [0.9, 0.9, 0.1]}})
    after["learned"] = [True, True, False]
    assert compare(before, after).cells["mark"].tolist() == ["lost"]
    assert compare(after, after).cells["mark"].tolist() == ["="]  # it did not before, either


def test_what_was_lost_before_is_none():
    lost, done = table({"gates": {0.5: [None, None]}}), table({"gates": {0.5: [0.9, 0.9]}})
    for after in (lost, done):
        found = compare(lost, after)
        assert (found.cells["mark"].tolist(), found.regressions) == (["-"], [])


def test_means_are_of_the_seeds_that_both_have():
    row = compare(table({"gates": {0.5: [0.9, 0.8, 0.1]}}), table({"gates": {0.5: [0.8, 0.8]}})).cells.iloc[0]
    assert (row["first"], row["second"]) == (pytest.approx(0.85), pytest.approx(0.8))
    assert row["second"] - row["first"] == pytest.approx(row["difference"])


def test_cells_of_one_side_are_told_and_own_sparsities_are_a_cell():
    first = table({"gates": {0.5: [0.5, 0.5]}, "dense": {0.0: [0.9, 0.9]}})
    second = table({"gates": {0.9: [0.5, 0.5]}, "dense": {0.0: [0.9, 0.9]}})
    found = compare(first, second)
    assert list(found.cells["label"]) == ["dense"]
    assert found.only_first == ["gates on lenet300 and digits, sparsity 0.5"]
    assert found.only_second == ["gates on lenet300 and digits, sparsity 0.9"]


def test_dense_tickets_are_paired_with_every_sparsity():
    whole = table({"dense": {0.0: [0.9] * 3}}).assign(label="shared")
    sparse = table({"gates": {0.5: [0.8] * 3, 0.9: [0.7] * 3}}).assign(label="shared")
    found = compare(whole, sparse)
    assert found.cells["asked_sparsity"].tolist() == [0.5, 0.9]
    assert found.cells["difference"].tolist() == pytest.approx([-0.1, -0.2])
    assert found.cells["mark"].tolist() == ["worse", "worse"]
    assert (found.only_first, found.only_second, found.dense) == ([], [], (True, False))
    found = compare(sparse, whole)
    assert (found.cells["mark"].tolist(), found.dense) == (["better", "better"], (False, True))


def test_a_seed_that_is_lost_against_dense_is_a_regression():
    whole = table({"dense": {0.0: [0.9, 0.9]}}).assign(label="shared")
    sparse = table({"gates": {0.5: [0.9, 0.9], 0.99: [0.1, None]}}).assign(label="shared")
    assert compare(whole, sparse).cells["mark"].tolist() == ["2 seeds", "lost"]


def test_tickets_that_choose_their_own_sparsity_are_not_dense():
    own = table({"dense": {0.4: [0.9, 0.9]}}).assign(label="shared")
    with pytest.raises(UserError, match=r"paired: .* sparsity of the method's own choice, the second 0.5"):
        compare(own, table({"gates": {0.5: [0.8, 0.8]}}).assign(label="shared"))


@pytest.mark.parametrize(
    ("second", "changes", "words"),
    [
        ({"gates": {0.9: [0.5, 0.5]}}, {}, ("sparsity", "0.5", "0.9")),
        ({"edgepopup": {0.5: [0.5, 0.5]}}, {}, ("label", "gates", "edgepopup")),
        ({"gates": {0.5: [0.5, 0.5]}}, {"arch": "conv2"}, ("network", "lenet300", "conv2")),
        ({"gates": {0.5: [0.5, 0.5]}}, {"dataset": "mnist"}, ("data set", "digits", "mnist")),
        ({"gates": {0.5: [0.5, 0.5]}}, {"init": "uniform"}, ("init", "signed_constant", "uniform")),
        ({"gates": {0.5: [0.5, 0.5]}}, {"seed": 7}, ("seeds", "0, 1", "7")),
    ],
)
def test_where_nothing_can_be_paired_the_reason_is_told(second, changes, words):
    with pytest.raises(UserError, match="Nothing can be paired") as told:
        compare(table({"gates": {0.5: [0.5, 0.5]}}), table(second, **changes))
    assert all(word in str(told.value) for word in words)


def test_where_only_combinations_differ_that_is_told():
    first = table({"gates": {0.5: [0.5]}, "edgepopup": {0.9: [0.5]}})
    with pytest.raises(UserError, match="no label has one network"):
        compare(first, table({"gates": {0.9: [0.5]}, "edgepopup": {0.5: [0.5]}}))


@pytest.mark.parametrize(("changes", "told"), [({"budget": "9 epochs"}, "budget"), ({"method_version": 2}, "version")])
def test_what_cannot_be_compared_is_refused(changes, told):
    records = {"gates": {0.5: [0.5, 0.5]}}
    with pytest.raises(UserError, match=f"gates on lenet300 and digits has another {told}"):
        compare(table(records), table(records, **changes))


def test_among_many_cells_chance_is_no_regression():
    """At 5% a cell, about 10 of 200 cells without any difference are marked; none is a regression."""
    draw = np.random.default_rng(0)
    curves = [{f"m{cell}": {0.5: draw.normal(0.5, 0.01, 4).tolist()} for cell in range(200)} for _ in range(2)]
    found = compare(*map(table, curves))
    assert 2 <= (found.cells["mark"] != "=").sum() <= 20
    assert found.regressions == []


@pytest.mark.slow
@pytest.mark.parametrize(("n", "images"), [(2, 360), (3, 360), (3, 10_000), (5, 360)])
def test_accuracies_that_tie_are_no_proof(n, images):
    """Counts of images tie by chance, most where they are few: at 5% no more than that share of families has an error.

    20 cells without a true difference, each seed's network drawn anew, scored on so many images.
    """
    draw = np.random.default_rng(n)
    errors, families = 0, 60
    for _ in range(families):
        sides = [
            table({f"m{cell}": {0.5: (draw.binomial(images, 0.975, n) / images).tolist()} for cell in range(20)})
            for _ in range(2)
        ]
        errors += bool(compare(*(side.assign(images=images) for side in sides)).regressions)
    assert errors / families <= 0.05 + 1.96 * math.sqrt(0.05 * 0.95 / families)
    if n == 2:
        assert errors == 0


@given(seeds)
def test_nothing_regresses_against_itself(accuracies):
    records = table({"gates": {0.5: accuracies}})
    found = compare(records, records)
    assert list(found.cells["mark"]) == ["="]
    assert found.regressions == []


@given(seeds, seeds)
def test_the_other_way_round_is_the_mirror_image(before, after):
    first, second = (table({"gates": {0.5: side}}) for side in (before, after))
    there, back = compare(first, second).cells.iloc[0], compare(second, first).cells.iloc[0]
    assert there["difference"] == pytest.approx(-back["difference"], abs=1e-12)
    mirror = {"better": "worse", "worse": "better"}
    assert back["mark"] == mirror.get(there["mark"], there["mark"])


@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=8))
def test_holm_is_as_its_definition_has_it(p):
    values = np.array(p, dtype=float)
    found = holm(values)
    tested = sorted((value, index) for index, value in enumerate(p) if not math.isnan(value))
    worst = 0.0
    for rank, (value, index) in enumerate(tested):
        worst = max(worst, min(1.0, (len(tested) - rank) * value))
        assert found[index] == pytest.approx(worst)
    assert all(math.isnan(found[index]) for index, value in enumerate(p) if math.isnan(value))
