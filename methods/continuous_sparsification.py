"""Continuous sparsification over frozen weights (Savarese et al., NeurIPS 2020, arXiv 1912.04427).

A deterministic gate that hardens while the temperature falls:

    z = sigmoid(beta s),  beta = final_beta^(spent part of the budget), from 1;      loss + penalty * sum z

The mask is s > 0. With `penalty` set the method decides its sparsity, as published; without it, the s are shifted so
that the asked one is reached (`shared/threshold.py`). The authors divide the gates by sigmoid(s_0), and keep that
factor in the hard mask; here the network's `rescale` sees to the scale. They train the weights beside it, and again
afterwards, in rounds: here they are frozen, and there is one round.

`final_beta` 200 is theirs; they train s by SGD with Nesterov momentum 0.9, learning rate 0.1, no weight decay, penalty
1e-8, from s_0 between -0.1 and 0.1 (lolemacs/continuous-sparsification). By default the momentum here is plain;
`nesterov=true` gives theirs.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, Range
from slt_bench.methods.shared.logits import Logits
from slt_bench.methods.shared.threshold import RampUntil


class ContinuousSparsification(Logits):
    """Sigmoid gates that harden as the temperature falls."""

    name = "continuous_sparsification"
    version = 2
    paper = "arXiv 1912.04427"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(Logits.Settings):
        """Settings of `continuous_sparsification`."""

        optimizer: Literal["adam", "sgd"] = "sgd"
        lr: Annotated[float, Range(0.1, 100, log=True)] = Field(0.1, gt=0)
        final_beta: Annotated[float, Range(20, 2000, log=True)] = Field(
            200.0, gt=1, description="inverse temperature at the end; it starts at 1"
        )
        ramp_until: RampUntil = 0.5

    settings: Settings

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
