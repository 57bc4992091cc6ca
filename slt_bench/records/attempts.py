"""The attempts at a job: one line when one starts and one when it ends, in the job's folder; and how far it is.

Only the holder of the job's claim writes. A process that is killed leaves a start without an end.
"""

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open

from slt_bench.utils.files import storage_error

ATTEMPTS, PROGRESS, CHECKPOINT = "attempts.jsonl", "progress.json", "checkpoint.safetensors"


class Attempt(BaseModel):
    """One attempt at a job.

    Attributes:
        number: From 1.
        host, pid: Where it ran.
        executor: inline, local or slurm.
        task: SLURM's id of the task, as in 123_4; empty elsewhere.
        started, ended: When, UTC; no end where the process was killed, or still runs.
        outcome: How it ended: a record's status, or why there is none.
        resumed: The part of the search that its checkpoint held when it started, in [0, 1]; None without one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    host: str = ""
    pid: int = 0
    executor: str = ""
    task: str = ""
    started: str = ""
    ended: str = ""
    outcome: str = ""
    resumed: float | None = None


def read_attempts(folder: Path) -> list[Attempt]:
    """Every attempt at a job, the first one first; lines that cannot be read are left out."""
    try:
        lines = (folder / ATTEMPTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    found: dict[int, Attempt] = {}
    for line in lines:
        try:
            values = json.loads(line)
            earlier = found[values["number"]].model_dump() if values.get("number") in found else {}
            found[values["number"]] = Attempt.model_validate(earlier | values)
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
            continue
    return [found[number] for number in sorted(found)]


def start_attempt(folder: Path, executor: str) -> int:
    """Note that this process begins an attempt; its number."""
    number = max((attempt.number for attempt in read_attempts(folder)), default=0) + 1
    values = {
        "number": number,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "executor": executor,
        "task": task_id(),
        "started": _now(),
        "resumed": kept_fraction(folder),
    }
    _append(folder, values)
    return number


def end_attempt(folder: Path, number: int, outcome: str) -> None:
    """Note how an attempt ended."""
    _append(folder, {"number": number, "ended": _now(), "outcome": outcome})
    with contextlib.suppress(OSError):
        (folder / PROGRESS).unlink(missing_ok=True)


def task_id(environment: Mapping[str, str] = os.environ) -> str:
    """SLURM's id of the task that this process is, as squeue prints it; empty outside of SLURM."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID", "")


def write_progress(folder: Path, fraction: float) -> None:
    """Say how far the search is; a hint for whoever looks, so that no error of it matters."""
    temporary = folder / f".{PROGRESS}"
    try:
        temporary.write_text(json.dumps({"fraction": round(fraction, 5)}), encoding="utf-8")
        temporary.replace(folder / PROGRESS)
    except OSError:
        return


def read_progress(folder: Path) -> float | None:
    """The part of the search that is done, in [0, 1], as far as a running job has said."""
    try:
        return float(json.loads((folder / PROGRESS).read_text(encoding="utf-8"))["fraction"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kept_fraction(folder: Path) -> float | None:
    """The part of the search that the checkpoint in a job's folder says to hold; None where there is none to read."""
    try:
        with safe_open(folder / CHECKPOINT, framework="numpy") as file:
            return float(json.loads(file.metadata()["checkpoint"])["fraction"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _append(folder: Path, values: Mapping[str, object]) -> None:
    path = folder / ATTEMPTS
    try:
        with path.open("a+b") as file:
            size = file.tell()
            file.seek(max(0, size - 1))
            fresh = size == 0 or file.read(1) == b"\n"  # else a killed process left half a line
            file.write(("" if fresh else "\n").encode() + json.dumps(values).encode() + b"\n")
    except OSError as error:
        raise storage_error(path, error) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
