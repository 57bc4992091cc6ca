"""What methods share that score every weight once, before anything is learned, and keep the highest scores."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from slt_bench.method import FrozenNetwork, Loss, Method


class Saliency(Method):
    """A mask of the highest scores over all layers, found before the first step; nothing is learned."""

    sparsity: float
    kept: Tensor

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.register_buffer("kept", torch.ones_like(network.weights, dtype=torch.bool))

    @abstractmethod
    def scores(self, loss: Loss) -> Tensor:
        """(N,) more is better, under the present mask `kept`."""

    def prepare(self, loss: Loss, steps: int) -> None:  # noqa: ARG002
        """Scores the weights, and keeps the highest."""
        self.prune(self.scores(loss), self.sparsity)

    def prune(self, scores: Tensor, sparsity: float) -> None:
        """Keep the highest scores among what is kept, down to that sparsity."""
        self.kept.copy_(self.keep_largest(torch.where(self.kept, scores, -torch.inf), sparsity))

    def gates(self) -> Tensor:
        """The mask itself."""
        return self.kept.to(self.network.weights.dtype)

    def mask(self) -> Tensor:
        """What is kept."""
        return self.kept
