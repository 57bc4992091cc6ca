"""Signed supermasks (Koster et al., "Signing the supermask", ICLR 2022, arXiv 2201.13361).

A weight is kept, hidden or inverted, by a threshold that each layer has from its start:

    h = 1[m > tau] - 1[m < -tau],  tau = c * max |m at the start| in that layer;   w_eff = w h;   dL/dm = dL/dh

With `threshold` set (c; 0.4 in the authors' example) the method decides its sparsity, which weight decay raises.
Without it, one c for all layers is found at every step, so that the asked sparsity is reached; it rises over the
first `ramp_until` of the budget. There is no tanh, whatever its name in the code (kosnil/signed_supermasks), and no
rescaling. ELU activations and the init's factor of 1.5 belong to the authors' networks, not to the method.

Mask numbers start uniform within sqrt(2 / (fan_in + fan_out)) (the code's later version). The authors take SGD with
decoupled weight decay 5e-4, learning rate about 0.05 falling exponentially, momentum 0.9 with Nesterov; here SGD with
momentum 0.9, by default a plain one (`nesterov=true` gives theirs), L2 weight decay and the suite's schedule.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, Range, SparsityControl, ramp, straight_through


class SignedSupermask(Method):
    """Weights kept, hidden or inverted."""

    name = "signed_supermask"
    version = 1
    paper = "arXiv 2201.13361"
    sparsity_control = "exact"
    purity = "signed"

    class Settings(OptimizerSettings):
        """Settings of `signed_supermask`."""

        optimizer: Literal["adam", "sgd"] = "sgd"
        lr: Annotated[float, Range(0.005, 5, log=True)] = Field(0.05, gt=0)
        weight_decay: Annotated[float, Range(1e-6, 1e-2, log=True)] = Field(5e-4, ge=0)
        threshold: float | None = Field(None, gt=0, lt=1, description="c, as published; None: reach the asked sparsity")
        ramp_until: Annotated[float, Range(0.2, 0.9)] = Field(
            0.5, gt=0, le=1, description="part of the budget after which the sparsity is reached"
        )

    settings: Settings
    bound: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        fan_out = [layer.size // layer.shape[1] if len(layer.shape) > 1 else 1 for layer in network.layers]
        width = [(2 / (layer.fan_in + out)) ** 0.5 for layer, out in zip(network.layers, fan_out, strict=True)]
        numbers = torch.empty_like(network.weights).uniform_(-1, 1, generator=self.generator)
        self.numbers = nn.Parameter(network.spread(torch.tensor(width, device=network.device)) * numbers)
        tops = torch.stack([part.abs().max() for part in self.numbers.detach().split(network.sizes)])
        self.register_buffer("bound", network.spread(tops))
        self.present = 0.0  # the sparsity that is reached now

    @classmethod
    def control(cls, settings: Any) -> SparsityControl:
        """A threshold leaves the sparsity to the method."""
        return "exact" if settings.threshold is None else "none"

    def gates(self) -> Tensor:
        """1 where a weight is kept or inverted."""
        return self._open(self.present).to(self.numbers.dtype)

    def effective(self) -> Tensor:
        """W h, with the identity as the gradient of h."""
        signed = self._open(self.present) * self.numbers.detach().sign()
        return self.network.effective(straight_through(signed, self.numbers))

    def mask(self) -> Tensor:
        """Where a weight is kept or inverted."""
        return self._open(self.sparsity)

    def changed_weights(self) -> Tensor:
        """The weights with the signs that the method gives them."""
        return self.network.weights * torch.where(self.numbers.detach() < 0, -1.0, 1.0)

    def on_progress(self, fraction: float) -> None:
        """Raises the sparsity."""
        self.present = (self.sparsity or 0.0) * ramp(fraction, self.settings.ramp_until)

    def _open(self, sparsity: float | None) -> Tensor:
        size = self.numbers.detach().abs() / self.bound
        if self.settings.threshold is not None or sparsity is None:
            return size > (self.settings.threshold or 0.0)
        return self.keep_largest(size, sparsity)
