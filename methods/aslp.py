"""ASLP: subnetworks by Gumbel-softmax (Dupont et al., ICIP 2022, arXiv 2202.12986).

A hard draw with the gradient of its soft neighbour at the same noise, and a learned scale a layer:

    y = sigmoid((m + a - b) / tau),  a, b Gumbel;   h = 1[y > 1/2];   dL/dm = dL/dh * y (1 - y) / tau;   w_eff = c_l w h

so h is Bernoulli(sigmoid(m)). The mask is m > 0. With `penalty` set (0 is as published) the method decides its
sparsity; without it, logits are shifted so that the asked one is reached (`shared/threshold.py`).

As in the authors' code (N0ciple/ASLP) tau is 1, SGD has momentum 0.9 with learning rate 50 for the logits, without a
schedule there, and 1e-3 for the scales, which start at 1 and are learned there only with `--weight-rescale`. Biases,
frozen there, are absent here. Their mask is m >= 0, and their logits start at 0: before the first step they keep every
weight. Here logits start at N(0, 0.01^2) (`logit_noise`), since equal ones could not be ranked, and one that is exactly
0 is removed.

As with `supermask`, in few epochs most probabilities stay near 1/2, where the threshold lies at 0.5: after 4 epochs of
MNIST the hard mask scores 68% there on validation, the relaxed network 96% (LeNet-300-100, these defaults, one seed).
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Range, straight_through
from slt_bench.methods.shared.logits import Logits
from slt_bench.methods.shared.threshold import RampUntil


class Aslp(Logits):
    """Gumbel-softmax masks, and a learned scale a layer."""

    name = "aslp"
    version = 2
    paper = "arXiv 2202.12986"
    sparsity_control = "exact"
    purity = "rescaled"

    class Settings(Logits.Settings):
        """Settings of `aslp`."""

        optimizer: Literal["sgd"] = "sgd"
        lr: Annotated[float, Range(1, 1000, log=True)] = Field(50.0, gt=0)
        scale_lr: Annotated[float, Range(1e-5, 1e-2, log=True)] = Field(
            1e-3, ge=0, description="learning rate of the layers' scales; 0 leaves them at 1"
        )
        temperature: float = Field(1.0, gt=0)
        ramp_until: RampUntil = 0.5

    settings: Settings

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.scales = nn.Parameter(torch.ones(len(network.layers), device=network.device))

    def gates(self) -> Tensor:
        """A hard draw; the chances in the relaxed network."""
        if not self.training:
            return torch.sigmoid(self.shifted)
        soft = torch.sigmoid(self.drawn() / self.settings.temperature)
        return straight_through(soft.detach() > 0.5, soft)

    def effective(self) -> Tensor:
        """C_l w h."""
        return self.network.effective(self.gates(), self._scaled(self.scales))

    def changed_weights(self) -> Tensor:
        """C_l w."""
        return self._scaled(self.scales.detach())

    def penalty(self) -> Tensor:
        """Penalty * sum sigmoid(m), the expected number of kept weights."""
        if not self.settings.penalty:
            return super().penalty()
        return self.settings.penalty * torch.sigmoid(self.logits).sum()

    def optimizer(self) -> torch.optim.Optimizer:
        """SGD, the scales with a learning rate of their own."""
        groups: list[dict[str, Any]] = [
            {"params": [self.logits]},
            {"params": [self.scales], "lr": self.settings.scale_lr},
        ]
        settings = self.settings
        return torch.optim.SGD(
            groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.nesterov, fused=True
        )

    def _scaled(self, scales: Tensor) -> Tensor:
        return self.network.spread(scales) * self.network.weights
