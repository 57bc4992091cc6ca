"""The state of every job, from files alone.

done, diverged, failed   as its record says
stale      its method has changed since its record was made
running    a living process holds its claim
waiting    a run that is not over is to start it
stopped    it was begun, submitted, or to be run again, and its run ended before it did
dead       the process that holds its claim is gone
missing    nobody has begun it
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from slt_bench import records
from slt_bench.jobs.benchmark import Job
from slt_bench.records import LoadedRecords, Record
from slt_bench.records.attempts import kept_fraction, read_attempts, read_progress
from slt_bench.records.lock import JobLock, is_alive, read_claim
from slt_bench.records.runs import Run, read_runs
from slt_bench.records.staleness import is_stale
from slt_bench.records.superseded import superseded
from slt_bench.registry import Registry, fingerprints, load_registry
from slt_bench.utils.text import pluralize

State = Literal["done", "diverged", "failed", "stale", "running", "waiting", "stopped", "dead", "missing"]
ENDED: tuple[State, ...] = ("done", "diverged")
OPEN = ("running", "waiting", "stopped", "dead", "missing")
ORDER: tuple[State, ...] = (
    "done", "diverged", "failed", "stale", "running", "waiting", "stopped", "dead", "missing",
)  # fmt: skip


@dataclass(frozen=True)
class JobStatuses:
    """The states of a benchmark's jobs, by id.

    Attributes:
        states: By job id.
        found: The records.
        details: In words, what the state alone does not tell, by job id.
        fractions: How far running jobs are, in [0, 1], by job id.
        runs: Those of the folder.
    """

    states: dict[str, State]
    found: LoadedRecords
    details: dict[str, str] = field(default_factory=dict)
    fractions: dict[str, float] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state; only states that occur."""
        counter = Counter(self.states.values())
        return {state: counter[state] for state in ORDER if counter[state]}

    def data_changes(self, jobs: Sequence[Job]) -> list[str]:
        """Say which class folders have changed: a sentence for each path that has records of other images.

        Args:
            jobs: Those that are shown. The first one on a path is of the present images.
        """
        present = {job.dataset: job.data_hash for job in reversed(jobs) if job.data_hash}
        told: list[str] = []
        for name, content in present.items():
            others = [
                record
                for record in self.found.records.values()
                if record.job.dataset == name and record.job.data_hash != content
            ]
            if others:
                ended = max(str(record.provenance.get("ended", "")) for record in others)
                contents = sorted({record.job.data_hash[:8] or "unknown" for record in others})
                told.append(
                    f"The images of {name} have changed{f' since {ended[:16]}' if ended else ''}: "
                    f"{pluralize(len(others), 'record')} here are of other images (content {', '.join(contents)}, now "
                    f"{content[:8]}). These records stay as they are; jobs on the present images are others."
                )
        return told

    def in_state(self, jobs: Sequence[Job], *states: str) -> list[Job]:
        """The jobs that are in one of these states."""
        return [job for job in jobs if self.states[job.id] in states]


def job_status(
    jobs: Sequence[Job],
    folder: Path,
    registry: Callable[[], Registry] = load_registry,
    found: LoadedRecords | None = None,
) -> JobStatuses:
    """The state of each job, from the files in a benchmark's folder.

    Args:
        jobs: Which.
        folder: `results/<benchmark>`.
        registry: Loads the methods; called only where the sources do not tell whether a record is stale.
        found: The folder's records, where they were read already.
    """
    overview = JobStatuses({}, records.read(folder) if found is None else found, runs=read_runs(folder))
    waiting = {job: run for run in overview.runs for unit in run.open_units() for job in unit.jobs}
    over = {job: unit.over for run in overview.runs for unit in run.units if unit.over for job in unit.jobs}
    over_tasks = {unit.task for run in overview.runs for unit in run.units if unit.over and unit.task}
    codes = fingerprints()
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    for job in jobs:
        record = overview.found.records.get(job.id)
        place = folder / job.folder
        claim = read_claim(place) if job.folder in present else None
        state = _state(place, record, claim, over_tasks, lambda record: is_stale(record, registry, codes))
        if job.id in waiting and state != "running" and record is None:
            state = "waiting"
        elif state == "missing" and (job.id in over or (job.folder in present and _was_begun(place))):
            state = "stopped"
        overview.states[job.id] = state
        if state in ("running", "dead", "stopped"):
            overview.details[job.id] = _details(state, place, claim, over.get(job.id, ""))
            overview.fractions[job.id] = read_progress(place) or kept_fraction(place) or 0.0
        elif record and record.reason:
            overview.details[job.id] = record.reason
        elif state == "waiting":
            overview.details[job.id] = f"{waiting[job.id].executor}, since {waiting[job.id].started}"
    return overview


def _was_begun(folder: Path) -> bool:
    return bool(read_attempts(folder) or superseded(folder))


def _state(
    folder: Path, record: Record | None, claim: JobLock | None, over: set[str], stale: Callable[[Record], bool]
) -> State:
    if claim and claim.task not in over and is_alive(folder, claim):
        return "running"
    if record is None:
        return "dead" if claim else "missing"
    if record.status == "failed":  # without a result there is nothing to be stale, and `--rerun failed` means it
        return "failed"
    return "stale" if stale(record) else record.status


def _details(state: State, folder: Path, claim: JobLock | None, over: str) -> str:
    """Who is or was at a job, how far it is, and why it stopped."""
    attempts = read_attempts(folder)
    last = attempts[-1] if attempts else None
    words = [f"attempt {last.number}"] if last else []
    if claim:
        words.append(f"process {claim.pid} on {claim.host}" + (f", SLURM task {claim.task}" if claim.task else ""))
    if state == "stopped":
        words += [last.outcome or "killed"] if last else []
        words += [over] if over else []
    if aside := superseded(folder):
        words.append(f"its last record, {aside[-1].name}, was set aside for a rerun")
    kept = kept_fraction(folder)
    if state == "running":
        words.append(f"{100 * (read_progress(folder) or kept or 0):.0f}%")
    else:
        words.append(f"checkpoint at {100 * kept:.0f}%" if kept else "no checkpoint")
    return "; ".join(words)
