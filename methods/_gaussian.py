"""What `gates` and `gates_structured` share: a vector of Gaussian gates, their noise, penalty and moving threshold."""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Range

from ._shifted import Shifted, ShiftedSettings

HARD_SIGMA = 0.02  # noise that leaves a few per cent of the gates fractional


class GaussianSettings(ShiftedSettings):
    """Settings of Gaussian gates."""

    lr: float = Field(0.03, gt=0)
    sigma: float = Field(0.5, gt=0, description="deviation of the noise at the start")
    sigma_end: float | None = Field(None, gt=0, description="and at the end; None: 0.02, or `sigma` under a penalty")
    mu_init: float = Field(0.5, ge=0, le=1, description="mean of mu at the start")
    mu_noise: float = Field(0.01, ge=0, description="deviation of mu at the start")
    search: ClassVar = {
        "lr": Range(0.003, 0.3, log=True), "sigma_end": Range(0.005, 0.3, log=True), "ramp_until": Range(0.2, 0.9),
    }  # fmt: skip


class GaussianGates(Shifted):
    """Gates clamp(mu - shift + eps, 0, 1); a subclass says how many there are and where a sparsity's threshold lies."""

    neutral = 0.5

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None, count: int) -> None:
        super().__init__(network, settings, sparsity)
        noise = torch.empty(count, device=network.device).normal_(generator=self.generator)
        self.mu = nn.Parameter(settings.mu_init + settings.mu_noise * noise)
        self.sigma = settings.sigma
        default_end = HARD_SIGMA if settings.penalty is None else settings.sigma
        self.sigma_end = settings.sigma_end or default_end

    @property
    def numbers(self) -> Tensor:
        """The means."""
        return self.mu

    def draw(self) -> Tensor:
        """clamp(mu - shift + eps, 0, 1); without eps in the relaxed network."""
        centre = self.mu - self.shift
        if self.training:
            centre = centre + torch.empty_like(centre).normal_(std=self.sigma, generator=self.generator)
        return centre.clamp(0, 1)

    def penalty(self) -> Tensor:
        """Penalty * sum Phi(mu / sigma), the expected number of open gates."""
        if not self.settings.penalty:
            return super().penalty()
        return self.settings.penalty * torch.special.ndtr(self.mu / self.sigma).sum()

    def on_progress(self, fraction: float) -> None:
        """Anneals the noise, and moves the threshold."""
        self.sigma = self.settings.sigma + (self.sigma_end - self.settings.sigma) * fraction
        super().on_progress(fraction)
