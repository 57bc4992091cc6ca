"""Edge-popup with the scores of all layers ranked together, so that layers find their own densities.

As in Otsuka et al. ("Partially frozen random networks contain compact strong lottery tickets", arXiv 2402.14029),
whose baseline it is. There scores start normal with variance 2 / fan_in; on networks of unlike layers that empties
the layers of large fan-in before anything is learned. Here all scores start uniform within the same bound, the root
of the mean 1 / fan_in over all weights, so that layers start alike. The settings are those of `edgepopup`.
"""

from typing import Literal

import torch

from slt_bench.method import FrozenNetwork
from slt_bench.methods.edgepopup import EdgePopup


class GlobalEdgePopup(EdgePopup):
    """Top scores by magnitude over all layers together."""

    name = "global_edgepopup"
    version = 1
    paper = "arXiv 2402.14029"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(EdgePopup.Settings):
        """Settings of `global_edgepopup`."""

        scope: Literal["global"] = "global"

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        bound = (sum(layer.size / layer.fan_in for layer in network.layers) / network.n) ** 0.5
        with torch.no_grad():
            self.scores.uniform_(-bound, bound, generator=self.generator)
