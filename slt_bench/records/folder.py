"""The results folder: one folder a job, one record a job, and one `records.jsonl` a benchmark for what git keeps.

    results/<benchmark>/<method>-<arch>-<dataset>-s<sparsity>-seed<k>-<id>/
        job.json   curve.csv   ticket.slt   record.json        # record.json is written last: a job with one has ended
        record.superseded-1.json                               # what a rerun replaces
        log.txt   attempts.jsonl   claim   progress.json   checkpoint.safetensors          # while and how it came about
    results/<benchmark>/runs/                                  # what was asked for, and SLURM's own logs

Reading needs no torch. Each record ends with a checksum; one that is cut off or altered is told with its reason, and
never counted.
"""

import csv
import io
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from slt_bench.jobs.benchmark import Job
from slt_bench.utils.errors import UserError
from slt_bench.utils.files import add_checksum, remove_checksum, write_text

RECORD, JOB, CURVE, TICKET, LINES = "record.json", "job.json", "curve.csv", "ticket.slt", "records.jsonl"
SUPERSEDED = "record.superseded-*.json"
GATE_BINS = 20
Status = Literal["done", "diverged", "failed"]


class LayerDensity(BaseModel):
    """How much of a layer the mask keeps.

    Attributes:
        name, shape: Of its weight.
        density: The share of its weights that are kept.
        dead_units: How many of its outputs no kept weight leads to; None where that was not counted.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    shape: tuple[int, ...]
    density: float = Field(ge=0, le=1)
    dead_units: int | None = Field(None, ge=0)


class Record(BaseModel):
    """What one job measured, with everything that is needed to understand and repeat it.

    Attributes:
        schema_version: Of this layout.
        id: The job's id.
        job: The job.
        status: "done"; "diverged"; "failed" (an error). Only "done" is compared.
        reason: Why it is not "done".
        traceback: Of a failure.
        method_version, purity, paper: The method's.
        settings: Every setting, defaults included.
        n: Number of maskable weights.
        unmasked: The share of the network's multiplied numbers that its masks do not decide, in [0, 1], as
            `slt_bench.network.inspection` defines it; None where that was not found out.
        metrics: Accuracies and shares, in [0, 1].
        images: How many images `accuracy` is measured on; None in records of an older suite.
        chance: The accuracy there of always giving the most frequent class, in [0, 1]; None likewise.
        flags: What makes the ticket doubtful.
        layers: Layer densities.
        gate_histogram: How many of the relaxed network's gates lie in each of `GATE_BINS` equal parts of [0, 1] at the
            end; empty where that was not measured.
        seconds: Time spent in each part.
        peak_memory_mb: Of the process, or of the CUDA device; None of a job that was packed with others.
        provenance: Versions, commit, hardware, when.
        weight_hash, mask_hash: Of the frozen network and of the answer.
        data_hash: Of the images and labels; empty in records of an older suite.
        curve: A row an epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    id: str
    job: Job
    status: Status
    reason: str = ""
    traceback: str = ""
    method_version: int
    purity: str
    paper: str = ""
    settings: dict[str, Any]
    n: int = 0
    unmasked: float | None = Field(None, ge=0, le=1)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    images: int | None = Field(None, ge=1)
    chance: float | None = Field(None, ge=0, le=1)
    flags: list[str] = Field(default_factory=list)
    layers: list[LayerDensity] = Field(default_factory=list)
    gate_histogram: list[int] = Field(default_factory=list)
    seconds: dict[str, float] = Field(default_factory=dict)
    peak_memory_mb: float | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)
    weight_hash: str = ""
    mask_hash: str = ""
    data_hash: str = ""
    curve: list[dict[str, float]] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _empty_layers_are_noted(cls, values: Any) -> Any:
        """Older records have a status of their own where a layer kept no weight, which many networks survive."""
        if isinstance(values, dict) and values.get("status") == "collapsed":
            return values | {"status": "done", "reason": "", "flags": [*values.get("flags", []), values["reason"]]}
        return values

    @property
    def accuracy(self) -> float | None:
        """Of the hard mask, in [0, 1], on the split that its budget scores; None where it has none."""
        return self.metrics.get(f"{self.job.budget.scores}_accuracy")


@dataclass
class LoadedRecords:
    """The records of a benchmark, by job id, and what could not be read, by place."""

    records: dict[str, Record] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def only(self, ids: Collection[str]) -> "LoadedRecords":
        """The same with no other records than those."""
        return LoadedRecords({key: record for key, record in self.records.items() if key in ids}, dict(self.problems))

    def under(self, jobs: Iterable[Job]) -> "LoadedRecords":
        """The same records under the names that their jobs have here: a label may have changed since they were made.

        Args:
            jobs: Records of others keep their own.
        """
        known = {job.id: job for job in jobs}
        renamed = {
            key: record.model_copy(update={"job": known[key]}) if key in known else record
            for key, record in self.records.items()
        }
        return LoadedRecords(renamed, dict(self.problems))

    def add(self, text: str, place: str) -> None:
        """Take in a record's JSON, or note why not."""
        try:
            record = Record.model_validate_json(remove_checksum(text))
            _check(record)
        except (ValidationError, ValueError) as error:
            self.problems[place] = _reason(error)
            return
        self.records[record.id] = record


def read(folder: Path) -> LoadedRecords:
    """Every record of a benchmark's folder: its `records.jsonl`, then its job folders, which win.

    A record that was set aside for a rerun counts nowhere until it is put back, nor does its line in `records.jsonl`.
    """
    found = LoadedRecords()
    for number, line in enumerate(_lines(folder / LINES), start=1):
        found.add(line, f"{folder / LINES}:{number}")
    for path in folder.glob(f"*/{SUPERSEDED}") if found.records else ():
        found.records.pop(path.parent.name.rpartition("-")[2], None)
    for path in sorted(folder.glob(f"*/{RECORD}")):
        try:
            found.add(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            found.problems[str(path)] = str(error)
    return found


def read_one(folder: Path) -> Record:
    """The record in a job's own folder.

    Raises:
        UserError: There is none, or it is damaged.
    """
    found = LoadedRecords()
    try:
        found.add((folder / RECORD).read_text(encoding="utf-8"), str(folder / RECORD))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"There is no record to read in {folder}: {error}.") from error
    for place, reason in found.problems.items():
        raise UserError(f"{place} is not a record: {reason}.")
    return next(iter(found.records.values()))


def write(folder: Path, record: Record) -> None:
    """Publish a job's record, and its curve beside it, in the job's own folder."""
    if record.curve:
        write_text(folder / CURVE, curve_csv(record.curve))
    else:  # of an earlier run
        (folder / CURVE).unlink(missing_ok=True)
    write_text(folder / RECORD, add_checksum(record.model_dump_json(indent=1)) + "\n")


def curve_csv(curve: Sequence[dict[str, float]]) -> str:
    """A curve as CSV, a row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(curve[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve)
    return text.getvalue()


def check_writable(results: Path) -> None:
    """Find out whether results can be written, without leaving a trace.

    Raises:
        UserError: They cannot.
    """
    nearest = results.absolute()
    try:
        while not nearest.exists():
            nearest = nearest.parent
        probe = nearest / f".slt_bench-write-test-{uuid4().hex}"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"The results folder {results} is not writable: {error.strerror} at {nearest}.") from error


@dataclass
class Merged:
    """What a merge did: ids of records that were added, replaced, there already, and that differ."""

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def merge(sources: Iterable[Path], into: Path) -> Merged:
    """Gather the records of several benchmark folders into one `records.jsonl`.

    Nothing there is overwritten but a failure by what did not fail, an older version of a method by a newer one, and a
    record by one of the same outcome that tells more.

    Args:
        sources: Folders as `results/<benchmark>`, of the same benchmark; smoke records are left behind.
        into: The folder whose `records.jsonl` is written.

    Raises:
        UserError: A source has no records.
    """
    own = LoadedRecords()
    for number, line in enumerate(_lines(into / LINES), start=1):
        own.add(line, f"{into / LINES}:{number}")
    result = Merged(problems=dict(own.problems))
    for source in sources:
        found = read(source)
        if not found.records:
            raise UserError(f"There are no records in {source}.")
        result.problems |= found.problems
        for record in found.records.values():
            if record.job.smoke:
                continue
            kind = _place(own.records.get(record.id), record)
            getattr(result, kind).append(record.id)
            if kind in ("added", "replaced"):
                own.records[record.id] = record
    if result.problems and any(place.startswith(str(into / LINES)) for place in result.problems):
        raise UserError(f"{into / LINES} has lines that cannot be read, and is left as it is: {result.problems}.")
    into.mkdir(parents=True, exist_ok=True)
    ordered = sorted(own.records.values(), key=lambda record: record.job.folder)
    write_text(into / LINES, "".join(add_checksum(record.model_dump_json()) + "\n" for record in ordered))
    return result


def _place(known: Record | None, record: Record) -> Literal["added", "replaced", "same", "conflicts"]:
    """What becomes of a record beside the one that is there."""
    if known is None:
        return "added"
    if _outcome(known, record) == _outcome(record, known):
        return "replaced" if _measured(record) > _measured(known) else "same"
    better = (record.method_version, record.status != "failed") > (known.method_version, known.status != "failed")
    return "replaced" if better else "conflicts"


def _outcome(record: Record, other: Record) -> tuple[Any, ...]:
    """What must agree where a job ran twice: everything but times, memory and place, as far as both measured it."""
    metrics = {name: value for name, value in record.metrics.items() if name in other.metrics}
    return (record.status, record.method_version, record.settings, metrics, record.mask_hash, record.weight_hash)


def _measured(record: Record) -> set[str]:
    """What a record holds that those of an older suite may lack."""
    parts = {"gate_histogram": bool(record.gate_histogram)}
    parts["dead_units"] = any(layer.dead_units is not None for layer in record.layers)
    return {*record.metrics, *(name for name, there in parts.items() if there)}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The records in {path} cannot be read: {error}.") from error


def _check(record: Record) -> None:
    if record.id != record.job.id:
        raise ValueError(f"its id {record.id} is not its job's, {record.job.id}")
    numbers = (*record.metrics.values(), *(value for row in record.curve for value in row.values()))
    if any(value is not None and not math.isfinite(value) for value in numbers):
        raise ValueError("it holds a number that is not finite")


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
