"""Noise from a table: distributed as fresh noise is, independent between steps, and as good to learn with."""

import math

import numpy as np
import pytest
import torch
from learning import learned_accuracy
from scipy import stats

from slt_bench.data.dataset import load as load_data
from slt_bench.network.ops import noise as module
from slt_bench.network.ops.noise import PIECE, TABLE, add_noise, fresh_noise, noise

DISTRIBUTIONS = {"normal": stats.norm, "uniform": stats.uniform, "logistic": stats.logistic}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
@pytest.mark.parametrize("draw", [noise, fresh_noise])
class TestDistribution:
    def test_is_what_its_name_says(self, kind, draw):
        numbers = draw(kind, torch.empty(200_000), generator()).double().numpy()
        assert stats.kstest(numbers, DISTRIBUTIONS[kind].cdf).pvalue > 1e-4

    @pytest.mark.parametrize("count", [1, PIECE - 1, PIECE, 2 * PIECE + 7])
    def test_has_the_shape_and_type_that_were_asked(self, kind, draw, count):
        for dtype in (torch.float32, torch.float64):
            numbers = draw(kind, torch.empty(count, dtype=dtype), generator())
            assert (numbers.shape, numbers.dtype) == ((count,), dtype)
            assert not numbers.requires_grad

    def test_hangs_on_the_generator_alone(self, kind, draw):
        like = torch.empty(1000)
        one, other = generator(1), generator(1)
        for _ in range(3):
            assert torch.equal(draw(kind, like, one), draw(kind, like, other))
        assert not torch.equal(draw(kind, like, one), draw(kind, like, generator(2)))


class TestSteps:
    @pytest.mark.parametrize("count", [1000, PIECE + 1000])
    def test_are_independent_of_each_other(self, count):
        source = generator()
        drawn = torch.stack([noise("normal", torch.empty(count), source) for _ in range(30)])
        off_diagonal = torch.corrcoef(drawn)[~torch.eye(30, dtype=torch.bool)]
        assert float(off_diagonal.abs().max()) < 5 / math.sqrt(count)

    def test_a_gate_meets_the_distribution_over_time(self):
        source = generator()
        drawn = torch.stack([noise("normal", torch.empty(5), source) for _ in range(4000)]).double().numpy()
        for gate in range(5):
            assert stats.kstest(drawn[:, gate], "norm").pvalue > 1e-4
        assert np.abs(np.corrcoef(drawn.T)[~np.eye(5, dtype=bool)]).max() < 5 / math.sqrt(4000)
        assert np.abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 5 / math.sqrt(4000)

    def test_start_all_over_the_table(self):
        source = generator()
        firsts = [float(noise("uniform", torch.empty(1), source)) for _ in range(2000)]
        assert len(set(firsts)) > 1900
        assert TABLE - PIECE > 3_000_000


def test_what_is_handed_out_is_the_callers_own():
    before = noise("normal", torch.empty(100), generator()).clone()
    noise("normal", torch.empty(100), generator()).zero_()
    assert torch.equal(noise("normal", torch.empty(100), generator()), before)


@pytest.mark.parametrize("count", [5, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 7])
def test_adding_is_adding_with_the_identity_as_its_gradient(count):
    numbers = torch.linspace(-1, 1, count)
    values = numbers.clone().requires_grad_()
    added = add_noise(values, "normal", 0.5, generator())
    added.sum().backward()
    assert torch.equal(added.detach(), torch.add(numbers, noise("normal", numbers, generator()), alpha=0.5))
    assert torch.equal(values.grad, torch.ones(count))


@pytest.mark.parametrize("count", [5, PIECE + 1])
def test_what_noise_is_added_to_stays_as_it_is(count):
    values = torch.ones(count, requires_grad=True)
    result = values.exp()
    add_noise(result, "normal", 0.5, generator()).sum().backward()
    assert torch.equal(values.detach(), torch.ones(count))
    assert torch.equal(values.grad, result.detach())  # exp needs its own result


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gates", "supermask", "hard_concrete"])
def test_what_is_learned_does_not_change(name, tmp_path, monkeypatch):
    """The mean accuracy over eight seeds, with the table and with fresh numbers, within its own uncertainty."""
    data = load_data("digits", tmp_path)
    settings = {"lr": 0.05} if name == "hard_concrete" else {}

    def score(seed):
        return learned_accuracy(name, data, seed, **settings)

    tabled = np.array([score(seed) for seed in range(8)])
    monkeypatch.setattr(module, "_pieces", lambda *drawn: [fresh_noise(*drawn)])
    fresh = np.array([score(seed) for seed in range(8)])
    assert tabled.mean() > 0.6
    assert not np.array_equal(tabled, fresh)
    difference = tabled - fresh
    assert abs(difference.mean()) < 4 * difference.std(ddof=1) / math.sqrt(8) + 0.005
