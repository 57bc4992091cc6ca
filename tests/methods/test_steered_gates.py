"""Gates whose penalty is steered to the asked sparsity, against the two rules in plain Python."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slt_bench.data.dataset import load as load_data
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import ramp
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.training.loop import search

REGISTRY = load_registry()
GATES = REGISTRY.find("gates")
NETWORK = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
FIRST_STEP = {"lagrangian": 1, "pi": 1 + 100}  # in units of the rate times the error
KINDS = pytest.mark.parametrize("reach", ["lagrangian", "pi"])


def make(sparsity=0.9, network=NETWORK, **options):
    return GATES(network, GATES.settings_class(**options), sparsity)


def lagrangian(errors, rate):
    """Gradient ascent on the multiplier; it starts anew once the constraint holds."""
    value = 0.0
    for error in errors:
        value = value + rate * error if error > 0 else 0.0
    return value


def proportional_integral(errors, rate):
    """The integral never falls below 0; the proportional part is worth 100 steps of it."""
    integral = 0.0
    for error in errors:
        integral = max(0.0, integral + rate * error)
    return max(0.0, integral + 100 * rate * errors[-1])


@given(errors=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20), rate=st.floats(1e-6, 0.1))
def test_the_multiplier_follows_the_published_rules(errors, rate):
    for reach, rule in (("lagrangian", lagrangian), ("pi", proportional_integral)):
        multiplier = make(reach=reach, dual_lr=rate).multiplier
        for error in errors:
            multiplier.update(torch.tensor(error))
        assert float(multiplier.value) == pytest.approx(rule(errors, rate), rel=1e-4, abs=1e-6 * rate)


@KINDS
def test_its_error_is_the_counted_density_minus_that_of_the_ramp(reach):
    method = make(0.8, reach=reach, dual_lr=0.1, ramp_until=0.5)
    with torch.no_grad():
        method.mu.copy_(torch.randn(NETWORK.n, generator=torch.Generator().manual_seed(0)))
    density = float((method.mu > 0.5).double().mean())
    error = density - (1 - 0.8 * ramp(0.4, 0.5))
    method.on_progress(0.4)
    assert error > 0
    assert float(method.multiplier.value) == pytest.approx(
        0.1 * error * (1 if reach == "lagrangian" else 101), rel=1e-3
    )
    assert float(method.shift) == 0


@KINDS
def test_the_penalty_is_the_multiplier_times_the_expected_number_of_open_gates(reach):
    method = make(reach=reach, sigma=0.4)
    assert method.penalty().item() == 0
    method.multiplier.value.fill_(0.3)
    mu = np.random.default_rng(1).normal(0.2, 0.7, NETWORK.n).astype(np.float32)
    with torch.no_grad():
        method.mu.copy_(torch.from_numpy(mu))
    penalty = method.penalty()
    penalty.backward()
    assert penalty.item() == pytest.approx(0.3 * stats.norm.cdf(mu.astype(np.float64) / 0.4).sum(), rel=1e-5)
    expected = 0.3 * stats.norm.pdf(mu.astype(np.float64) / 0.4) / 0.4
    assert np.abs(method.mu.grad.numpy() - expected).max() < 1e-6


@KINDS
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_a_search_comes_near_the_sparsity_on_its_own_threshold(reach, sparsity, tmp_path):
    data = load_data("digits", tmp_path)
    network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
    method = make(sparsity, network, reach=reach, dual_lr=1e-2, sigma_end=0.2)
    last = search(method, network, data, Budget(epochs=12, batch_size=64), 0, lambda _: None).curve[-1]
    assert torch.equal(method.mask(), method.mu > 0.5)
    assert last["sparsity"] == pytest.approx(sparsity, abs=0.03)
    assert last["validation_accuracy"] > 0.9


@KINDS
def test_what_it_promises_and_refuses(reach):
    settings = GATES.settings_class(reach=reach)
    assert GATES.control(settings) == "approximate"
    assert GATES.control(GATES.settings_class()) == "exact"
    assert GATES.problem(settings, 0.9) == ""
    assert "steers the penalty" in GATES.problem(GATES.settings_class(reach=reach, penalty=1e-4), None)
    assert {"multiplier.value", "multiplier.integral"} <= set(make(reach=reach).state_dict())


@KINDS
def test_units_are_steered_by_the_weights_that_they_hold(reach):
    structured = REGISTRY.find("gates_structured")
    method = structured(NETWORK, structured.settings_class(reach=reach, dual_lr=0.1, ramp_until=0.1), 0.9)
    with torch.no_grad():
        method.mu.copy_(torch.randn(method.mu.shape, generator=torch.Generator().manual_seed(0)))
    method.on_progress(0.5)
    error = float(method.mask().double().mean()) - 0.1
    assert float(method.multiplier.value) == pytest.approx(
        0.1 * error * (1 if reach == "lagrangian" else 101), rel=1e-3
    )
