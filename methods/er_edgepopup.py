"""Edge-popup inside a random sparse network (Gadhikar et al., ICML 2023, arXiv 2210.02412).

Of each layer a random part, `source_density`, is given; scores choose among those weights alone:

    h(s) = 1 where the weight is given and |s| is among the density * n largest of those, else 0

While it learns the density falls in `levels` equal parts of the budget, from `start` by equal factors to the asked
one (never above what is given), as in the authors' experiments. The stored code (RelationalML/sparse_to_sparse,
ER_SLT) multiplies weights outside of the given ones by their score; that is a slip, and not followed. They restart
the learning rate in each level; here the suite's schedule goes on.

`source_density` 0.5, `start` 0.6 and 5 levels are theirs; the optimiser is edge-popup's. At the density that is given
nothing is left to choose: that ticket is a random mask.
"""

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, keep_top_of_each, straight_through
from slt_bench.methods.edgepopup import EdgePopup


class ErEdgePopup(EdgePopup):
    """Edge-popup among the weights of a random sparse network."""

    name = "er_edgepopup"
    version = 1
    paper = "arXiv 2210.02412"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(EdgePopup.Settings):
        """Settings of `er_edgepopup`."""

        source_density: float = Field(0.5, gt=0, le=1, description="of the random network that is given")
        start: float = Field(0.6, gt=0, le=1, description="density before the first level")
        levels: int = Field(5, ge=1, description="of falling density")

    settings: Settings
    given: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        chance = torch.empty_like(network.weights).uniform_(generator=self.generator)
        counts = [-int(-settings.source_density * size // 1) for size in network.sizes]  # rounded up
        self.register_buffer("given", keep_top_of_each(chance, network.sizes, counts))
        self.density = self._density(0.0)

    @classmethod
    def problem(cls, settings: Settings, sparsity: float | None) -> str:
        """The asked density must be there."""
        if sparsity is not None and 1 - sparsity > settings.source_density:
            return f"it is to keep {1 - sparsity:g} of the weights, and only {settings.source_density:g} are given."
        return ""

    def rank(self) -> Tensor:
        """The size of the scores, -1 where no weight is given."""
        return torch.where(self.given, super().rank(), -1.0)

    def gates(self) -> Tensor:
        """The mask at the present level, with the identity as its gradient."""
        rank = self.rank()
        return straight_through(self.top(rank, 1 - self.density), rank)

    def on_progress(self, fraction: float) -> None:
        """Lowers the density, level by level."""
        self.density = self._density(fraction)

    def _density(self, fraction: float) -> float:
        """That of the level: start * (target / start)^(level / levels), between the target and what is given."""
        target, levels = 1 - self.sparsity, self.settings.levels
        level = min(int(fraction * levels) + 1, levels)
        falling = self.settings.start * (target / self.settings.start) ** (level / levels)
        return float(max(min(falling, self.settings.source_density), target))
