"""One job, from its plain description to its record; whatever the method does, there is a record."""

import contextlib
import logging
import traceback
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from slt_bench import records
from slt_bench.data.catalogue import known_hash
from slt_bench.execution.worker.checkpoint_writer import JobCheckpointWriter
from slt_bench.execution.worker.measure import CANDIDATE, measuring
from slt_bench.execution.worker.signals import Stopper
from slt_bench.execution.worker.task_spec import Context
from slt_bench.jobs.benchmark import Job, resolve_settings
from slt_bench.records import Record
from slt_bench.records.attempts import read_attempts
from slt_bench.registry import load_registry
from slt_bench.training.divergence import Diverged
from slt_bench.training.loop import OnStep
from slt_bench.training.step import Driven, drive
from slt_bench.utils.device import pick_device
from slt_bench.utils.errors import StorageError
from slt_bench.utils.files import storage_error
from slt_bench.utils.machine import keep_freed_memory, peak_memory_mb, provenance, reset_peak_memory

log = logging.getLogger("slt_bench.job")


def run_job(
    job: Job, folder: Path, context: Context, on_step: OnStep = lambda _: None, stopper: Stopper | None = None
) -> Record:
    """As `running`, with the steps of its search taken."""
    return drive(running(job, folder, context, on_step, stopper))


def running(
    job: Job,
    folder: Path,
    context: Context,
    on_step: OnStep = lambda _: None,
    stopper: Stopper | None = None,
    packed: int = 1,
) -> Driven[Record]:
    """Run a job and write its files into its folder; the record is written last, in place of the one that was there.

    The steps of its search are yielded.

    Args:
        job: What to run.
        folder: The job's own folder. A checkpoint in it is gone on from.
        context: Where.
        on_step: Told the part of the search that is done, in [0, 1].
        stopper: Knows whether this process is to stop.
        packed: How many jobs take their steps together with this one's, itself among them.

    Returns:
        The record, also of a failure.

    Raises:
        Stopped: That was asked for; there is no record, and a checkpoint if there was something to keep.
        StorageError: The files cannot be written.
    """
    registry = load_registry()
    method_class, code = registry.find(job.method), registry.codes.get(job.method, "")
    device = torch.device(pick_device(context.device))
    identity = {"job": job.id, "version": method_class.version, "code": code, "device": device.type}
    keeper = JobCheckpointWriter(folder, identity, context.checkpoint_seconds, stopper or Stopper())
    if context.threads:
        torch.set_num_threads(context.threads)
    keep_freed_memory()
    start = perf_counter()
    try:
        reset_peak_memory(device)
        measured = yield from measuring(job, folder, context.data_root, device, keeper, on_step)
    except StorageError:
        raise
    except Diverged as error:
        measured = {"status": "diverged", "reason": str(error), "curve": error.curve}
    except (Exception, SystemExit) as error:
        log.exception("failed")
        measured = _failure(f"{type(error).__name__}: {error}", traceback.format_exc())
    with contextlib.suppress(RuntimeError, AssertionError):
        peak = peak_memory_mb(device) if packed == 1 else None  # of a pack, nobody knows whose it is
        measured = {"peak_memory_mb": peak} | measured
    measured = {"seconds": {"total": perf_counter() - start}} | measured
    place = _provenance(device) | {"method_code": code, "attempts": len(read_attempts(folder)) or 1, "packed": packed}
    extra = {"provenance": place}
    record = Record.model_validate(_frame(job).model_dump() | measured | extra)
    keeper.stopper.check()
    _publish(folder, record)
    if record.status != "failed":
        keeper.remove()
    return record


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
