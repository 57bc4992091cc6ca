"""What methods share whose gates hang on a logit a weight; which open with the sigmoid of it."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, add_noise_

from ._shifted import Shifted, ShiftedSettings


class LogitSettings(ShiftedSettings):
    """Settings of logits."""

    logit_init: float = Field(0.0, description="mean of the logits at the start")
    logit_noise: float = Field(0.01, ge=0, description="deviation of the logits at the start; 0 leaves ties")


class Logits(Shifted):
    """One logit a weight."""

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        noise = torch.empty_like(network.weights).normal_(generator=self.generator)
        self.logits = nn.Parameter(settings.logit_init + settings.logit_noise * noise)

    @property
    def numbers(self) -> Tensor:
        """The logits."""
        return self.logits

    @property
    def shifted(self) -> Tensor:
        """The logits, moved so that the asked sparsity's threshold is 0."""
        return self.logits - self.shift

    def drawn(self) -> Tensor:
        """The shifted logits with logistic noise, which are above 0 with the chance sigmoid(shifted)."""
        return add_noise_(self.shifted, "logistic", 1.0, self.generator)
