"""A penalty's weight that is steered, so that the counted density comes down to the asked one.

    lagrangian   lambda <- max(0, lambda + dual_lr * e), and 0 again as soon as e <= 0

is gradient ascent on the multiplier of the constraint e <= 0, with dual restarts (Gallego-Posada et al., NeurIPS 2022,
arXiv 2208.04425, section 3);

    pi           lambda = max(0, i + 100 * dual_lr * e),   i <- max(0, i + dual_lr * e)

is a proportional-integral controller of it (Stooke et al., ICML 2020, arXiv 2007.03964). The error e is the density of
the hard mask minus the asked one, which rises to it as the threshold does elsewhere: the penalty, an expected number of
open gates, is the differentiable stand-in of what is counted.
"""

from typing import Literal

from torch import Tensor, nn

Steering = Literal["lagrangian", "pi"]
PROPORTIONAL = 100.0  # steps of the integral that the proportional part is worth


class Multiplier(nn.Module):
    """Lambda, and the integral behind it; buffers, so that they are kept with the method."""

    value: Tensor
    integral: Tensor

    def __init__(self, zero: Tensor, kind: Steering, dual_lr: float) -> None:
        super().__init__()
        self.kind, self.dual_lr = kind, dual_lr
        self.register_buffer("value", zero.clone())
        self.register_buffer("integral", zero.clone())

    def update(self, error: Tensor) -> None:
        """A step of the multiplier.

        Args:
            error: A scalar, the density minus the asked one.
        """
        step = self.dual_lr * error
        self.integral.add_(step).clamp_(min=0)
        if self.kind == "lagrangian":
            self.integral.mul_(error > 0)
            self.value.copy_(self.integral)
        else:
            self.value.copy_((self.integral + PROPORTIONAL * step).clamp(min=0))
