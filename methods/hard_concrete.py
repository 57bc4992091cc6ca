"""Hard concrete gates over frozen weights (Louizos et al., ICLR 2018, arXiv 1712.01312).

    z = clamp(1.2 sigmoid((log u - log(1 - u) + a) / beta) - 0.1, 0, 1),  u uniform;
    loss + penalty * sum sigmoid(a - beta log(0.1 / 1.1)), the expected number of gates that are not 0

with beta 2/3. By default the relaxed network has their medians, 1.2 sigmoid(a / beta) - 0.1 clamped, and the mask is a
> 0, where the median is above 1/2. The authors' test gates are 1.2 sigmoid(a) - 0.1 clamped, which `relaxed` "authors"
gives: they differ by up to 0.11, and more of them lie between 0 and 1, so that the relaxed accuracy and the share of
fractional gates are others. Masks are the same. With `penalty` set the method decides its sparsity; without it, the a
are shifted so that the asked one is reached (`shared/threshold.py`). As in the code of both papers that use them, |a|
is kept below log 100.

Adam with learning rate 7e-4 is what Gallego-Posada et al. 2022 (constrained_sparsity) take on MNIST, with weights
that are trained as well; a start at 0 is their density of 1/2.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from slt_bench.method import Range
from slt_bench.methods.shared.logits import Logits
from slt_bench.methods.shared.threshold import RampUntil

BETA, LOW, HIGH, LARGEST = 2 / 3, -0.1, 1.1, math.log(100)


class HardConcrete(Logits):
    """Stretched and clamped concrete gates."""

    name = "hard_concrete"
    version = 2
    paper = "arXiv 1712.01312"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(Logits.Settings):
        """Settings of `hard_concrete`."""

        lr: Annotated[float, Range(7e-4, 0.7, log=True)] = Field(7e-4, gt=0)
        ramp_until: RampUntil = 0.5
        relaxed: Literal["median", "authors"] = Field(
            "median", description="gates of the relaxed network: medians of the draws, or the authors' sigmoid(a)"
        )

    settings: Settings

    def gates(self) -> Tensor:
        """A draw; in the relaxed network the medians, or the authors' gates."""
        numbers = self.drawn() if self.training else self.shifted
        beta = 1.0 if self.settings.relaxed == "authors" and not self.training else BETA
        return functional.hardtanh((HIGH - LOW) * torch.sigmoid(numbers / beta) + LOW, 0, 1)  # clamp, but faster

    def penalty(self) -> Tensor:
        """Penalty * sum P(z > 0)."""
        if not self.settings.penalty:
            return super().penalty()
        return self.settings.penalty * torch.sigmoid(self.logits - BETA * math.log(-LOW / HIGH)).sum()

    def on_progress(self, fraction: float) -> None:
        """Keeps the logits small, and moves the threshold."""
        with torch.no_grad():
            self.logits.clamp_(-LARGEST, LARGEST)
        super().on_progress(fraction)
