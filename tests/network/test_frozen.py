"""The frozen network: its weights, its table of layers, its rescaling, its statistics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from slt_bench.network.frozen import FrozenNetwork, layer_table
from slt_bench.network.ops.products import is_long
from slt_bench.network.ops.topk import keep_top_of_each
from slt_bench.registry import load_registry
from slt_bench.utils.errors import UserError

MNIST, CIFAR, DIGITS, TINY = (1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 8, 8)


def make(arch="lenet300", shape=DIGITS, **options):
    return FrozenNetwork(arch, shape=shape, classes=10, **options)


def images(shape, count=8, seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def random_gates(n, seed=1):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed))


def random_mask(n, density=0.5, seed=2):
    return (random_gates(n, seed) < density).float()


def layers_of(network, flat):
    """By name: the layer's part of a flat vector, as the layer's own shape. Counts offsets for itself."""
    start, parts = 0, {}
    for layer in network.layers:
        size = math.prod(layer.shape)
        parts[layer.name] = flat[start : start + size].reshape(layer.shape)
        start += size
    assert start == len(flat)
    return parts


class TestTable:
    def test_of_lenet(self):
        network = make(shape=MNIST)
        assert network.n == 784 * 300 + 300 * 100 + 100 * 10
        assert [layer.shape for layer in network.layers] == [(300, 784), (100, 300), (10, 100)]
        assert [layer.fan_in for layer in network.layers] == [784, 300, 100]
        assert [layer.start for layer in network.layers] == [0, 235_200, 265_200]
        assert network.sizes == [235_200, 30_000, 1_000]
        assert network.layers[1].slice == slice(235_200, 265_200)

    def test_of_convolutions(self):
        network = make("wrn10_1", TINY)
        by_shape = {layer.shape: layer.fan_in for layer in network.layers}
        assert by_shape[(16, 3, 3, 3)] == 27
        assert by_shape[(32, 16, 1, 1)] == 16
        assert by_shape[(10, 64)] == 64
        assert sum(network.sizes) == network.n

    def test_holds_grouped_and_transposed_and_attention_weights_but_no_others(self):
        skeleton = nn.Sequential()
        skeleton.add_module("grouped", nn.Conv2d(8, 4, 3, groups=2))
        skeleton.add_module("norm", nn.BatchNorm2d(4))
        skeleton.add_module("attention", nn.MultiheadAttention(4, 2))
        skeleton.add_module("table", nn.Embedding(5, 4))
        skeleton.add_module("line", nn.Conv1d(4, 2, 5))
        found = {layer.name: (layer.shape, layer.fan_in) for layer in layer_table(skeleton)}
        assert found == {
            "grouped.weight": ((4, 4, 3, 3), 36),
            "attention.in_proj_weight": ((12, 4), 4),
            "attention.out_proj.weight": ((4, 4), 4),
            "line.weight": ((2, 4, 5), 20),
        }

    def test_a_shared_weight_counts_once(self):
        one, other = nn.Linear(4, 4), nn.Linear(4, 4)
        other.weight = one.weight
        assert sum(layer.size for layer in layer_table(nn.Sequential(one, other))) == 16


class TestForward:
    def test_lenet_is_three_matrix_products(self):
        network = make(shape=MNIST)
        effective = torch.randn(network.n, generator=torch.Generator().manual_seed(3)) / 20
        first, second, third = effective.double().split([235_200, 30_000, 1_000])
        x = images(MNIST)
        hidden = (x.double().flatten(1) @ first.view(300, 784).T).clamp(min=0)
        hidden = (hidden @ second.view(100, 300).T).clamp(min=0)
        expected = hidden @ third.view(10, 100).T
        assert torch.allclose(network(x, effective).double(), expected, rtol=1e-4, atol=1e-5)

    def test_resnet20_is_what_he_et_al_describe(self):
        network = make("resnet20", TINY)
        effective = network.effective(random_mask(network.n))
        weights = [part.double() for part in layers_of(network, effective).values()]
        x = images(TINY).double()

        def norm(y):  # batch statistics, scale 1, shift 0
            mean = y.mean((0, 2, 3), keepdim=True)
            return (y - mean) / (y.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()

        queue = iter(weights)
        y = norm(functional.conv2d(x, next(queue), padding=1)).relu()
        for stage in range(3):
            for block in range(3):
                stride = 2 if stage > 0 and block == 0 else 1
                out = norm(functional.conv2d(y, next(queue), stride=stride, padding=1)).relu()
                out = norm(functional.conv2d(out, next(queue), padding=1))
                if stride == 2:
                    kept, new = y[:, :, ::2, ::2], y.shape[1] // 2
                    zeros = kept.new_zeros(len(x), new, *kept.shape[2:])
                    y = torch.cat([zeros, kept, zeros], 1)
                y = (out + y).relu()
        expected = y.mean((2, 3)) @ next(queue).T
        assert next(queue, None) is None
        network.train()
        assert torch.allclose(network(x.float(), effective).double(), expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("arch", ["conv2", "wrn10_1", "timm:mixer_s32_224"])
    def test_and_gradients_equal_the_plain_modules_with_the_weights_copied_in(self, arch):
        """Whatever the order in which an image's numbers lie in memory."""
        shape = (3, 32, 32)
        network = make(arch, shape)
        effective = network.effective(random_mask(network.n)).requires_grad_()
        from slt_bench.network.architectures import find

        plain = find(arch).build(shape, 10).eval()
        plain.load_state_dict(dict(network.skeleton.state_dict()) | layers_of(network, effective.detach()))
        x, labels = images(shape, 2), torch.tensor([3, 5])
        logits, expected = network.eval()(x, effective), plain(x)
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
        for one in (logits, expected):
            functional.cross_entropy(one, labels).backward()
        gradients = dict(plain.named_parameters())
        for name, gradient in layers_of(network, effective.grad).items():
            wanted = gradients[name].grad
            torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))

    def test_the_frozen_weights_themselves_give_the_skeletons_output(self):
        network = make("wrn10_1", TINY).eval()
        x = images(TINY)
        torch.testing.assert_close(network(x, network.weights), network.skeleton(x), rtol=1e-4, atol=1e-4)


class TestGradient:
    def test_of_the_gates_is_the_dense_gradient_times_the_scaled_weights(self):
        network = make()
        gates = random_gates(network.n).requires_grad_()
        x, labels = images(DIGITS), torch.arange(8)
        functional.cross_entropy(network(x, network.effective(gates)), labels).backward()
        dense = network.effective(gates).detach().requires_grad_()
        functional.cross_entropy(network(x, dense), labels).backward()
        scale = torch.cat([part / part.square().mean().sqrt() * 0 + 1 / part.square().mean().sqrt()
                           for part in gates.detach().split(network.sizes)])  # fmt: skip
        assert torch.allclose(gates.grad, dense.grad * network.weights * scale, rtol=1e-5, atol=1e-9)
        assert gates.grad.count_nonzero() > network.n / 4

    def test_equals_finite_differences(self):
        network = make(rescale="none")
        gates = random_gates(network.n)
        x, labels = images(DIGITS), torch.arange(8)
        first, second, third = (part.double().view(shape) for part, shape in zip(
            network.weights.split(network.sizes), [(300, 64), (100, 300), (10, 100)], strict=True))  # fmt: skip

        def loss(g):  # in double, so that small steps can be told apart
            a, b, c = (part.view(w.shape) * w for part, w in zip(g.split(network.sizes), (first, second, third),
                                                                 strict=True))  # fmt: skip
            hidden = ((x.double().flatten(1) @ a.T).relu() @ b.T).relu()
            return functional.cross_entropy(hidden @ c.T, labels)

        variable = gates.clone().requires_grad_()
        functional.cross_entropy(network(x, network.effective(variable)), labels).backward()
        generator = torch.Generator().manual_seed(5)
        for layer in network.layers:
            direction = torch.zeros(network.n, dtype=torch.float64)
            direction[layer.slice] = torch.randn(layer.size, generator=generator, dtype=torch.float64)
            step = 1e-6
            slope = (loss(gates.double() + step * direction) - loss(gates.double() - step * direction)) / (2 * step)
            assert float(variable.grad.double() @ direction) == pytest.approx(float(slope), rel=1e-3, abs=1e-6)

    def test_reaches_weights_that_a_method_trains(self):
        network = make()
        weights = network.weights.clone().requires_grad_()
        mask = random_mask(network.n)
        network.effective(mask, weights).sum().backward()
        densities = torch.cat([part.mean().expand_as(part) for part in mask.split(network.sizes)])
        assert torch.allclose(weights.grad, mask / densities.sqrt())

    def test_none_reaches_the_network_itself(self):
        network = make("wrn10_1", TINY)
        assert not any(parameter.requires_grad for parameter in network.parameters())
        assert not network.weights.requires_grad


class TestWeights:
    def test_depend_on_arch_init_and_seed(self):
        base = make().weights
        assert torch.equal(make().weights, base)
        assert not torch.equal(make(seed=1).weights, base)
        assert not torch.equal(make(init="kaiming_normal").weights, base)
        assert make(seed=1).weight_hash() != make().weight_hash()

    def test_do_not_depend_on_the_rescale_the_global_generator_or_the_threads(self):
        expected = make("timm:vit_tiny_patch16_224", (3, 32, 32)).weight_hash()
        threads = torch.get_num_threads()
        try:
            torch.manual_seed(99)
            torch.set_num_threads(2)
            assert make("timm:vit_tiny_patch16_224", (3, 32, 32), rescale="none").weight_hash() == expected
        finally:
            torch.set_num_threads(threads)

    def test_building_leaves_the_global_generator_alone(self):
        torch.manual_seed(7)
        expected = torch.rand(3)
        torch.manual_seed(7)
        make("resnet20", TINY)
        assert torch.equal(torch.rand(3), expected)

    def test_layers_of_one_shape_differ(self):
        network = make("resnet20", TINY, init="kaiming_normal")
        parts = [tuple(part.flatten()[:20].tolist()) for part in layers_of(network, network.weights).values()]
        assert len(set(parts)) == len(parts)

    def test_each_layer_has_the_variance_of_its_fan_in(self):
        network = make("conv2", TINY, init="kaiming_normal")
        for layer in network.layers:
            variance = float(network.weights[layer.slice].var())
            assert variance * layer.fan_in / 2 == pytest.approx(1, abs=6 * math.sqrt(2 / layer.size))

    def test_hash_covers_what_is_frozen_beside_the_weights(self):
        network = make("vit_tiny", TINY)
        before = network.weight_hash()
        with torch.no_grad():
            network.skeleton.pos_embed[0, 0, 0] += 1
        assert network.weight_hash() != before

    @pytest.mark.parametrize("method", ["gates", "gates_structured", "edgepopup", "random_mask", "dense"])
    @pytest.mark.parametrize(("arch", "shape"), [("lenet300", DIGITS), ("wrn10_1", TINY)])
    def test_never_change_while_a_method_learns(self, method, arch, shape):
        network = make(arch, shape)
        before, copy = network.weight_hash(), network.weights.clone()
        kind = load_registry().find(method)
        settings = kind.settings_class()
        learner = kind(network, settings, None if kind.control(settings) == "none" else 0.5)
        optimizer = learner.optimizer()
        for step in range(3):
            learner.on_progress(step / 3)
            loss = functional.cross_entropy(network(images(shape, seed=step), learner.effective()), torch.arange(8))
            if optimizer:
                optimizer.zero_grad()
                (loss + learner.penalty()).backward()
                optimizer.step()
        learner.mask()
        assert network.weight_hash() == before
        assert torch.equal(network.weights, copy)


class TestEverythingElse:
    @pytest.mark.parametrize("arch", ["resnet18", "vit_tiny", "swin_t", "timm:convnext_atto", "timm:mixer_s32_224"])
    def test_biases_are_0_and_norms_do_nothing(self, arch):
        network = make(arch, CIFAR)
        affine = 0
        for module in network.skeleton.modules():
            if getattr(module, "bias", None) is not None:
                assert not module.bias.any(), module
            if isinstance(module, nn.LayerNorm | nn.BatchNorm2d) and module.weight is not None:
                affine += 1
                assert torch.equal(module.weight, torch.ones_like(module.weight)), module
        assert affine > 0

    def test_embeddings_are_random_and_small(self):
        skeleton = make("vit_tiny", CIFAR).skeleton
        for embedding in (skeleton.pos_embed, skeleton.cls_token):
            assert float(embedding.std()) == pytest.approx(0.02, rel=0.2)
        assert not torch.equal(make("vit_tiny", CIFAR, seed=1).skeleton.pos_embed, skeleton.pos_embed)

    def test_unknown_rescale(self):
        with pytest.raises(UserError, match="Unknown rescale 'layer'"):
            make(rescale="layer")


class TestRescaleOfTheAuthors:
    """What allenai/hidden-networks does: fan * (1 - prune_rate), where a layer keeps prune_rate of its weights."""

    @pytest.mark.parametrize(("sparsity", "factor"), [(0.5, 1.41), (0.8, 1.12), (0.9, 1.05), (0.95, 1.03)])
    def test_is_that_of_their_code_whatever_the_gates_are(self, sparsity, factor):
        network = make(rescale=f"authors:{sparsity}")
        kept = 1 - sparsity
        for gates in (random_mask(network.n, kept), random_mask(network.n, 0.3), random_gates(network.n)):
            effective = network.effective(gates)
            assert torch.allclose(effective, network.weights * gates * sparsity**-0.5, rtol=1e-6, atol=0)
        for layer in network.layers:  # a gain of sqrt 2 over the root of their fan
            std = math.sqrt(2) / math.sqrt(layer.fan_in * (1 - kept))
            size = network.effective(torch.ones(network.n))[layer.slice].abs()
            assert torch.allclose(size, torch.full_like(size, std), rtol=1e-5)
            assert std == pytest.approx(math.sqrt(2 / layer.fan_in) * factor, rel=5e-3)

    def test_equals_that_of_the_density_at_one_half_only(self):
        network, theirs = make(), make(rescale="authors:0.5")
        mask = torch.arange(network.n) % 2.0
        assert torch.allclose(network.effective(mask), theirs.effective(mask), rtol=1e-6)
        assert not torch.allclose(network.effective(1 - mask * 0), theirs.effective(1 - mask * 0), rtol=0.1)

    def test_gradients_of_gates_and_weights_have_the_factor(self):
        network = make(rescale="authors:0.9")
        gates, weights = random_gates(network.n).requires_grad_(), network.weights.clone().requires_grad_()
        network.effective(gates, weights).sum().backward()
        assert torch.allclose(gates.grad, network.weights / 0.9**0.5, rtol=1e-6)
        assert torch.allclose(weights.grad, gates.detach() / 0.9**0.5, rtol=1e-6)

    def test_of_a_long_vector_is_the_same(self):
        network = make("mlp1000_400", CIFAR, rescale="authors:0.9")
        gates = random_gates(network.n).requires_grad_()
        effective = network.effective(gates)
        assert is_long(gates)
        assert torch.equal(effective, network.rescaled(network.weights, gates) * gates)
        effective.sum().backward()
        assert torch.allclose(gates.grad, network.weights / 0.9**0.5, rtol=1e-6)

    def test_the_weights_themselves_are_those_of_any_rescale(self):
        assert make(rescale="authors:0.9").weight_hash() == make().weight_hash()
        assert make(rescale="authors:0.9").rescale == "authors:0.9"

    @pytest.mark.parametrize("text", ["authors", "authors:", "authors:0", "authors:1", "authors:x", "authors:nan"])
    def test_needs_a_sparsity(self, text):
        with pytest.raises(UserError, match="asked sparsity, which must be above 0"):
            make(rescale=text)

    @pytest.mark.parametrize("text", ["none:0.9", "density:0.9", "author:0.9", ""])
    def test_no_other_has_one(self, text):
        with pytest.raises(UserError, match="Unknown rescale"):
            make(rescale=text)


class TestRescale:
    @pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
    def test_divides_a_layer_by_the_root_of_its_density(self, sparsity):
        network = make("wrn10_1", TINY)
        mask = random_mask(network.n, 1 - sparsity)
        effective = network.effective(mask).numpy()
        weights, bits, start = network.weights.numpy(), mask.numpy(), 0
        for layer in network.layers:
            part = slice(start, start + layer.size)
            density = np.count_nonzero(bits[part]) / layer.size
            assert np.allclose(effective[part], weights[part] * bits[part] / math.sqrt(density), rtol=1e-6)
            start += layer.size

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5]), st.booleans()), max_size=6))
    def test_is_the_same_whatever_was_asked_before(self, asked):
        """Masks of one sparsity have the same densities, for which scaled weights are kept; others come between."""
        frozen = FrozenNetwork("mlp20_10", shape=(1, 4, 4), classes=3, init="kaiming_normal")
        generator = torch.Generator().manual_seed(0)
        for of_a_mask, density, own in asked:
            chance = torch.rand(frozen.n, generator=generator)
            mask = keep_top_of_each(chance, frozen.sizes, [round(density * size) for size in frozen.sizes])
            gates = mask.float() if of_a_mask else chance * density
            weights = torch.randn(frozen.n, generator=generator) if own else frozen.weights
            plain = weights * frozen.spread(frozen.densities(gates).rsqrt()) * gates
            assert torch.equal(frozen.effective(gates, weights), plain)

    def test_follows_weights_that_are_written_over(self):
        frozen, mask = make(), random_mask(make().n)
        before = frozen.effective(mask)
        frozen.weights.mul_(2)
        assert torch.equal(frozen.effective(mask), 2 * before)

    def test_what_is_handed_out_is_the_callers_own(self):
        frozen, mask = make(), random_mask(make().n)
        before = frozen.effective(mask)
        frozen.rescaled(frozen.weights, mask).zero_()
        frozen.effective(mask).zero_()
        assert torch.equal(frozen.effective(mask), before)

    def test_none_leaves_the_weights_as_they_are(self):
        network = make(rescale="none")
        mask = random_mask(network.n)
        assert torch.equal(network.effective(mask), network.weights * mask)

    def test_a_bool_mask_is_as_good(self):
        network = make()
        mask = random_mask(network.n, 0.2)
        assert torch.equal(network.effective(mask.bool()), network.effective(mask))

    def test_keeps_the_second_moment_of_a_layer(self):
        network = make()
        effective = network.effective(random_mask(network.n, 0.1))
        for layer in network.layers:
            before, after = network.weights[layer.slice], effective[layer.slice]
            assert float(after.square().mean()) == pytest.approx(float(before.square().mean()), rel=1e-5)

    def test_no_gradient_flows_through_the_density(self):
        network = make()
        gates = random_gates(network.n).requires_grad_()
        network.effective(gates).sum().backward()
        for part, weights, grad in zip(
            gates.detach().split(network.sizes),
            network.weights.split(network.sizes),
            gates.grad.split(network.sizes),
            strict=True,
        ):
            assert torch.allclose(grad, weights / part.square().mean().sqrt(), rtol=1e-5)

    def test_an_empty_layer_gives_zeros(self):
        network = make()
        mask = random_mask(network.n)
        mask[network.layers[1].slice] = 0
        effective = network.effective(mask)
        assert torch.isfinite(effective).all()
        assert not effective[network.layers[1].slice].any()
        logits = network(images(DIGITS), effective)
        assert torch.equal(logits, torch.zeros_like(logits))

    def test_densities(self):
        network = make()
        mask = random_mask(network.n, 0.3)
        expected = [float(part.mean()) for part in mask.split(network.sizes)]
        assert network.densities(mask).tolist() == pytest.approx(expected)
        assert network.densities(mask.bool()).tolist() == pytest.approx(expected)
        spread = network.spread(torch.tensor([1.0, 2.0, 3.0]))
        assert [float(part.unique()) for part in spread.split(network.sizes)] == [1.0, 2.0, 3.0]


class TestStatistics:
    def test_are_means_over_the_images_of_the_batches(self):
        network = make("wrn10_1", TINY)
        effective = network.effective(random_mask(network.n))
        batches = [images(TINY, count, seed) for seed, count in enumerate((8, 8, 5))]
        seen = {name: [] for name, module in network.skeleton.named_modules() if isinstance(module, nn.BatchNorm2d)}
        hooks = [
            network.skeleton.get_submodule(name).register_forward_pre_hook(
                lambda _, inputs, name=name: seen[name].append(inputs[0].double())
            )
            for name in seen
        ]
        network.measure_statistics(iter(batches), effective)
        for hook in hooks:
            hook.remove()
        statistics = network.statistics()
        assert len(statistics) == 2 * len(seen) > 0
        for name, inputs in seen.items():
            assert len(inputs) == 3
            shares = torch.tensor([[8], [8], [5]], dtype=torch.float64) / 21
            mean = (shares * torch.stack([x.mean((0, 2, 3)) for x in inputs])).sum(0)
            variance = (shares * torch.stack([x.var((0, 2, 3)) for x in inputs])).sum(0)
            assert torch.allclose(statistics[f"{name}.running_mean"].double(), mean, rtol=1e-4, atol=1e-5)
            assert torch.allclose(statistics[f"{name}.running_var"].double(), variance, rtol=1e-4, atol=1e-5)

    def test_of_batches_of_one_size_are_torchs_plain_mean_bit_for_bit(self):
        network = make("resnet20", TINY)
        effective = network.effective(random_mask(network.n))
        batches = [images(TINY, 10, seed) for seed in range(7)]
        network.measure_statistics(batches, effective)
        found = network.statistics()
        for module in network.skeleton.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None  # torch's way to say a plain mean
                module.train()
        with torch.no_grad():
            for batch in batches:
                network(batch, effective)
        assert all(torch.equal(found[name], value) for name, value in network.statistics().items())

    def test_forget_what_was_there_and_move_on_as_before(self):
        network = make("wrn10_1", TINY)
        effective = network.effective(random_mask(network.n))
        network.measure_statistics([images(TINY)], effective)
        first = network.statistics()
        network.train()
        for seed in range(3):
            network(images(TINY, seed=seed), effective)
        assert not torch.equal(next(iter(network.statistics().values())), next(iter(first.values())))
        network.measure_statistics([images(TINY)], effective)
        assert all(torch.equal(network.statistics()[name], value) for name, value in first.items())
        assert not network.training
        momenta = {m.momentum for m in network.skeleton.modules() if isinstance(m, nn.BatchNorm2d)}
        assert momenta == {0.1}

    def test_evaluation_uses_them(self):
        network = make("wrn10_1", TINY)
        effective = network.effective(random_mask(network.n))
        x = images(TINY)
        network.measure_statistics([x], effective)
        alone = torch.cat([network(row[None], effective) for row in x])
        assert torch.allclose(alone, network(x, effective), atol=1e-4)

    def test_round_trip_into_another_network(self):
        one, other = make("wrn10_1", TINY), make("wrn10_1", TINY)
        effective = one.effective(random_mask(one.n))
        one.measure_statistics([images(TINY)], effective)
        statistics = one.statistics()
        other.load_statistics(statistics)
        other.eval()
        assert torch.equal(other(images(TINY, seed=9), effective), one(images(TINY, seed=9), effective))
        statistics[next(iter(statistics))] += 1  # a copy: the networks do not follow
        assert torch.equal(other(images(TINY), effective), one(images(TINY), effective))

    def test_refuses_those_of_another_network(self):
        network = make("wrn10_1", TINY)
        good = network.statistics()
        name = next(iter(good))
        for bad in ({}, good | {"more": good[name]}, good | {name: good[name][:-1]},
                    {key: value for key, value in good.items() if key != name}):  # fmt: skip
            with pytest.raises(UserError, match="not those of wrn10_1"):
                network.load_statistics(bad)

    def test_there_are_none_without_normalisation(self):
        network = make()
        network.measure_statistics([images(DIGITS)], network.weights)
        assert network.statistics() == {}
        network.load_statistics({})
