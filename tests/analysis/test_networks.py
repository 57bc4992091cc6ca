"""Several networks beside one another."""

import pandas as pd
from tables import table

from slt_bench.analysis.networks import baseline_of, networks

CURVES = {"gates": {0.5: [0.9, 0.8]}, "dense": {0.0: [0.95]}}


def several(*changes):
    return pd.concat([table(CURVES, **change) for change in changes])


def test_each_network_has_its_records_under_a_title_in_the_order_of_their_first():
    found = networks(several({}, {"arch": "conv2", "dataset": "cifar10"}))
    assert list(found) == ["lenet300 on digits", "conv2 on cifar10"]
    assert (found["conv2 on cifar10"]["arch"] == "conv2").all()
    assert [len(rows) for rows in found.values()] == [3, 3]


def test_titles_tell_what_else_differs():
    found = networks(several({}, {"budget": "20 epochs"}))
    assert list(found) == ["lenet300 on digits, 2 epochs", "lenet300 on digits, 20 epochs"]


def test_titles_tell_in_words_whether_weights_are_rescaled():
    found = networks(several({}, {"init": "uniform:0.1", "rescale": "none"}))
    assert list(found) == [
        "lenet300 on digits, signed_constant, rescaled", "lenet300 on digits, uniform:0.1, not rescaled"
    ]  # fmt: skip


def test_titles_leave_out_what_all_have():
    long, short = "4 epochs, batches of 128", "1 epoch, batches of 128, precision bf16"
    found = networks(several({"budget": long}, {"budget": short}))
    assert list(found) == ["lenet300 on digits, 4 epochs", "lenet300 on digits, 1 epoch, precision bf16"]


def test_of_networks_that_differ_in_width_the_widest_is_taken_on_each_data_set():
    narrow = [{"arch": "mlp30_10"}, {"arch": "mlp150_50"}, {"arch": "mlp150_50", "dataset": "mnist"}]
    assert list(networks(several({}, *narrow))) == ["lenet300 on digits", "mlp150_50 on mnist"]


def test_a_wider_network_that_has_learned_nothing_yet_hides_none():
    begun = table({"dense": {0.0: [0.95]}})
    found = networks(pd.concat([begun, several({"arch": "mlp30_10"}, {"arch": "conv2"})]))
    assert list(found) == ["mlp30_10 on digits", "conv2 on digits"]


def test_where_nothing_was_learned_there_is_nothing_to_see():
    dense = table({"dense": {0.0: [0.95]}, "random_mask": {0.5: [0.1]}})
    lost = table({"gates": {0.5: [None]}}, arch="conv2")
    assert networks(pd.concat([dense, lost])) == {}


def test_where_a_baseline_is_not_the_one_label_of_its_method_stands_in_its_place():
    both = table({"gates": {0.5: [0.9]}, "edgepopup": {0.5: [0.8]}})
    other = table({"gates_uniform": {0.5: [0.9]}, "edgepopup_uniform": {0.5: [0.8]}}, init="uniform:0.1")
    other["method"] = other["label"].str.removesuffix("_uniform")
    whole = pd.concat([both, other])
    assert baseline_of(both, "edgepopup", whole) == "edgepopup"
    assert baseline_of(other, "edgepopup", whole) == "edgepopup_uniform"
    twice = pd.concat([other, other[other["method"] == "edgepopup"].assign(label="edgepopup_slow")])
    assert baseline_of(twice, "edgepopup", whole) == ""
    assert baseline_of(other[other["method"] == "gates"], "edgepopup", whole) == ""
