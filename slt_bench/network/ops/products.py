"""Products of vectors of N numbers in few passes.

On a CPU a step of a large network waits for memory, and a method's own share of it is passes over N numbers. The
function here gives the numbers of its plain expression, bit for bit, and can be differentiated as often.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

LONG = 1 << 20  # numbers: 4 MiB; below, saving passes over them costs as much in calls


def is_long(vector: Tensor) -> bool:
    """Whether saving passes over a vector pays: where it has more than `LONG` numbers, and on a CPU."""
    return vector.numel() > LONG and not vector.is_cuda


def scaled_product(weights: Tensor, factors: Sequence[float], values: Tensor, sizes: Sequence[int]) -> Tensor:
    """(weights * factors) * values, of which only `values` gets a gradient; no scaled copy of the weights is kept.

    Args:
        weights: (N,).
        factors: L, one for each layer.
        values: (N,), of the type of `weights`.
        sizes: Of the layers; they sum up to N.

    Returns:
        (N,).
    """
    result: Tensor = _ScaledProduct.apply(weights, factors, values, sizes)
    return result


class _ScaledProduct(torch.autograd.Function):
    """Its derivative is itself: the gradient takes the place of the values."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, factors: Sequence[float], values: Tensor, sizes: Sequence[int]) -> Tensor:
        ctx.save_for_backward(weights)
        ctx.factors, ctx.sizes = factors, sizes
        result, zero = torch.empty_like(values), weights.new_tensor(-0.0)  # of a sum with it, a zero keeps its sign
        layers = zip(*(vector.split(sizes) for vector in (weights, values, result)), strict=True)
        for factor, (weight, value, out) in zip(factors, layers, strict=True):
            torch.addcmul(zero, weight, value, value=factor, out=out)  # zero + (factor * weight) * value
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor, None]:
        (weights,) = ctx.saved_tensors
        return None, None, scaled_product(weights, ctx.factors, grads[0], ctx.sizes), None
