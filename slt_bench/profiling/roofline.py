"""What a step needs, counted, and how long this machine at its measured best would take (Williams et al. 2009)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from slt_bench.profiling.subject import Subject

VIEWS = {"aten::detach", "aten::alias"}  # beside those whose schema says so


@dataclass(frozen=True)
class Work:
    """What a step does.

    Attributes:
        operations: Floating-point operations of matrix products and convolutions, forward and backward.
        bytes: Read and written by all operations, each of which is taken to read its inputs and write its outputs once.
    """

    operations: int
    bytes: int


@dataclass(frozen=True)
class Peak:
    """The machine at its best, measured: operations a second in a large matrix product, bytes a second in a copy."""

    operations: float
    bytes: float

    def seconds(self, work: Work) -> float:
        """The least time for that work: what takes longer, its operations or its bytes."""
        return max(work.operations / self.operations, work.bytes / self.bytes)


class _Bytes(TorchDispatchMode):
    """Counts what operations read and write."""

    total = 0

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if not (function.is_view or function._schema.name in VIEWS):  # noqa: SLF001 - there is no other way to its name
            for value in tree_leaves((args, kwargs, result)):
                self.total += value.numel() * value.element_size() if isinstance(value, Tensor) else 0
        return result


def count(subject: Subject) -> Work:
    """Count one step's operations and bytes, data included."""
    with FlopCounterMode(display=False) as operations:
        subject.step(0.5)
    with _Bytes() as moved:  # type: ignore[no-untyped-call]
        subject.step(0.5)
    return Work(operations.get_total_flops(), moved.total)


def measure_peak(device: torch.device, precision: str, seconds: float = 1.0) -> Peak:
    """Measure what the machine does at its best, with the threads that torch has."""
    size = 4096 if device.type == "cuda" else 1024
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    source = torch.zeros(2**28 if device.type == "cuda" else 2**26, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    products = _best(lambda: torch.mm(left, right), device, seconds / 2)
    copies = _best(lambda: target.copy_(source), device, seconds / 2)
    return Peak(2 * size**3 / products, 2 * source.numel() / copies)


def _best(act: Any, device: torch.device, seconds: float) -> float:
    """The shortest of several times that something takes."""
    best, start = float("inf"), perf_counter()
    while perf_counter() - start < seconds or best == float("inf"):
        before = perf_counter()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, perf_counter() - before)
    return best
