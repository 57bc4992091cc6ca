"""Accuracies and sanity checks."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tickets import ticket_of
from torch import nn

from slt_bench.data.catalogue import DATASETS
from slt_bench.data.dataset import Dataset, Split
from slt_bench.data.dataset import load as load_data
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.tickets import evaluate
from slt_bench.tickets.evaluate import Sanity, accuracy, dead_units, measure_statistics, sanity, shuffle_within_layers
from slt_bench.utils.errors import NotFiniteError

INFO = dataclasses.replace(DATASETS["cifar10"], shape=(3, 8, 8))


def split(count, seed=0, shape=(3, 8, 8)):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8)
    return Split(images, torch.randint(10, (count,), generator=generator))


def normalised(images, info):
    """(images / 255 - mean) / std, in numpy."""
    scaled = images.numpy().astype(np.float64) / 255
    mean, std = (np.array(values).reshape(1, -1, 1, 1) for values in (info.mean, info.std))
    return (scaled - mean) / std


class TestAccuracy:
    @pytest.mark.parametrize("count", [1, 7, 500, 1203])
    def test_agrees_with_numpy(self, count):
        images = split(count)
        network = FrozenNetwork("lenet300", shape=(3, 8, 8), classes=10, init="kaiming_normal")
        flat = normalised(images.images, INFO).reshape(count, -1)
        weights = [part.double().numpy() for part in network.weights.split(network.sizes)]
        hidden = np.maximum(flat @ weights[0].reshape(300, 192).T, 0)
        logits = np.maximum(hidden @ weights[1].reshape(100, 300).T, 0) @ weights[2].reshape(10, 100).T
        expected = (logits.argmax(1) == images.labels.numpy()).mean()
        assert accuracy(lambda x: network(x, network.weights), images, INFO) == pytest.approx(
            expected, abs=1.01 / count
        )
        if count == 1203:
            assert 0.02 < expected < 0.3

    def test_of_what_is_always_right_or_never(self):
        images = split(1203)
        answers = iter(images.labels.split(500))
        assert accuracy(lambda _: nn.functional.one_hot(next(answers), 10).float(), images, INFO) == 1.0
        wrong = iter(((images.labels + 1) % 10).split(500))
        assert accuracy(lambda _: nn.functional.one_hot(next(wrong), 10).float(), images, INFO) == 0.0

    def test_the_last_smaller_batch_counts_by_its_images(self):
        images = Split(split(501).images, torch.cat([torch.zeros(500, dtype=torch.int64), torch.ones(1).long()]))
        zeros = nn.functional.one_hot(torch.tensor([0]), 10).float()
        assert accuracy(lambda x: zeros.expand(len(x), -1), images, INFO) == pytest.approx(500 / 501)

    def test_outputs_that_are_not_finite_are_wrong_or_refused(self):
        images = split(5)

        def broken(x):
            logits = torch.nn.functional.one_hot(images.labels, 10).float()
            logits[0, 3], logits[1, images.labels[1]] = torch.nan, torch.inf
            return logits[: len(x)]

        assert accuracy(broken, images, INFO) == 3 / 5
        with pytest.raises(NotFiniteError, match="2 of 5 images"):
            accuracy(broken, images, INFO, refuses_nan=True)

    def test_no_graph_is_built(self):
        seen = []
        accuracy(lambda x: seen.append(torch.is_grad_enabled()) or torch.zeros(len(x), 10), split(5), INFO)
        assert seen == [False]


class TestShuffle:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 100))
    def test_keeps_what_each_layer_has(self, sizes, seed):
        mask = torch.rand(sum(sizes), generator=torch.Generator().manual_seed(seed)) < 0.4
        before = mask.clone()
        shuffled = shuffle_within_layers(mask, sizes, seed)
        assert shuffled.dtype == torch.bool
        assert [int(part.sum()) for part in shuffled.split(sizes)] == [int(part.sum()) for part in before.split(sizes)]
        assert torch.equal(mask, before)
        assert torch.equal(shuffled, shuffle_within_layers(mask, sizes, seed))

    def test_leaves_nothing_but_the_densities(self):
        sizes = [4000, 4000]
        mask = torch.zeros(8000, dtype=torch.bool)
        mask[:1000] = mask[4000:6000] = True
        shuffled = shuffle_within_layers(mask, sizes, 0)
        assert float(shuffled[:1000].double().mean()) == pytest.approx(0.25, abs=0.07)
        assert float(shuffled[4000:6000].double().mean()) == pytest.approx(0.5, abs=0.06)
        assert not torch.equal(shuffled, shuffle_within_layers(mask, sizes, 1))
        alike = torch.cat([mask[:4000], mask[:4000]])  # layers do not share their order
        assert not torch.equal(*shuffle_within_layers(alike, sizes, 0).split(sizes))


class TestSurvivors:
    @pytest.mark.parametrize(("classes", "limit"), [(10, 0.25), (100, 0.025), (2, 0.65), (1000, 0.0025)])
    def test_limits(self, classes, limit):
        just_below, just_above = limit - 1e-6, limit + 1e-6
        assert Sanity(just_below, just_below, just_below).survivors(classes) == []
        assert Sanity(just_above, just_below, just_below).survivors(classes) == ["shuffled"]
        assert Sanity(just_below, just_above, just_below).survivors(classes) == ["redrawn"]
        assert Sanity(just_below, just_below, just_above).survivors(classes) == ["inverted"]
        assert Sanity(just_above, 1.0, 0.0).survivors(classes) == ["shuffled", "redrawn"]

    @pytest.mark.parametrize("classes", [2, 10, 100])
    def test_chance_is_no_survivor_and_perfection_is(self, classes):
        assert Sanity(*[1 / classes] * 3).survivors(classes) == []
        assert Sanity(1.0, 1.0, 1.0).survivors(classes) == ["shuffled", "redrawn", "inverted"]


class TestStatistics:
    def test_come_from_the_training_images_as_they_are(self):
        network = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10)
        train = split(750)
        seen = []
        first = network.skeleton[0]
        hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        measure_statistics(network, network.weights, train, INFO)
        hook.remove()
        assert np.allclose(torch.cat(seen).numpy(), normalised(train.images, INFO), atol=1e-5)
        direct = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10)
        direct.measure_statistics([torch.cat(seen)[:500], torch.cat(seen)[500:]], direct.weights)
        for name, value in direct.statistics().items():
            assert torch.allclose(network.statistics()[name], value, atol=1e-6)

    @pytest.mark.parametrize(("count", "sizes"), [(500, [500]), (501, [501]), (502, [500, 2]), (1001, [500, 501])])
    def test_no_chunk_is_of_one_image(self, count, sizes):
        network = FrozenNetwork("timm:mobilenetv3_small_050", shape=(3, 8, 8), classes=10)  # ends in one pixel
        seen = []
        hook = network.skeleton.bn1.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        measure_statistics(network, network.weights, split(count), INFO)
        hook.remove()
        assert seen == sizes

    def test_a_few_images_more_change_little(self):
        """A small last chunk weighs as much as it has images: a plain mean over chunks was off by 5% here and more."""
        network, found = FrozenNetwork("resnet20", shape=(3, 8, 8), classes=10), {}
        for count in (500, 503):
            measure_statistics(network, network.weights, split(503).first(count), INFO)
            found[count] = network.statistics()
        changes = [
            float(((found[503][name] - value) / value).abs().median())
            for name, value in found[500].items()
            if name.endswith("running_var")
        ]
        assert max(changes) < 0.01

    def test_are_measured_on_a_limited_number(self, monkeypatch):
        monkeypatch.setattr(evaluate, "STATISTICS_IMAGES", 60)
        network = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10)
        train = split(100)
        measure_statistics(network, network.weights, train, INFO)
        other = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10)
        measure_statistics(other, other.weights, train.first(60), INFO)
        assert all(torch.equal(value, other.statistics()[name]) for name, value in network.statistics().items())

    def test_sanity_looks_at_the_first_images_of_either_split(self, monkeypatch):
        network = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10)
        ticket = ticket_of(network, torch.rand(network.n, generator=torch.Generator().manual_seed(0)) < 0.5)
        train, validation = split(100, 1), split(200, 2)
        few = sanity(ticket, network, train.first(40), validation.first(40), INFO)
        all_images = sanity(ticket, network, train, validation, INFO)
        monkeypatch.setattr(evaluate, "CHECK_IMAGES", 40)
        assert sanity(ticket, network, train, validation, INFO) == few != all_images

    def test_sanity_measures_on_training_images_and_scores_on_validation(self):
        network = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10)
        mask = torch.rand(network.n, generator=torch.Generator().manual_seed(0)) < 0.5
        train, validation = split(100, 1), split(200, 2)
        found = sanity(ticket_of(network, mask), network, train, validation, INFO)

        def score(frozen, bits):
            effective = frozen.effective(bits.float())
            frozen.measure_statistics([torch.from_numpy(normalised(train.images, INFO)).float()], effective)
            logits = frozen(torch.from_numpy(normalised(validation.images, INFO)).float(), effective)
            return float((logits.argmax(1) == validation.labels).double().mean())

        clean = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10)
        shuffled = shuffle_within_layers(mask, clean.sizes, 0)
        assert found.shuffled == pytest.approx(score(clean, shuffled), abs=0.011)
        redrawn = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10, seed=evaluate.REDRAWN_SEED_OFFSET)
        assert found.redrawn == pytest.approx(score(redrawn, mask), abs=0.011)
        assert redrawn.weight_hash() != clean.weight_hash()
        assert found.inverted == pytest.approx(score(clean, ~mask), abs=0.011)


class TestDeadUnits:
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8))
    def test_are_the_outputs_without_a_weight(self, rows):
        mask = torch.tensor(rows)
        assert dead_units(mask.flatten(), tuple(mask.shape)) == sum(not any(row) for row in rows)

    def test_of_a_convolution(self):
        mask = torch.zeros(4, 2, 3, 3, dtype=torch.bool)
        mask[1, 0, 2, 2] = mask[3] = True
        assert dead_units(mask.flatten(), (4, 2, 3, 3)) == 2


def test_a_real_ticket_dies_when_it_is_shuffled_redrawn_or_inverted(tmp_path):
    from slt_bench.jobs.benchmark import Budget
    from slt_bench.registry import load_registry
    from slt_bench.training.loop import search

    data = load_data("digits", tmp_path)
    assert isinstance(data, Dataset)
    network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
    kind = load_registry().find("edgepopup")
    method = kind(network, kind.settings_class(), 0.5)
    search(method, network, data, Budget(epochs=10, batch_size=64), 0, lambda _: None)
    ticket = ticket_of(network, method.mask())
    alive = accuracy(ticket.rebuild(), data.test, data.info)
    checks = sanity(ticket, network, data.train, data.validation, data.info)
    assert alive > 0.8
    assert checks.survivors(10) == []
