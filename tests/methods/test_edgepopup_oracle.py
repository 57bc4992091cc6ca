"""Edge-popup against a plain implementation of the published rule, and the tools that it is made of."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import SHAPES, SIZES, batches
from torch import nn
from torch.nn import functional

from slt_bench.method import ramp, straight_through
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry

EDGEPOPUP = load_registry().find("edgepopup")


def make(sparsity, network=None, **options):
    network = network or FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
    return EDGEPOPUP(network, EDGEPOPUP.settings_class(**options), sparsity)


class PublishedMask(torch.autograd.Function):
    """Ramanujan et al. 2020, section 3 and appendix: sort, zero the lowest, hand the gradient through."""

    @staticmethod
    def forward(ctx, size, sparsity):  # noqa: ARG004
        out = size.clone()
        order = size.flatten().sort(stable=True, descending=True).indices.flip(0)  # of equal ones the first is kept
        lowest = int(sparsity * size.numel())
        flat = out.flatten()
        flat[order[:lowest]] = 0
        flat[order[lowest:]] = 1
        return flat.view_as(size)

    @staticmethod
    def backward(ctx, gradient):  # noqa: ARG004
        return gradient, None


def published_masks(scores, sparsity, scope):
    if scope == "layer":
        return [PublishedMask.apply(score.abs(), sparsity) for score in scores]
    together = PublishedMask.apply(torch.cat([score.abs().flatten() for score in scores]), sparsity)
    return [part.view(shape) for part, shape in zip(together.split(SIZES), SHAPES, strict=True)]


@pytest.mark.parametrize(
    ("scope", "sparsity"),
    [("layer", 0.3), ("layer", 0.5), ("layer", 0.9), ("global", 0.1), ("global", 0.3), ("global", 0.5)],
)
@pytest.mark.parametrize("rescale", ["none", "density"])
def test_ten_steps_are_those_of_the_published_rule(tmp_path, scope, sparsity, rescale):
    network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10, init="kaiming_normal", rescale=rescale)
    method = make(sparsity, network, scope=scope)
    optimizer = method.optimizer()

    weights = [part.view(shape) for part, shape in zip(network.weights.split(SIZES), SHAPES, strict=True)]
    start = method.scores.detach().clone().split(SIZES)
    scores = [nn.Parameter(part.view(shape)) for part, shape in zip(start, SHAPES, strict=True)]
    velocity = [torch.zeros_like(score) for score in scores]

    changed = 0
    before = method.mask().clone()
    for images, labels in batches(tmp_path, 10):
        optimizer.zero_grad()
        logits = network(images, method.effective())
        functional.cross_entropy(logits, labels).backward()

        hidden = images.flatten(1)
        masks = published_masks(scores, sparsity, scope)
        for index, (weight, mask) in enumerate(zip(weights, masks, strict=True)):
            scale = mask.detach().mean().clamp(min=1 / mask.numel()) ** -0.5 if rescale == "density" else 1.0
            hidden = functional.linear(hidden, weight * mask * scale)
            hidden = hidden.relu() if index < 2 else hidden
        for score in scores:
            score.grad = None
        functional.cross_entropy(hidden, labels).backward()

        assert torch.allclose(logits, hidden, rtol=1e-5, atol=1e-5)
        theirs = torch.cat([mask.detach().flatten() for mask in masks]).bool()
        assert torch.equal(method.mask(), theirs)
        assert torch.equal(method.gates().detach().bool(), theirs)
        gradient = torch.cat([score.grad.flatten() for score in scores])
        assert gradient.abs().max() > 1e-4
        assert (method.scores.grad - gradient).abs().max() < 1e-6

        optimizer.step()
        with torch.no_grad():  # SGD with momentum 0.9, learning rate 0.1 and weight decay 1e-4, as for their FC network
            for score, speed in zip(scores, velocity, strict=True):
                speed.mul_(0.9).add_(score.grad + 1e-4 * score)
                score.sub_(0.1 * speed)
        assert torch.allclose(method.scores, torch.cat([score.detach().flatten() for score in scores]), atol=1e-6)
        with torch.no_grad():  # rounding must not add up until a tie breaks differently
            for score, part in zip(scores, method.scores.split(SIZES), strict=True):
                score.copy_(part.view_as(score))
        changed += int((method.mask() != before).sum())
    assert changed > 0


class TestMask:
    @pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.29, 0.5, 0.999])
    def test_every_layer_loses_its_share(self, sparsity):
        removed = [int((~part).sum()) for part in make(sparsity).mask().split(SIZES)]
        assert removed == [int(sparsity * size) for size in SIZES]

    def test_global_scope_ranks_all_layers_together(self):
        method = make(0.5, scope="global")
        mask = method.mask()
        assert int((~mask).sum()) == 25_100
        size = method.scores.detach().abs()
        assert float(size[mask].min()) >= float(size[~mask].max())
        densities = [float(part.double().mean()) for part in mask.split(SIZES)]
        assert max(densities) - min(densities) > 0.1  # 1 / sqrt(fan_in) differs, so layers do

    def test_sign_of_a_score_does_not_matter(self):
        method = make(0.5)
        before = method.mask()
        with torch.no_grad():
            method.scores.neg_()
        assert torch.equal(method.mask(), before)

    def test_gates_are_the_mask_in_training_and_out_of_it(self):
        method = make(0.7)
        assert torch.equal(method.gates().detach(), method.mask().float())
        assert torch.equal(method.eval().gates().detach(), method.mask().float())


class TestScores:
    def test_start_uniform_within_the_root_of_the_fan_in(self):
        from scipy import stats

        for part, (_, fan_in) in zip(make(0.5).scores.detach().split(SIZES), SHAPES, strict=True):
            limit = fan_in**-0.5
            assert float(part.abs().max()) <= limit * (1 + 1e-6)
            assert stats.kstest(part.double().numpy(), "uniform", args=(-limit, 2 * limit)).pvalue > 1e-4

    def test_gradient_is_that_of_the_mask_times_the_sign(self):
        method = make(0.5)
        method.gates().mul(torch.arange(50_200.0)).sum().backward()
        assert torch.equal(method.scores.grad, torch.arange(50_200.0) * method.scores.detach().sign())

    def test_defaults_are_the_authors(self):
        (group,) = make(0.5).optimizer().param_groups
        assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 1e-4)


def test_straight_through():
    mask = torch.tensor([True, False, True])
    scores = torch.tensor([-1.0, 0.0, 5.0], requires_grad=True)
    gates = straight_through(mask, scores)
    assert gates.tolist() == [1.0, 0.0, 1.0]
    assert gates.dtype == scores.dtype
    (gates * torch.tensor([2.0, 3.0, 4.0])).sum().backward()
    assert scores.grad.tolist() == [2.0, 3.0, 4.0]


class TestRamp:
    def test_cubic(self):
        for fraction in (0.0, 0.1, 0.25, 0.4):
            assert ramp(fraction, 0.5) == pytest.approx(1 - (1 - fraction / 0.5) ** 3)

    @given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
    def test_rises_from_0_to_1_and_stays(self, one, other, until):
        low, high = sorted((one, other))
        assert ramp(0.0, until) == 0.0
        assert ramp(until, until) == ramp(1.0, until) == 1.0
        assert 0 <= ramp(low, until) <= ramp(high, until) <= 1

    def test_power(self):
        assert ramp(0.5, 1.0, 1.0) == pytest.approx(0.5)
