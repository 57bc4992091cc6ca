"""What jobs will cost, from what jobs of their kind did cost."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from slt_bench.benchmark import Job
from slt_bench.records import Found


@dataclass(frozen=True)
class Estimate:
    """The time that jobs take one after another.

    Attributes:
        seconds: For those that could be estimated.
        known, unknown: How many could be, and could not.
        hardware: Where the records come from.
    """

    seconds: float
    known: int
    unknown: int
    hardware: str


def estimate(jobs: Sequence[Job], found: Found) -> Estimate:
    """The cost of jobs by the median time of records with the same method, architecture, data set and budget."""
    times: dict[tuple[str, ...], list[float]] = defaultdict(list)
    hardware: set[str] = set()
    for record in found.records.values():
        if total := record.seconds.get("total"):
            times[_kind(record.job)].append(total)
            hardware.add(str(record.provenance.get("hardware", "an unknown machine")))
    known = [median(times[_kind(job)]) for job in jobs if _kind(job) in times]
    return Estimate(sum(known), len(known), len(jobs) - len(known), " and ".join(sorted(hardware)))


def _kind(job: Job) -> tuple[str, ...]:
    return (job.method, job.arch, job.dataset, job.budget.model_dump_json(), str(job.smoke))
