"""What `gates` and `gates_structured` share: a vector of Gaussian gates, their noise, penalty and moving threshold."""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from slt_bench.method import FrozenNetwork, Range, SparsityControl, add_noise_

from ._leaky import leaky_clamp
from ._multiplier import Multiplier
from ._shifted import Shifted, ShiftedSettings

HARD_SIGMA = 0.02  # noise that leaves a few per cent of the gates fractional
STEEP = 3.0


class GaussianSettings(ShiftedSettings):
    """Settings of Gaussian gates."""

    lr: float = Field(0.03, gt=0)
    sigma: float = Field(0.5, gt=0, description="deviation of the noise at the start")
    sigma_end: float | None = Field(None, gt=0, description="and at the end; None: 0.02, or `sigma` under a penalty")
    slope: float = Field(1.0, gt=0, description="of the gates at the start")
    slope_end: float | None = Field(None, gt=0, description="and at the end; None: 3, or `slope` under a penalty")
    leak: float = Field(0.0, ge=0, description="how far beyond 0 and 1 gradients reach a gate; 0: not at all")
    mu_init: float = Field(0.5, ge=0, le=1, description="mean of mu at the start")
    mu_noise: float = Field(0.01, ge=0, description="deviation of mu at the start")
    reach: Literal["shift", "lagrangian", "pi"] = Field("shift", description="how the asked sparsity is reached")
    dual_lr: float = Field(1e-3, gt=0, description="how fast `lagrangian` and `pi` move the penalty's weight, a step")
    search: ClassVar = {
        "lr": Range(0.003, 0.3, log=True), "sigma_end": Range(0.005, 0.3, log=True), "ramp_until": Range(0.2, 0.9),
        "slope_end": Range(1, 10, log=True),
    }  # fmt: skip


class GaussianGates(Shifted):
    """Gates clamp(slope * (mu - shift - 1/2) + 1/2 + eps, 0, 1).

    A subclass says how many there are, and where a sparsity's threshold lies.
    """

    neutral = 0.5

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None, count: int) -> None:
        super().__init__(network, settings, sparsity)
        noise = torch.empty(count, device=network.device).normal_(generator=self.generator)
        self.mu = nn.Parameter(settings.mu_init + settings.mu_noise * noise)
        self.sigma = settings.sigma
        self.slope = settings.slope
        hard, steep = (HARD_SIGMA, STEEP) if settings.penalty is None else (settings.sigma, settings.slope)
        self.sigma_end, self.slope_end = settings.sigma_end or hard, settings.slope_end or steep
        self.multiplier = (
            None
            if settings.reach == "shift" or sparsity is None
            else Multiplier(self.shift, settings.reach, settings.dual_lr)
        )

    @classmethod
    def control(cls, settings: Any) -> SparsityControl:
        """A penalty leaves the sparsity to the method; a steered one comes near it."""
        found = super().control(settings)
        return "approximate" if found == "exact" and settings.reach != "shift" else found

    @classmethod
    def problem(cls, settings: Any, sparsity: float | None) -> str:
        """Why these settings make no sense."""
        if settings.penalty is not None and settings.reach != "shift":
            return f"reach '{settings.reach}' steers the penalty, and `penalty` fixes it; give one of them"
        return super().problem(settings, sparsity)

    @property
    def numbers(self) -> Tensor:
        """The means."""
        return self.mu

    def expected(self) -> Tensor:
        """slope * (mu - shift - 1/2) + 1/2: the gates without noise and bounds."""
        return torch.add(0.5 - self.slope * (self.shift + 0.5), self.mu, alpha=self.slope)

    def draw(self) -> Tensor:
        """The gates; without eps in the relaxed network."""
        if not self.training:
            return self.expected().clamp(0, 1)
        drawn = add_noise_(self.expected(), "normal", self.sigma, self.generator)
        if self.settings.leak:
            return leaky_clamp(drawn, self.settings.leak)
        return functional.hardtanh_(drawn, 0, 1)  # a clamp; in place, and with a cheaper gradient

    def penalty(self) -> Tensor:
        """Penalty * the expected number of open gates, sum P(z > 0): Phi(mu / sigma) where the slope stays 1."""
        weight = self.multiplier.value if self.multiplier else self.settings.penalty
        if not isinstance(weight, Tensor) and not weight:
            return super().penalty()
        return weight * torch.special.ndtr(self.expected() / self.sigma).sum()

    def mask(self) -> Tensor:
        """The gates with mu > 1/2 under a penalty, fixed or steered; else those of the largest mu."""
        return self.above() if self.multiplier else super().mask()

    def on_progress(self, fraction: float) -> None:
        """Anneals the noise, steepens the gates, and moves the threshold or the penalty's weight."""
        self.harden(fraction)
        if self.multiplier is None or self.sparsity is None:
            super().on_progress(fraction)
        else:
            density = self.mask().mean(dtype=torch.float32)
            self.multiplier.update(density - 1 + self.present(fraction))

    def harden(self, part: float) -> None:
        """The noise and the slope after a part of the way from start to end."""
        self.sigma = self.settings.sigma + (self.sigma_end - self.settings.sigma) * part
        self.slope = self.settings.slope ** (1 - part) * self.slope_end**part
