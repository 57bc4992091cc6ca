"""Structured relaxed Bernoulli gates: one gate a neuron or channel (Tsayag and Lindenbaum, arXiv 2603.08914).

    h = g * act(W h_prev),  g = clamp(mu + eps, 0, 1),  eps ~ N(0, sigma^2);  loss + penalty * sum_units Phi(mu / sigma)

A unit is one output of a layer: closing it removes its row of weights. Gating the row instead of the activation is the
same for activations with act(c x) = c act(x), c >= 0, as ReLU. The last layer's units, the classes, have no gates.

With `penalty` None the asked sparsity, counted in weights, is approached while the noise acts, as in `gates`: all gates
are shifted so that units holding that many weights lie below 1/2, and steepened. A unit is never split, so the counted
sparsity is the nearest that whole units allow, and at most what the gated layers hold. Open units keep all their
weights: the columns that a closed unit leaves idle in the next layer are counted as kept.
"""

import torch
from torch import Tensor

from slt_bench.method import FrozenNetwork
from slt_bench.methods.gates import Gates


class GatesStructured(Gates):
    """Gaussian gates over units."""

    name = "gates_structured"
    version = 3
    paper = "arXiv 2603.08914"
    sparsity_control = "approximate"
    purity = "frozen"
    fan_in: Tensor

    def __init__(self, network: FrozenNetwork, settings: Gates.Settings, sparsity: float | None) -> None:
        fan_in = [layer.fan_in for layer in network.layers[:-1] for _ in range(layer.shape[0])]
        super().__init__(network, settings, sparsity, count=len(fan_in))
        self.register_buffer("fan_in", torch.tensor(fan_in, device=network.device))  # (units,) weights in each row

    def gates(self) -> Tensor:
        """The units' gates, each repeated over its row of weights."""
        return self._over_weights(super().gates())

    def mask(self) -> Tensor:
        """The rows of the units with mu > 1/2 under a penalty; else of all but those that the asked sparsity closes."""
        if self.sparsity is None or self.multiplier:
            return self._over_weights(self.above())
        _, order, count = self._nearest(self.sparsity)
        late = torch.arange(order.numel(), device=order.device) >= count
        return self._over_weights(torch.empty_like(late).scatter_(0, order, late))

    def threshold(self, sparsity: float) -> Tensor:
        """The mu up to which units must close for the counted sparsity to be the nearest to the asked one."""
        ordered, _, count = self._nearest(sparsity)
        last = ordered.take((count - 1).clamp(min=0))  # an index in brackets would be read by the host
        return torch.where(count == 0, ordered[0] - 1, last)

    def _nearest(self, sparsity: float) -> tuple[Tensor, Tensor, Tensor]:
        """Mu from the smallest up, its order, and how many of the first units to close: equal mu are told apart."""
        ordered, order = self.mu.detach().sort(stable=True)
        closed = self.fan_in[order].cumsum(0)  # weights closed after each unit
        nearest = (closed - sparsity * self.network.n).abs().argmin() + 1
        close_none = sparsity * self.network.n < closed[0] / 2
        return ordered, order, nearest.masked_fill(close_none, 0)

    def _over_weights(self, units: Tensor) -> Tensor:
        last = self.network.sizes[-1]
        rows = units.repeat_interleave(self.fan_in, output_size=self.network.n - last)
        return torch.cat([rows, rows.new_ones(last)])
