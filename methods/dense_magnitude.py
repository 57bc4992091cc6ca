"""Trained, then pruned by magnitude: what sparsity costs where weights may be trained. A reference, no ticket.

Dense training whose smallest weights are removed (Han et al. 2015): within each layer, or with `scope` "global" over
all of them, which on weights that start as signed constants and move little removes whole layers. With `retrain` they
go at `prune_at` of the budget, and the rest is trained on; without it they go at the end. Layers are not rescaled by
their density, whatever the network's `rescale` is: pruning is to change a trained network as little as it can.

The optimiser is that of `dense`.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, Range


class DenseMagnitude(Method):
    """Every weight trained, the smallest removed."""

    name = "dense_magnitude"
    version = 1
    paper = "reference"
    sparsity_control = "exact"
    purity = "trained"

    class Settings(OptimizerSettings):
        """Settings of `dense_magnitude`."""

        lr: Annotated[float, Range(1e-4, 1e-2, log=True)] = Field(0.001, gt=0)
        scope: Literal["layer", "global"] = Field("layer", description="rank weights within layers, or all together")
        retrain: bool = Field(default=True, description="train on after pruning")
        prune_at: Annotated[float, Range(0.2, 0.8)] = Field(
            0.5, gt=0, lt=1, description="part of the budget after which weights go, with retrain"
        )

    settings: Settings
    sparsity: float
    kept: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.weights = nn.Parameter(network.weights.clone())
        self.register_buffer("kept", torch.ones_like(network.weights, dtype=torch.bool))
        self.pruned = False

    def gates(self) -> Tensor:
        """1 where a weight is kept."""
        return self.kept.to(self.weights.dtype)

    def mask(self) -> Tensor:
        """The weights that are kept, or would be now."""
        return self.kept if self.pruned else self._largest()

    def effective(self) -> Tensor:
        """The trained weights, as far as they are kept."""
        return self.weights * self.kept

    def changed_weights(self) -> Tensor:
        """The trained weights, so that the network's rescaling gives them back as they are."""
        return self.weights.detach() * self.network.spread(self.network.divisors(self.mask()))

    def on_progress(self, fraction: float) -> None:
        """Removes the smallest weights when it is time."""
        if not self.pruned and fraction >= (self.settings.prune_at if self.settings.retrain else 1.0):
            self.kept.copy_(self._largest())
            self.pruned = True

    def _largest(self) -> Tensor:
        return self.keep_largest(self.weights.abs(), per_layer=self.settings.scope == "layer", rounding="down")
