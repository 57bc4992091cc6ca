"""Which pixels of an image a network reads, followed through its first layers without computing anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

WINDOWS = ("convolution", "constant_pad_nd", "max_pool2d_with_indices", "avg_pool2d", "max_pool2d")
ALONG = ("flip", "roll", "sort", "cumsum", "index")  # keep the shape, and move numbers along its sides


@dataclass
class _Axis:
    """Of a tensor, the dimension along which one side of the image lies.

    Attributes:
        side: 0 for the rows of the image, 1 for its columns.
        dim: Of the tensor.
        first, last: For each index there, the first and the last row that its numbers depend on; first > last: none.
    """

    side: int
    dim: int
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def under_windows(self, count: int, kernel: int, stride: int, padding: int, dilation: int) -> "_Axis":
        """The same after `count` windows of a convolution or of pooling have passed over it."""
        taken = np.arange(count)[:, None] * stride - padding + np.arange(kernel) * dilation
        inside = (taken >= 0) & (taken < len(self.first))
        taken = taken.clip(0, len(self.first) - 1)
        first = np.where(inside, self.first[taken], _NEVER).min(1)
        return _Axis(self.side, self.dim, first, np.where(inside, self.last[taken], -1).max(1))


_NEVER = 1 << 30  # the first row of an index that depends on none


class Coverage:
    """Follows an image through the operations of a forward pass.

    Convolutions, pooling, padding, slices and whatever works number by number are followed. Any other operation, as
    attention, a mean or a linear layer over all pixels, is taken to use everything that it gets: so a pixel that counts
    as unread is unread, and one that counts as read may be lost in a deeper layer.

    Args:
        images: (B, channels, height, width).
    """

    def __init__(self, images: Tensor) -> None:
        sides = [np.arange(size) for size in images.shape[2:]]
        self.read = [np.zeros(len(side), dtype=bool) for side in sides]
        self._axes = {id(images): [_Axis(side, side + 2, own, own) for side, own in enumerate(sides)]}
        self._alive: list[Tensor] = [images]

    def read_sides(self) -> tuple[int, int]:
        """How many rows and columns of pixels the network reads."""
        rows, columns = (int(side.sum()) for side in self.read)
        return rows, columns

    def follow(self, name: str, args: Sequence[Any], tensors: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Take in one operation: its name, its arguments, the tensors among them, and what it gives."""
        seen = [tensor for tensor in tensors if id(tensor) in self._axes]
        if not seen:
            return
        axes: list[_Axis] = []
        for tensor in seen:
            for axis in self._axes[id(tensor)]:
                after = _after(name, args, tensor, axis, outputs[0]) if outputs else None
                if after is None:
                    self._use(axis)
                else:
                    axes.append(after)
        if axes:
            self._alive.append(outputs[0])
            self._axes[id(outputs[0])] = _together(axes)

    def _use(self, axis: _Axis) -> None:
        for first, last in zip(axis.first, axis.last, strict=True):
            self.read[axis.side][first : last + 1] = True


def _together(axes: Sequence[_Axis]) -> list[_Axis]:
    """One axis a side and dimension: what a sum of several tensors depends on."""
    found: dict[tuple[int, int], _Axis] = {}
    for axis in axes:
        key = (axis.side, axis.dim)
        other = found.get(key, axis)
        found[key] = _Axis(*key, np.minimum(axis.first, other.first), np.maximum(axis.last, other.last))
    return list(found.values())


def _after(name: str, args: Sequence[Any], tensor: Tensor, axis: _Axis, output: Tensor) -> _Axis | None:
    """Where the image's side lies in the output; None where the operation uses it up."""
    if name in WINDOWS:
        return _under_windows(name, args, tensor, axis, output)
    if name == "slice":
        given = list(args[1:])
        dim, start, end, step = given + [0, None, None, 1][len(given) :]
        chosen = slice(start, end, step) if dim % tensor.ndim == axis.dim else slice(None)
        return _Axis(axis.side, axis.dim, axis.first[chosen], axis.last[chosen])
    if name in ("permute", "transpose"):
        order = list(range(tensor.ndim))
        if name == "permute":
            order = [dim % tensor.ndim for dim in args[1]]
        else:
            one, other = args[1] % tensor.ndim, args[2] % tensor.ndim
            order[one], order[other] = order[other], order[one]
        return _Axis(axis.side, order.index(axis.dim), axis.first, axis.last)
    return axis if output.shape == tensor.shape and name not in ALONG else None


def _under_windows(name: str, args: Sequence[Any], tensor: Tensor, axis: _Axis, output: Tensor) -> _Axis | None:
    place = axis.dim - 2  # among the sides that a convolution or a pooling works along
    if name == "convolution":
        images, weight, _, strides, paddings, dilations, transposed, *_ = args
        if tensor is not images or transposed or not 0 <= place < weight.ndim - 2:
            return None
        kernel, stride = weight.shape[2 + place], _at(strides, place)
        padding, dilation = _at(paddings, place), _at(dilations, place)
    elif name == "constant_pad_nd":
        before = (*args[1], *[0] * 2 * tensor.ndim)[2 * (tensor.ndim - 1 - axis.dim)]
        kernel, stride, padding, dilation = 1, 1, before, 1
    else:
        kernel, stride, padding, dilation = (_at(values, place) for values in (*args[1:5], *[()] * 4)[:4])
        stride, dilation = stride or kernel, (dilation or 1) if name != "avg_pool2d" else 1
    return axis.under_windows(output.shape[axis.dim], kernel, stride, padding, dilation)


def _at(values: int | Sequence[int], place: int) -> int:
    """The number of a side, of one for both or one a side; 0 where none is given."""
    values = [values] if isinstance(values, int) else values
    return values[min(place, len(values) - 1)] if values else 0
