"""The rehearsed device has CUDA's rules; and the suite's own formulas for gradients keep them."""

import pytest
import torch
from families import network
from rehearsal import DeviceMixError, HostWaitError, rehearsal

from slt_bench.method import keep_top, keep_top_of_each, kth_smallest, straight_through
from slt_bench.methods import gates as gates_file
from slt_bench.network.ops import noise as noise_file
from slt_bench.network.ops import products
from slt_bench.network.ops import straight_through as straight_through_file
from slt_bench.network.ops.noise import TABLE, add_noise, noise
from slt_bench.network.ops.products import is_long

GPU = torch.device("cuda")

WAITS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.any()),
    "float": lambda x: float(x[0]),
    "a keyword": lambda x: torch.add(x, x, alpha=x[0]),
    "tolist": lambda x: x.tolist(),
    "boolean index": lambda x: x[x > 0],
    "boolean assignment": lambda x: x.__setitem__(x > 0, 1.0),
    "index by one number": lambda x: x[x.argmax()],
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0),
    "unique": lambda x: x.unique(),
    "masked_select": lambda x: x.masked_select(x > 0),
    "equal": lambda x: torch.equal(x, x),
    "repeats": lambda x: x.repeat_interleave(torch.ones(6, dtype=torch.int64, device=GPU)),
    "from the host": lambda _: torch.ones(2).to(GPU),
    "numbers of Python": lambda _: torch.tensor([1.0], device=GPU),
    "to the host": lambda x: x.cpu(),
    "to the CPU": lambda x: x.to("cpu"),
    "copy": lambda x: x.copy_(torch.ones(6)),
    "within a gradient": lambda x: _with_hook(x, lambda g: g * float(g.sum())),
}
MIXES = {
    "sum": lambda x: x + torch.ones(6),
    "in place": lambda x: torch.ones(6).mul_(x),
    "scalar in place": lambda x: torch.ones(()).add_(x.sum()),
    "cat": lambda x: torch.cat([x, torch.ones(1)]),
    "stack": lambda x: torch.stack([x.sum(), torch.ones(())]),
    "where": lambda x: torch.where(torch.ones(6) > 0, x, 0.0),
    "repeats": lambda x: x.repeat_interleave(torch.ones(6, dtype=torch.int64), output_size=6),
    "generator": lambda _: torch.rand(3, device=GPU, generator=torch.Generator()),
    "generator in place": lambda x: x.normal_(generator=torch.Generator()),
    "within a gradient": lambda x: _with_hook(x, lambda g: g * torch.ones(6)),
    "linear": lambda x: torch.nn.functional.linear(x, torch.ones(2, 6)),
}
RIGHT = {
    "a number": lambda x: 2 * x + 1,
    "a scalar of the host": lambda x: x * torch.ones(()),
    "slices": lambda x: x[1:3] + x[torch.arange(2, device=GPU)] + x.flip(0)[:2],
    "filled": lambda x: torch.full((6,), 2.0, device=GPU) + x.new_zeros(6) + torch.zeros_like(x),
    "sorted": lambda x: x.sort().values[2].clone(),
    "known repeats": lambda x: x.repeat_interleave(torch.ones(6, dtype=torch.int64, device=GPU), output_size=6),
    "generator": lambda x: x.normal_(generator=torch.Generator("cuda")),
    "gradient": lambda x: _with_hook(x, lambda g: g * torch.ones_like(g)),
}


def _with_hook(values, hook):
    leaf = values.clone().requires_grad_()
    leaf.register_hook(hook)
    leaf.square().sum().backward()
    return leaf.grad


def numbers(count=6):
    return torch.linspace(-1, 1, count, device=GPU)


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_fails_where_it_is_forbidden(name):
    with rehearsal() as device:
        WAITS[name](numbers())
        with device.no_waiting(), pytest.raises(HostWaitError):
            WAITS[name](numbers())


@pytest.mark.parametrize("name", MIXES)
def test_a_mixture_fails(name):
    with rehearsal(), pytest.raises(DeviceMixError):
        MIXES[name](numbers())


@pytest.mark.parametrize("name", RIGHT)
def test_what_a_gpu_does_is_done(name):
    with rehearsal() as device, device.no_waiting():
        assert RIGHT[name](numbers()).is_cuda


def test_numbers_have_to_be_brought_home():
    with rehearsal():
        with pytest.raises(TypeError, match="numpy"):
            numbers().numpy()
        assert numbers().cpu().numpy().shape == (6,)


def test_nothing_of_it_is_left():
    with rehearsal():
        values = numbers()
        assert values.device.type == "cuda"
    assert not values.is_cuda
    assert torch.Generator().device.type == "cpu"


class TestBranches:
    def test_pieces_are_for_processors(self):
        with rehearsal():
            assert is_long(torch.empty(products.LONG + 1))
            assert not is_long(torch.empty(products.LONG + 1, device=GPU))

    def test_noise_is_fresh(self):
        with rehearsal() as device, device.no_waiting():
            source = torch.Generator("cuda")
            first = noise("normal", numbers(1000), source)
            added = add_noise(torch.zeros(1000, device=GPU), "normal", 1.0, source)
        assert len(torch.cat([first, added]).unique()) > 1990
        assert TABLE > 2000

    def test_selection_sorts_and_agrees(self):
        values = torch.randint(0, 50, (1000,), generator=torch.Generator().manual_seed(0)).float()
        with rehearsal() as device:
            there = values.to(GPU)
            with device.no_waiting():
                found = [keep_top(there, 137), keep_top_of_each(there, [400, 600], [0, 600]), kth_smallest(there, 77)]
        expected = [keep_top(values, 137), keep_top_of_each(values, [400, 600], [0, 600]), kth_smallest(values, 77)]
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))

    def test_weights_are_rescaled_without_reading_the_densities(self):
        gates = torch.rand(network("ResNet", "cpu").n, generator=torch.Generator().manual_seed(0)).round()
        with rehearsal() as device:
            own, there = network("ResNet", "cuda"), gates.to(GPU)
            with device.no_waiting():
                found = own.effective(there)
        torch.testing.assert_close(found, network("ResNet", "cpu").effective(gates), rtol=1e-6, atol=0)


def _scaled(values):
    return products.scaled_product(torch.arange(1.0, 7.0, device=values.device), [2.0, 3.0], values, [2, 4])


GRADIENTS = {  # each function with a gradient of its own: how it is called, and the gradient of its sum
    straight_through_file._StraightThrough: (
        lambda values: straight_through(values.detach() > 0, values),
        lambda _: torch.ones(6),
    ),
    products._ScaledProduct: (_scaled, lambda _: torch.tensor([2.0, 4.0, 9.0, 12.0, 15.0, 18.0])),
    noise_file._AddPieces: (
        lambda values: noise_file._AddPieces.apply(values, [torch.ones_like(values)], 0.5),
        lambda _: torch.ones(6),
    ),
    gates_file._LeakyClamp: (
        lambda values: gates_file.leaky_clamp(values, 0.5),
        lambda values: torch.exp(-2 * (values - values.clamp(0, 1)).abs()),
    ),
}


def test_every_gradient_of_our_own_is_tried():
    kinds = torch.autograd.Function.__subclasses__()
    assert {kind for kind in kinds if kind.__module__.startswith("slt_bench.")} == set(GRADIENTS)


@pytest.mark.parametrize("kind", GRADIENTS, ids=lambda kind: kind.__name__)
def test_a_gradient_stays_on_the_device(kind):
    """Its formula, which the autograd engine calls, mixes no devices and waits for nothing; and gives the numbers."""
    function, formula = GRADIENTS[kind]
    with rehearsal() as device:
        values = torch.linspace(-2, 3, 6).to(GPU).requires_grad_()
        with device.no_waiting():
            function(values).sum().backward()
        assert values.grad.is_cuda
    torch.testing.assert_close(values.grad, formula(torch.linspace(-2, 3, 6)))
