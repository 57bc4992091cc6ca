"""What every method gets from the contract: the size of a mask, masks with the gradient of their scores, ranges."""

import math
from typing import Annotated

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slt_bench.method import Choice, Method, MethodSettings, OptimizerSettings, Range, straight_through
from slt_bench.network.frozen import FrozenNetwork

NUMBERS = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=30)
SPARSITIES = st.floats(0, 1) | st.sampled_from([0.3, 0.5, 0.7, 0.9, 0.95, 0.98])
NETWORK = FrozenNetwork("mlp7", shape=(1, 5, 5), classes=3)


class Tops(Method):
    name = "tops"
    version = 1
    paper = "a test"
    sparsity_control = "exact"
    purity = "frozen"

    def gates(self):
        raise NotImplementedError

    def mask(self):
        raise NotImplementedError


class TestKeepLargest:
    @given(st.integers(1, 400), SPARSITIES, st.sampled_from(["nearest", "down"]))
    def test_removes_the_rounded_share(self, count, sparsity, rounding):
        values = torch.randperm(count).float()
        mask = Tops(NETWORK, None, sparsity).keep_largest(values, rounding=rounding)
        removed = math.floor(sparsity * count) if rounding == "down" else round(sparsity * count)
        assert mask.tolist() == (values >= removed).tolist()

    @given(SPARSITIES, st.sampled_from(["nearest", "down"]))
    def test_of_each_layer_is_that_of_its_values(self, sparsity, rounding):
        method, values = Tops(NETWORK, None, None), torch.rand(NETWORK.n)
        mask = method.keep_largest(values, sparsity, per_layer=True, rounding=rounding)
        parts = [method.keep_largest(part, sparsity, rounding=rounding) for part in values.split(NETWORK.sizes)]
        assert torch.equal(mask, torch.cat(parts))

    def test_again_and_again_is_the_same_whatever_was_ranked_before(self):
        method, values = Tops(NETWORK, None, 0.9), torch.rand(100_000)
        for step in range(20):
            values += 0.01 * torch.randn(100_000) + 5 * (step == 10)
            mask = method.keep_largest(values, 0.5 if step == 15 else None)
            assert torch.equal(mask, Tops(NETWORK, None, 0.5 if step == 15 else 0.9).keep_largest(values))

    def test_needs_a_sparsity(self):
        with pytest.raises(TypeError, match="keep_largest needs a sparsity"):
            Tops(NETWORK, None, None).keep_largest(torch.rand(5))


class TestStraightThrough:
    @settings(max_examples=60, deadline=None)
    @given(NUMBERS)
    def test_is_the_mask_with_the_gradient_of_the_scores(self, scores):
        leaf = torch.tensor(scores, requires_grad=True)
        rank = 2 * leaf.abs()
        mask = straight_through(rank.detach() > 1, rank)
        mask.backward(torch.arange(len(scores), dtype=torch.float32))
        assert mask.tolist() == [float(2 * abs(score) > 1) for score in scores]
        assert leaf.grad.tolist() == [2 * place * ((score > 0) - (score < 0)) for place, score in enumerate(scores)]
        assert leaf.tolist() == scores

    def test_takes_masks_of_numbers_too(self):
        rank = torch.rand(3, requires_grad=True)
        assert straight_through(torch.tensor([0.0, 1.0, 0.5]), rank).tolist() == [0.0, 1.0, 0.5]

    @pytest.mark.parametrize("operation", [torch.sigmoid, torch.exp, torch.abs])
    def test_leaves_the_scores_alone(self, operation):
        leaf = torch.ones(3, requires_grad=True)
        rank = operation(leaf)
        before = rank.detach().clone()
        straight_through(torch.zeros(3), rank).sum().backward()
        assert torch.equal(rank, before)


class TestOptimizerSettings:
    @pytest.mark.parametrize("given", [{"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.0}])
    def test_nesterov_needs_sgd_with_momentum(self, given):
        with pytest.raises(ValueError, match="nesterov needs optimizer 'sgd'"):
            OptimizerSettings(nesterov=True, **given)


class TestSearchRanges:
    def test_stand_at_the_fields_in_the_order_in_which_these_were_last_written(self):
        class First(OptimizerSettings):
            lr: Annotated[float, Range(0.1, 1)] = 0.5
            slope: Annotated[float, Range(1, 2)] = 1.0
            start: Annotated[float, Range(3, 4)] = 3.0
            plain: float = 0.0

        class Second(First):
            start: float = 3.0  # no longer tried
            lr: Annotated[float, Range(10, 100, log=True)] = 20.0
            kind: Annotated[str, Choice(("a", "b"))] = "a"

        assert list(First.search_ranges().items()) == [
            ("lr", Range(0.1, 1)),
            ("slope", Range(1, 2)),
            ("start", Range(3, 4)),
        ]
        assert list(Second.search_ranges().items()) == [
            ("slope", Range(1, 2)),
            ("lr", Range(10, 100, log=True)),
            ("kind", Choice(("a", "b"))),
        ]
        assert MethodSettings.search_ranges() == {}

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Range(1, 1),
            lambda: Range(2, 1),
            lambda: Range(0, 1, log=True),
            lambda: Choice(("a", "a")),
            lambda: Choice(("a",)),
        ],
    )
    def test_that_make_no_sense_fail_where_they_are_written(self, make):
        with pytest.raises(TypeError, match="must"):
            make()


GOOD = {"name": "good", "version": 1, "paper": "a test", "sparsity_control": "exact", "purity": "frozen"}
HOOKS = {"gates": lambda self: self, "mask": lambda self: self}


class TestContract:
    def test_a_class_without_a_name_is_a_base(self):
        base = type("Base", (Method,), {"purity": "frozen"})
        assert issubclass(type("Good", (base,), GOOD | HOOKS), base)

    def test_the_settings_inside_are_the_methods(self):
        kind = type("Good", (Method,), GOOD | HOOKS | {"Settings": OptimizerSettings})
        assert kind.settings_class is kind.Settings is OptimizerSettings
        assert type("Heir", (kind,), {}).settings_class is OptimizerSettings
        assert type("Bare", (Method,), GOOD | HOOKS).settings_class is MethodSettings

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"name": "../evil"}, "name '../evil'"),
            ({"name": 3}, "name 3"),
            ({"version": "one"}, "version of Bad is 'one'"),
            ({"version": True}, "version of Bad is True"),
            ({"sparsity_control": "more or less"}, "sparsity_control.*exact, approximate, none"),
            ({"purity": "clean"}, "purity of Bad is 'clean'"),
            ({"Settings": dict}, "MethodSettings"),
            ({"settings_class": OptimizerSettings}, "class `Settings` inside"),
            ({"mask": Method.mask}, r"does not define mask\(\)"),
        ],
    )
    def test_a_method_that_breaks_it_fails_where_it_is_defined(self, change, words):
        with pytest.raises(TypeError, match=words):
            type("Bad", (Method,), GOOD | HOOKS | change)

    @pytest.mark.parametrize("name", ["version", "paper", "sparsity_control", "purity"])
    def test_a_method_must_give_all_its_attributes(self, name):
        with pytest.raises(TypeError, match=f"does not give its {name}"):
            type("Bad", (Method,), {key: value for key, value in (GOOD | HOOKS).items() if key != name})
