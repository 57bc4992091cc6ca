"""What a step needs, counted, and how long a machine at its best would take for it (Williams et al. 2009)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from slt_bench.profiling.subject import ProfiledMethod

UNTOUCHED = {"detach", "alias", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
# Their first tensor is not read, or no more of it than they write.
UNREAD = {"copy_", "fill_", "zero_", "normal_", "zeros_like", "ones_like", "full_like", "new_zeros"} | {
    "index", "index_select", "embedding", "gather",
}  # fmt: skip


@dataclass(frozen=True)
class StepCost:
    """What a step does.

    Attributes:
        operations: Floating-point operations of matrix products, convolutions and attention, forward and backward.
            Products with the zeros around an image are none: libraries skip them.
        bytes: Read and written by all operations, each of which is taken to read its inputs and write its outputs once.
    """

    operations: int
    bytes: int


@dataclass(frozen=True)
class Peak:
    """A machine at its best: operations a second, bytes a second."""

    operations: float
    bytes: float

    def seconds(self, work: StepCost) -> float:
        """The least time for that work: what takes longer, its operations or its bytes."""
        return max(work.operations / self.operations, work.bytes / self.bytes)


def best_of(peaks: Iterable[Peak]) -> Peak:
    """The fastest that was seen, of operations and of bytes."""
    seen = list(peaks)
    return Peak(max(one.operations for one in seen), max(one.bytes for one in seen))


def count_flops(subject: ProfiledMethod) -> StepCost:
    """Count the operations and bytes of one step, data included, without `torch.compile`: what has to be done.

    Args:
        subject: Whose next step is taken. A first one also makes what later ones find.
    """
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as operations, _Bytes() as moved:  # type: ignore[no-untyped-call]
        subject.plain_step(0.5)
    return StepCost(operations.get_total_flops(), moved.total)


class _Bytes(TorchDispatchMode):
    """Counts what operations read and write."""

    total = 0

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function._schema.name.removeprefix("aten::")  # noqa: SLF001 - there is no other way to its name
        if not (function.is_view or name in UNTOUCHED):
            given = {key: value for key, value in (kwargs or {}).items() if key != "out"}
            read = [value for value in tree_leaves((args, given)) if isinstance(value, Tensor)]
            written = [value for value in tree_leaves(result) if isinstance(value, Tensor)]
            self.total += sum(map(_size, read[name in UNREAD :])) + sum(map(_size, written))
        return result


def _size(tensor: Tensor) -> int:
    """Bytes of its numbers, those that it shows again and again once."""
    sizes = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size)
    return prod(sizes) * tensor.element_size()


def _taps(positions: int, inside: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How often a kernel's weights meet the image along one axis, rather than the zeros around it."""
    places = (place * stride - padding + tap * dilation for place in range(positions) for tap in range(kernel))
    return sum(0 <= place < inside for place in places)


def _convolution(
    images: Sequence[int],
    weight: Sequence[int],
    _bias: object,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    *_: object,
    out_shape: Sequence[int],
) -> int:
    few, many = (images, out_shape) if transposed else (out_shape, images)
    axes = zip(few[2:], many[2:], weight[2:], stride, padding, dilation, strict=True)
    return 2 * images[0] * weight[0] * weight[1] * prod(_taps(*axis) for axis in axes)


def _convolution_backward(
    gradient: Sequence[int], images: Sequence[int], weight: Sequence[int], *rest: Any, out_shape: object
) -> int:
    del out_shape
    *how, output_mask = rest
    once = _convolution(images, weight, *how, out_shape=gradient)
    return once * sum(map(int, output_mask[:2]))  # for the images and for the weight, as much each as forward


def _attention(query: Any, key: Any, value: Any, *_: object, **__: object) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *_: object, **__: object) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


aten = torch.ops.aten
# PyTorch's own formulas count the zeros around images and forget groups, and know no attention on a CPU.
FORMULAS = {
    aten.convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,  # noqa: SLF001 - its name
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,  # noqa: SLF001 - its name
}
