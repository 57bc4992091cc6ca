"""Products in few passes: the numbers of the plain expressions, bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slt_bench.network.frozen import FrozenNetwork
from slt_bench.network.ops import products
from slt_bench.network.ops.products import LONG, scaled_product

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def vectors(sizes, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    total = sum(sizes)
    weights, values, grad = torch.randn(3, total, generator=generator, dtype=dtype).unbind()
    return weights, torch.rand(len(sizes), generator=generator, dtype=dtype) + 0.1, values.clone(), grad


def gradient(result, leaf, grad):
    return torch.autograd.grad(result, leaf, grad)[0]


class TestScaledProduct:
    @settings(max_examples=100, deadline=None)
    @given(SIZES, st.integers(0, 2**32 - 1))
    def test_is_the_plain_product_and_so_is_its_gradient(self, sizes, seed):
        weights, factors, values, grad = vectors(sizes, seed)
        values.requires_grad_()
        plain = weights * factors.repeat_interleave(torch.tensor(sizes)) * values
        found = scaled_product(weights, factors.tolist(), values, sizes)
        assert torch.equal(found, plain)
        assert torch.equal(gradient(found, values, grad), gradient(plain, values, grad))

    def test_can_be_differentiated_twice(self):
        sizes = [3, 20]
        weights, factors, values, _ = vectors(sizes, 0, torch.float64)
        values.requires_grad_()
        assert torch.autograd.gradgradcheck(lambda v: scaled_product(weights, factors.tolist(), v, sizes) ** 3, values)


def test_a_search_holds_no_scaled_copy_of_the_weights():
    weights, factors, values, _ = vectors([100], 0)
    found = scaled_product(weights, factors.tolist(), values.requires_grad_(), [100])
    assert [tensor.data_ptr() for tensor in found.grad_fn.saved_tensors] == [weights.data_ptr()]


@pytest.mark.parametrize("arch", ["mlp1000_1000", "lenet300"])  # of which only the first is long
def test_effective_weights_of_a_large_network_are_the_plain_expression(arch, monkeypatch):
    monkeypatch.setattr(products, "LONG", LONG if arch == "mlp1000_1000" else 7_777)
    network = FrozenNetwork(arch, shape=(1, 8, 8), classes=10, init="kaiming_normal")
    generator = torch.Generator().manual_seed(0)
    gates = torch.randn(network.n, generator=generator).add(0.3).clamp(0, 1)  # many are 0, and some 1
    gates[network.layers[1].slice] = 0
    gates.requires_grad_()
    grad = torch.randn(network.n, generator=generator)
    parts = zip(network.weights.split(network.sizes), gates.detach().split(network.sizes), strict=True)
    roots = [weights / torch.dot(part, part).clamp(min=1).div(len(part)).sqrt() for weights, part in parts]

    found = network.effective(gates)
    assert "ScaledProduct" in found.grad_fn.name()
    plain = network.rescaled(network.weights, gates) * gates
    assert torch.equal(found, plain)
    assert torch.equal(gradient(found, gates, grad), gradient(plain, gates, grad))
    torch.testing.assert_close(found, torch.cat(roots) * gates, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient(network.effective(gates), gates, grad), torch.cat(roots) * grad)
