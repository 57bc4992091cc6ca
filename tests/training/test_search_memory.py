"""What a search holds between two of its steps: nothing of the size of its weights but what has to last."""

import gc

import pytest
import torch
from torch._subclasses import FakeTensor

from slt_bench.data.dataset import load as load_data
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import noise
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.network.ops.products import LONG
from slt_bench.registry import load_registry
from slt_bench.training.loop import search

STEPS = 6  # after which the threshold of gates was found twice
MOMENTS = {"gates": 2, "edgepopup": 1}  # Adam's; SGD's momentum


class Seen(Exception):  # noqa: N818 - ends a search that has been looked at
    """Enough steps were taken."""


def tensors():
    """All that are alive as far as Python knows, and what gradients they hold."""
    found = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]  # `isinstance` wakes proxies
    return found + [tensor.grad for tensor in found if tensor.is_leaf and tensor.grad is not None]


def storages(found, least):
    """By their address: those of at least so many bytes. Sparse and fake tensors, which other tests left, have none."""
    dense = [tensor for tensor in found if tensor.layout is torch.strided and type(tensor) is not FakeTensor]
    parts = [tensor.untyped_storage() for tensor in dense]
    return {part.data_ptr(): part.nbytes() for part in parts if part.nbytes() >= least}


@pytest.mark.parametrize(("arch", "long"), [("mlp1000_1000", True), ("mlp300_100", False)])
@pytest.mark.parametrize("name", MOMENTS)
def test_between_steps_only_weights_scores_gradient_and_moments_have_their_size(name, arch, long, tmp_path):
    noise("normal", torch.empty(1), torch.Generator())  # its table is made once, for all searches
    data = load_data("digits", tmp_path)
    before = tensors()  # held, so that no address is used again
    kind = load_registry().find(name)
    network = FrozenNetwork(arch, shape=(1, 8, 8), classes=10)
    assert (network.n > LONG) == long
    method = kind(network, kind.settings_class(), 0.9)
    optimizer = method.optimizer()
    method.optimizer = lambda: optimizer
    steps, alive = 0, []

    def look(_):
        nonlocal steps
        steps += 1
        if steps > STEPS:
            alive.extend(tensors())
            raise Seen

    with pytest.raises(Seen):
        search(method, network, data, Budget(epochs=1, batch_size=64), 0, look)

    (values,) = method.parameters()
    lasting = [network.weights, values, values.grad]
    lasting += [moment for moment in optimizer.state[values].values() if moment.numel() == network.n]
    assert len(lasting) == 3 + MOMENTS[name]
    known, found = storages(before, network.n), storages(alive, network.n)  # a byte a weight, as of masks
    assert {at: size for at, size in found.items() if at not in known} == storages(lasting, 1)
    old = {id(tensor) for tensor in before}
    graphs = [tensor for tensor in alive if tensor.grad_fn and id(tensor) not in old]
    assert not graphs  # what these hold for their gradients is not to be seen from Python
