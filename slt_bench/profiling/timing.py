"""Steps of several subjects, timed in one process, one after the other, again and again.

Machines are shared and slow down together, so a round takes one step of every subject, and a ratio is the median of
the rounds' ratios.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter, process_time
from typing import Protocol

import numpy as np
import torch

from slt_bench.profiling.subject import PARTS

WARM_UP = 3  # rounds that are not counted


@dataclass(frozen=True)
class Times:
    """What was timed of one subject.

    Attributes:
        wall: (rounds,) seconds a step; on CUDA until the device has ended it.
        cpu: (rounds,) seconds of all threads of this process.
        parts: (rounds, parts) seconds in each of `PARTS`; what is left between them and `wall` belongs to none.
    """

    wall: np.ndarray
    cpu: np.ndarray
    parts: np.ndarray

    def ratio(self, other: "Times") -> tuple[float, float, float]:
        """How many of the other's steps a step costs: median, lower and upper quartile over the rounds."""
        low, middle, high = np.percentile(self.wall / other.wall, (25, 50, 75))
        return float(middle), float(low), float(high)


class Steps(Protocol):
    """What takes steps on a device, as a `Subject` does; `step` ends with a lap."""

    @property
    def device(self) -> torch.device:
        """Where."""

    def step(self, fraction: float, lap: Callable[[str], None]) -> None:
        """One step; `lap` is told the parts of `PARTS` as they end."""


def time_steps(subjects: Sequence[Steps], seconds: float, least_rounds: int = 5) -> list[Times]:
    """Time rounds of one step of each subject, after a few that warm up.

    Args:
        subjects: On one device.
        seconds: How long to go on.
        least_rounds: And at least so many rounds.
    """
    taken: list[list[tuple[float, float, list[float]]]] = [[] for _ in subjects]
    start = perf_counter()
    rounds = -WARM_UP
    while rounds < least_rounds or perf_counter() - start < seconds:
        if rounds == 0:
            start = perf_counter()
        for subject, times in zip(subjects, taken, strict=True):
            watch = _CudaWatch() if subject.device.type == "cuda" else _Watch()
            subject.step((max(rounds, 0) % 100) / 100, watch.lap)
            timed = watch.end()
            if rounds >= 0:
                times.append(timed)
        rounds += 1
    return [
        Times(
            np.array([wall for wall, _, _ in times]),
            np.array([cpu for _, cpu, _ in times]),
            np.array([parts for _, _, parts in times]),
        )
        for times in taken
    ]


class _Watch:
    """Laps of one step by the clock."""

    def __init__(self) -> None:
        self.cpu, self.start = process_time(), perf_counter()
        self.laps = dict.fromkeys(PARTS, 0.0)
        self.last = self.start

    def lap(self, part: str) -> None:
        now = perf_counter()
        self.laps[part] = now - self.last
        self.last = now

    def end(self) -> tuple[float, float, list[float]]:
        return self.last - self.start, process_time() - self.cpu, list(self.laps.values())


class _CudaWatch:
    """Laps of one step by events of the device, so that nothing waits within the step."""

    def __init__(self) -> None:
        torch.cuda.synchronize()
        self.cpu, self.start = process_time(), perf_counter()
        self.events = {"": self._event()}

    def lap(self, part: str) -> None:
        self.events[part] = self._event()

    def end(self) -> tuple[float, float, list[float]]:
        torch.cuda.synchronize()
        wall, cpu = perf_counter() - self.start, process_time() - self.cpu
        marks = list(self.events.values())
        return wall, cpu, [one.elapsed_time(two) / 1000 for one, two in pairwise(marks)]

    @staticmethod
    def _event() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
