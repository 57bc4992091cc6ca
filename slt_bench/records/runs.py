"""Runs: what somebody asked for, as a file a run in `results/<benchmark>/runs/`.

From these files, the claims and the records alone, anybody can tell which jobs wait, and end what was submitted; a
scheduler is asked only by the run itself, which writes down what it learns. Reading needs no torch.
"""

import getpass
import os
import shutil
import signal
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from slt_bench.jobs.benchmark import Job
from slt_bench.records.lock import start_time, this_place
from slt_bench.utils.files import add_checksum, make_folder, remove_checksum, write_text

RUNS = "runs"
Executor = Literal["inline", "local", "slurm"]


class Unit(BaseModel):
    """Jobs that one process runs one after another.

    Attributes:
        jobs: Their ids.
        task: SLURM's id, as in 123_4.
        over: Why it will not run any more; empty while it may.
    """

    model_config = ConfigDict(frozen=True)

    jobs: tuple[str, ...]
    task: str = ""
    over: str = ""


class Run(BaseModel):
    """One run.

    Attributes:
        id: Names it.
        executor: inline, local or slurm.
        started: When, UTC.
        host, pid, process, place: The process that was asked; as in `Claim`.
        jobs: All that the selection meant, in its order, those with records included.
        units: Those that were to be run.
        user: Who asked.
        ended: When the run was over, UTC; empty while it is not.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    executor: Executor
    started: str
    host: str
    pid: int
    process: str
    place: str
    jobs: tuple[Job, ...]
    units: tuple[Unit, ...]
    user: str = ""
    ended: str = ""

    def runs_here(self) -> bool:
        """Whether its process lives on this host."""
        return self.is_of_this_host() and self.place == this_place() and start_time(self.pid) == self.process

    def is_of_this_host(self) -> bool:
        """Whether it was asked for on this host."""
        return self.host == socket.gethostname()

    def open_units(self) -> list[Unit]:
        """What may still be run on its account, as far as can be told from here.

        SLURM keeps what it was given; everything else ends with the run's process, which other hosts cannot see.
        """
        if self.ended:
            return []
        lives = self.runs_here()
        return [unit for unit in self.units if not unit.over and (unit.task or lives)]


def begin(folder: Path, executor: Executor, jobs: Sequence[Job], todo: Sequence[Sequence[Job]]) -> Run:
    """Note a run in a benchmark's folder. Runs that are over, and asked for nothing else, are forgotten.

    Args:
        folder: `results/<benchmark>`.
        executor: Who will run it.
        jobs: All that the selection meant.
        todo: What is to be run, a list a unit.

    Raises:
        StorageError: It cannot be written.
    """
    now = datetime.now(UTC)
    run = Run(
        id=f"{now:%Y%m%d-%H%M%S}-{uuid4().hex[:6]}",
        executor=executor,
        started=now.isoformat(timespec="seconds"),
        host=socket.gethostname(),
        pid=os.getpid(),
        process=start_time(os.getpid()),
        place=this_place(),
        jobs=tuple(jobs),
        units=tuple(Unit(jobs=tuple(job.id for job in unit)) for unit in todo),
        user=this_user(),
    )
    make_folder(folder / RUNS)
    asked = {job.id for job in jobs}
    for old in read_runs(folder):
        if not old.open_units() and {job.id for job in old.jobs} <= asked:
            forget(folder, old)
    write(folder, run)
    return run


def write(folder: Path, run: Run) -> None:
    """Publish a run's file."""
    write_text(folder / RUNS / f"{run.id}.json", add_checksum(run.model_dump_json()) + "\n")


def forget(folder: Path, run: Run) -> None:
    """Remove a run's file, and what SLURM wrote on its account."""
    (folder / RUNS / f"{run.id}.json").unlink(missing_ok=True)
    shutil.rmtree(folder / RUNS / run.id, ignore_errors=True)


def this_user() -> str:
    """The user whose process this is."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name belongs to the number
        return str(os.getuid())


def end(folder: Path, run: Run) -> None:
    """Note that a run is over."""
    write(folder, run.model_copy(update={"ended": datetime.now(UTC).isoformat(timespec="seconds")}))


def close_units(folder: Path, run: Run, over: dict[str, str]) -> Run:
    """Note why units will not run any more, by SLURM's id of their task; the run as it is then.

    A run without an open unit is over.
    """
    run = next((now for now in read_runs(folder) if now.id == run.id), run)  # others write it too
    units = tuple(
        unit.model_copy(update={"over": over[unit.task]}) if unit.task in over and not unit.over else unit
        for unit in run.units
    )
    closed = run.model_copy(update={"units": units})
    if closed == run:
        return run
    if not closed.open_units():
        end(folder, closed)
    else:
        write(folder, closed)
    return closed


def read_runs(folder: Path) -> list[Run]:
    """The runs of a benchmark's folder, the oldest first; what is not whole is left out."""
    found = []
    for path in sorted((folder / RUNS).glob("[!.]*.json")):
        try:
            found.append(Run.model_validate_json(remove_checksum(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, ValidationError):
            continue
    return found


def promised(found: Sequence[Run], executor: Executor) -> set[str]:
    """The ids of the jobs that an executor's runs are to start."""
    return {job for run in found if run.executor == executor for unit in run.open_units() for job in unit.jobs}


def stop_process(run: Run) -> bool:
    """Ask the process of a run on this host to stop; whether there was one."""
    if not run.runs_here():
        return False
    os.kill(run.pid, signal.SIGTERM)
    return True
