"""What methods share that have one logit a weight, and gates that open with the sigmoid of it."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, add_noise, kth_smallest
from slt_bench.methods.shared.threshold import MovingThreshold


class Logits(MovingThreshold):
    """One logit a weight; a subclass says how gates come of them."""

    class Settings(MovingThreshold.Settings):
        """Settings of logits."""

        logit_init: float = Field(0.0, description="mean of the logits at the start")
        logit_noise: float = Field(0.01, ge=0, description="deviation of the logits at the start; 0 leaves ties")

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        noise = torch.empty_like(network.weights).normal_(generator=self.generator)
        self.logits = nn.Parameter(settings.logit_init + settings.logit_noise * noise)

    @property
    def shifted(self) -> Tensor:
        """The logits, moved so that the asked sparsity's threshold is 0."""
        return self.logits - self.shift

    def drawn(self) -> Tensor:
        """The shifted logits with logistic noise, which are above 0 with the chance sigmoid(shifted)."""
        return add_noise(self.shifted, "logistic", 1.0, self.generator)

    def mask(self) -> Tensor:
        """The logits above 0 under a penalty; else the largest, as many as the asked sparsity leaves."""
        return self.logits.detach() > 0 if self.sparsity is None else self.keep_largest(self.logits)

    def threshold(self, sparsity: float) -> Tensor:
        """The quantile of the logits."""
        return kth_smallest(self.logits, max(1, round(sparsity * self.logits.numel())))

    def on_progress(self, fraction: float) -> None:
        """Moves the threshold."""
        self.move_threshold(fraction)
