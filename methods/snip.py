"""SNIP over frozen weights (Lee et al., ICLR 2019, arXiv 1810.02340): a floor, nothing is learned.

    score = |dL/dh| at h = 1, which is |w dL/dw|;   the highest over all layers are kept

Gradients are summed over `batches` training batches (the authors: one of 100 images).
"""

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import Loss, MethodSettings
from slt_bench.methods.shared.saliency import Saliency


class Snip(Saliency):
    """The weights whose removal would change the loss most."""

    name = "snip"
    version = 1
    paper = "arXiv 1810.02340"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(MethodSettings):
        """Settings of `snip`."""

        batches: int = Field(1, ge=1, description="training batches that the gradient is summed over")

    settings: Settings

    def scores(self, loss: Loss) -> Tensor:
        """|dL/dh| at all gates open."""
        gates = torch.ones_like(self.network.weights, requires_grad=True)
        for _ in range(self.settings.batches):
            loss(self.network.effective(gates)).backward()
        assert gates.grad is not None
        return gates.grad.abs()
