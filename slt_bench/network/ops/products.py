"""Products of vectors of N numbers, piece by piece: what lies between two factors stays in the processor's cache.

On a processor a step of a large network waits for memory, and a method's own share of it is passes over N numbers. Each
function here gives the numbers that its plain expression gives, bit for bit, and can be differentiated as often.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

PIECE = 1 << 20  # numbers: 4 MiB, so that calls cost nothing beside the work, and a last-level cache holds them


def is_long(vector: Tensor) -> bool:
    """Whether pieces are worth their calls: where a vector is longer than one, and on a processor."""
    return vector.numel() > PIECE and not vector.is_cuda


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
        result, scaled = torch.empty_like(values), weights.new_empty(min(PIECE, weights.numel()))
        layers = zip(*(vector.split(sizes) for vector in (weights, values, result)), strict=True)
        for factor, layer in zip(factors, layers, strict=True):
            for weight, value, out in _pieces(*layer):
                torch.mul(torch.mul(weight, factor, out=scaled[: len(weight)]), value, out=out)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor, None]:
        (weights,) = ctx.saved_tensors
        return None, None, scaled_product(weights, ctx.factors, grads[0], ctx.sizes), None


def _pieces(*vectors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Vectors of one length, cut alike."""
    return zip(*(vector.split(PIECE) for vector in vectors), strict=True)
