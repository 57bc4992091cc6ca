"""The largest of many numbers, by selection in linear time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.utils.errors import NotFiniteError

Float32Array = NDArray[np.float32]
Bools = NDArray[np.bool_]
FEW = 1 << 14  # numbers that any NumPy partitions as fast as a histogram finds their k-th
FEW_OF_VECTORS = 1 << 19  # and those that a NumPy with wide vectors does: 2 MiB, about a processor's own cache
MOST, LEAST = 1 / 64, 1 / 512  # of all numbers, within a bracket
START, WIDEST = 2**-8, 1e30  # half of a bracket: of a number, as far as the histogram's bins go; and at most
MANY = 1 << 12  # brackets at once: layers times numbers to keep
HALVES, SIGN = 1 << 16, 1 << 15  # values of half a float32's bits; from `SIGN` on upper ones are of negative numbers


@dataclass
class Bracket:
    """Where the last selection ended in a vector that changes little: the next looks there first, and finds the same.

    Attributes:
        middle: The number that was found.
        half: How far around it the next one is looked for; it follows how many numbers lie there.
    """

    middle: float = math.nan
    half: float = 0.0

    def keep_top(self, array: Float32Array, count: int, kept: Bools) -> None:
        """As without a bracket, of more than `FEW` numbers; 0 < count < n. The mask is written to `kept`, (n,)."""
        if not self._within(array, count, kept):
            found = _kth_smallest(array, array.size - count)
            self._move(found, max(2 * self.half, START * abs(float(found))))
            _above(array, found, count, kept)

    def _within(self, array: Float32Array, count: int, kept: Bools) -> bool:
        """Write the mask, where the last number that it leaves out lies within; whether it does."""
        np.greater_equal(array, self.middle - self.half, out=kept)
        near = np.flatnonzero(kept & (array < self.middle + self.half))
        inside, rank = array[near], int(np.count_nonzero(kept)) - count
        if not 0 < rank <= len(inside):
            return False
        found = np.partition(inside, rank - 1)[rank - 1]
        kept[near] = _above(inside, found, len(inside) - rank)
        few, many = len(inside) < LEAST * array.size, len(inside) > MOST * array.size
        self._move(found, self.half * (2 if few else 0.5 if many else 1))
        return True

    def _move(self, middle: np.float32, half: float) -> None:
        self.middle, self.half = float(middle), min(half, WIDEST)


class Brackets:
    """Those of several vectors, or of several numbers to keep."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, ...], Bracket | None] = {}

    def at(self, *key: int) -> Bracket | None:
        """Return the bracket of one of them; None when it is first asked for, which may be the only time."""
        if key not in self._made:
            if len(self._made) >= MANY:  # the numbers to keep change in every step
                self._made.clear()
            self._made[key] = None
            return None
        found = self._made[key] = self._made[key] or Bracket()
        return found


def keep_top(values: Tensor, count: int) -> Tensor:
    """A mask of the `count` largest of a vector, found by selection in linear time; ties go to the lowest index.

    Args:
        values: (n,) numbers of a type that NumPy has.
        count: How many to keep; below 0 counts as 0, above n as n.

    Returns:
        (n,) bool with exactly `count` True. On CUDA nothing waits for the device.

    Raises:
        NotFiniteError: One is NaN, which ranks nowhere. On CUDA NaN is not kept, and the mask keeps fewer.
    """
    return keep_top_of_each(values, [values.numel()], [count])


def keep_top_of_each(
    values: Tensor, sizes: Sequence[int], counts: Sequence[int], brackets: Brackets | None = None
) -> Tensor:
    """A mask of the largest of each part of a vector, as `keep_top` finds them: of each layer, for instance.

    Args:
        values: (N,) numbers of a type that NumPy has.
        sizes: Of the parts; they sum up to N.
        counts: How many to keep of each part.
        brackets: Of this vector, where it is ranked again and again: that takes a third of the time. NaN is not looked
            for then, and not kept: a search looks at its parameters after every step.

    Returns:
        (N,) bool.

    Raises:
        ValueError: The sizes do not sum up to N, or there are not as many counts.
        NotFiniteError: As of `keep_top`.
    """
    values = values.detach()
    if sum(sizes) != len(values):
        raise ValueError(f"Parts of {sum(sizes):,} numbers in all were named of a vector of {len(values):,}.")
    if values.is_cuda:
        return torch.cat([_keep_top_on_device(*part) for part in zip(values.split(list(sizes)), counts, strict=True)])
    if brackets is None and values.is_floating_point() and math.isnan(torch.dot(values, values)):
        raise NotFiniteError(f"{int(values.isnan().sum()):,} of {len(values):,} numbers to rank were NaN")
    array, mask = values.numpy(), np.empty(len(values), dtype=np.bool_)
    end = 0
    for place, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        start, end = end, end + size
        bracket = brackets.at(place, count) if brackets and size > FEW else None
        _keep_top(array[start:end], count, mask[start:end], bracket)
    return torch.from_numpy(mask)


def _keep_top_on_device(values: Tensor, count: int) -> Tensor:
    if 0 < count < len(values):
        return keep_top_by_sort(values, count)
    return torch.full_like(values, count > 0, dtype=torch.bool)


def _keep_top(array: Float32Array, count: int, kept: Bools, bracket: Bracket | None) -> None:
    """Write a mask of the `count` largest to `kept`."""
    if not 0 < count < array.size:
        kept[:] = count > 0
    elif bracket is not None:
        bracket.keep_top(array, count, kept)
    else:
        _above(array, _kth_smallest(array, array.size - count), count, kept)


def _above(array: Float32Array, last: np.float32, count: int, kept: Bools | None = None) -> Bools:
    """A mask of the `count` numbers above the last that it leaves out; of those that equal it, the first.

    It is written to `kept`, (n,), where that is given.
    """
    kept = np.greater(array, last, out=kept)
    missing = count - np.count_nonzero(kept)
    if missing:
        kept[np.flatnonzero(array == last)[:missing]] = True
    return kept


def kth_smallest(values: Tensor, k: int) -> Tensor:
    """The k-th smallest (1 <= k <= n) of a vector, a scalar tensor. On CUDA nothing waits for the device."""
    values = values.detach()
    return kth_smallest_by_sort(values, k) if values.is_cuda else torch.as_tensor(_kth_smallest(values.numpy(), k))


def keep_top_by_sort(values: Tensor, count: int) -> Tensor:
    """As `keep_top`, for 0 < count < n: on any device, in operations that know their shapes beforehand.

    Zeros of both signs are equal here, as in every comparison, whatever order a sort gives them.
    """
    threshold = kth_smallest_by_sort(values, values.numel() - count)
    mask, ties = values > threshold, values == threshold
    return mask | (ties & (ties.cumsum(0) <= count - mask.sum()))


def kth_smallest_by_sort(values: Tensor, k: int) -> Tensor:
    """As `kth_smallest`, on any device.

    On CUDA a sort of one vector is a radix sort by the whole device, which passes over it a fixed number of times,
    whatever its numbers are. `kthvalue` has less to do, and yet takes 20 times as long for 10^8 numbers
    (pytorch/pytorch#75599), for one block of threads reads them all. Histograms of bits, as below, would need an
    atomic addition a number, and these queue where many numbers are equal or clamped. `topk` counts digits so too, and
    writes out all that lies beyond the threshold; its authors found it faster than a sort (pytorch/pytorch#74267),
    which was not measured here. NaN counts as the largest.
    """
    return values.detach().sort().values[k - 1].clone()  # a view would keep the whole sorted vector


def _kth_smallest(array: Float32Array, k: int) -> np.float32:
    """NumPy's quickselect, about 10 times as fast as torch's on a CPU; of many numbers on few that are near.

    A histogram of the upper halves of their bits tells which share theirs with the k-th smallest: sign, exponent and 7
    bits of the mantissa. Where those still are many, a histogram of the lower halves tells the rest.
    """
    if array.size <= _few() or array.dtype != np.float32:
        ranked: np.float32 = np.partition(array, k - 1)[k - 1]
        return ranked
    upper = (np.ascontiguousarray(array).view(np.uint32) >> 16).view(np.int32)
    counts = _count(upper)
    negative = counts[: SIGN - 1 : -1]  # in the order of the numbers
    place, rank = _locate(np.concatenate([negative, counts[:SIGN]]), k)
    half = place - len(negative) if place >= len(negative) else len(counts) - 1 - place
    inside = array[np.flatnonzero(upper == half)]
    if len(inside) <= FEW:
        return _kth_smallest(inside, rank)
    counts = _count((inside.view(np.uint32) & (HALVES - 1)).view(np.int32))
    rest = len(counts) - 1 - _locate(counts[::-1], rank)[0] if half >= SIGN else _locate(counts, rank)[0]
    return np.uint32(half << 16 | rest).view(np.float32)


@cache
def _few() -> int:
    """Up to how many numbers NumPy alone is the faster: amid a search a histogram finds the caches taken.

    NumPy's quickselect has wide vectors for processors with AVX2 or AVX-512, and takes a tenth of the time with them.
    """
    extensions = (np.show_config(mode="dicts") or {}).get("SIMD Extensions", {})
    wide = {"AVX2", "X86_V3"}.intersection(extensions.get("baseline", []) + extensions.get("found", []))
    return FEW_OF_VECTORS if wide else FEW


def _count(halves: NDArray[np.int32]) -> NDArray[np.int64]:
    """How often each half occurs, up to the highest; torch counts several times as fast as NumPy."""
    counted: NDArray[np.int64] = torch.bincount(torch.from_numpy(halves)).numpy()
    return counted


def _locate(counts: NDArray[np.int64], k: int) -> tuple[int, int]:
    """In which of several bins the k-th lies, and which it is there."""
    upto = np.cumsum(counts)
    place = int(np.searchsorted(upto, k))
    return place, k - (int(upto[place - 1]) if place else 0)
