"""Gem-Miner, before its fine-tuning (Sreenivasan et al., "Rare gems", NeurIPS 2022, arXiv 2202.12002).

One score s in [0, 1] a weight, rounded, and a flag that falls for good:

    h = 1[s > 1/2] * flag;   loss + penalty * sum s^2;   dL/ds = dL/dh * flag;   s <- clamp(s, 0, 1) before every step

After each of `rounds` equal parts of the budget the lowest scores among the flagged weights of all layers lose their
flag, by equal factors down to the asked density. The answer is h, which may be sparser than what was asked where
flagged scores end below 1/2. Gem-Miner then trains the weights, which is not done here: only what stands before is a
strong lottery ticket.

The rule is that of the authors' code (ksreenivasan/pruning_is_enough, `hc_iter`): 29 rounds in 150 epochs, penalty
1e-4 and SGD with learning rate 0.1, momentum 0.9, no weight decay on ResNet-20. Of equal scores, as many
are after the clamp to 0, theirs lets all at the threshold fall at once. Here as many fall as the round asks for: the
first in the vector stay.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, Range, straight_through


class GemMiner(Method):
    """Rounded scores, the lowest of which are pruned for good in rounds."""

    name = "gem_miner"
    version = 1
    paper = "arXiv 2202.12002"
    sparsity_control = "approximate"
    purity = "frozen"

    class Settings(OptimizerSettings):
        """Settings of `gem_miner`."""

        optimizer: Literal["adam", "sgd"] = "sgd"
        lr: Annotated[float, Range(0.01, 10, log=True)] = Field(0.1, gt=0)
        penalty: Annotated[float, Range(1e-7, 1e-3, log=True)] = Field(
            1e-4, ge=0, description="of the sum of squared scores"
        )
        rounds: int = Field(29, ge=1, description="how often flags fall")

    settings: Settings
    sparsity: float
    flag: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.scores = nn.Parameter(torch.empty_like(network.weights).uniform_(generator=self.generator))
        self.register_buffer("flag", torch.ones_like(network.weights, dtype=torch.bool))
        self.round = 0

    @classmethod
    def problem(cls, settings: Settings, sparsity: float | None) -> str:  # noqa: ARG003
        """What the rounding of fresh scores removes cannot come back."""
        if sparsity is not None and sparsity < 0.5:
            return "half of its scores start below 1/2, so that it removes at least half of the weights."
        return ""

    def gates(self) -> Tensor:
        """The rounded scores of flagged weights; no gradient reaches the others."""
        return straight_through(self.mask(), self.scores * self.flag)

    def mask(self) -> Tensor:
        """Flagged, and a score above 1/2."""
        return (self.scores.detach() > 0.5) & self.flag

    def penalty(self) -> Tensor:
        """Penalty * sum s^2, over all scores."""
        return self.settings.penalty * self.scores.square().sum()

    @torch.no_grad()
    def on_progress(self, fraction: float) -> None:
        """Clamps the scores, and lets flags fall after each part of the budget."""
        self.scores.clamp_(0, 1)
        due = min(int(fraction * (self.settings.rounds + 1)), self.settings.rounds)
        if due > self.round:
            self.round = due
            density = (1 - self.sparsity) ** (due / self.settings.rounds)
            self.flag &= self.keep_largest(torch.where(self.flag, self.scores, -1.0), 1 - density)
