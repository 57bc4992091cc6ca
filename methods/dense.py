"""Dense training: the ceiling. The weights themselves are trained and none is removed, so this is no ticket.

It starts from the frozen network's weights and has the suite's data, budget and schedule, and, like every method here,
no biases and no learned scales in its normalisation layers.

Adam with learning rate 1e-3 is a common choice that trains every architecture here; a benchmark that reports a ceiling
for a large network should set its own.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, Range


class Dense(Method):
    """Every weight trained, none removed."""

    name = "dense"
    version = 1
    paper = "ceiling"
    sparsity_control = "none"
    purity = "trained"

    class Settings(OptimizerSettings):
        """Settings of `dense`."""

        lr: Annotated[float, Range(1e-4, 1e-2, log=True)] = Field(0.001, gt=0)

    settings: Settings

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.weights = nn.Parameter(network.weights.clone())

    def gates(self) -> Tensor:
        """All open."""
        return torch.ones_like(self.weights)

    def mask(self) -> Tensor:
        """All kept."""
        return torch.ones_like(self.weights, dtype=torch.bool)

    def effective(self) -> Tensor:
        """The trained weights."""
        return self.weights

    def changed_weights(self) -> Tensor:
        """The trained weights, which the ticket must carry."""
        return self.weights.detach()
