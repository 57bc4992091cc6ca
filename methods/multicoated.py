"""Multicoated supermasks (Okoshi et al., "Multicoated supermasks enhance hidden networks", ICML 2022).

Several nested supermasks of one set of scores, added up, so that a weight counts once for every coat that keeps it:

    M = sum_i 1[|s| >= t_i],  t_1 < t_2 < ...;   w_eff = w * M;   dL/ds = C * dL/dM * sign(s) with C coats

in each layer (yasu0001/multicoated-supermasks, custom_grad.py). The first coat decides what is kept; weights are
divided by the root of *its* density, and not rescaled for the others. The mask of a ticket is the first coat, and its
weights are w * M, which makes the method `rescaled`.

No code or text that we could read says how the published coats of sparsity 0.7, 0.9212 and 0.9685 come about. `coats`
are their densities as parts of the first one's: 1, 0.0788 / 0.3, 0.0315 / 0.3. The optimiser is theirs for CIFAR-10:
SGD, learning rate 0.1, momentum 0.9, weight decay 1e-4, cosine. Scores start normal with variance 2 / fan_out there,
and as in edge-popup here.
"""

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import straight_through
from slt_bench.methods.edgepopup import EdgePopup


class Multicoated(EdgePopup):
    """Nested masks of one set of scores, added up."""

    name = "multicoated"
    version = 1
    paper = "ICML 2022"
    sparsity_control = "exact"
    purity = "rescaled"

    class Settings(EdgePopup.Settings):
        """Settings of `multicoated`."""

        coats: tuple[float, ...] = Field(
            (0.2627, 0.105), description="densities of the inner coats, as parts of the first"
        )

    settings: Settings

    def effective(self) -> Tensor:
        """W * M, rescaled by the density of the first coat."""
        rank = self.rank()
        coats = sum(straight_through(mask, rank) for mask in self._masks(rank))
        return self.network.rescaled(self.network.weights, self.mask()) * coats

    def changed_weights(self) -> Tensor:
        """W * M."""
        return self.network.weights * torch.stack(self._masks(self.rank().detach())).sum(0)

    def _masks(self, rank: Tensor) -> list[Tensor]:
        density = 1 - self.sparsity
        return [self.top(rank, 1 - density * part) for part in (1.0, *self.settings.coats)]
