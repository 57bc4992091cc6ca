"""What this machine does at its best, measured: no one product or copy is the fastest on every machine."""

from collections.abc import Callable, Iterator
from time import perf_counter

import torch
from torch.nn import functional

from slt_bench.profiling.roofline import Peak

ACTS = 18  # about as many are measured
LEAST = 2  # times that each is done: the first one also prepares


def measure_peak(device: torch.device, precision: str, seconds: float = 1.0) -> Peak:
    """Measure matrix products and convolutions, copies and sums, of several sizes; the fastest of each kind.

    Args:
        device: Where; on a CPU with the threads that torch has.
        precision: "float32" or "bf16".
        seconds: About how long to measure, all together.
    """
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    with torch.no_grad():
        operations = _fastest(_products(device, kind), device, seconds / ACTS)
        moved = _fastest(_passes(device), device, seconds / ACTS)
    return Peak(operations, moved)


Act = tuple[float, Callable[[], object]]  # how much it does, and how it is done


def _products(device: torch.device, kind: torch.dtype) -> Iterator[Act]:
    """Operations of square products, and of convolutions without a border, which no library can skip."""
    large = device.type == "cuda"
    for size in (2048, 4096, 8192) if large else (256, 512, 1024, 1536):
        left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
        yield 2.0 * size**3, lambda left=left, right=right: torch.mm(left, right)  # type: ignore[misc]
    for batch, channels, side in ((64, 512, 32), (128, 256, 32)) if large else ((16, 128, 16), (16, 256, 16)):
        images = torch.randn(batch, channels, side + 2, side + 2, device=device, dtype=kind)
        weight = torch.randn(channels, channels, 3, 3, device=device, dtype=kind)
        images, weight = (one.contiguous(memory_format=torch.channels_last) for one in (images, weight))
        done = 2.0 * batch * side**2 * channels**2 * 9
        yield done, lambda images=images, weight=weight: functional.conv2d(images, weight)  # type: ignore[misc]


def _passes(device: torch.device) -> Iterator[Act]:
    """Bytes of copies and sums of vectors, which fit into caches or do not."""
    for power in (20, 22, 24, 26, 28) if device.type == "cuda" else (16, 18, 20, 22, 24, 26):
        source, target = (torch.zeros(2**power // 4, device=device) for _ in range(2))
        yield 2.0 * 2**power, lambda source=source, target=target: target.copy_(source)  # type: ignore[misc]
        yield 3.0 * 2**power, lambda source=source, target=target: target.add_(source)  # type: ignore[misc]


def _fastest(acts: Iterator[Act], device: torch.device, seconds: float) -> float:
    """How much a second the fastest of them does, each of which gets so many seconds."""
    return max(done / _shortest(act, device, seconds) for done, act in acts)


def _shortest(act: Callable[[], object], device: torch.device, seconds: float) -> float:
    """The shortest of several times that something takes."""
    times: list[float] = []
    while len(times) < LEAST or sum(times) < seconds:
        before = perf_counter()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(perf_counter() - before)
    return min(times)
