"""Hard concrete gates over frozen weights (Louizos et al., ICLR 2018, arXiv 1712.01312).

    z = clamp(1.2 sigmoid((log u - log(1 - u) + a) / beta) - 0.1, 0, 1),  u uniform;
    loss + penalty * sum sigmoid(a - beta log(0.1 / 1.1)), the expected number of gates that are not 0

with beta 2/3. The relaxed network has their medians, 1.2 sigmoid(a / beta) - 0.1 clamped, and the mask is a > 0,
where the median is above 1/2. With `penalty` set the method decides its sparsity; without it, the a are shifted so
that the asked one is reached (`_shifted`). As in the code of both papers that use them, |a| is kept below log 100.

Adam with learning rate 7e-4 is what Gallego-Posada et al. 2022 (constrained_sparsity) take on MNIST, with weights
that are trained as well; a start at 0 is their density of 1/2.
"""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from slt_bench.method import Range

from ._logits import Logits, LogitSettings

BETA, LOW, HIGH, LARGEST = 2 / 3, -0.1, 1.1, math.log(100)


class Settings(LogitSettings):
    """Settings of `hard_concrete`."""

    lr: float = Field(7e-4, gt=0)
    search: ClassVar = {"lr": Range(7e-4, 0.7, log=True), "ramp_until": Range(0.2, 0.9)}


class HardConcrete(Logits):
    """Stretched and clamped concrete gates."""

    name, version, paper = "hard_concrete", 2, "arXiv 1712.01312"
    sparsity_control, purity = "exact", "frozen"
    settings_class = Settings

    def gates(self) -> Tensor:
        """A draw; the medians in the relaxed network."""
        numbers = self.drawn() if self.training else self.shifted
        return functional.hardtanh((HIGH - LOW) * torch.sigmoid(numbers / BETA) + LOW, 0, 1)  # clamp, but faster

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
