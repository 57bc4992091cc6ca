"""What `gates` and `gates_structured` share: a vector of Gaussian gates, their noise, penalty and shift."""

from abc import abstractmethod
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, SparsityControl, ramp

HARD_SIGMA = 0.02  # noise that leaves a few per cent of the gates fractional


class GaussianSettings(OptimizerSettings):
    """Settings of Gaussian gates."""

    lr: float = Field(0.03, gt=0)
    sigma: float = Field(0.5, gt=0, description="deviation of the noise at the start")
    sigma_end: float | None = Field(None, gt=0, description="and at the end; None: 0.02, or `sigma` under a penalty")
    mu_init: float = Field(0.5, ge=0, le=1, description="mean of mu at the start")
    mu_noise: float = Field(0.01, ge=0, description="deviation of mu at the start")
    penalty: float | None = Field(None, ge=0, description="the lambda of the sum; None: reach the asked sparsity")
    ramp_until: float = Field(0.5, gt=0, le=1, description="part of the budget after which the sparsity is reached")


class GaussianGates(Method):
    """Gates clamp(mu - shift + eps, 0, 1); a subclass says how many there are and where a sparsity's threshold lies."""

    settings: GaussianSettings
    shift: Tensor

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None, count: int) -> None:
        super().__init__(network, settings, sparsity)
        noise = torch.empty(count, device=network.device).normal_(generator=self.generator)
        self.mu = nn.Parameter(settings.mu_init + settings.mu_noise * noise)
        self.register_buffer("shift", torch.zeros((), device=network.device))
        self.sigma = settings.sigma
        default_end = HARD_SIGMA if settings.penalty is None else settings.sigma
        self.sigma_end = settings.sigma_end or default_end

    @classmethod
    def control(cls, settings: Any) -> SparsityControl:
        """A penalty leaves the sparsity to the method."""
        return cls.sparsity_control if settings.penalty is None else "none"

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

    @abstractmethod
    def threshold(self, sparsity: float) -> Tensor:
        """The mu at and below which gates close for that sparsity, a scalar."""

    def on_progress(self, fraction: float) -> None:
        """Anneals the noise, and moves the threshold of the rising sparsity to 1/2."""
        self.sigma = self.settings.sigma + (self.sigma_end - self.settings.sigma) * fraction
        if self.sparsity is not None:
            self.shift.copy_(self.threshold(self.sparsity * ramp(fraction, self.settings.ramp_until)) - 0.5)
