"""Each method against its paper's rule, written down again in plain torch.

Effective weights must be equal, and gradients within 1e-6.

For every rule the gradient at the effective weights, g, comes from an independent network, and what reaches the
method's parameter is then the closed form that its docstring gives.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from oracle import (
    SIZES,
    N,
    batches,
    by_layer,
    gradient_at,
    lowest_closed,
    make,
    network,
    plain_loss,
    same_numbers,
    step,
)  # fmt: skip

from slt_bench.network.ops.noise import noise

CLOSE = {"atol": 1e-6, "rtol": 1e-4}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return batches(tmp_path_factory.mktemp("no-data"))


def walk(method, data, check, steps=4):
    """Some steps of the search's loop, each of them checked before the update."""
    optimizer = method.optimizer()
    for number, (images, labels) in enumerate(data[:steps]):
        method.on_progress(number / steps)
        generator = same_numbers(method)
        effective = step(method, images, labels)
        check(images, labels, effective, generator)
        optimizer.step()
    return method


class TestBiprop:
    @pytest.mark.parametrize("scope", ["layer", "global"])
    def test_binary_weights_and_the_gradient_of_the_masked_weights(self, data, scope):
        method = make("biprop", scope=scope)
        weights = method.network.weights

        def check(images, labels, effective, _):
            scores = method.scores.detach()
            size = scores.abs()
            mask = by_layer(lambda s: lowest_closed(s, 0.8), size) if scope == "layer" else lowest_closed(size, 0.8)
            alpha = by_layer(
                lambda w, m: w.abs()[m.bool()].mean().expand_as(w) if m.any() else w.abs().mean().expand_as(w),
                weights,
                mask,
            )
            assert torch.allclose(effective, alpha * weights.sign() * mask, **CLOSE)
            g = gradient_at(images, labels, effective)
            assert torch.allclose(method.scores.grad, g * weights * scores.sign(), **CLOSE)

        walk(method, data, check)

    def test_equals_edge_popup_under_signed_constants(self, data):
        ours, theirs = (make(name, on=network("density", "signed_constant")) for name in ("biprop", "edgepopup"))
        with torch.no_grad():
            theirs.scores.copy_(ours.scores)
        for images, labels in data:
            assert torch.allclose(step(ours, images, labels), step(theirs, images, labels), **CLOSE)
            apart = (ours.scores.grad - theirs.scores.grad).norm() / theirs.scores.grad.norm()
            assert apart < 0.05, "but for units whose sum of signed constants is about 0, at the kink of ReLU"
        assert torch.allclose(ours.changed_weights(), ours.network.weights)


class TestIteRand:
    def test_ranks_signed_scores_and_hands_the_gradient_through(self, data):
        method = make("iterand", period=2, share=0.5)

        def check(images, labels, effective, _):
            scores = method.scores.detach()
            mask = by_layer(lambda s: lowest_closed(s, 0.8), scores)
            assert torch.equal(effective, method.weights * mask)
            g = gradient_at(images, labels, effective)
            assert torch.allclose(method.scores.grad, g * method.weights, **CLOSE)

        walk(method, data, check)

    def test_draws_anew_only_what_it_does_not_use_and_when_it_is_due(self):
        method = make("iterand", period=3, share=0.25)
        frozen, before = method.network.weights.clone(), method.weights.clone()
        for number in range(1, 10):
            method.on_progress(number / 10)
            changed = method.weights != before
            assert changed.any() == (number % 3 == 0)
            assert not changed[method.mask()].any()
            if changed.any():
                assert float(changed[~method.mask()].double().mean()) == pytest.approx(0.25, abs=0.01)
            before = method.weights.clone()
        assert torch.equal(method.network.weights, frozen)
        for part, origin in zip(method.weights.split(SIZES), frozen.split(SIZES), strict=True):
            assert torch.isin(part, origin).all(), "fresh weights have the layer's distribution"

    def test_the_last_call_is_no_step(self):
        method = make("iterand", period=1, share=1.0)
        before = method.weights.clone()
        method.on_progress(1.0)
        assert torch.equal(method.weights, before)

    def test_scores_start_as_wide_as_published(self):
        scores = make("iterand").scores.detach()
        for part, fan_in in zip(scores.split(SIZES), (64, 300, 100), strict=True):
            assert float(part.abs().max()) == pytest.approx(math.sqrt(6 / fan_in), rel=0.01)


class TestMulticoated:
    @pytest.mark.parametrize("coats", [(0.2627, 0.105), (0.5,), ()])
    def test_coats_add_up_in_weights_and_gradients(self, data, coats):
        method = make("multicoated", coats=coats, on=network("density"))
        weights = method.network.weights

        def check(images, labels, effective, _):
            size = method.scores.detach().abs()
            masks = [
                by_layer(lambda s, part=part: lowest_closed(s, 1 - (1 - 0.8) * part), size) for part in (1.0, *coats)
            ]
            assert all((inner <= outer).all() for outer, inner in pairwise(masks)), "nested"
            total = torch.stack(masks).sum(0)
            factor = by_layer(lambda m: m.mean() ** -0.5 * torch.ones_like(m), masks[0])
            assert torch.allclose(effective, factor * weights * total, **CLOSE)
            g = gradient_at(images, labels, effective)
            expected = len(masks) * g * factor * weights * method.scores.detach().sign()
            assert torch.allclose(method.scores.grad, expected, **CLOSE)
            assert torch.allclose(method.changed_weights(), weights * total, **CLOSE)
            assert torch.equal(method.mask().float(), masks[0])

        walk(method, data, check)

    def test_the_default_coats_are_the_published_sparsities(self):
        method = make("multicoated", sparsity=0.7)
        counts = [int(mask.sum()) / N for mask in method._masks(method.scores.detach().abs())]
        assert counts == pytest.approx([1 - 0.7, 1 - 0.9212, 1 - 0.9685], abs=1e-3)


class TestGemMiner:
    def test_rounded_scores_and_their_penalty(self, data):
        method = make("gem_miner", penalty=0.01, rounds=3)
        weights = method.network.weights

        def check(images, labels, effective, _):
            scores = method.scores.detach()
            assert 0 <= float(scores.min()) <= float(scores.max()) <= 1
            mask = (scores > 0.5).float() * method.flag
            assert torch.equal(effective, weights * mask)
            g = gradient_at(images, labels, effective)
            expected = g * weights * method.flag + 2 * 0.01 * scores
            assert torch.allclose(method.scores.grad, expected, **CLOSE)

        walk(method, data, check)

    def test_flags_fall_by_equal_factors_to_the_asked_density(self):
        method = make("gem_miner", sparsity=0.9, rounds=4)
        counts = []
        for number in range(101):
            before = method.flag.clone()
            method.on_progress(number / 100)
            assert not (method.flag & ~before).any(), "for good"
            if (method.flag != before).any():
                fallen, kept = method.scores[before & ~method.flag], method.scores[method.flag]
                assert fallen.max() <= kept.min(), "the lowest"
                counts.append((number, int(method.flag.sum())))
        assert [at for at, _ in counts] == [20, 40, 60, 80]
        assert [count for _, count in counts] == [round(N * 0.1 ** (k / 4)) for k in (1, 2, 3, 4)]
        assert (method.mask() <= method.flag).all()


class TestErEdgePopup:
    def test_only_given_weights_take_part(self, data):
        method = make("er_edgepopup", sparsity=0.9, source_density=0.4, levels=1)
        given = method.given
        for part in given.split(SIZES):
            assert int(part.sum()) == math.ceil(0.4 * len(part))

        def check(images, labels, effective, _):
            scores = method.scores.detach()
            rank = torch.where(given, scores.abs(), -1.0)
            mask = by_layer(lambda s: lowest_closed(s, 0.9), rank)
            assert torch.equal(effective, method.network.weights * mask)
            g = gradient_at(images, labels, effective)
            assert torch.allclose(method.scores.grad, g * method.network.weights * scores.sign() * given, **CLOSE)

        walk(method, data, check)
        assert not (method.mask() & ~given).any()

    def test_the_density_falls_in_levels(self):
        method = make("er_edgepopup", sparsity=0.9, source_density=0.3, levels=4, start=0.6)
        densities = []
        for number in range(40):
            method.on_progress(number / 40)
            densities.append(float(method.gates().detach().mean()))
        factor = (0.1 / 0.6) ** (1 / 4)
        expected = [max(min(0.6 * factor**level, 0.3), 0.1) for level in (1, 2, 3, 4)]
        assert densities[::10] == pytest.approx(expected, abs=1e-3)
        assert len({round(value, 4) for value in densities}) <= 4

    def test_more_than_is_given_is_refused(self):
        kind = type(make("er_edgepopup", sparsity=0.9))
        assert "only 0.5 are given" in kind.problem(kind.settings_class(), 0.3)
        assert kind.problem(kind.settings_class(), 0.5) == ""
        assert kind.problem(kind.settings_class(source_density=0.8), 0.3) == ""


class TestPartialFreeze:
    def test_pruned_locked_and_chosen(self, data):
        method = make("partial_freeze", sparsity=0.7, frozen=0.6)
        pruned, locked = method.pruned, method.locked
        assert not (pruned & locked).any()
        assert float(pruned.double().mean()) == pytest.approx(0.6 * 0.7, abs=0.01)
        assert float(locked.double().mean()) == pytest.approx(0.6 * 0.3, abs=0.01)

        def check(images, labels, effective, _):
            scores = method.scores.detach()
            free = ~(pruned | locked)
            left = N - int(0.7 * N) - int(locked.sum())
            threshold = scores.abs()[free].sort(descending=True).values[left - 1]
            mask = torch.where(locked, True, free & (scores.abs() >= threshold))
            assert torch.equal(effective, method.network.weights * mask)
            g = gradient_at(images, labels, effective)
            assert torch.allclose(method.scores.grad, g * method.network.weights * scores.sign(), **CLOSE)

        walk(method, data, check)

    def test_scores_start_normal(self):
        scores = make("partial_freeze").scores.detach()
        for part, fan_in in zip(scores.split(SIZES), (64, 300, 100), strict=True):
            assert float(part.std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.1)


def test_global_edge_popup_is_edge_popup_with_one_ranking(data):
    ours, theirs = make("global_edgepopup", 0.5), make("edgepopup", 0.5, scope="global")
    with torch.no_grad():
        theirs.scores.copy_(ours.scores)
    optimizers = [ours.optimizer(), theirs.optimizer()]
    for images, labels in data:
        for method in (ours, theirs):
            step(method, images, labels)
        assert torch.equal(ours.scores.grad, theirs.scores.grad)
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(ours.mask(), theirs.mask())
    assert torch.equal(ours.mask().float(), lowest_closed(ours.scores.detach().abs(), 0.5))


class TestSignedSupermask:
    @pytest.mark.parametrize("threshold", [0.4, None])
    def test_kept_hidden_or_inverted(self, data, threshold):
        method = make("signed_supermask", threshold=threshold, ramp_until=0.5)
        weights, start = method.network.weights, method.numbers.detach().clone()
        top = by_layer(lambda m: m.abs().max() * torch.ones_like(m), start)

        def check(images, labels, effective, _):
            numbers = method.numbers.detach()
            share = numbers.abs() / top
            open_ = share > threshold if threshold else by_rank(share, method.present)
            assert torch.equal(effective, weights * numbers.sign() * open_)
            g = gradient_at(images, labels, effective)
            assert torch.allclose(method.numbers.grad, g * weights, **CLOSE)

        def by_rank(share, sparsity):
            mask = torch.ones(N, dtype=torch.bool)
            mask[share.argsort(stable=True)[: round(sparsity * N)]] = False
            return mask

        walk(method, data, check)
        method.on_progress(1.0)
        assert torch.equal(method.changed_weights().abs(), weights.abs())
        if threshold is None:
            assert int(method.mask().sum()) == N - round(0.8 * N)
        else:
            assert type(method).control(method.settings) == "none"

    def test_starts_uniform_and_about_60_per_cent_open_as_published(self):
        method = make("signed_supermask", threshold=0.4)
        assert float(method.mask().double().mean()) == pytest.approx(0.6, abs=0.02)
        first = method.numbers.detach()[: SIZES[0]]
        assert float(first.abs().max()) == pytest.approx(math.sqrt(2 / (64 + 300)), rel=0.01)


class TestSupermask:
    def test_draws_and_the_gradient_of_their_chances(self, data):
        method = make("supermask", None, penalty=1e-3, lr=20.0)
        weights = method.network.weights

        def check(images, labels, effective, generator):
            p = torch.sigmoid(method.logits.detach())
            drawn = noise("uniform", torch.empty(N), generator) < p
            assert torch.equal(effective, weights * drawn)
            g = gradient_at(images, labels, effective)
            assert torch.allclose(method.logits.grad, (g * weights + 1e-3) * p * (1 - p), **CLOSE)

        walk(method, data, check)

    def test_is_published_without_a_target(self):
        method = make("supermask", sparsity=None, penalty=0.0, logit_noise=0.0)
        assert type(method).control(method.settings) == "none"
        assert float(method.gates().detach().mean()) == pytest.approx(0.5, abs=0.01)
        assert float(method.penalty()) == 0


class TestHardConcrete:
    def test_stretched_and_clamped_with_the_gradient_of_what_is_open(self, data):
        method = make("hard_concrete", None, penalty=1e-3, lr=0.1)
        weights, beta = method.network.weights, 2 / 3

        def check(images, labels, effective, generator):
            a = method.logits.detach()
            s = torch.sigmoid((noise("logistic", torch.empty(N), generator) + a) / beta)
            stretched = s * 1.2 - 0.1
            z = stretched.clamp(0, 1)
            assert torch.allclose(effective, weights * z, **CLOSE)
            g = gradient_at(images, labels, effective)
            inside = (stretched > 0) & (stretched < 1)
            opens = torch.sigmoid(a - beta * math.log(0.1 / 1.1))
            expected = g * weights * inside * 1.2 * s * (1 - s) / beta + 1e-3 * opens * (1 - opens)
            edge = (stretched.abs() < 1e-5) | ((stretched - 1).abs() < 1e-5)
            assert torch.allclose(method.logits.grad[~edge], expected[~edge], atol=1e-6, rtol=1e-3)

        walk(method, data, check)

    def test_the_chance_to_be_open_is_the_published_one(self):
        method = make("hard_concrete", None, penalty=1.0)
        with torch.no_grad():
            method.logits.fill_(-1.0)
        share = float((method.gates() > 0).double().mean())
        assert share == pytest.approx(float(method.penalty().detach()) / N, abs=0.01)

    def test_the_mask_is_where_the_median_is_above_one_half(self):
        method = make("hard_concrete", sparsity=None, penalty=0.0, logit_noise=1.0).eval()
        assert torch.equal(method.mask(), method.gates() > 0.5)

    def test_the_relaxed_network_can_have_the_gates_of_the_authors_code(self):
        ours, theirs = (
            make("hard_concrete", sparsity=None, penalty=0.0, logit_noise=1.0, relaxed=relaxed)
            for relaxed in ("median", "authors")
        )
        assert torch.equal(ours.gates(), theirs.gates())  # the draws are the same
        expected = (torch.sigmoid(theirs.logits) * 1.2 - 0.1).clamp(0, 1)
        assert torch.allclose(theirs.eval().gates(), expected, **CLOSE)
        assert not torch.allclose(ours.eval().gates(), expected, atol=0.05)
        assert torch.equal(ours.mask(), theirs.mask())


class TestContinuousSparsification:
    @pytest.mark.parametrize("nesterov", [False, True])
    def test_the_momentum_of_the_authors_code_is_a_setting(self, data, nesterov):
        method = make("continuous_sparsification", None, penalty=1e-8, logit_noise=0.1, nesterov=nesterov)
        expected, velocity = [method.logits.detach().clone()], torch.zeros(N)

        def check(*_):
            assert torch.allclose(method.logits.detach(), expected[-1], atol=1e-6, rtol=1e-5)
            velocity.mul_(0.9).add_(method.logits.grad)
            step = method.logits.grad + 0.9 * velocity if nesterov else velocity
            expected.append(expected[-1] - 0.1 * step)

        walk(method, data, check)

    def test_sigmoids_that_harden(self, data):
        method = make("continuous_sparsification", None, penalty=1e-3, lr=1.0, logit_noise=0.1)
        weights, betas = method.network.weights, []

        def check(images, labels, effective, _):
            beta, s = method.beta, method.logits.detach()
            betas.append(beta)
            z = torch.sigmoid(beta * s)
            assert torch.allclose(effective, weights * z, **CLOSE)
            g = gradient_at(images, labels, effective)
            expected = (g * weights + 1e-3) * beta * z * (1 - z)
            assert torch.allclose(method.logits.grad, expected, atol=1e-6, rtol=1e-3)

        walk(method, data, check)
        assert betas == pytest.approx([200 ** (k / 4) for k in range(4)])
        method.on_progress(1.0)
        assert method.beta == pytest.approx(200)


class TestAslp:
    @pytest.mark.parametrize("tau", [1.0, 0.5])
    def test_hard_draws_with_the_gradient_of_the_soft_ones(self, data, tau):
        method = make("aslp", None, penalty=0.0, lr=10.0, temperature=tau)
        weights = method.network.weights

        def check(images, labels, effective, generator):
            m, scales = method.logits.detach(), method.scales.detach()
            y = torch.sigmoid((m + noise("logistic", torch.empty(N), generator)) / tau)
            c = by_layer(torch.ones_like, weights) * scales.repeat_interleave(torch.tensor(SIZES))
            assert torch.allclose(effective, c * weights * (y > 0.5), **CLOSE)
            g = gradient_at(images, labels, effective)
            assert torch.allclose(method.logits.grad, g * c * weights * y * (1 - y) / tau, atol=1e-6, rtol=1e-3)
            by_scale = torch.stack([part.sum() for part in (g * weights * (y > 0.5)).split(SIZES)])
            assert torch.allclose(method.scales.grad, by_scale, atol=1e-5, rtol=1e-3)

        walk(method, data, check)
        assert not torch.equal(method.scales.detach(), torch.ones(3))
        assert torch.allclose(method.changed_weights() / weights, method.network.spread(method.scales.detach()))

    def test_the_scales_have_a_learning_rate_of_their_own(self):
        groups = make("aslp", lr=7.0, scale_lr=0.25, nesterov=True).optimizer().param_groups
        assert [group["lr"] for group in groups] == [7.0, 0.25]
        assert all(group["nesterov"] for group in groups)

    def test_the_mask_is_where_a_logit_is_above_0(self):
        method = make("aslp", sparsity=None, penalty=0.0)
        with torch.no_grad():
            method.logits[:2] = torch.tensor([0.0, 1e-9])
        assert method.mask()[:2].tolist() == [False, True]


@pytest.mark.parametrize("name", ["supermask", "hard_concrete", "continuous_sparsification", "aslp", "gates"])
class TestShift:
    def test_the_threshold_is_the_quantile_of_the_rising_sparsity(self, name):
        method = make(name, sparsity=0.9, ramp_until=0.5)
        numbers = (method.mu if name == "gates" else method.logits).detach()
        with torch.no_grad():
            numbers.copy_(torch.randn(N, generator=torch.Generator().manual_seed(3)))
        for fraction in (0.1, 0.3, 0.5, 0.8):
            method.on_progress(fraction)
            asked = 0.9 * (1 - max(0.0, 1 - fraction / 0.5) ** 3)
            closed = (numbers - method.shift <= method.neutral + 1e-6).double().mean()
            assert float(closed) == pytest.approx(asked, abs=1e-3)
        assert int(method.mask().sum()) == N - round(0.9 * N)


class Loss:
    """A training loss that tells how often it was asked."""

    def __init__(self, data):
        self.data, self.asked, self.batch = data, 0, -1

    def __call__(self, effective, *, again=False):
        self.asked += 1
        self.batch += not again
        images, labels = self.data[self.batch % len(self.data)]
        return plain_loss(images, labels, effective)


class TestSnip:
    @pytest.mark.parametrize("count", [1, 3])
    def test_keeps_the_largest_weights_times_gradients(self, data, count):
        method = make("snip", batches=count)
        method.prepare(Loss(data), 100)
        weights = method.network.weights
        score = sum(gradient_at(*batch, weights) for batch in data[:count]).mul(weights).abs()
        expected = torch.zeros(N, dtype=torch.bool)
        expected[score.argsort(descending=True)[: N - round(0.8 * N)]] = True
        assert (method.mask() != expected).sum() <= 2, "but for equal scores"


class TestGrasp:
    def test_scores_are_weights_times_hessian_times_gradient(self, data):
        method = make("grasp", temperature=50.0)
        weights = method.network.weights
        found = method.scores(Loss(data)).double()
        cooled = torch.ones(N, dtype=torch.float64)
        cooled[-SIZES[-1] :] = 1 / 50.0

        def gradient(at):
            leaf = at.clone().requires_grad_()
            plain_loss(*data[0], leaf * cooled).backward()
            return leaf.grad

        base = weights.double()
        g = gradient(base)
        small = 1e-6 / g.abs().max()  # small enough to stay off the kinks of ReLU
        product = (gradient(base + small * g) - gradient(base - small * g)) / (2 * small)
        expected = base * product
        scale = expected.abs().max()
        assert float((found - expected).abs().max() / scale) < 1e-4
        assert np.corrcoef(found.numpy(), expected.numpy())[0, 1] > 0.999

    def test_keeps_the_highest(self, data):
        method = make("grasp", sparsity=0.6)
        score = make("grasp", sparsity=0.6).scores(Loss(data))
        method.prepare(Loss(data), 100)
        assert int(method.mask().sum()) == N - round(0.6 * N)
        assert score[method.mask()].min() >= score[~method.mask()].max()


class TestSynflow:
    def test_scores_are_the_flow_through_each_weight(self, data):
        method = make("synflow", rounds=3, on=network("density"))
        sizes = [part.view(shape).abs().double().numpy() for part, shape in
                 zip(method.network.weights.split(SIZES), [(300, 64), (100, 300), (10, 100)], strict=True)]  # fmt: skip
        mask = np.ones(N, dtype=bool)
        for number in (1, 2, 3):
            w = [
                size * part.reshape(size.shape)
                for size, part in zip(sizes, np.split(mask, np.cumsum(SIZES)[:-1]), strict=True)
            ]
            forward = [np.ones(64)]
            for layer in w:
                forward.append(layer @ forward[-1])
            backward = [np.ones(10)]
            for layer in reversed(w):
                backward.append(layer.T @ backward[-1])
            backward.reverse()
            flow = [layer * np.outer(backward[i + 1], forward[i]) for i, layer in enumerate(w)]
            score = np.concatenate([part.ravel() for part in flow])
            keep = round(N * 0.2 ** (number / 3))
            order = np.argsort(np.where(mask, -score, np.inf), kind="stable")
            mask = np.zeros(N, dtype=bool)
            mask[order[:keep]] = True
        method.prepare(Loss(data), 100)
        assert (method.mask().numpy() != mask).sum() <= 4, "but for rounding"

    def test_asks_for_no_data(self, data):
        loss = Loss(data)
        make("synflow", rounds=2).prepare(loss, 100)
        assert loss.asked == 0

    def test_a_flow_beyond_floats_is_scored_all_the_same(self, data):
        method = make("synflow", rounds=2)
        method.network.weights.mul_(1e20)
        method.prepare(Loss(data), 100)
        other = make("synflow", rounds=2)
        other.prepare(Loss(data), 100)
        assert (method.mask() != other.mask()).double().mean() < 0.001


class TestMagnitude:
    def test_the_largest_of_each_layer_or_of_all(self):
        size = network().weights.abs()
        layered, together = (make("magnitude_at_init", scope=scope).mask() for scope in ("layer", "global"))
        assert (layered.float() != by_layer(lambda s: lowest_closed(s, 0.8), size)).sum() <= 2
        assert (together.float() != lowest_closed(size, 0.8)).sum() <= 2

    def test_equal_sizes_are_told_apart_by_chance(self):
        first, second = (
            make("magnitude_at_init", on=network(init="signed_constant")).mask(),
            make("random_mask", on=network(init="signed_constant")).mask(),
        )
        overlap = float((first & second).double().mean())
        assert overlap == pytest.approx(0.04, abs=0.01)


class TestGenetic:
    def test_spends_the_forward_passes_of_its_budget(self, data):
        for steps in (1, 7, 40):
            loss = Loss(data)
            make("genetic", sparsity=None, population=10).prepare(loss, steps)
            assert loss.asked == 3 * steps

    def test_a_generation_is_judged_on_one_batch(self, data):
        loss = Loss(data)
        make("genetic", sparsity=None, population=10).prepare(loss, 30)
        assert loss.batch + 1 < loss.asked / 8

    def test_children_have_bits_of_both_parents_and_mutants_one_other(self):
        method = make("genetic", sparsity=None, mating=1.0, mutation=1.0, migration=0.5, parents=0.25)
        people = torch.zeros(8, N, dtype=torch.bool)
        people[:2] = True  # the best two, from which each child has a parent
        crowd = method.next_crowd(people)
        assert len(crowd) == 8 + 8 + 16 + 4
        assert torch.equal(crowd[:8], people)
        children, mutants, migrants = crowd[8:16], crowd[16:32], crowd[32:]
        shares = children.double().mean(1)
        assert torch.equal(shares[:2], torch.ones(2, dtype=torch.float64)), "both of whose parents are full"
        assert torch.allclose(shares[2:], torch.full((6,), 0.5, dtype=torch.float64), atol=0.02)
        assert ((mutants != crowd[:16]).sum(1) == 1).all()
        assert torch.allclose(migrants.double().mean(1), torch.full((4,), 0.5, dtype=torch.float64), atol=0.02)

    def test_the_fittest_stay_and_of_equal_ones_the_sparser(self):
        method = make("genetic", sparsity=None)
        crowd = torch.zeros(4, N, dtype=torch.bool)
        for row, count in enumerate((30, 10, 20, 5)):
            crowd[row, :count] = True
        chosen = method.select(crowd, torch.tensor([0.5, 0.5, 0.1, 0.9]), 3)
        assert chosen.sum(1).tolist() == [20, 10, 30]

    def test_it_gets_better(self, data):
        method = make("genetic", sparsity=None, population=30, on=network("density", "signed_constant"))
        before = float(Loss(data)(method.network.effective(method.gates())))
        method.prepare(Loss(data), 400)
        assert float(Loss(data)(method.network.effective(method.gates()))) < before


class TestDenseMagnitude:
    @pytest.mark.parametrize("rescale", ["density", "none", "authors:0.8"])
    @pytest.mark.parametrize("retrain", [True, False])
    def test_the_smallest_trained_weights_go(self, data, retrain, rescale):
        method = make("dense_magnitude", retrain=retrain, lr=0.01, on=network(rescale))
        pruned = []

        def check(images, labels, effective, _):
            pruned.append(method.pruned)
            assert torch.equal(effective, method.weights.detach() * method.kept)
            g = gradient_at(images, labels, effective)
            assert torch.allclose(method.weights.grad, g * method.kept, **CLOSE)

        walk(method, data, check)
        assert pruned == ([False, False, True, True] if retrain else [False] * 4)
        method.on_progress(1.0)
        if not retrain:
            assert torch.equal(method.mask().float(), by_layer(lambda w: lowest_closed(w.abs(), 0.8), method.weights))
        assert int(method.mask().sum()) == sum(size - int(0.8 * size) for size in SIZES)
        images, _ = data[0]
        ticket = method.network.effective(method.mask().float(), method.changed_weights())
        assert torch.allclose(method.network(images, ticket), method.network(images, method.effective()), atol=1e-5)
