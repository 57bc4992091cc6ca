"""The state of every job, from files alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slt_bench import records
from slt_bench.benchmark import Job, resolve_settings
from slt_bench.claims import is_alive, read_claim
from slt_bench.plugins import Registry
from slt_bench.records import Found, Record

State = Literal["done", "collapsed", "diverged", "failed", "stale", "running", "dead", "missing"]
ENDED = ("done", "collapsed", "diverged")
ORDER: tuple[State, ...] = ("done", "collapsed", "diverged", "failed", "stale", "running", "dead", "missing")


@dataclass(frozen=True)
class Overview:
    """The states of a benchmark's jobs, by id, and the records that were found."""

    states: dict[str, State]
    found: Found

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state; only states that occur."""
        counter = Counter(self.states.values())
        return {state: counter[state] for state in ORDER if counter[state]}

    def in_state(self, jobs: Sequence[Job], *states: str) -> list[Job]:
        """The jobs that are in one of these states."""
        return [job for job in jobs if self.states[job.id] in states]


def look(jobs: Sequence[Job], folder: Path, registry: Registry) -> Overview:
    """The state of each job, from the records and claims in a benchmark's folder."""
    found = records.read(folder)
    states = {job.id: _state(folder / job.folder, found.records.get(job.id), registry) for job in jobs}
    return Overview(states, found)


def _state(folder: Path, record: Record | None, registry: Registry) -> State:
    claim = read_claim(folder)
    if claim and is_alive(folder, claim):
        return "running"
    if record is None:
        return "dead" if claim else "missing"
    return "stale" if is_stale(record, registry) else record.status


def is_stale(record: Record, registry: Registry) -> bool:
    """Whether the record's method has changed since: another version, or other defaults."""
    method = registry.methods.get(record.job.method)
    if method is None or method.version != record.method_version:
        return method is not None
    return bool(
        record.settings != resolve_settings(record.job.method, record.job.settings, registry).model_dump(mode="json")
    )
