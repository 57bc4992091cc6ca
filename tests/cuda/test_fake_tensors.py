"""PyTorch's own fake CUDA tensors: its operators' rules, and CUDA's autocast, for a forward step of every method."""

from unittest.mock import patch

import pytest
import torch
from families import CLASSES, FAMILIES, REGISTRY, make, small_archs
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from slt_bench.network.frozen import FrozenNetwork

GPU = torch.device("cuda")


class AnyGenerator(torch.Generator):
    """One of the processor: those of CUDA need a driver."""

    def __new__(cls, *_):
        return super().__new__(cls)


@pytest.fixture(scope="module")
def inspected():
    """Networks are inspected with tensors of the meta device, which a fake mode would take for its own."""
    with small_archs():
        for arch, shape in FAMILIES.values():
            FrozenNetwork(arch, shape=shape, classes=CLASSES)


@pytest.fixture
def fake(inspected):
    """Fake tensors, and autocast although there is no driver."""
    with (
        patch.object(torch, "Generator", AnyGenerator),
        patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
        patch("torch.cuda.is_bf16_supported", lambda *_, **__: True),
        FakeTensorMode(allow_non_fake_inputs=True),
    ):
        yield


def fake_network(family):
    """The family's network, all its tensors moved; a parameter cannot be by its `data`, as on a GPU."""
    arch, shape = FAMILIES[family]
    with small_archs(), torch._C._DisableTorchDispatch():
        network = FrozenNetwork(arch, shape=shape, classes=CLASSES)
    network.device, network.weights, network.lengths = GPU, network.weights.to(GPU), network.lengths.to(GPU)
    for module in network.skeleton.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(parameter.data.to(GPU), requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(GPU))
    return network.train()


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_a_forward_step_of_every_method(family, precision):
    network = fake_network(family)
    images = torch.randn(3, *network.shape, device=GPU)
    labels = torch.randint(CLASSES, (3,), device=GPU)
    for name in REGISTRY.methods:
        method = make(name, network)
        method.on_progress(0.3)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == torch.bfloat16):
            effective = method.effective()
            logits = network(images, effective)
            loss = method.objective(images, logits.float(), labels) + method.penalty()
        assert (effective.dtype, logits.dtype, loss.dtype) == (torch.float32, precision, torch.float32)
        method.eval()
        assert {method.mask().device.type, method.gates().device.type, loss.device.type} == {"cuda"}
