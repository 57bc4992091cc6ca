"""Steps of several subjects, timed in one process, one after the other, again and again.

Machines are shared and slow down together, so a round takes a few steps of every subject in turn, and a ratio is the
median of the rounds' ratios. Within a round a subject's steps follow each other, as in a search: some methods do more
in every fourth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter, process_time
from typing import Protocol

import numpy as np
import torch

from slt_bench.profiling.subject import PARTS

WARM = 3  # steps before: a compiled one is made in the first, and may be made again in the second
RUN = 4  # steps of a subject in a round
GOLDEN = 0.618034  # of a search, from one round's place in it to the next's: all over it in few rounds


@dataclass(frozen=True)
class Times:
    """What was timed of one subject.

    Attributes:
        wall: (rounds,) seconds a step, the mean over the round's; on CUDA until the device has ended it.
        cpu: (rounds,) seconds of all threads of this process, likewise.
        parts: (rounds, parts) seconds in each of `PARTS`, likewise; what is left of `wall` belongs to none.
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

    def step(self, fraction: float, lap: Callable[[str], None]) -> object:
        """One step; `lap` is told the parts of `PARTS` as they end."""


def time_steps(subjects: Sequence[Steps], seconds: float, least_rounds: int = 2) -> list[Times]:
    """Time rounds of `RUN` steps of each subject, after `WARM` ones that are not timed.

    Args:
        subjects: On one device.
        seconds: How long to go on.
        least_rounds: And at least so many rounds.
    """
    for subject in subjects:
        _run(subject, 0.0, WARM)
    rounds: list[list[np.ndarray]] = []
    start = perf_counter()
    while len(rounds) < least_rounds or perf_counter() - start < seconds:
        place = (0.5 + GOLDEN * len(rounds)) % 1 * 0.99
        rounds.append([_run(subject, place, RUN) for subject in subjects])
    return [Times(*_columns(np.array(taken))) for taken in zip(*rounds, strict=True)]


def _run(subject: Steps, place: float, steps: int) -> np.ndarray:
    """Steps from a place of a search on: wall time, processor time, and the parts', in seconds a step."""
    taken = []
    for step in range(steps):
        watch = _CudaWatch() if subject.device.type == "cuda" else _Watch()
        subject.step(place + step * 1e-5, watch.lap)
        wall, cpu, parts = watch.end()
        taken.append([wall, cpu, *parts])
    means: np.ndarray = np.mean(taken, axis=0)
    return means


def _columns(taken: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return taken[:, 0], taken[:, 1], taken[:, 2:]


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
