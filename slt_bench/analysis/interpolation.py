"""Between the measured points of a sparsity-accuracy curve: linear in log10 of the remaining weights.

Benchmarks of pruning space their points by compression ratios, and draw accuracy over its logarithm (Blalock et al.
2020, "What is the state of neural network pruning?", arXiv 2003.03033, section 6), on which halving the weights is the
same step everywhere. Nothing is ever told of what lies beyond the ends of a curve.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SAME_SPARSITY = 1e-3  # in log10 of the remaining weights, as 0.9 and 0.90023: so near, a measured point is taken as is
SAME_ACCURACY = 1e-9  # thresholds are differences of means, and may be off by rounding
DECIMALS = 9  # of a sparsity: a network of a billion weights counts none finer


@dataclass(frozen=True)
class Reach:
    """How far a curve holds an accuracy.

    Attributes:
        sparsity: The highest that does, in [0, 1); NaN where none does.
        at_end: That it is the sparsest measured point, so that the true one may be higher.
        held: The sparsest measured point that does; NaN where none does.
        fallen: The next measured point, which does not, so that the true one lies between these two; NaN at the end.
    """

    sparsity: float
    at_end: bool
    held: float = math.nan
    fallen: float = math.nan


def accuracy_at(sparsities: ArrayLike, accuracies: ArrayLike, sparsity: float) -> float:
    """The accuracy of a curve at a sparsity.

    Args:
        sparsities: As counted, in [0, 1), in any order. Points with a NaN are left out; accuracies of one sparsity are
            averaged.
        accuracies: In [0, 1], one for each sparsity.
        sparsity: In [0, 1).

    Returns:
        That of the nearest measured point where it is within `SAME_SPARSITY`; else between the two beside it; NaN
        outside of the measured range.

    Raises:
        ValueError: A sparsity is not in [0, 1), or the lengths differ.
    """
    _check(np.asarray([sparsity]))
    counted, measured = _curve(sparsities, accuracies)
    if not len(counted):
        return math.nan
    depths, depth = _depth(counted), _depth(np.asarray([sparsity]))[0]
    nearest = int(np.argmin(np.abs(depths - depth)))
    if abs(depths[nearest] - depth) <= SAME_SPARSITY:
        return float(measured[nearest])
    return float(np.interp(depth, depths, measured, left=math.nan, right=math.nan))


def sparsity_at(sparsities: ArrayLike, accuracies: ArrayLike, accuracy: float) -> Reach:
    """The highest sparsity at which a curve is still at least that accurate.

    A curve may fall, rise and fall again: the last fall below the accuracy counts.

    Args:
        sparsities: As counted, in [0, 1), in any order. Points with a NaN are left out; accuracies of one sparsity are
            averaged.
        accuracies: In [0, 1], one for each sparsity.
        accuracy: The threshold.

    Raises:
        ValueError: A sparsity is not in [0, 1), or the lengths differ.
    """
    counted, measured = _curve(sparsities, accuracies)
    reached = np.flatnonzero(measured >= accuracy - SAME_ACCURACY)
    if not len(reached):
        return Reach(math.nan, at_end=False)
    last = int(reached[-1])
    if last == len(counted) - 1:
        return Reach(float(counted[last]), at_end=True, held=float(counted[last]))
    ends = counted[last : last + 2]
    crossing = _crossing(ends, measured[last : last + 2], accuracy)
    return Reach(crossing, at_end=False, held=float(ends[0]), fallen=float(ends[1]))


def _crossing(counted: NDArray[np.float64], measured: NDArray[np.float64], accuracy: float) -> float:
    """Where the line between two points, the first of them accurate enough and the second not, meets an accuracy."""
    share = (measured[0] - accuracy) / (measured[0] - measured[1])
    start, end = _depth(counted)
    return float(np.clip(1 - 10 ** -(start + share * (end - start)), *counted))


def _curve(sparsities: ArrayLike, accuracies: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points of a curve, each sparsity once, ascending."""
    counted, measured = np.asarray(sparsities, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    if len(counted) != len(measured):
        raise ValueError(f"A curve has {len(counted)} sparsities, but {len(measured)} accuracies.")
    known = ~(np.isnan(counted) | np.isnan(measured))
    once, place = np.unique(counted[known].round(DECIMALS), return_inverse=True)
    _check(once)
    return once, np.bincount(place, weights=measured[known]) / np.bincount(place)


def _check(sparsities: NDArray[np.float64]) -> None:
    if not ((sparsities >= 0) & (sparsities < 1)).all():
        raise ValueError(f"A sparsity is not in [0, 1): {sparsities.tolist()}.")


def _depth(sparsities: NDArray[np.float64]) -> NDArray[np.float64]:
    """-log10 of the remaining weights: 0 for all of them, 1 for a tenth, 2 for a hundredth."""
    return -np.log10(1 - sparsities)
