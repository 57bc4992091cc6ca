"""The largest weights at the start: a floor that looks at the weights and at nothing else.

As magnitude pruning of an untrained network (Frankle et al., "Pruning neural networks at initialization: why are we
missing the mark?", ICLR 2021, arXiv 2009.08576). Equal sizes, as all of a layer's are under `signed_constant`, are
told apart by chance, so that with `scope` "layer" it is a random mask there, and with "global" it fills the layers of
smallest fan-in first.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, Method, MethodSettings


class MagnitudeAtInit(Method):
    """The largest weights of the random network."""

    name = "magnitude_at_init"
    version = 1
    paper = "arXiv 2009.08576"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(MethodSettings):
        """Settings of `magnitude_at_init`."""

        scope: Literal["layer", "global"] = Field("layer", description="rank weights within layers, or all together")

    settings: Settings
    kept: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        chance = torch.empty_like(network.weights).uniform_(generator=self.generator)
        magnitudes = network.weights.abs() * (1 + 1e-6 * chance)
        kept = self.keep_largest(magnitudes, per_layer=settings.scope == "layer", rounding="down")
        self.register_buffer("kept", kept)

    def gates(self) -> Tensor:
        """The mask itself."""
        return self.kept.to(self.network.weights.dtype)

    def mask(self) -> Tensor:
        """The largest weights."""
        return self.kept
