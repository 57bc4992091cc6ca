"""The straight-through estimator: a hard mask forward, the identity backward."""

from typing import Any

import torch
from torch import Tensor


def straight_through(mask: Tensor, scores: Tensor) -> Tensor:
    """Return the mask as numbers, its gradient handed to the scores as if they were the mask (Bengio et al. 2013).

    Args:
        mask: (n,) bool, or numbers.
        scores: (n,), whose type the answer has.
    """
    result: Tensor = _StraightThrough.apply(mask, scores)
    return result


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mask: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG004
        numbers = mask.view(torch.int8) if mask.dtype == torch.bool else mask  # which torch converts faster than bool
        return numbers.to(scores.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:  # noqa: ARG004
        return None, grads[0]
