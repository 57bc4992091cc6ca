"""Trained, then pruned by magnitude: what sparsity costs where weights may be trained. A reference, no ticket.

Dense training whose smallest weights are removed (Han et al. 2015): within each layer, or with `scope` "global" over
all of them, which on weights that start as signed constants and move little removes whole layers. With `retrain` they
go at `prune_at` of the budget, and the rest is trained on; without it they go at the end. Layers are not rescaled by
their density, whatever the network's `rescale` is: pruning is to change a trained network as little as it can.

The optimiser is that of `dense`.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, Range, keep_top_of_each


class Settings(OptimizerSettings):
    """Settings of `dense_magnitude`."""

    lr: float = Field(0.001, gt=0)
    scope: Literal["layer", "global"] = Field("layer", description="rank weights within layers, or all together")
    retrain: bool = Field(default=True, description="train on after pruning")
    prune_at: float = Field(0.5, gt=0, lt=1, description="part of the budget after which weights go, with retrain")
    search: ClassVar = {"lr": Range(1e-4, 1e-2, log=True), "prune_at": Range(0.2, 0.8)}


class DenseMagnitude(Method):
    """Every weight trained, the smallest removed."""

    name, version, paper = "dense_magnitude", 1, "reference"
    sparsity_control, purity = "exact", "trained"
    settings_class = Settings
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
        weights = self.weights.detach()
        if self.network.rescale == "none":
            return weights
        return weights * self.network.spread(self.network.densities(self.mask()).sqrt())

    def on_progress(self, fraction: float) -> None:
        """Removes the smallest weights when it is time."""
        if not self.pruned and fraction >= (self.settings.prune_at if self.settings.retrain else 1.0):
            self.kept.copy_(self._largest())
            self.pruned = True

    def _largest(self) -> Tensor:
        sizes = self.network.sizes if self.settings.scope == "layer" else [self.network.n]
        counts = [size - int(self.sparsity * size) for size in sizes]
        return keep_top_of_each(self.weights.abs(), sizes, counts)
