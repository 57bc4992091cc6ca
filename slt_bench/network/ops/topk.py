"""The largest of many numbers, by selection in linear time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.network.ops.parallel import parallel_map
from slt_bench.utils.errors import NotFiniteError

Float32Array = NDArray[np.float32]
Bools = NDArray[np.bool_]
FEW = 1 << 14  # numbers that any NumPy partitions as fast as a sample tells where their k-th lies
FEW_OF_VECTORS = 1 << 19  # and those that a NumPy with wide vectors does: 2 MiB, about a processor's own cache
PIECE = 1 << 18  # numbers that one thread ranks at a time: with their masks they stay in a processor's own cache
SAMPLE, SPARSE = 1 << 15, 64  # numbers that tell about where the k-th of many lies: at most every 64th
DEVIATIONS = 4  # of the k-th's rank in the sample, within which it is looked for: 3% of very many numbers
MOST, LEAST = 1 / 64, 1 / 512  # of all numbers, within a bracket
START, WIDEST = 2**-8, 1e30  # half of a bracket: at first, as a fraction of the number; and at most
MANY = 1 << 12  # brackets at once: layers times numbers to keep


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
        within = _keep_within(array, count, kept, self.middle - self.half, self.middle + self.half)
        if within is None:
            found = _keep_many(array, count, kept)
            self._move(found, max(2 * self.half, START * abs(float(found))))
        else:
            found, inside = within
            few, many = inside < LEAST * array.size, inside > MOST * array.size
            self._move(found, self.half * (2 if few else 0.5 if many else 1))

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
    elif array.size > _few():
        _keep_many(array, count, kept)
    else:
        kept[:] = _above(array, _partition(array, array.size - count), count)


def _keep_many(array: Float32Array, count: int, kept: Bools) -> np.float32:
    """Write a mask of the `count` largest of many numbers, 0 <= count < n, and return the last that it leaves out.

    A sample tells between which two numbers that one lies. Where it does not, as in some vectors of few values, NumPy
    partitions them all.
    """
    sample = array[:: max(SPARSE, array.size // SAMPLE)]
    share, last = 1 - count / array.size, len(sample) - 1
    off = 1 + DEVIATIONS * math.sqrt(len(sample) * share * (1 - share))
    low, high = math.floor(last * share - off), math.ceil(last * share + off)
    sample = np.partition(sample, (max(low, 0), min(high, last)))
    lowest, highest = sample[low] if low >= 0 else -math.inf, sample[high] if high <= last else math.inf
    if within := _keep_within(array, count, kept, lowest, highest):
        return within[0]
    found = _partition(array, array.size - count)
    kept[:] = _above(array, found, count)
    return found


def _keep_within(
    array: Float32Array, count: int, kept: Bools, low: float | np.float32, high: float | np.float32
) -> tuple[np.float32, int] | None:
    """Write a mask of the `count` largest, if the last number that it leaves out lies from `low` to `high`.

    Returns:
        That number, and how many lie from `low` to `high`; None if it lies elsewhere, and `kept` holds no mask then.
    """

    def compare(start: int) -> tuple[int, NDArray[np.int64]]:
        piece, above = array[start : start + PIECE], kept[start : start + PIECE]
        np.greater_equal(piece, low, out=above)
        near = np.flatnonzero(above & (piece <= high))
        near += start
        return int(np.count_nonzero(above)), near

    numbers, places = zip(*parallel_map(compare, range(0, array.size, PIECE)), strict=True)
    near = places[0] if len(places) == 1 else np.concatenate(places)
    inside, rank = array[near], sum(numbers) - count
    if not 0 < rank <= len(inside):
        return None
    found = _partition(inside, rank)
    kept[near] = _above(inside, found, len(inside) - rank)
    return found, len(inside)


def _above(array: Float32Array, last: np.float32, count: int) -> Bools:
    """A mask of the `count` numbers above the last that it leaves out; of those that equal it, the first."""
    kept: Bools = array > last
    missing = count - np.count_nonzero(kept)
    if missing:
        kept[np.flatnonzero(array == last)[:missing]] = True
    return kept


def _partition(array: Float32Array, k: int) -> np.float32:
    """The k-th smallest by NumPy's quickselect, about 10 times as fast as torch's on a CPU."""
    ranked: np.float32 = np.partition(array, k - 1)[k - 1]
    return ranked


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
    (pytorch/pytorch#75599), for one block of threads reads them all. Histograms of bits would need an atomic
    addition a number, and these queue where many numbers are equal or clamped. `topk` counts digits so too, and
    writes out all that lies beyond the threshold; its authors found it faster than a sort (pytorch/pytorch#74267),
    which was not measured here. NaN counts as the largest.
    """
    return values.detach().sort().values[k - 1].clone()  # a view would keep the whole sorted vector


def _kth_smallest(array: Float32Array, k: int) -> np.float32:
    if array.size <= _few():
        return _partition(array, k)
    return _keep_many(array, array.size - k, np.empty(array.size, dtype=np.bool_))


@cache
def _few() -> int:
    """Up to how many numbers NumPy alone is the faster.

    NumPy's quickselect has wide vectors for processors with AVX2 or AVX-512, and takes a tenth of the time with them.
    """
    extensions = (np.show_config(mode="dicts") or {}).get("SIMD Extensions", {})
    wide = {"AVX2", "X86_V3"}.intersection(extensions.get("baseline", []) + extensions.get("found", []))
    return FEW_OF_VECTORS if wide else FEW
