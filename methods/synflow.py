"""SynFlow over frozen weights (Tanaka et al., NeurIPS 2020, arXiv 2006.05467): a floor, nothing is learned.

    R = sum of the outputs of the network with weights |w| on an image of ones;   score = |w| dR/d|w|

In `rounds` rounds the highest scores over all layers are kept, the density falling by equal factors. Normalisation
layers stand at their starting statistics (batch norm then changes nothing; layer norm still does). Where R is beyond
a 32-bit float, as in deep networks, each layer's |w| are first divided by the sum that a unit has of them: in a chain
of layers that changes no order of the scores.

100 rounds are the authors' (ganguli-lab/Synaptic-Flow).
"""

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, Loss, MethodSettings
from slt_bench.methods.shared.saliency import Saliency


class SynFlow(Saliency):
    """The weights that most of the flow from input to output passes."""

    name = "synflow"
    version = 1
    paper = "arXiv 2006.05467"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(MethodSettings):
        """Settings of `synflow`."""

        rounds: int = Field(100, ge=1, description="of scoring and pruning")

    settings: Settings

    def prepare(self, loss: Loss, steps: int) -> None:  # noqa: ARG002
        """Scores and prunes, round by round."""
        rounds = self.settings.rounds
        was_training = self.network.training
        self.network.eval()
        for number in range(1, rounds + 1):
            self.prune(self.scores(loss), 1 - (1 - self.sparsity) ** (number / rounds))
        self.network.train(was_training)

    def scores(self, loss: Loss) -> Tensor:  # noqa: ARG002
        """|w| dR/d|w| under the present mask."""
        size = self.network.weights.abs()
        found = self._flow(size)
        return found if found.isfinite().all() else self._flow(size / self._unit_sums(self.network, size))

    def _flow(self, size: Tensor) -> Tensor:
        size = size.clone().requires_grad_()
        ones = torch.ones(1, *self.network.shape, device=size.device)
        (slope,) = torch.autograd.grad(self.network(ones, size * self.kept).sum(), size)
        return (size * slope).detach()

    @staticmethod
    def _unit_sums(network: FrozenNetwork, size: Tensor) -> Tensor:
        parts = zip(size.split(network.sizes), network.layers, strict=True)
        return network.spread(torch.stack([part.mean() * layer.fan_in for part, layer in parts]))
