"""GraSP over frozen weights (Wang et al., ICLR 2020, arXiv 2002.07376): a floor, nothing is learned.

    score = w * H g,  g = dL/dw, H g = d(g . stop(g))/dw;   the highest over all layers are kept

for the loss of logits divided by `temperature`, g summed over `batches` training batches. (The paper removes the
largest -w H g, which is the same.) The last layer has no bias, so that dividing its weights divides the logits.

`temperature` 200 is the authors' (alecwangcq/GraSP), who take 100 class-balanced images in two halves.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from slt_bench.method import Loss, MethodSettings
from slt_bench.methods.shared.saliency import Saliency


class Grasp(Saliency):
    """The weights whose removal would weaken the gradient most."""

    name = "grasp"
    version = 1
    paper = "arXiv 2002.07376"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(MethodSettings):
        """Settings of `grasp`."""

        batches: int = Field(1, ge=1, description="training batches that the gradient is summed over")
        temperature: float = Field(200.0, gt=0, description="divides the logits")

    settings: Settings

    def scores(self, loss: Loss) -> Tensor:
        """W * H g."""
        weights = self.network.weights.clone().requires_grad_()
        cooled = torch.ones_like(weights)
        cooled[self.network.layers[-1].slice] = 1 / self.settings.temperature
        gradients: list[Tensor] = []
        with sdpa_kernel(SDPBackend.MATH):  # the other kernels of attention cannot be differentiated twice
            for _ in range(self.settings.batches):
                gradients += torch.autograd.grad(loss(weights * cooled), weights, create_graph=True)
        total = torch.stack(gradients).sum(0)
        (product,) = torch.autograd.grad((total * total.detach()).sum(), weights)
        return (weights * product).detach()
