"""Continuous sparsification over frozen weights (Savarese et al., NeurIPS 2020, arXiv 1912.04427).

A deterministic gate that hardens while the temperature falls:

    z = sigmoid(beta s),  beta = final_beta^(spent part of the budget), from 1;      loss + penalty * sum z

The mask is s > 0. With `penalty` set the method decides its sparsity, as published; without it, the s are shifted so
that the asked one is reached (`_shifted`). The authors divide the gates by sigmoid(s_0), and keep that factor in the
hard mask; here the network's `rescale` sees to the scale. They train the weights beside it, and again afterwards, in
rounds: here they are frozen, and there is one round.

`final_beta` 200 is theirs; they train s by SGD with momentum 0.9, learning rate 0.1, no weight decay, penalty 1e-8,
from s_0 between -0.1 and 0.1 (lolemacs/continuous-sparsification).
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, Range

from ._logits import Logits, LogitSettings


class Settings(LogitSettings):
    """Settings of `continuous_sparsification`."""

    optimizer: Literal["adam", "sgd"] = "sgd"
    lr: float = Field(0.1, gt=0)
    final_beta: float = Field(200.0, gt=1, description="inverse temperature at the end; it starts at 1")
    search: ClassVar = {
        "lr": Range(0.1, 100, log=True), "final_beta": Range(20, 2000, log=True), "ramp_until": Range(0.2, 0.9),
    }  # fmt: skip


class ContinuousSparsification(Logits):
    """Sigmoid gates that harden as the temperature falls."""

    name, version, paper = "continuous_sparsification", 2, "arXiv 1912.04427"
    sparsity_control, purity = "exact", "frozen"
    settings_class = Settings

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.beta = 1.0

    def gates(self) -> Tensor:
        """Sigmoid(beta s)."""
        return torch.sigmoid(self.beta * self.shifted)

    def penalty(self) -> Tensor:
        """Penalty * sum z."""
        if not self.settings.penalty:
            return super().penalty()
        return self.settings.penalty * self.gates().sum()

    def on_progress(self, fraction: float) -> None:
        """Raises beta, and moves the threshold."""
        self.beta = self.settings.final_beta**fraction
        super().on_progress(fraction)
