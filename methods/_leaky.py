"""A clamp whose gradient does not end at its bounds, so that what is closed or open can come back."""

from typing import Any

import torch
from torch import Tensor


def leaky_clamp(values: Tensor, reach: float) -> Tensor:
    """The values clamped to [0, 1]; their gradient beyond these is exp(-distance / reach) times that within.

    Args:
        values: (n,).
        reach: Above 0, in the values' unit.
    """
    clamped: Tensor = _LeakyClamp.apply(values, reach)
    return clamped


class _LeakyClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, reach: float) -> Tensor:
        ctx.reach = reach
        clamped = values.clamp(0, 1)
        ctx.save_for_backward((values - clamped).abs_())  # how far beyond
        return clamped

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (beyond,) = ctx.saved_tensors
        return grads[0] * torch.exp(beyond / -ctx.reach), None
