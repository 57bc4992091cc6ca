"""Random numbers for every step of a search, at the price of a copy.

Drawing N normal numbers costs a processor as much as a third of a step of LeNet-300-100. So they are drawn once, into
a table of 2^22, and a step takes a piece of it that starts at a random place (as Salimans et al. 2017,
arXiv 1703.03864, do for evolution strategies). A gate meets a number of the table again only by chance, about as
often as a random number repeats; tests/network/test_noise.py compares what is learned. On CUDA numbers are fresh: they
cost next to nothing there, and a place known to the processor alone would have to be sent.
"""

from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from slt_bench.network.streams import derive_seed

Distribution = Literal["normal", "uniform", "logistic"]
TABLE = 1 << 22
PIECE = 1 << 20  # longer vectors are made of several pieces


def noise(kind: Distribution, like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent random numbers, as many as `like` has.

    Args:
        kind: "normal" (mean 0, deviation 1), "uniform" in [0, 1), or "logistic" (log u - log(1 - u), u uniform: the
            difference of two Gumbel numbers).
        like: (n,), whose device and dtype the answer has.
        generator: Chooses the places in the table, or the numbers; on the device of `like`.

    Returns:
        (n,), the caller's own.
    """
    return fresh_noise(kind, like, generator) if like.is_cuda else torch.cat(_pieces(kind, like.detach(), generator))


def add_noise(values: Tensor, kind: Distribution, scale: float, generator: torch.Generator) -> Tensor:
    """Return values + scale * noise; gradients pass through as if nothing had been added.

    Args:
        values: (n,).
        kind: As of `noise`.
        scale: What the noise is multiplied by.
        generator: As of `noise`.

    Returns:
        (n,), new.
    """
    if values.is_cuda:
        return torch.add(values, fresh_noise(kind, values, generator), alpha=scale)
    pieces = _pieces(kind, values.detach(), generator)
    if len(pieces) == 1:
        return torch.add(values, pieces[0], alpha=scale)
    result: Tensor = _AddPieces.apply(values, pieces, scale)
    return result


class _AddPieces(torch.autograd.Function):
    """Piece by piece: to put the pieces together first would be a pass over N numbers."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, pieces: list[Tensor], scale: float) -> Tensor:  # noqa: ARG004
        result = torch.empty_like(values)
        for part, piece, out in zip(values.split(PIECE), pieces, result.split(PIECE), strict=True):
            torch.add(part, piece, alpha=scale, out=out)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ARG004
        return grads[0], None, None


def _pieces(kind: Distribution, like: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Numbers of the table, in pieces that make a vector together; not to be written to."""
    table, sizes = _table(kind), [len(part) for part in like.split(PIECE)]
    places = torch.randint(TABLE - PIECE, (1 + like.numel() // PIECE,), generator=generator).tolist()
    return [table[place : place + size].to(like.dtype) for place, size in zip(places, sizes, strict=False)]


def fresh_noise(kind: Distribution, like: Tensor, generator: torch.Generator) -> Tensor:
    """As `noise`, with numbers that were never used."""
    numbers = torch.empty_like(like, requires_grad=False)
    if kind == "normal":
        return numbers.normal_(generator=generator)
    if kind == "uniform":
        return numbers.uniform_(generator=generator)
    return torch.logit(numbers.uniform_(1e-6, 1 - 1e-6, generator=generator))


@cache
def _table(kind: Distribution) -> Tensor:
    generator = torch.Generator().manual_seed(derive_seed("noise table", kind))
    return fresh_noise(kind, torch.empty(TABLE), generator)
