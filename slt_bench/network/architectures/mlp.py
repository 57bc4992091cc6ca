"""Fully connected networks."""

from itertools import pairwise

from torch import nn

from slt_bench.network.architectures import Shape
from slt_bench.network.architectures.common import activation


def mlp(widths: tuple[int, ...], slope: float, shape: Shape, classes: int) -> nn.Module:
    """A chain of linear layers without biases, ReLUs between them; images are flattened.

    `slope` is that of the ReLUs where their input is negative; 0: none, as usual.
    """
    sizes = (shape[0] * shape[1] * shape[2], *widths)
    hidden = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair, bias=False), activation(slope))]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes, bias=False))
