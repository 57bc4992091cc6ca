"""One job, from its plain description to its record; whatever the method does, there is a record."""

import contextlib
import gc
import logging
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from slt_bench import records
from slt_bench.data.catalogue import known_hash
from slt_bench.data.dataset import locked_test_split
from slt_bench.execution.worker.checkpoint_writer import JobCheckpointWriter
from slt_bench.execution.worker.log import in_turn
from slt_bench.execution.worker.measure import CANDIDATE, Measurement
from slt_bench.execution.worker.signals import Stopper
from slt_bench.execution.worker.task_spec import Context
from slt_bench.jobs.benchmark import Job, resolve_settings
from slt_bench.records import Record
from slt_bench.records.attempts import read_attempts
from slt_bench.registry import load_registry
from slt_bench.training.divergence import Diverged
from slt_bench.training.loop import train
from slt_bench.training.search import OnStep, Search
from slt_bench.utils.device import pick_device
from slt_bench.utils.errors import StorageError
from slt_bench.utils.files import storage_error
from slt_bench.utils.machine import keep_freed_memory, peak_memory_mb, provenance, reset_peak_memory

log = logging.getLogger("slt_bench.job")


def run_job(
    job: Job, folder: Path, context: Context, on_step: OnStep = lambda _: None, stopper: Stopper | None = None
) -> Record:
    """Run one job; the arguments and errors are those of `JobRun` and `learn`."""
    stopper = stopper or Stopper()
    run = JobRun(job, folder, context, on_step, stopper)
    learn([run], stopper)
    return run.finish()


class JobRun:
    """One job at work. First `learn` takes it to its ticket, then `finish` scores that and writes the record.

    Args:
        job: What to run.
        folder: The job's own folder. A search goes on from a checkpoint in it.
        context: Where.
        on_step: Called with the fraction of the search that is done, in [0, 1].
        stopper: Knows whether this process is to stop.
        packed: How many jobs take their steps together with this one's, itself among them.
    """

    def __init__(
        self, job: Job, folder: Path, context: Context, on_step: OnStep, stopper: Stopper, packed: int = 1
    ) -> None:
        registry = load_registry()
        self.job, self.folder, self.on_step, self.packed = job, folder, on_step, packed
        self.device = torch.device(pick_device(context.device))
        self.code = registry.codes.get(job.method, "")
        version = registry.find(job.method).version
        identity = {"job": job.id, "version": version, "code": self.code, "device": self.device.type}
        self.keeper = JobCheckpointWriter(folder, identity, context.checkpoint_seconds, stopper)
        self.measurement = Measurement(job, folder, context.data_root, self.device)
        self.search: Search | None = None
        self.failure: dict[str, Any] | None = None
        self.start = perf_counter()
        if context.threads:
            torch.set_num_threads(context.threads)
        keep_freed_memory()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Run the block for this job: what it logs goes into the job's log, and an error ends only this job.

        Raises:
            StorageError: The files cannot be written.
        """
        with in_turn(self.folder):
            try:
                yield
            except StorageError:
                raise
            except Diverged as error:
                self.failure = {"status": "diverged", "reason": str(error), "curve": error.curve}
            except (Exception, SystemExit) as error:
                log.exception("failed")
                self.failure = _failure(f"{type(error).__name__}: {error}", traceback.format_exc())

    def fail(self, reason: str) -> None:
        """Give the job up, if there is a reason to."""
        if reason:
            self.failure = _failure(reason, "")

    def begin(self) -> None:
        """Build the search, unless the job was given up."""
        if self.failure:
            return
        with self.turn():
            reset_peak_memory(self.device)
            self.search = self.measurement.begin(on_step=self.on_step, keeper=self.keeper, around=self.turn)

    def end(self) -> None:
        """Take the ticket of the search, and drop the search."""
        if self.search and not self.failure:
            with self.turn():
                self.measurement.end(self.search)
        self.search = None

    def finish(self) -> Record:
        """Score the ticket, and write the record in place of one that was there.

        Returns:
            The record, also of a failure.

        Raises:
            Stopped: That was asked for; there is no record.
            StorageError: The files cannot be written.
        """
        measured: dict[str, Any] = {}
        if not self.failure:
            with self.turn():
                measured = self.measurement.score()
        measured = {"seconds": {"total": perf_counter() - self.start}} | (self.failure or measured)
        with contextlib.suppress(RuntimeError, AssertionError):
            measured["peak_memory_mb"] = peak_memory_mb(self.device) if self.packed == 1 else None
        made = {"method_code": self.code, "attempts": len(read_attempts(self.folder)) or 1, "packed": self.packed}
        measured["provenance"] = _provenance(self.device) | made
        record = Record.model_validate(_frame(self.job).model_dump() | measured)
        self.keeper.stopper.check()
        _publish(self.folder, record)
        if record.status != "failed":
            self.keeper.remove()
        return record


def learn(runs: Sequence[JobRun], stopper: Stopper) -> None:
    """Train the searches of jobs side by side and take their tickets.

    Raises:
        Stopped: That was asked for; each search has left a checkpoint if there was something to keep.
        StorageError: The files cannot be written.
    """
    methods = ", ".join(dict.fromkeys(run.job.method for run in runs))
    with locked_test_split(f"{methods} learns"):
        for run in runs:
            run.begin()
        with stopper.deferred():
            train([run.search for run in runs if run.search])
        for run in runs:
            run.end()
    gc.collect()
    stopper.check()  # Python swallows what a signal raises while an object is being deleted


def _provenance(device: torch.device) -> dict[str, Any]:
    """Where the job ran, also where the device is what failed."""
    try:
        return provenance(device)
    except (RuntimeError, AssertionError):
        return provenance(torch.device("cpu")) | {"device": device.type}


def failed_record(job: Job, reason: str) -> Record:
    """The record of a job that ended without saying anything itself."""
    return Record.model_validate(_frame(job).model_dump() | _failure(reason, ""))


def _frame(job: Job) -> Record:
    """What a record says before anything was measured."""
    registry = load_registry()
    method_class = registry.find(job.method)
    return Record(
        id=job.id,
        job=job,
        status="failed",
        method_version=method_class.version,
        purity=method_class.purity,
        paper=method_class.paper,
        settings=resolve_settings(job.method, job.settings, registry).model_dump(mode="json"),
        data_hash=job.data_hash or known_hash(job.dataset),
    )


def _failure(reason: str, trace: str) -> dict[str, object]:
    return {"status": "failed", "reason": reason, "traceback": trace}


def _publish(folder: Path, record: Record) -> None:
    """The ticket under its own name, then the record; a record without a ticket leaves none of an earlier run."""
    candidate, ticket = folder / CANDIDATE, folder / records.TICKET
    try:
        if record.mask_hash:
            candidate.replace(ticket)
        else:
            candidate.unlink(missing_ok=True)
            ticket.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(ticket, error) from error
    records.write(folder, record)
