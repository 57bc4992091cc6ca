"""What methods share that rank scores: one score a weight, the top of them kept, the gradient handed through the mask.

    h(s) = 1 where |s| is not among the floor(sparsity * n) smallest of its layer's n, else 0;  dL/ds = dL/dh * sign(s)

(Ramanujan et al., CVPR 2020). A subclass may rank something else than |s|, or more than a layer at a time.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import (
    Brackets,
    FrozenNetwork,
    Method,
    OptimizerSettings,
    Range,
    keep_top_of_each,
    magnitude,
    straight_through,
    straight_through_,
)


class ScoreSettings(OptimizerSettings):
    """Settings of scores."""

    optimizer: Literal["adam", "sgd"] = "sgd"
    lr: float = Field(0.1, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    scope: Literal["layer", "global"] = Field("layer", description="rank scores within layers, or all together")
    search: ClassVar = {"lr": Range(0.01, 10, log=True), "weight_decay": Range(1e-6, 1e-3, log=True)}


class Scores(Method):
    """Scores that start as uniform numbers within `width` / sqrt(fan_in)."""

    width = 1.0
    settings: Any
    sparsity: float

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        bound = network.spread(torch.tensor([layer.fan_in for layer in network.layers], device=network.device)) ** -0.5
        numbers = torch.empty_like(network.weights).uniform_(-1, 1, generator=self.generator)
        self.scores = nn.Parameter(self.width * bound * numbers)
        self.brackets = Brackets()

    def rank(self) -> Tensor:
        """(N,) what is ranked, differentiable."""
        return magnitude(self.scores)

    def gates(self) -> Tensor:
        """The mask, with the identity as its gradient."""
        return self.through(self.sparsity)

    def mask(self) -> Tensor:
        """The weights that rank highest."""
        return self.top(self.rank(), self.sparsity)

    def through(self, sparsity: float) -> Tensor:
        """The mask of that sparsity as numbers, with the identity as its gradient."""
        rank = self.rank()
        mask = self.top(rank, sparsity)
        return straight_through(mask, rank) if rank.is_leaf else straight_through_(mask, rank)

    def top(self, rank: Tensor, sparsity: float) -> Tensor:
        """(N,) bool: the top of each layer, or of all of them together."""
        sizes = self.network.sizes if self.settings.scope == "layer" else [rank.numel()]
        return keep_top_of_each(rank, sizes, [size - int(sparsity * size) for size in sizes], self.brackets)
