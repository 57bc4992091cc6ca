"""Edge-popup (Ramanujan et al., "What's hidden in a randomly weighted neural network?", CVPR 2020).

One score s a weight. A layer keeps its weights of largest |s|; the gradient passes the mask as if it were the identity,
so that a score learns as much as its edge would help:

    h(s) = 1 where |s| is not among the floor(sparsity * n) smallest of its layer's n, else 0;  dL/ds = dL/dh * sign(s)

Scores start as Kaiming-uniform numbers with a = sqrt 5, that is uniform within 1 / sqrt(fan_in). `scope` "global" ranks
the scores of all layers together. The threshold is found by selection, and of equal scores the first are kept; the
authors' code sorts, and keeps those that its sort puts last.

The scale of the weights is the network's `rescale`. The suite's "density" divides a layer by the root of the share that
it keeps; it corrects what the authors' code does (allenai/hidden-networks, `utils/builder.py`). There `scale_fan`
multiplies the fan by `1 - prune_rate`, while `prune_rate` is the share that is kept, so that weights are divided by the
root of the share that is *removed* (their issue 9, open). Their published numbers come from that code, and `rescale`
"authors" gives it; their plain MNIST example rescales nothing, as "none" does. Weights are multiplied by

    sparsity     0.5     0.8     0.9     0.95
    "authors"    1.41    1.12    1.05    1.03
    "density"    1.41    2.24    3.16    4.47

The optimiser is the authors' for their fully connected network and Conv-2 to 8: SGD with momentum 0.9, learning rate
0.1, weight decay 1e-4, and the suite's cosine schedule (on ResNet-18 they take 5e-4).
"""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, Purity, Range, straight_through


class EdgePopup(Method):
    """Top scores by magnitude, with a straight-through gradient."""

    name = "edgepopup"
    version = 1
    paper = "arXiv 1911.13299"
    sparsity_control = "exact"
    purity: ClassVar[Purity] = "frozen"  # some that derive from it change more

    class Settings(OptimizerSettings):
        """Settings of scores."""

        optimizer: Literal["adam", "sgd"] = "sgd"
        lr: Annotated[float, Range(0.01, 10, log=True)] = Field(0.1, gt=0)
        weight_decay: Annotated[float, Range(1e-6, 1e-3, log=True)] = Field(1e-4, ge=0)
        scope: Literal["layer", "global"] = Field("layer", description="rank scores within layers, or all together")

    settings: Settings
    sparsity: float
    width = 1.0  # of the scores at the start, in 1 / sqrt(fan_in)

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        bound = network.spread(torch.tensor([layer.fan_in for layer in network.layers], device=network.device)) ** -0.5
        numbers = torch.empty_like(network.weights).uniform_(-1, 1, generator=self.generator)
        self.scores = nn.Parameter(self.width * bound * numbers)

    def rank(self) -> Tensor:
        """(N,) what is ranked, differentiable: the size of the scores."""
        return self.scores.abs()

    def gates(self) -> Tensor:
        """The mask, with the identity as its gradient."""
        rank = self.rank()
        return straight_through(self.top(rank, self.sparsity), rank)

    def mask(self) -> Tensor:
        """The weights that rank highest."""
        return self.top(self.rank(), self.sparsity)

    def top(self, rank: Tensor, sparsity: float) -> Tensor:
        """(N,) bool: all but the floor(sparsity * n) lowest of each layer's n, or of all layers together."""
        return self.keep_largest(rank, sparsity, per_layer=self.settings.scope == "layer", rounding="down")
