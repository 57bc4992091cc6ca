"""`gates_best` that learn from a dense network, too, which is trained beside them (distillation).

    (1 - a) CE(labels, p) + a T^2 CE(t_T, p_T) + CE(labels, t)

(Hinton et al. 2015, arXiv 1503.02531, section 2), where p are the probabilities of the network under the gates, t those
of the dense one, and t_T, p_T the same of logits that are divided by the temperature T; t_T is a constant here, so that
the dense network learns from the labels alone. It starts from the same frozen weights and sees the same batches: an
online teacher, as in codistillation (Anil et al. 2018, arXiv 1804.03235), but one way. Nothing of it is left in the
ticket, which is a mask over frozen weights. A step has a second forward and backward pass.

`share`, `temperature` and `teacher_lr` are common choices. The dense network is trained by the optimiser of the gates,
weight decay included, at a learning rate of its own. With as many trials as `gates_best` (LeNet-300-100, MNIST, 4
epochs, three seeds, test: `lenet_mnist_all`) it has 97.8% at 0.9, 97.9% at 0.95 and 97.5% at 0.98, and `gates_best`
97.9%, 97.8% and 97.2%; paired, all within the intervals. With 20 epochs and five seeds (`best_ticket`) it is ahead at
0.95 by 0.14 +- 0.09 points, and level from 0.98 on.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from slt_bench.method import FrozenNetwork, Range
from slt_bench.methods.gates_best import GatesBest


class GatesDistilled(GatesBest):
    """Gates beside a dense network that teaches them."""

    name = "gates_distilled"
    version = 1
    paper = "arXiv 1503.02531, on gates_best"

    class Settings(GatesBest.Settings):
        """Settings of `gates_distilled`; the others are those of `gates_best`."""

        share: Annotated[float, Range(0.1, 0.9)] = Field(
            0.5, ge=0, le=1, description="a, of the loss that is learned from the dense network"
        )
        temperature: float = Field(2.0, gt=0, description="T, which softens what the dense network says")
        teacher_lr: float = Field(0.05, gt=0, description="learning rate of the dense network")

    settings: Settings

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.teacher = nn.Parameter(network.weights.clone())

    def optimizer(self) -> torch.optim.Optimizer:
        """That of the gates, which trains the dense network at a rate of its own."""
        optimizer = super().optimizer()
        assert optimizer
        (group,) = optimizer.param_groups
        group["params"] = [self.mu]
        optimizer.add_param_group({"params": [self.teacher], "lr": self.settings.teacher_lr})
        return optimizer

    def objective(self, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Both networks' losses."""
        settings = self.settings
        teacher_logits = self.network.beside(images, self.teacher).float()
        soft_targets = functional.softmax(teacher_logits.detach() / settings.temperature, dim=1)
        distillation = settings.temperature**2 * functional.cross_entropy(logits / settings.temperature, soft_targets)
        own = (1 - settings.share) * functional.cross_entropy(logits, labels) + settings.share * distillation
        return own + functional.cross_entropy(teacher_logits, labels)
