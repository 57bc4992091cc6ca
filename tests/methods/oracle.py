"""What tests of published rules share: a network, batches, and the gradient at its effective weights in plain torch."""

import torch
from torch.nn import functional

from slt_bench.data.dataset import load as load_data
from slt_bench.data.pipeline import normalise
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry

SHAPES = [(300, 64), (100, 300), (10, 100)]
SIZES = [19_200, 30_000, 1_000]
N = sum(SIZES)
REGISTRY = load_registry()


def network(rescale="none", init="kaiming_normal"):
    return FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10, init=init, rescale=rescale)


def make(name, sparsity=0.8, on=None, **settings):
    """A method by its name, in training mode, on a network without rescaling."""
    kind = REGISTRY.find(name)
    method = kind(on or network(), kind.settings_class(**settings), sparsity)
    return method.train()


def batches(folder, count=4, size=64):
    """Images and labels of the digits."""
    data = load_data("digits", folder)
    images, labels = normalise(data.train.images, data.info), data.train.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[: count * size].split(size)
    return [(images[rows], labels[rows]) for rows in order]


def plain_loss(images, labels, flat):
    """The loss of LeNet-300-100 with the vector `flat` (N,) for its weights, in plain torch."""
    hidden = images.flatten(1).to(flat.dtype)
    parts = [part.view(shape) for part, shape in zip(flat.split(SIZES), SHAPES, strict=True)]
    for index, weight in enumerate(parts):
        hidden = functional.linear(hidden, weight)
        hidden = hidden.relu() if index < len(parts) - 1 else hidden
    return functional.cross_entropy(hidden, labels)


def gradient_at(images, labels, effective):
    """DL/dw_eff at these effective weights, in plain torch."""
    leaf = effective.detach().clone().requires_grad_()
    plain_loss(images, labels, leaf).backward()
    return leaf.grad


def step(method, images, labels):
    """The effective weights of a training step, and afterwards gradients in the method's parameters."""
    method.zero_grad()
    effective = method.effective()
    (functional.cross_entropy(method.network(images, effective), labels) + method.penalty()).backward()
    return effective.detach()


def lowest_closed(values, sparsity):
    """By sorting: 0 for the floor(sparsity * n) smallest numbers of a vector, 1 for the others."""
    closed = values.argsort(stable=True)[: int(sparsity * len(values))]
    mask = torch.ones_like(values)
    mask[closed] = 0
    return mask


def by_layer(function, *vectors):
    """The vector that a function of each layer's parts gives."""
    return torch.cat([function(*parts) for parts in zip(*(vector.split(SIZES) for vector in vectors), strict=True)])


def same_numbers(method):
    """A generator in the state of the method's own, to draw what it will draw."""
    generator = torch.Generator()
    generator.set_state(method.generator.get_state())
    return generator
