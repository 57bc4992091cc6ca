"""Global edge-popup in a partially frozen network (Otsuka et al., TMLR 2025, arXiv 2402.14029).

A random part of the weights, `frozen` of each layer, is decided before anything is learned: pruned for good, or
locked, that is kept for good. Scores choose among the others, ranked together over all layers:

    h(s) = 0 where pruned, 1 where locked, else 1[|s| > t],   t such that the asked sparsity is reached

Frozen are `frozen * sparsity` of a layer by pruning and `frozen * density` by locking, so that any sparsity can be
asked for; the authors choose both parts freely, in Erdos-Renyi or other layer densities (here: alike in every layer).
As in their code (slt_within_frozen_network) scores start normal with variance 2 / fan_in.

`frozen` 0.5 is in the middle of what they try (to 0.7); the optimiser is theirs: SGD, learning rate 0.1, momentum
0.9, weight decay 1e-4, cosine.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork
from slt_bench.methods.edgepopup import EdgePopup


class PartialFreeze(EdgePopup):
    """Global edge-popup where random weights are pruned or locked at the start."""

    name = "partial_freeze"
    version = 1
    paper = "arXiv 2402.14029"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(EdgePopup.Settings):
        """Settings of `partial_freeze`."""

        scope: Literal["global"] = "global"
        frozen: float = Field(0.5, ge=0, lt=1, description="part of each layer that is pruned or locked at the start")

    settings: Settings
    pruned: Tensor
    locked: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        variances = torch.tensor([2 / layer.fan_in for layer in network.layers], device=network.device)
        with torch.no_grad():
            self.scores.normal_(generator=self.generator).mul_(network.spread(variances).sqrt())
        chance = torch.empty_like(network.weights).uniform_(generator=self.generator)
        self.register_buffer("pruned", chance < settings.frozen * self.sparsity)
        self.register_buffer("locked", chance > 1 - settings.frozen * (1 - self.sparsity))

    def rank(self) -> Tensor:
        """The size of the scores; nothing where pruned, above all others where locked."""
        size = super().rank()
        return torch.where(self.locked, size + size.detach().max() + 1, torch.where(self.pruned, size - 1e6, size))
