"""Networks that differ in their width alone."""

import pandas as pd
import pytest

from slt_bench.analysis.widths import narrower


def table(*archs):
    same = {"label": "gates", "method": "gates", "asked_sparsity": 0.9}
    return pd.DataFrame({"arch": archs, "seed": range(len(archs))}).assign(**same)


def test_factors_are_those_of_every_hidden_layer():
    found = narrower(table("lenet300", "mlp30_10", "mlp75_25", "mlp30_11", "mlp30", "resnet20", "mlp30_10"), "lenet300")
    assert list(zip(found["arch"], found["width"], strict=True)) == [
        ("lenet300", 1.0), ("mlp30_10", 0.1), ("mlp75_25", 0.25), ("mlp30_10", 0.1),
    ]  # fmt: skip


def test_widths_are_rounded_to_whole_units():
    found = narrower(table("mlp300_100", "mlp99_33", "mlp100_33"), "mlp300_100")
    assert found["width"].tolist() == pytest.approx([1, 0.33, 1 / 3])


@pytest.mark.parametrize("arch", ["mlp30_10", "mlp100", "resnet20", "somebody's own", "somebody's own_leaky"])
def test_nothing_is_found_for_one_that_is_not_the_widest_or_alone(arch):
    found = narrower(table("lenet300", "mlp30_10", "mlp100", "resnet20", "somebody's own"), arch)
    assert found.empty
    assert "width" in found


def test_leaky_networks_are_compared_with_each_other():
    archs = ("lenet300", "mlp30_10", "lenet300_leaky", "mlp75_25_leaky")
    for widest, narrow in (archs[:2], archs[2:]):
        assert narrower(table(*archs), widest)["arch"].tolist() == [widest, narrow]


def test_one_network_under_two_names_is_alone():
    assert narrower(table("lenet300", "mlp300_100"), "lenet300").empty


def test_labels_on_one_width_are_left_out():
    rows = table("lenet300", "mlp30_10", "lenet300", "mlp30_10")
    rows["label"] = ["gates", "gates", "edgepopup", "edgepopup"]
    rows.loc[3, "asked_sparsity"] = 0.5
    assert narrower(rows, "lenet300")["label"].tolist() == ["gates", "gates"]


def test_own_sparsities_are_one():
    rows = table("lenet300", "mlp30_10").assign(asked_sparsity=float("nan"))
    assert len(narrower(rows, "lenet300")) == 2


def test_where_only_dense_training_has_several_widths_there_is_nothing_to_see():
    assert narrower(table("lenet300", "mlp30_10").assign(method="dense", label="dense"), "lenet300").empty
