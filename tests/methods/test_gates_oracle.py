"""Relaxed Bernoulli gates against the closed forms of clamped Gaussians."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from slt_bench.conformance.families import family
from slt_bench.data.dataset import load as load_data
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import ramp
from slt_bench.methods.gates import leaky_clamp
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.training.loop import search

GATES = load_registry().find("gates")
NETWORK = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
N = 50_200


def make(sparsity=None, network=NETWORK, **options):
    return GATES(network, GATES.settings_class(**options), sparsity)


def fill(method, mu):
    with torch.no_grad():
        method.mu.copy_(torch.as_tensor(mu, dtype=torch.float32).expand(method.mu.shape))
    return method


def clamped_mean(mu, sigma):
    """E clamp(X, 0, 1) for X ~ N(mu, sigma^2): the integral of P(X > t) over t from 0 to 1, in closed form."""
    a, b = (0 - mu) / sigma, (1 - mu) / sigma
    inside = mu * (stats.norm.cdf(b) - stats.norm.cdf(a)) + sigma * (stats.norm.pdf(a) - stats.norm.pdf(b))
    return inside + stats.norm.sf(b)


def test_the_closed_form_is_that_of_the_integral():
    from scipy.integrate import quad

    for mu, sigma in [(0.5, 0.5), (-0.3, 0.2), (1.4, 0.7)]:
        integral, _ = quad(lambda t, mu=mu, sigma=sigma: stats.norm.sf((t - mu) / sigma), 0, 1)
        assert clamped_mean(mu, sigma) == pytest.approx(integral, abs=1e-9)


class TestDraw:
    @pytest.mark.parametrize("sigma", [0.1, 0.5])
    @pytest.mark.parametrize("mu", [-0.4, 0.0, 0.3, 0.5, 1.0, 1.5])
    def test_mean_and_atoms(self, mu, sigma):
        method = fill(make(penalty=1.0, sigma=sigma), mu)
        draws = torch.cat([method.gates().detach() for _ in range(4)]).double().numpy()
        error = 5 / math.sqrt(len(draws))
        assert draws.min() >= 0
        assert draws.max() <= 1
        assert draws.mean() == pytest.approx(clamped_mean(mu, sigma), abs=error * draws.std() + 1e-6)
        for share, expected in [
            ((draws > 0).mean(), stats.norm.cdf(mu / sigma)),
            ((draws == 1).mean(), stats.norm.sf((1 - mu) / sigma)),
        ]:
            assert share == pytest.approx(expected, abs=error * 0.5 + 1e-9)

    def test_inner_part_is_gaussian(self):
        draws = fill(make(penalty=1.0, sigma=0.2), 0.5).gates().detach().double().numpy()
        inside = draws[(draws > 0) & (draws < 1)]
        assert stats.kstest(inside, stats.truncnorm(-2.5, 2.5, 0.5, 0.2).cdf).pvalue > 1e-4

    def test_gates_are_drawn_independently(self):
        method = fill(make(penalty=1.0), 0.5)
        one, other = method.gates().detach(), method.gates().detach()
        limit = 5 / math.sqrt(N)
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < limit
        assert abs(float(torch.corrcoef(torch.stack([one[1:], one[:-1]]))[0, 1])) < limit

    def test_without_noise_in_the_relaxed_network(self):
        method = make(penalty=1.0)
        fill(method, torch.linspace(-1, 2, N))
        method.eval()
        assert torch.equal(method.gates(), torch.linspace(-1, 2, N).clamp(0, 1))

    def test_is_a_clamp_whose_gradient_ends_at_both_bounds(self):
        """It reaches mu only where 0 < z < 1, and not at 0 and 1 themselves."""
        ends = torch.tensor([0.0, 1.0])
        beside = [ends.nextafter(ends - 1), ends.nextafter(ends + 1), torch.tensor([-3.0, -0.0, 0.25, 5.0])]
        values = torch.cat([ends, *beside])
        mu = values.repeat(N // len(values) + 1)[:N]
        method = fill(make(penalty=1.0), mu)
        method.sigma = 0.0
        weights = torch.linspace(1, 3, N)
        drawn = method.gates()
        assert torch.equal(drawn, mu.clamp(0, 1))
        (drawn * weights).sum().backward()
        assert torch.equal(method.mu.grad, weights * ((mu > 0) & (mu < 1)))

    def test_mu_starts_about_its_mean(self):
        mu = make(0.5, mu_init=0.4, mu_noise=0.02).mu.detach().double().numpy()
        assert stats.kstest(mu, "norm", args=(0.4, 0.02)).pvalue > 1e-4


class TestPenalty:
    @pytest.mark.parametrize(("penalty", "sigma"), [(1e-4, 0.5), (2.0, 0.1)])
    def test_is_the_expected_number_of_open_gates(self, penalty, sigma):
        mu = np.random.default_rng(0).normal(0.2, 0.7, N).astype(np.float32)
        method = fill(make(penalty=penalty, sigma=sigma), torch.from_numpy(mu))
        expected = penalty * stats.norm.cdf(mu.astype(np.float64) / sigma).sum()
        assert method.penalty().item() == pytest.approx(expected, rel=1e-5)
        opened = np.mean([float((method.gates() > 0).double().sum()) for _ in range(20)])
        assert method.penalty().item() / penalty == pytest.approx(opened, rel=0.01)

    def test_gradient(self):
        mu = np.random.default_rng(1).normal(0.2, 0.7, N).astype(np.float32)
        method = fill(make(penalty=0.3, sigma=0.4), torch.from_numpy(mu))
        method.penalty().backward()
        expected = 0.3 * stats.norm.pdf(mu.astype(np.float64) / 0.4) / 0.4
        assert np.abs(method.mu.grad.numpy() - expected).max() < 1e-6

    def test_none_without_one(self):
        assert float(make(0.5).penalty()) == 0
        assert float(make(penalty=0.0).penalty()) == 0

    @pytest.mark.parametrize("mu", [-0.3, 0.2, 0.5, 0.9])
    def test_gradient_of_the_sum_of_gates(self, mu):
        sigma = 0.3
        method = fill(make(penalty=1.0, sigma=sigma), mu)
        for _ in range(4):
            method.gates().sum().backward()
        mean = float(method.mu.grad.double().mean()) / 4
        expected = stats.norm.cdf((1 - mu) / sigma) - stats.norm.cdf(-mu / sigma)
        assert mean == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(4 * N))
        numeric = (clamped_mean(mu + 1e-5, sigma) - clamped_mean(mu - 1e-5, sigma)) / 2e-5
        assert expected == pytest.approx(numeric, abs=1e-6)


class TestSigma:
    def test_falls_linearly_to_its_end(self):
        method = fill(make(0.5, sigma=0.4, sigma_end=0.1), torch.linspace(-1, 2, N))
        for fraction in (0.0, 0.25, 0.5, 1.0):
            method.on_progress(fraction)
            # The noise itself, seen on gates that no clamp touches: those between 0.3 and 0.7 before it.
            method.eval()
            still = method.gates().detach()
            method.train()
            drawn = torch.stack([method.gates().detach() for _ in range(4)])
            middle = (still > 0.49) & (still < 0.51)
            inside = drawn[:, middle].flatten().double().numpy()
            sigma = 0.4 + (0.1 - 0.4) * fraction
            # P(0 < z < 1) and the mean absolute deviation of z about 1/2 of a clamped Gaussian with that sigma
            share = ((inside > 0) & (inside < 1)).mean()
            expected = stats.norm.cdf(0.5 / sigma) - stats.norm.cdf(-0.5 / sigma)
            assert share == pytest.approx(expected, abs=0.04)
            spread = np.abs(inside - 0.5).mean()
            folded = 2 * sigma * (stats.norm.pdf(0) - stats.norm.pdf(0.5 / sigma)) + stats.norm.sf(0.5 / sigma)
            assert spread == pytest.approx(folded, rel=0.1)
            assert method.sigma == pytest.approx(sigma)

    def test_ends_small_where_a_sparsity_is_asked(self):
        method = make(0.5)
        method.on_progress(1.0)
        assert method.sigma == pytest.approx(0.02)

    def test_stays_under_a_penalty(self):
        method = make(penalty=1e-4)
        for fraction in (0.0, 0.3, 1.0):
            method.on_progress(fraction)
            assert method.sigma == 0.5
        assert float(method.shift) == 0


class TestSlope:
    @pytest.mark.parametrize(("options", "end"), [({}, 3.0), ({"slope_end": 7.0}, 7.0), ({"slope_end": 1.0}, 1.0)])
    def test_rises_geometrically_about_the_threshold(self, options, end):
        mu = torch.randn(N, generator=torch.Generator().manual_seed(3))
        method = fill(make(0.8, **options), mu).eval()
        for fraction in (0.0, 0.5, 1.0):
            method.on_progress(fraction)
            shifted = mu.double().numpy() - float(method.shift)
            expected = np.clip(end**fraction * (shifted - 0.5) + 0.5, 0, 1)
            assert np.abs(method.gates().detach().numpy() - expected).max() < 1e-5

    def test_scales_the_gradient_of_a_gate(self):
        method = fill(make(0.5, slope_end=5.0, sigma_end=1e-6), 0.45 + torch.arange(N) * 1e-7)
        method.on_progress(1.0)
        method.gates().sum().backward()
        assert np.unique(method.mu.grad.numpy()) == pytest.approx([5.0])

    def test_begins_where_it_is_told_to(self):
        method = fill(make(0.8, slope=0.25, slope_end=4.0), torch.linspace(-1, 2, N)).eval()
        for fraction, slope in ((0.0, 0.25), (0.5, 1.0), (1.0, 4.0)):
            method.on_progress(fraction)
            assert method.slope == pytest.approx(slope)
        method = make(penalty=1e-4, slope=0.5)
        method.on_progress(1.0)
        assert method.slope == 0.5

    def test_stays_one_under_a_penalty(self):
        method = fill(make(penalty=1e-4), torch.linspace(-1, 2, N)).eval()
        method.on_progress(1.0)
        assert torch.equal(method.gates(), torch.linspace(-1, 2, N).clamp(0, 1))

    def test_belongs_to_the_expected_number_of_open_gates(self):
        mu = np.random.default_rng(0).normal(0.4, 0.3, N).astype(np.float32)
        method = fill(make(penalty=2.0, sigma=0.3, slope_end=4.0), torch.from_numpy(mu))
        method.on_progress(1.0)
        expected = 2.0 * stats.norm.cdf((4 * (mu.astype(np.float64) - 0.5) + 0.5) / 0.3).sum()
        assert method.penalty().item() == pytest.approx(expected, rel=1e-5)


class TestLeak:
    def test_gradients_fall_exponentially_beyond_the_bounds(self):
        values = torch.linspace(-1, 2, 301)
        mu = values.clone().requires_grad_()
        weights = torch.linspace(1, 3, 301)
        clamped = leaky_clamp(mu, 0.4)
        assert torch.equal(clamped, values.clamp(0, 1))
        (clamped * weights).sum().backward()
        beyond = np.maximum(np.maximum(-values.double().numpy(), values.double().numpy() - 1), 0)
        assert np.abs(mu.grad.numpy() - weights.numpy() * np.exp(-beyond / 0.4)).max() < 1e-6

    def test_a_closed_gate_learns_only_with_it(self):
        for leak, share in ((0.0, 0.0), (0.5, math.exp(-0.3 / 0.5))):
            method = fill(make(penalty=1e-4, sigma=1e-6, leak=leak), -0.3)
            method.gates().sum().backward()
            assert float(method.mu.grad.mean()) == pytest.approx(share, abs=1e-4)


class TestBest:
    def test_is_gates_with_other_defaults(self):
        best = load_registry().find("gates_best")
        chosen = best.settings_class()
        mu = torch.randn(N, generator=torch.Generator().manual_seed(3))
        methods = [
            fill(kind(NETWORK, kind.settings_class(**chosen.model_dump()), 0.9), mu).eval() for kind in (best, GATES)
        ]
        for fraction in (0.0, 0.4, 1.0):
            one, other = (method.on_progress(fraction) or method.gates() for method in methods)
            assert torch.equal(one, other)

    def test_all_of_its_gates_begin_between_closed_and_open(self):
        best = load_registry().find("gates_best")
        method = best(NETWORK, best.settings_class(), 0.9)
        method.on_progress(0.0)
        gates = method.gates()
        assert float(((gates > 0) & (gates < 1)).double().mean()) == 1


class TestMask:
    def test_under_a_penalty_is_mu_above_one_half(self):
        mu = torch.linspace(-1, 2, N)
        mu[100] = 0.5
        method = fill(make(penalty=1e-4), mu)
        method.on_progress(1.0)
        assert torch.equal(method.mask(), mu > 0.5)

    @settings(max_examples=40, deadline=None)
    @given(st.floats(0, 0.9999), st.integers(0, 5))
    def test_sparsity_is_exact(self, sparsity, levels):
        generator = torch.Generator().manual_seed(levels)
        mu = torch.randint(levels, (N,), generator=generator) / 3 if levels else torch.randn(N, generator=generator)
        method = fill(make(sparsity), mu)
        mask = method.mask()
        assert N - int(mask.sum()) == round(sparsity * N)
        if 0 < int(mask.sum()) < N:
            assert float(mu[mask].min()) >= float(mu[~mask].max())

    @pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.9, 0.98])
    def test_the_shift_puts_the_quantile_at_one_half(self, sparsity):
        mu = torch.randn(N, generator=torch.Generator().manual_seed(3)) * 0.3 + 0.4
        method = fill(make(sparsity), mu).eval()
        method.on_progress(1.0)
        relaxed = method.gates().detach()
        # The gate at the quantile itself stands at 1/2; rounding may put it a hair above.
        assert float((relaxed < 0.5 + 1e-6).double().mean()) == pytest.approx(sparsity, abs=1e-3)
        differ = (relaxed > 0.5) != method.mask()
        assert not differ[(relaxed - 0.5).abs() > 1e-6].any()
        assert int(differ.sum()) <= 2

    def test_the_sparsity_rises_along_the_ramp(self):
        mu = torch.randn(N, generator=torch.Generator().manual_seed(3))
        method = fill(make(0.9, ramp_until=0.5), mu).eval()
        shares = []
        for fraction in (0.0, 0.1, 0.2, 0.5, 0.8):
            method.on_progress(fraction)
            shares.append(float((method.gates() < 0.5).double().mean()))
            passed = max(0.0, 1 - fraction / 0.5)
            assert shares[-1] == pytest.approx(0.9 * (1 - passed**3), abs=1e-3)
        assert shares == sorted(shares)
        assert ramp(0.25, 0.5) == pytest.approx(1 - 0.5**3)


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.9, 0.95, 0.98])
def test_a_short_search_reaches_the_sparsity_and_learns(sparsity, tmp_path):
    data = load_data("digits", tmp_path)
    network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
    method = make(sparsity, network)
    untrained = method.mu.detach().clone()
    found = search(method, network, data, Budget(epochs=6, batch_size=64), 0, lambda _: None)
    assert found.steps > 100
    assert not torch.equal(method.mu, untrained)
    mask = method.mask()
    assert N - int(mask.sum()) == round(sparsity * N)
    method.eval()
    relaxed = method.gates().detach()
    assert float((relaxed < 0.5 + 1e-6).double().mean()) == pytest.approx(sparsity, abs=0.01)
    assert int(((relaxed > 0.5) != mask).sum()) <= 3
    last = found.curve[-1]
    assert last["sparsity"] == pytest.approx(sparsity, abs=1 / N)
    assert last["validation_accuracy"] > 0.8
    hard = network.eval()((data.test.images.float() - 73.4) / 90.3, network.effective(mask.float()))
    assert float((hard.argmax(1) == data.test.labels).double().mean()) > 0.2  # chance is 0.1


@pytest.mark.parametrize("arch", ["lenet300", "conv2", "wrn10_1", "vit_tiny"])
def test_every_network_reaches_the_sparsity_it_is_asked_for(arch):
    _, images = family("fully connected")
    network = FrozenNetwork(arch, shape=images.info.shape, classes=10)
    for sparsity in (0.5, 0.8, 0.9, 0.95, 0.99):
        method = make(sparsity, network)
        search(method, network, images, Budget(epochs=2, batch_size=4), 0, lambda _: None)
        assert 1 - float(method.mask().double().mean()) == pytest.approx(sparsity, abs=1 / network.n)
