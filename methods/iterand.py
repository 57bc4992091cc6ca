"""IteRand: iterative randomisation (Chijiwa et al., NeurIPS 2021, arXiv 2106.09269).

Edge-popup that now and then draws anew some of the weights which it does not use. Before every `period`-th step,

    w <- a fresh draw with probability `share` where the mask removes w, else w

and scores and momentum stay as they are. Fresh weights are drawn from those of the same layer, which has their
distribution whatever the init is. As in the authors' code (dchiji-ntt/iterand, sparse_modules.py) the scores
themselves are ranked, not their size, and start as uniform numbers within sqrt(6 / fan_in); a layer keeps n -
floor(sparsity * n) weights, where theirs keeps n - round(sparsity * (n - 1)).

`period` 300 and `share` 0.1 are the authors' for CIFAR-10 (100 epochs of batches of 128), and so is the optimiser,
that of Conv-6 but for the learning rate (0.3 there, 0.1 on ResNets).
"""

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork
from slt_bench.methods.edgepopup import EdgePopup


class IteRand(EdgePopup):
    """Edge-popup that draws anew what it does not use."""

    name = "iterand"
    version = 1
    paper = "arXiv 2106.09269"
    sparsity_control = "exact"
    purity = "resampled"

    class Settings(EdgePopup.Settings):
        """Settings of `iterand`."""

        period: int = Field(300, ge=1, description="steps between two draws")
        share: float = Field(0.1, ge=0, le=1, description="of the removed weights that are drawn anew")

    settings: Settings
    width = 6.0**0.5  # of the scores at the start, in 1 / sqrt(fan_in)
    weights: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.register_buffer("weights", network.weights.clone())
        self.steps = 0

    def rank(self) -> Tensor:
        """The scores, with their signs."""
        return self.scores

    def effective(self) -> Tensor:
        """The present weights under the mask."""
        return self.network.effective(self.gates(), self.weights)

    def changed_weights(self) -> Tensor:
        """The present weights."""
        return self.weights

    def on_progress(self, fraction: float) -> None:
        """Draws anew before every `period`-th step."""
        if fraction == 1.0:
            return
        self.steps += 1
        if self.steps % self.settings.period == 0:
            chosen = torch.empty_like(self.weights).uniform_(generator=self.generator) < self.settings.share
            self.weights.copy_(torch.where(chosen & ~self.mask(), self._fresh(), self.weights))

    def _fresh(self) -> Tensor:
        """(N,) weights of the same layers, drawn with replacement."""
        parts = self.network.weights.split(self.network.sizes)
        picks = [torch.randint(len(part), (len(part),), generator=self.generator, device=part.device) for part in parts]
        return torch.cat([part[pick] for part, pick in zip(parts, picks, strict=True)])
