"""Random numbers for every step of a search, at the price of a copy.

Drawing N normal numbers costs a processor as much as a third of a step of LeNet-300-100. So they are drawn once, into
a table of 2^22, and a step takes a piece of it that starts at a random place (as Salimans et al. 2017,
arXiv 1703.03864, do for evolution strategies). A gate meets a number of the table again only by chance, about as
often as a random number repeats; tests/test_noise.py compares what is learned. On CUDA numbers are fresh: they cost
next to nothing there, and a place known to the processor alone would have to be sent.
"""

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from slt_bench.streams import derive_seed

Kind = Literal["normal", "uniform", "logistic"]
TABLE = 1 << 22
PIECE = 1 << 20  # longer vectors are made of several pieces


def noise(kind: Kind, like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent random numbers, as many as `like` has.

    Args:
        kind: "normal" (mean 0, deviation 1), "uniform" in [0, 1), or "logistic" (log u - log(1 - u), u uniform: the
            difference of two Gumbel numbers).
        like: (n,), whose device and dtype the answer has.
        generator: Chooses the places in the table, or the numbers; on the device of `like`.

    Returns:
        (n,), the caller's own.
    """
    return fresh_noise(kind, like, generator) if like.is_cuda else _piece(kind, like, generator).clone()


def add_noise(values: Tensor, kind: Kind, scale: float, generator: torch.Generator) -> Tensor:
    """(n,) values + scale * noise, differentiable in the values, for one pass over them."""
    take = fresh_noise if values.is_cuda else _piece
    return torch.add(values, take(kind, values, generator), alpha=scale)


def _piece(kind: Kind, like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of the table, not to be written to."""
    table, count = _table(kind), like.numel()
    places = torch.randint(TABLE - PIECE, (1 + count // PIECE,), generator=generator).tolist()
    if count < PIECE:
        return table[places[0] : places[0] + count].to(like.dtype)
    return torch.cat([table[place : place + PIECE] for place in places])[:count].to(like.dtype)


def fresh_noise(kind: Kind, like: Tensor, generator: torch.Generator) -> Tensor:
    """As `noise`, with numbers that were never used."""
    numbers = torch.empty_like(like, requires_grad=False)
    if kind == "normal":
        return numbers.normal_(generator=generator)
    if kind == "uniform":
        return numbers.uniform_(generator=generator)
    return torch.logit(numbers.uniform_(1e-6, 1 - 1e-6, generator=generator))


@cache
def _table(kind: Kind) -> Tensor:
    generator = torch.Generator().manual_seed(derive_seed("noise table", kind))
    return fresh_noise(kind, torch.empty(TABLE), generator)
