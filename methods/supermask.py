"""Supermasks (Zhou et al., "Deconstructing lottery tickets", NeurIPS 2019, arXiv 1905.01067).

Each weight is kept by chance, and the gradient passes the draw:

    h ~ Bernoulli(sigmoid(m));   dL/dm = dL/dh * sigmoid(m) (1 - sigmoid(m))

With `penalty` set (0 is as published) the method decides its sparsity, and the mask is m > 0, "more often kept than
not". The authors score the mean of ten sampled masks, none of which is *the* mask. Without it, logits are shifted so
that the asked sparsity is reached (`shared/threshold.py`). Their dynamic rescaling by n / sum(h) is the network's
`rescale`, by the root of it and without a gradient.

The authors take SGD with momentum 0.9 and learning rate 100 for 2,000 epochs of MNIST
(deconstructing-lottery-tickets, README); logits start at 0. In few epochs many stay near it, and at 0.5 that is where
the threshold lies: after 4 on MNIST half of the probabilities are within 0.1 of 1/2, and the hard mask scores 52% on
validation where the relaxed network has 96%; at 0.9 95.9% and 96.7% (LeNet-300-100, these defaults, one seed).
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import Range, noise, straight_through
from slt_bench.methods.shared.logits import Logits
from slt_bench.methods.shared.threshold import RampUntil


class Supermask(Logits):
    """Bernoulli masks, the gradient handed through the draw."""

    name = "supermask"
    version = 2
    paper = "arXiv 1905.01067"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(Logits.Settings):
        """Settings of `supermask`."""

        optimizer: Literal["adam", "sgd"] = "sgd"
        lr: Annotated[float, Range(1, 1000, log=True)] = Field(100.0, gt=0)
        ramp_until: RampUntil = 0.5

    settings: Settings

    def gates(self) -> Tensor:
        """A draw, with the gradient of its chances; the chances themselves in the relaxed network."""
        chance = torch.sigmoid(self.shifted)
        if not self.training:
            return chance
        drawn = noise("uniform", chance, self.generator) < chance
        return straight_through(drawn, chance)

    def penalty(self) -> Tensor:
        """Penalty * sum sigmoid(m), the expected number of kept weights."""
        if not self.settings.penalty:
            return super().penalty()
        return self.settings.penalty * torch.sigmoid(self.logits).sum()
