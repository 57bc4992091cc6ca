"""`gates_best` in rounds: what a round closes stays closed, and the others start again (iterated gates).

The budget is cut into `rounds` equal parts. Each runs the whole course of `gates_best`: opened wide, then steepened,
from the density that the round before has left to

    d_r = d^(r / rounds),   r = 1 ... rounds,   d = the density that is asked for,

so that each round keeps the same share of what it was given, as in iterative pruning (Frankle and Carbin 2019, arXiv
1803.03635). When a round ends, gates that are not among the d_r n of largest mu close for good, and for the others

    mu <- reset * fresh + (1 - reset) * (mu - q + 1/2),

fresh being numbers as at the start; the optimiser's momentum goes on. Continuous sparsification (Savarese et al. 2020,
arXiv 1912.04427) goes in such rounds, and trains the weights within them; here they are frozen. The suite's learning
rate falls once over the whole budget, not in each round.

With as many trials as `gates_best` and the same budget (LeNet-300-100, MNIST, 4 epochs, three seeds, test:
`lenet_mnist_all`) two rounds are no better where little is kept: 97.7% at 0.9, 97.4% at 0.95 and 96.8% at 0.98, and
`gates_best` 97.9%, 97.8% and 97.2%. At 0.5, with the settings for 0.9, they have 97.5% where that has 75.5%, which may
be those settings' doing.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, Range, ramp
from slt_bench.methods.gates_best import GatesBest

CLOSED = -1e3  # far below what gradients reach


class GatesRounds(GatesBest):
    """Gates that start again on what the round before has left."""

    name = "gates_rounds"
    version = 1
    paper = "arXiv 1912.04427, on gates_best"

    class Settings(GatesBest.Settings):
        """Settings of `gates_rounds`; the others are those of `gates_best`."""

        rounds: int = Field(2, ge=1)
        reset: Annotated[float, Range(0, 1)] = Field(
            0.0, ge=0, le=1, description="how much a gate forgets between two rounds"
        )

    settings: Settings
    sparsity: float
    closed: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.round = 0
        self.register_buffer("closed", torch.zeros(network.n, dtype=torch.bool, device=network.device))

    @classmethod
    def problem(cls, settings: Settings, sparsity: float | None) -> str:
        """Why these settings make no sense."""
        if settings.penalty is not None or settings.reach != "shift":
            return "rounds close gates by rank, on the way to a sparsity; leave `penalty` and `reach` as they are"
        return super().problem(settings, sparsity)

    def on_progress(self, fraction: float) -> None:
        """Starts the next round when it is time for it, and goes on within it."""
        due = self._due(fraction)
        if due > self.round:
            self.round = due
            self._start_again()
        if self.round:
            self.mu.data.masked_fill_(self.closed, CLOSED)  # weight decay would open them in the end
        super().on_progress(fraction)

    def harden(self, part: float) -> None:
        """From start to end in each round."""
        super().harden(self._within(part))

    def present(self, fraction: float) -> float:
        """The sparsity rises in each round."""
        first, last = self._density_after(self._due(fraction)), self._density_after(self._due(fraction) + 1)
        return 1 - first + (first - last) * ramp(self._within(fraction), self.settings.ramp_until)

    def threshold(self, sparsity: float) -> Tensor:
        """Never among the gates that are closed for good."""
        return super().threshold(max(sparsity, 1 - (self._left() - 1) / self.mu.numel()))

    @torch.no_grad()
    def _start_again(self) -> None:
        settings = self.settings
        self.closed.copy_(~self.keep_largest(self.mu, 1 - self._density_after(self.round)))
        fresh = torch.empty_like(self.mu).normal_(settings.mu_init, settings.mu_noise, generator=self.generator)
        learned = (1 - settings.reset) * (self.mu - self.shift)
        self.mu.copy_(learned + settings.reset * fresh)
        self.wait = 0  # all thresholds have moved

    def _left(self) -> int:
        """How many gates are not closed for good."""
        n = self.mu.numel()
        return n - round((1 - self._density_after(self.round)) * n)

    def _density_after(self, rounds: int) -> float:
        """The density after so many rounds."""
        return float((1 - self.sparsity) ** (rounds / self.settings.rounds))

    def _due(self, fraction: float) -> int:
        """Which round it is then, from 0; the last one goes on to the end."""
        return min(int(fraction * self.settings.rounds), self.settings.rounds - 1)

    def _within(self, fraction: float) -> float:
        """The part of its round that is spent."""
        return fraction * self.settings.rounds - self._due(fraction)
