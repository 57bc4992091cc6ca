"""How jobs become job arrays: grouped by what they need, short ones bundled, long arrays cut."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from slt_bench.jobs.benchmark import Job

UNKNOWN_MINUTES = 240  # for a task whose jobs nobody has measured
LEAST_MINUTES = 30
MARGIN = 2.0  # a machine may be that much slower than the one that was measured


@dataclass(frozen=True, order=True)
class Needs:
    """What a job needs of a machine.

    Attributes:
        cpus: Cores.
        mem_gb: Memory of the host in GiB.
        gpus: CUDA devices.
    """

    cpus: int
    mem_gb: int
    gpus: int = 0


@dataclass(frozen=True)
class Array:
    """A job array to submit.

    Attributes:
        needs: Of each of its tasks.
        units: The jobs of each task.
        minutes: The time limit of a task.
        parallel: How many tasks may run at once.
    """

    needs: Needs
    units: tuple[tuple[Job, ...], ...]
    minutes: int
    parallel: int


def arrange(
    jobs: Sequence[Job],
    needs: Callable[[Job], Needs],
    seconds: Callable[[Job], float | None],
    *,
    max_parallel: int,
    bundle_minutes: float,
    max_array: int,
    pack: int = 1,
) -> list[Array]:
    """Job arrays for jobs, in which every job stands once, in its order.

    Args:
        jobs: To be submitted.
        needs: Of a job.
        seconds: That a job takes; None where unknown. Such a job is a task of its own.
        max_parallel: How many tasks may run at once, over all arrays; each array gets its share, at least 1.
        bundle_minutes: Jobs are put together in a task until it takes about that long, as long as every place that may
            run at once still has a task.
        max_array: How many tasks an array may have.
        pack: How many jobs take their steps together: so many are a task, with memory for all of them.
    """
    groups: dict[Needs, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[needs(job)].append(job)
    cut: list[tuple[Needs, tuple[tuple[Job, ...], ...]]] = []
    for need, members in groups.items():
        units = packs(members, pack) if pack > 1 else _bundle(members, seconds, 60 * bundle_minutes, max_parallel)
        whole = replace(need, mem_gb=need.mem_gb * min(pack, max(map(len, units))))
        cut += [(whole, tuple(units[start : start + max_array])) for start in range(0, len(units), max_array)]
    tasks = sum(len(units) for _, units in cut)
    return [
        Array(need, units, _minutes(units, seconds), max(1, min(len(units), round(max_parallel * len(units) / tasks))))
        for need, units in cut
    ]


def packs(jobs: Sequence[Job], size: int) -> list[tuple[Job, ...]]:
    """The jobs in packs of at most `size`, each of one architecture, data set and budget; as they are if that is 1."""
    if size == 1:
        return [(job,) for job in jobs]
    alike: dict[tuple[object, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        alike[job.arch, job.data_name, job.budget, job.smoke].append(job)
    return [tuple(kind[start : start + size]) for kind in alike.values() for start in range(0, len(kind), size)]


def _bundle(
    jobs: Sequence[Job], seconds: Callable[[Job], float | None], target: float, places: int
) -> list[tuple[Job, ...]]:
    most = max(1, len(jobs) // places)  # in a task, so that no place stays empty
    units: list[list[Job]] = []
    room, unit_time = 0, 0.0
    for job in jobs:
        time = seconds(job)
        if time is None or room == 0 or unit_time + time > target:
            units.append([])
            room, unit_time = most, 0.0
        units[-1].append(job)
        room = 0 if time is None else room - 1
        unit_time += time or 0.0
    return [tuple(unit) for unit in units]


def _minutes(units: Sequence[Sequence[Job]], seconds: Callable[[Job], float | None]) -> int:
    least, longest = LEAST_MINUTES, 0.0
    for unit in units:
        times = [seconds(job) for job in unit]
        if None in times:
            least = UNKNOWN_MINUTES
        longest = max(longest, sum(time or 0.0 for time in times))
    return max(least, ceil(MARGIN * longest / 60))
