"""What jobs will cost: from what jobs of their kind did cost, or from a probe of a few steps."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from slt_bench.jobs.benchmark import Job
from slt_bench.records import Record

JobKind = tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """What one job takes.

    Attributes:
        seconds: Of time, from its start to its record.
        threads: CPU threads that it keeps busy meanwhile.
        device: cpu or cuda.
        memory_mb: At its peak, of the process or of the CUDA device; None where unknown.
    """

    seconds: float
    threads: int = 1
    device: str = "cpu"
    memory_mb: float | None = None


@dataclass(frozen=True)
class Costs:
    """What is known of the cost of each kind of job.

    Attributes:
        known: By kind: method, architecture, data set, budget, smoke or not.
        hardware: Where that was measured.
    """

    known: Mapping[JobKind, Cost] = field(default_factory=dict)
    hardware: tuple[str, ...] = ()

    def of(self, job: Job) -> Cost | None:
        """The cost of a job; None where nothing of its kind was measured."""
        return self.known.get(kind(job))

    def seconds(self, job: Job) -> float | None:
        """The time that a job takes; None where unknown."""
        cost = self.of(job)
        return cost.seconds if cost else None

    def total(self, jobs: Sequence[Job]) -> "Total":
        """What jobs cost together."""
        costs = [self.of(job) for job in jobs]
        found = [cost for cost in costs if cost]
        hours = dict.fromkeys(("cpu", "cuda"), 0.0)
        for cost in found:
            hours[cost.device] += cost.seconds / 3600 * (cost.threads if cost.device == "cpu" else 1)
        seconds = sum(cost.seconds for cost in found)
        return Total(seconds, hours["cpu"], hours["cuda"], len(found), len(jobs) - len(found))

    def unknown_kinds(self, jobs: Sequence[Job]) -> list[Job]:
        """One job of each kind of which nothing is known."""
        first = {kind(job): job for job in reversed(jobs)}
        return [job for key, job in reversed(first.items()) if key not in self.known]

    def and_also(self, measured: Mapping[JobKind, Cost], hardware: str) -> "Costs":
        """These and others, which give way to these."""
        return Costs({**measured, **self.known}, tuple(sorted({*self.hardware, hardware})))


@dataclass(frozen=True)
class Total:
    """What jobs cost together.

    Attributes:
        seconds: One after another.
        core_hours, gpu_hours: Of the jobs on CPUs, and of those on CUDA devices.
        known, unknown: Of how many that is known, and of how many it is not.
    """

    seconds: float
    core_hours: float
    gpu_hours: float
    known: int
    unknown: int


def from_records(found: Iterable[Record], device: str = "cpu") -> Costs:
    """Median costs of the records of each kind that were made on such a device: cpu or cuda."""
    by_kind: dict[JobKind, list[Record]] = defaultdict(list)
    hardware: set[str] = set()
    for record in found:
        made_on = record.provenance.get("device", "cpu")
        if record.status != "failed" and made_on == device and record.seconds.get("total"):
            by_kind[kind(record.job)].append(record)
            hardware.add(str(record.provenance.get("hardware", "an unknown machine")))
    return Costs({key: _median(records) for key, records in by_kind.items()}, tuple(sorted(hardware)))


def kind(job: Job) -> JobKind:
    """What jobs of about the same cost have in common."""
    return (job.method, job.arch, job.data_name, job.budget.model_dump_json(), str(job.smoke))


def _median(records: Sequence[Record]) -> Cost:
    last = records[-1].provenance
    peaks = [record.peak_memory_mb for record in records if record.peak_memory_mb]
    return Cost(
        seconds=median(record.seconds["total"] for record in records),
        threads=int(last.get("threads", 1)),
        device=str(last.get("device", "cpu")),
        memory_mb=max(peaks) if peaks else None,
    )
