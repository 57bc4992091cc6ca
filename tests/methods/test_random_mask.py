"""The random mask: exact totals, the layer densities that were asked for, and chance for the rest."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from tickets import ticket_of

from slt_bench.methods.random_mask import spread_exactly
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.tickets.ticket import write_ticket
from slt_bench.utils.errors import UserError

RANDOM_MASK = load_registry().find("random_mask")
LENET = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
WRN = FrozenNetwork("wrn10_1", shape=(3, 8, 8), classes=10)
NETWORKS = pytest.mark.parametrize("network", [LENET, WRN], ids=lambda network: network.arch)


def make(network, sparsity, **options):
    return RANDOM_MASK(network, RANDOM_MASK.settings_class(**options), sparsity)


def counts(network, mask):
    return [int(part.sum()) for part in mask.split(network.sizes)]


def erk_densities(network, sparsity):
    """Evci et al. 2020: density eps * sum(shape) / prod(shape), at most 1; eps found by root finding on the total."""
    sizes = np.array([np.prod(layer.shape) for layer in network.layers], dtype=float)
    raw = np.array([sum(layer.shape) / np.prod(layer.shape) for layer in network.layers])
    wanted = (1 - sparsity) * sizes.sum()
    eps = brentq(lambda e: (np.minimum(1, e * raw) * sizes).sum() - wanted, 0, 1 / raw.min() + 1, xtol=1e-12)
    return np.minimum(1, eps * raw)


@NETWORKS
@pytest.mark.parametrize("layers", ["uniform", "erk"])
@pytest.mark.parametrize("sparsity", [0.0, 1e-5, 0.3, 0.5, 0.77, 0.9, 0.98, 0.999, 0.99999])
def test_total_is_exact(network, layers, sparsity):
    mask = make(network, sparsity, layers=layers).mask()
    assert mask.dtype == torch.bool
    assert network.n - int(mask.sum()) == round(sparsity * network.n)


@NETWORKS
@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.9])
def test_uniform_has_one_density(network, sparsity):
    for count, size in zip(counts(network, make(network, sparsity).mask()), network.sizes, strict=True):
        assert abs(count - (1 - sparsity) * size) <= 1


@NETWORKS
@pytest.mark.parametrize("sparsity", [0.1, 0.3, 0.5, 0.8, 0.9, 0.98])
def test_erk_agrees_with_a_root_finder(network, sparsity):
    expected = erk_densities(network, sparsity) * network.sizes
    found = counts(network, make(network, sparsity, layers="erk").mask())
    assert np.abs(np.array(found) - expected).max() <= 1.01
    if sparsity == 0.8:
        densities = np.array(found) / network.sizes
        assert densities.max() == 1  # the cap is at work
        assert densities.min() < 0.2


@NETWORKS
def test_positions_within_a_layer_are_chance(network):
    from scipy import stats

    layer = max(network.layers, key=lambda layer: layer.size)
    part = make(network, 0.7).mask()[layer.slice]
    per_block = part[: part.numel() // 20 * 20].view(20, -1).sum(1).numpy()
    assert stats.chisquare(per_block).pvalue > 1e-4
    assert not torch.equal(part, part.flip(0))


def test_the_mask_does_not_follow_the_weights():
    mask = make(LENET, 0.5).mask()
    kept = LENET.weights[mask] > 0
    assert abs(float(kept.float().mean()) - 0.5) < 5 * 0.5 / int(mask.sum()) ** 0.5


def test_masks_of_two_sparsities_are_nested_and_of_two_seeds_are_not():
    dense, sparse = make(LENET, 0.3).mask(), make(LENET, 0.9).mask()
    assert not (sparse & ~dense).any()
    other = make(FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10, seed=1), 0.5).mask()
    overlap = float((other & make(LENET, 0.5).mask()).double().mean())
    assert overlap == pytest.approx(0.25, abs=0.02)


class TestOfATicket:
    def write(self, path, network, mask):
        write_ticket(path, ticket_of(network, mask))
        return str(path)

    @NETWORKS
    def test_takes_over_its_layer_densities_and_nothing_else(self, tmp_path, network):
        generator = torch.Generator().manual_seed(4)
        chance = torch.rand(network.n, generator=generator)
        density = network.spread(torch.linspace(0, 1, len(network.layers)))
        mask = chance < density  # from an empty layer to a full one
        method = make(network, None, layers=self.write(tmp_path / "t.slt", network, mask))
        assert counts(network, method.mask()) == counts(network, mask)
        assert not torch.equal(method.mask(), mask)

    def test_decides_the_sparsity_itself(self, tmp_path):
        kind = RANDOM_MASK.settings_class
        assert RANDOM_MASK.control(kind()) == RANDOM_MASK.control(kind(layers="erk")) == "exact"
        ticket = self.write(tmp_path / "t.slt", LENET, torch.ones(LENET.n, dtype=torch.bool))
        assert RANDOM_MASK.control(kind(layers=ticket)) == "none"

    def test_is_pinned_by_its_hash(self, tmp_path):
        kind = RANDOM_MASK.settings_class
        path = self.write(tmp_path / "t.slt", LENET, torch.ones(LENET.n, dtype=torch.bool))
        pinned = kind(layers=path).layers
        assert kind(layers=pinned).layers == pinned
        self.write(tmp_path / "t.slt", LENET, torch.zeros(LENET.n, dtype=torch.bool))
        assert kind(layers=path).layers != pinned
        with pytest.raises(ValueError, match="has changed"):
            kind(layers=pinned)
        (tmp_path / "t.slt").unlink()
        assert kind(layers=pinned).layers == pinned  # old records can still be read

    def test_of_another_architecture_is_refused(self, tmp_path):
        path = self.write(tmp_path / "t.slt", WRN, torch.ones(WRN.n, dtype=torch.bool))
        with pytest.raises(UserError, match=r"wrn10_1.*not of lenet300"):
            make(LENET, None, layers=path)

    def test_of_the_same_architecture_for_other_images_is_refused(self, tmp_path):
        large = FrozenNetwork("lenet300", shape=(1, 28, 28), classes=10)
        path = self.write(tmp_path / "t.slt", large, torch.ones(large.n, dtype=torch.bool))
        with pytest.raises(UserError, match="266,200"):
            make(LENET, None, layers=path)

    def test_missing_or_damaged(self, tmp_path):
        with pytest.raises(ValueError, match="nor the path of a ticket"):
            make(LENET, None, layers=str(tmp_path / "none.slt"))
        (tmp_path / "bad.slt").write_text("no ticket at all")
        with pytest.raises(UserError, match="not a ticket"):
            make(LENET, None, layers=str(tmp_path / "bad.slt"))


def exact_spread(kept, sizes, shares):
    """What each layer would keep in whole numbers' place: the same rule in exact fractions."""
    full = set()
    while True:
        rest = [i for i in range(len(sizes)) if i not in full]
        mass = sum(sizes[i] * Fraction(shares[i]) for i in rest)
        scale = Fraction(kept - sum(sizes[i] for i in full)) / mass if mass else Fraction(0)
        over = {i for i in rest if scale * Fraction(shares[i]) > 1}
        if not over:
            return [Fraction(sizes[i]) if i in full else scale * Fraction(shares[i]) * sizes[i]
                    for i in range(len(sizes))]  # fmt: skip
        full |= over


class TestSpreadExactly:
    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 100_000), st.floats(1e-3, 1e3)), min_size=1, max_size=20), st.floats(0, 1))
    @example([(3, 1.0), (3, 1.0), (3, 1.0)], 1 / 3)
    @example([(10, 0.001), (10, 1000.0)], 0.999)
    @example([(1, 1.0)] * 7, 0.5)
    def test_exact_and_proportional(self, layers, fraction):
        sizes, shares = [size for size, _ in layers], [share for _, share in layers]
        kept = round(fraction * sum(sizes))
        found = spread_exactly(kept, sizes, shares)
        assert sum(found) == kept
        assert all(isinstance(count, int) and 0 <= count <= size for count, size in zip(found, sizes, strict=True))
        for count, wanted in zip(found, exact_spread(kept, sizes, shares), strict=True):
            assert abs(count - wanted) <= 1 + Fraction(1, 10**6)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=10), st.data())
    def test_no_or_all_weights(self, sizes, data):
        shares = data.draw(st.lists(st.floats(0.01, 10), min_size=len(sizes), max_size=len(sizes)))
        assert spread_exactly(0, sizes, shares) == [0] * len(sizes)
        assert spread_exactly(sum(sizes), sizes, shares) == sizes

    def test_a_layer_that_is_full_gives_the_rest_to_the_others(self):
        assert spread_exactly(60, [10, 100], [1.0, 0.1]) == [10, 50]
        assert sorted(spread_exactly(11, [10, 100], [1.0, 0.1])) == [5, 6]  # 5.5 each


def test_gates_are_the_mask_and_nothing_is_to_be_trained():
    method = make(LENET, 0.6)
    assert torch.equal(method.gates(), method.mask().float())
    assert method.optimizer() is None
