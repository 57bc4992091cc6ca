"""A profile: for every method and architecture, a row of what a step costs."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from slt_bench.method import OptimizerSettings
from slt_bench.profiling.memory import peak_memory
from slt_bench.profiling.subject import PARTS, ProfiledMethod, ProfileOptions
from slt_bench.profiling.timing import Times, time_steps
from slt_bench.registry import load_registry
from slt_bench.utils.errors import UserError
from slt_bench.utils.machine import provenance
from slt_bench.utils.text import pluralize

DENSE = "dense"


@dataclass(frozen=True)
class Row:
    """A step of a method beside one of dense training with the same optimiser.

    Attributes:
        method, arch, optimizer: What is measured.
        batch_size, precision, compiled, device, threads: How.
        ms: Milliseconds a step, the median over the rounds; `ms_low` and `ms_high` are the quartiles.
        cpu_ms: Milliseconds of all threads of the process.
        ratio: To the dense step of the same round on as many threads, the median; with quartiles.
        images_per_second: At the median.
        memory_mb: Peak, as records have it; `memory_ratio` is that to dense. None where it was not measured, as it is
            on the most threads only.
        parts: Milliseconds in data, gates, forward, backward and update, medians.
        seconds: Of timing, as asked for.
        provenance: Versions, commit, hardware, threads and when, as records have it.
    """

    method: str
    arch: str
    optimizer: str
    batch_size: int
    precision: str
    compiled: bool
    device: str
    threads: int
    rounds: int
    ms: float
    ms_low: float
    ms_high: float
    cpu_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    images_per_second: float
    memory_mb: float | None
    memory_ratio: float | None
    parts: dict[str, float]
    seconds: float
    provenance: dict[str, Any]

    def plain(self) -> dict[str, object]:
        """The row as JSON takes it."""
        return asdict(self)


def profile(
    methods: Sequence[str],
    archs: Sequence[str],
    wish: ProfileOptions,
    seconds: float = 10.0,
    *,
    threads: Sequence[int] = (),
    memory: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Row]:
    """Yield the rows of each architecture, and of each number of threads; those of dense training first.

    Args:
        methods: Names of methods that take gradient steps; dense training is added.
        archs: Architectures.
        wish: How steps are taken.
        seconds: Of timing, for each architecture and number of threads.
        threads: Numbers of CPU threads; empty: the number that torch uses.
        memory: Whether peak memory is measured, which takes a process a row on a CPU.
        tell: Told what is being done.

    Raises:
        UserError: A method takes no gradient steps, or a name is unknown.
    """
    for name in methods:
        if not issubclass(load_registry().find(name).settings_class, OptimizerSettings):
            raise UserError(f"{name} takes no gradient steps: there is nothing to profile.")
    device = torch.device(wish.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # whose events and memory are measured
    counts = threads or [torch.get_num_threads()]
    learning = [name for name in methods if name != DENSE]
    for arch in archs:
        for count in counts:
            tell(f"{arch}: timing, {pluralize(count, 'thread')}")
            with _use_threads(count):
                rows = _timed(learning, arch, wish, seconds)
                gc.collect()
                if memory and count == max(counts):
                    rows = list(_with_memory(rows, wish, tell))
            yield from rows


@contextmanager
def _use_threads(count: int) -> Iterator[None]:
    """Have torch use that many CPU threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _timed(methods: Sequence[str], arch: str, wish: ProfileOptions, seconds: float) -> list[Row]:
    """The rows of an architecture without their memory.

    Everything that was timed is gone when this returns, so that it is not measured as memory of what comes next.
    """
    subjects = _subjects(methods, arch, wish)
    times = time_steps(subjects, seconds)
    twins = {one.twin: taken for one, taken in zip(subjects, times, strict=True) if one.name == DENSE}
    place = provenance(subjects[0].device)
    rows = [
        _row(subject, taken, twins[subject.twin], seconds, place)
        for subject, taken in zip(subjects, times, strict=True)
    ]
    if wish.compiled:
        torch.compiler.reset()  # what is compiled holds its network
    return rows


def _with_memory(rows: Sequence[Row], wish: ProfileOptions, tell: Callable[[str], None]) -> Iterator[Row]:
    """The rows with their peak memory, dense training's first, which the others are compared with."""
    dense: dict[str, float] = {}
    for row in rows:
        tell(f"{row.arch}: memory of {row.method}")
        held = peak_memory(row.method, row.arch, wish, row.optimizer if row.method == DENSE else "")
        if row.method == DENSE:
            dense[row.optimizer] = held
        yield replace(row, memory_mb=held, memory_ratio=held / dense[row.optimizer])


def _subjects(methods: Sequence[str], arch: str, wish: ProfileOptions) -> list[ProfiledMethod]:
    """The methods, after dense training with each optimiser that one of them has."""
    found = [ProfiledMethod.build(name, arch, wish) for name in methods]
    kinds = sorted({one.twin for one in found} or {"adam"})
    return [*(ProfiledMethod.build(DENSE, arch, wish, kind) for kind in kinds), *found]


def _row(
    subject: ProfiledMethod,
    times: Times,
    dense: Times,
    seconds: float,
    place: dict[str, Any],
) -> Row:
    low, middle, high = 1e3 * np.percentile(times.wall, (25, 50, 75))
    ratio, ratio_low, ratio_high = times.ratio(dense)
    return Row(
        method=subject.name,
        arch=subject.arch,
        optimizer=subject.twin,
        batch_size=subject.wish.batch_size,
        precision=subject.wish.precision,
        compiled=subject.wish.compiled,
        device=subject.device.type,
        threads=torch.get_num_threads(),
        rounds=len(times.wall),
        ms=float(middle),
        ms_low=float(low),
        ms_high=float(high),
        cpu_ms=1e3 * float(np.median(times.cpu)),
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        images_per_second=1e3 * subject.wish.batch_size / float(middle),
        memory_mb=None,
        memory_ratio=None,
        parts={part: 1e3 * float(np.median(times.parts[:, number])) for number, part in enumerate(PARTS)},
        seconds=seconds,
        provenance=place,
    )
