"""The table of layers: which weights of a module are maskable, and where they lie in the flat vector."""

import math
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.conv import _ConvNd


@dataclass(frozen=True)
class Layer:
    """One maskable weight: where it lies in the flat vector."""

    name: str
    shape: tuple[int, ...]
    fan_in: int
    start: int

    @property
    def size(self) -> int:
        """How many weights the layer has."""
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        """The layer's place in a vector of N numbers."""
        return slice(self.start, self.start + self.size)


def layer_table(skeleton: nn.Module) -> tuple[Layer, ...]:
    """The maskable weights of a module, in the order of its parameters: those of linear and convolutional layers."""
    weights: set[int] = set()
    for module in skeleton.modules():
        if isinstance(module, nn.Linear | _ConvNd):
            weights.add(id(module.weight))
        if isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            weights.add(id(module.in_proj_weight))
    layers: list[Layer] = []
    start = 0
    for name, parameter in skeleton.named_parameters():
        if id(parameter) in weights:
            layers.append(Layer(name, tuple(parameter.shape), parameter[0].numel(), start))
            start += parameter.numel()
    return tuple(layers)
