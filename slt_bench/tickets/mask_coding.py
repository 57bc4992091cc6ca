"""Masks in few bytes: a range coder that knows each layer's density.

**The code, version 1.** All arithmetic is in whole numbers, so that a second decoder can be written from this text.

A mask is cut into its layers, in their order. A layer of n weights of which k are kept is coded only where 0 < k < n.
Its bits (1: kept) are coded as independent symbols of the same probabilities, in units of 2^-24:

    of a 0:  zero = 1 + (n - k) * (2^24 - 2) // n           of a 1:  2^24 - zero

All layers go into one stream of 32-bit words, little-endian, of a range coder (Martin 1979) with a 64-bit state:

    start    lower = 0, range = 2^64 - 1, point = the first two words, the first one in the higher half
    a bit    unit = range >> 24;  the bit is 0 where (point - lower) mod 2^64 // unit < zero, else 1
             of a 0:  range = unit * zero
             of a 1:  lower += unit * zero,  range = unit * (2^24 - zero)
             where range < 2^32:  lower, range and point are shifted left by 32 bits, and point takes the next word

with lower and point modulo 2^64, and words beyond the last one 0. It is the `RangeEncoder` of the library constriction
(Bamler 2022, arXiv 2201.01741), which does the work here.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Counts = Sequence[tuple[int, int]]  # (n, k) of each layer: its weights, and how many of them are kept
PRECISION = 24
_UNITS = 1 << PRECISION
_CHUNK = 1 << 20  # bits at a time: the library holds each in 32
_queue = constriction.stream.queue


def encode(mask: Mask, sizes: Sequence[int]) -> bytes:
    """The code of a mask.

    Args:
        mask: (N,) bool.
        sizes: How many weights each layer has; N in all.

    Returns:
        A multiple of 4 bytes: within a few bytes of `bound`.
    """
    encoder = _queue.RangeEncoder()
    for part in _parts(mask, sizes):
        kept = int(np.count_nonzero(part))
        if 0 < kept < len(part):
            model = _model(len(part), kept)
            for start in range(0, len(part), _CHUNK):
                encoder.encode(part[start : start + _CHUNK].astype(np.int32), model)
    return bytes(encoder.get_compressed().astype("<u4").tobytes())


def decode(code: bytes, counts: Counts) -> Mask:
    """The mask (N,) bool that a code stands for.

    Args:
        code: As from `encode`.
        counts: Of each layer.

    Raises:
        ValueError: The code is not one of a mask with these counts.
    """
    if len(code) % 4:
        raise ValueError(f"its mask's code has {len(code)} bytes, which is no multiple of 4")
    decoder = _queue.RangeDecoder(np.frombuffer(code, "<u4").astype(np.uint32))
    mask = np.empty(sum(n for n, _ in counts), dtype=np.bool_)
    for part, (n, kept) in zip(_parts(mask, [n for n, _ in counts]), counts, strict=True):
        part[:] = kept > 0
        for start in range(0, n if 0 < kept < n else 0, _CHUNK):
            part[start : start + _CHUNK] = _bits(decoder, _model(n, kept), min(_CHUNK, n - start))
        if np.count_nonzero(part) != kept:
            raise ValueError("its mask's code does not keep as many weights as its layers say")
    if not decoder.maybe_exhausted():
        raise ValueError("its mask's code goes on behind the mask")
    return mask


def bound(counts: Counts) -> float:
    """The bits that no code of independent weights of these layer densities can be below: sum of n H(k / n).

    Shannon 1948. H is the binary entropy, in bits.
    """
    return sum(n * _entropy(kept / n) for n, kept in counts)


def _entropy(density: float) -> float:
    return -sum(p * math.log2(p) for p in (density, 1 - density) if p > 0)


def _model(n: int, kept: int) -> object:
    """Of the probabilities above. The library takes floats, and makes 1 + floor(p * (2^24 - 2)) of that of a 0."""
    floor = (n - kept) * (_UNITS - 2) // n
    of_zero = (floor + 0.5) / (_UNITS - 2)  # from the middle, no rounding leads to another whole number
    return constriction.stream.model.Categorical(np.array([of_zero, 1 - of_zero]), perfect=False)


def _bits(decoder: Any, model: object, count: int) -> NDArray[np.int32]:
    try:
        bits: NDArray[np.int32] = decoder.decode(model, count)
    except AssertionError as error:  # as constriction says it
        raise ValueError("its mask's code stands for no mask") from error
    return bits


def _parts(mask: Mask, sizes: Iterable[int]) -> list[Mask]:
    """Views of the layers' parts of a mask."""
    return np.split(mask, np.cumsum(list(sizes))[:-1])
