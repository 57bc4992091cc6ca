"""Gates in rounds: what a round closes stays closed, and each round runs the whole course."""

import itertools

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from slt_bench.data.dataset import load as load_data
from slt_bench.jobs.benchmark import Budget
from slt_bench.training.loop import search


def shuffle(method, seed=0):
    """Numbers that say which gates are kept."""
    with torch.no_grad():
        method.mu.normal_(0.5, 0.3, generator=torch.Generator().manual_seed(seed))


def test_one_round_is_gates_best():
    one, other = oracle.make("gates_rounds", 0.9, rounds=1), oracle.make("gates_best", 0.9)
    for fraction in (0.0, 0.2, 0.6, 1.0):
        for method in (one, other):
            shuffle(method)
            method.eval().on_progress(fraction)
        assert torch.equal(one.gates(), other.gates())
        assert torch.equal(one.mask(), other.mask())


@limits(max_examples=25, deadline=None)
@given(rounds=st.integers(1, 5), sparsity=st.floats(0.1, 0.99))
def test_each_round_leaves_the_same_share_of_the_one_before(rounds, sparsity):
    method = oracle.make("gates_rounds", sparsity, rounds=rounds)
    ends = [1 - method.present((index + 1 - 1e-9) / rounds) for index in range(rounds)]
    assert ends == pytest.approx([(1 - sparsity) ** ((index + 1) / rounds) for index in range(rounds)], abs=1e-6)
    steps = [method.present(step / 200) for step in range(201)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(steps))


def test_what_a_round_closes_stays_closed():
    method = oracle.make("gates_rounds", 0.96)
    shuffle(method)
    method.on_progress(0.49)
    left = method.mu.detach() >= method.mu.detach().sort(descending=True).values[round(0.2 * oracle.N) - 1]
    method.on_progress(0.5)
    closed = ~left
    assert int(closed.sum()) == oracle.N - round(0.2 * oracle.N)
    assert float(method.eval().gates().detach()[closed].max()) == 0.0
    with torch.no_grad():
        method.mu[left] = -50.0  # all that is left wants to close, and still nothing else opens
    for fraction in (0.6, 0.8, 1.0):
        method.on_progress(fraction)
        assert not (method.mask() & closed).any()
        assert float(method.gates().detach()[closed].max()) == 0.0


@pytest.mark.parametrize("reset", [0.0, 0.4, 1.0])
def test_what_is_left_starts_again_from_what_it_has_not_forgotten(reset):
    method = oracle.make("gates_rounds", 0.96, reset=reset)
    shuffle(method)
    method.on_progress(0.4999)
    before, shift = method.mu.detach().clone(), float(method.shift)
    fresh = torch.empty(oracle.N).normal_(0.5, 0.01, generator=oracle.same_numbers(method))
    method.on_progress(0.5)
    left = method.mu.detach() > -100
    expected = (1 - reset) * (before - shift) + reset * fresh
    assert torch.allclose(method.mu.detach()[left], expected[left], atol=1e-6)
    first = oracle.make("gates_rounds", 0.96)
    first.on_progress(0.0)
    assert (method.slope, method.sigma) == (first.slope, first.sigma)  # open again


def test_gates_that_are_left_are_not_all_open_when_a_round_starts():
    method = oracle.make("gates_rounds", 0.96).eval()
    shuffle(method)
    for fraction in (0.4999, 0.5):
        method.on_progress(fraction)
    gates = method.gates()[method.mu > -100]
    assert float(((gates > 0) & (gates < 1)).float().mean()) > 0.5


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_training_opens_nothing_that_is_closed(decay, tmp_path):
    data, budget = load_data("digits", tmp_path), Budget(epochs=8, batch_size=64)
    method = oracle.make("gates_rounds", 0.9, weight_decay=decay)
    seen = []

    def look(fraction):
        if fraction >= 0.6 and not seen:
            seen.append(method.closed.clone())

    search(method, method.network, data, budget, 0, look)
    (closed,) = seen
    assert int(closed.sum()) == oracle.N - round(0.1**0.5 * oracle.N)
    assert torch.equal(method.closed, closed)
    assert not (method.mask() & closed).any()
    assert int(method.mask().sum()) == oracle.N - round(0.9 * oracle.N)


def test_rounds_need_a_sparsity():
    kind = oracle.REGISTRY.find("gates_rounds")
    for settings in ({"penalty": 1e-6}, {"reach": "pi"}):
        assert "rounds close gates by rank" in kind.problem(kind.settings_class(**settings), 0.9)
    assert not kind.problem(kind.settings_class(), 0.9)
