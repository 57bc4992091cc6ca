"""Edge-popup (Ramanujan et al., "What's hidden in a randomly weighted neural network?", CVPR 2020).

One score s a weight. A layer keeps its weights of largest |s|; the gradient passes the mask as if it were the identity,
so that a score learns as much as its edge would help:

    h(s) = 1 where |s| is not among the floor(sparsity * n) smallest of its layer's n, else 0;  dL/ds = dL/dh * sign(s)

Scores start as Kaiming-uniform numbers with a = sqrt 5, that is uniform within 1 / sqrt(fan_in). `scope` "global"
ranks the scores of all layers together. The threshold is found by selection; the authors' code sorts. Their other
convention, weights divided by the root of the kept fraction, is the network's `rescale`: "density".

The optimiser is the authors' for their fully connected network and Conv-2 to 8: SGD with momentum 0.9, learning rate
0.1, weight decay 1e-4, and the suite's cosine schedule (on ResNet-18 they take 5e-4).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, keep_top, straight_through


class Settings(OptimizerSettings):
    """Settings of `edgepopup`."""

    optimizer: Literal["adam", "sgd"] = "sgd"
    lr: float = Field(0.1, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    scope: Literal["layer", "global"] = Field("layer", description="rank scores within layers, or all together")


class EdgePopup(Method):
    """Top scores by magnitude, with a straight-through gradient."""

    name, version, paper = "edgepopup", 1, "arXiv 1911.13299"
    sparsity_control, purity = "exact", "frozen"
    settings_class = Settings

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        bound = network.spread(torch.tensor([layer.fan_in for layer in network.layers], device=network.device)) ** -0.5
        numbers = torch.empty_like(network.weights).uniform_(-1, 1, generator=self.generator)
        self.scores = nn.Parameter(bound * numbers)

    def gates(self) -> Tensor:
        """The mask, with the identity as its gradient."""
        size = self.scores.abs()
        return straight_through(self._top(size), size)

    def mask(self) -> Tensor:
        """The weights with the largest |score|."""
        return self._top(self.scores.abs())

    def _top(self, size: Tensor) -> Tensor:
        sizes = self.network.sizes if self.settings.scope == "layer" else [size.numel()]
        return torch.cat(
            [keep_top(part, part.numel() - int(self.sparsity * part.numel())) for part in size.split(sizes)]
        )
