"""Structured gates: whole units, and the sparsity that whole units allow."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry

STRUCTURED = load_registry().find("gates_structured")
LENET = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)  # 300 rows of 64, 100 of 300; 1000 ungated
WIDE = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10, init="kaiming_normal")


def make(sparsity=None, network=LENET, mu=None, **options):
    method = STRUCTURED(network, STRUCTURED.settings_class(**options), sparsity)
    if mu is not None:
        with torch.no_grad():
            method.mu.copy_(torch.as_tensor(np.asarray(mu), dtype=torch.float32))
    return method


def rows_of(network, flat):
    """Each gated unit's part of a flat vector, in the order of the layers, and the last layer's part."""
    rows, start = [], 0
    for layer in network.layers:
        size = int(np.prod(layer.shape))
        part = flat[start : start + size].reshape(layer.shape[0], -1)
        if layer is not network.layers[-1]:
            rows.extend(part)
        start += size
    return rows, part


def units(network):
    return sum(layer.shape[0] for layer in network.layers[:-1])


def random_mu(network, seed=0):
    return np.random.default_rng(seed).normal(0.5, 0.2, units(network)).astype(np.float32)


@pytest.mark.parametrize("network", [LENET, WIDE], ids=lambda network: network.arch)
class TestWholeUnits:
    def test_one_gate_a_unit_and_none_for_the_classes(self, network):
        assert make(0.5, network).mu.numel() == units(network)

    def test_gates_are_whole_rows_and_the_last_layer_is_open(self, network):
        rows, last = rows_of(network, make(0.5, network).gates().detach())
        assert all((row == row[0]).all() for row in rows)
        assert len({float(row[0]) for row in rows}) > len(rows) / 10
        assert (last == 1).all()

    @pytest.mark.parametrize("sparsity", [None, 0.0, 0.3, 0.9, 0.99])
    def test_masks_are_whole_rows_and_the_last_layer_is_kept(self, network, sparsity):
        options = {"penalty": 1e-3} if sparsity is None else {}
        mask = make(sparsity, network, random_mu(network), **options).mask()
        assert mask.dtype == torch.bool
        rows, last = rows_of(network, mask)
        assert all(row.all() or not row.any() for row in rows)
        assert last.all()

    def test_under_a_penalty_units_above_one_half_are_kept(self, network):
        mu = random_mu(network)
        mu[0] = 0.5
        rows, _ = rows_of(network, make(None, network, mu, penalty=1e-3).mask())
        assert [bool(row[0]) for row in rows] == (mu > 0.5).tolist()

    @pytest.mark.parametrize("sparsity", [0.0005, 0.001, 0.003, 0.1, 0.5, 0.77, 0.9, 0.95])
    def test_counted_sparsity_is_the_nearest_to_the_target(self, network, sparsity):
        mu = random_mu(network, seed=int(100 * sparsity))
        mask = make(sparsity, network, mu).mask()
        removed = network.n - int(mask.sum())
        sizes = np.array([len(row) for row in rows_of(network, mask)[0]])
        possible = [0] + [int(sizes[mu <= threshold].sum()) for threshold in np.unique(mu)]
        target = sparsity * network.n
        assert abs(removed - target) == pytest.approx(min(abs(np.array(possible) - target)), abs=0.1)
        assert abs(removed - target) <= sizes.max() / 2 or removed == possible[-1]
        rows, _ = rows_of(network, mask)
        kept = np.array([bool(row[0]) for row in rows])
        assert mu[kept].min(initial=np.inf) > mu[~kept].max(initial=-np.inf)

    def test_sparsity_0_closes_nothing(self, network):
        method = make(0.0, network, random_mu(network))
        assert method.mask().all()
        method.eval()
        for fraction in (0.0, 0.5, 1.0):
            method.on_progress(fraction)
            assert (method.gates() > 0.5).all()

    def test_the_relaxed_network_agrees_with_the_mask(self, network):
        method = make(0.6, network, random_mu(network)).eval()
        method.on_progress(1.0)
        relaxed = method.gates().detach()
        differ = (relaxed > 0.5) != method.mask()
        assert not differ[(relaxed - 0.5).abs() > 1e-6].any()

    def test_more_than_the_units_hold_closes_them_all(self, network):
        mask = make(0.99999, network, random_mu(network)).mask()
        assert int(mask.sum()) == network.layers[-1].size


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 0.999), st.integers(1, 6), st.integers(0, 1000))
def test_ties_are_no_reason_to_miss_the_target(sparsity, levels, seed):
    """Units whose gates are equal are told apart where the target asks for it: no unit's worth is given away."""
    mu = np.random.default_rng(seed).integers(levels, size=units(LENET)) / 4
    mask = make(sparsity, LENET, mu).mask()
    rows, _ = rows_of(LENET, mask)
    assert all(row.all() or not row.any() for row in rows)
    removed, target, most = LENET.n - int(mask.sum()), sparsity * LENET.n, LENET.n - 1000
    assert abs(removed - target) <= 150.01 or removed == most
    kept = np.array([bool(row[0]) for row in rows])
    assert mu[kept].min(initial=np.inf) >= mu[~kept].max(initial=-np.inf)


def test_penalty_is_the_expected_number_of_open_units():
    mu = random_mu(LENET)
    method = make(None, LENET, mu, penalty=0.7, sigma=0.3)
    assert method.penalty().item() == pytest.approx(0.7 * stats.norm.cdf(mu.astype(np.float64) / 0.3).sum(), rel=1e-5)
    method.penalty().backward()
    assert np.abs(method.mu.grad.numpy() - 0.7 * stats.norm.pdf(mu / 0.3) / 0.3).max() < 1e-5


def test_gating_a_row_is_gating_the_activation():
    network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10, rescale="none")
    method = make(0.5, network, random_mu(network)).eval()
    method.on_progress(1.0)
    x = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    g1, g2 = (3 * (method.mu.detach() - method.shift - 0.5) + 0.5).clamp(0, 1).split([300, 100])
    w1, w2, w3 = network.weights.split([300 * 64, 100 * 300, 10 * 100])
    hidden = g1 * (x.flatten(1) @ w1.view(300, 64).T).relu()  # h = g * act(W h_prev), as the paper writes it
    hidden = g2 * (hidden @ w2.view(100, 300).T).relu()
    expected = hidden @ w3.view(10, 100).T
    assert ((g1 > 0) & (g1 < 1)).any()
    assert torch.allclose(network(x, method.effective()), expected, rtol=1e-4, atol=1e-5)


def test_a_closed_channel_is_silent_after_normalisation_too():
    method = make(0.5, WIDE, random_mu(WIDE))
    effective = WIDE.effective(method.mask().float())
    seen = {}
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
        for name, module in WIDE.skeleton.named_modules()
        if name.endswith("conv1")
    ]
    WIDE.train()(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), effective)
    for hook in hooks:
        hook.remove()
    closed = 0
    for layer in WIDE.layers:
        name = layer.name.removesuffix(".weight")
        if name in seen:
            rows = method.mask()[layer.slice].view(layer.shape[0], -1).any(1)
            assert torch.equal(seen[name].abs().amax((0, 2, 3)) > 0, rows)
            closed += int((~rows).sum())
    assert closed > 0
