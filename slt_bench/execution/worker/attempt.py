"""One attempt at one job, as every executor makes it: claim, log, run, let go."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic

from slt_bench import records
from slt_bench.execution.worker.log import job_log
from slt_bench.execution.worker.run_job import failed_record, running
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task_spec import ProgressListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records import JOB, Record
from slt_bench.records.attempts import Attempt, end_attempt, read_attempts, start_attempt, task_id, write_progress
from slt_bench.records.lock import lock_job
from slt_bench.training.pack import Pack
from slt_bench.training.step import Driven, drive
from slt_bench.utils.errors import StorageError
from slt_bench.utils.files import clear_partial, make_folder, write_text

FRUITLESS_STARTS = 3
PROGRESS_SECONDS = 1.0
log = logging.getLogger("slt_bench.job")


def attempt(
    job: Job,
    work: TaskSpec,
    watcher: ProgressListener,
    stopper: Stopper,
    *,
    captures: bool = False,
    echoes: bool = False,
) -> bool:
    """As `attempting`, with the steps of the job's search taken."""
    return drive(attempting(job, work, watcher, stopper, captures=captures, echoes=echoes))


def attempt_all(
    jobs: Sequence[Job],
    work: TaskSpec,
    watcher: ProgressListener,
    stopper: Stopper,
    *,
    captures: bool = False,
    echoes: bool = False,
) -> list[Job]:
    """Run jobs, as many together as the work's packs hold.

    Args:
        jobs: Of the work.
        work: Where and how.
        watcher: As of `attempting`.
        stopper: As of `attempting`.
        captures: As of `attempting`; what a pack prints goes into the log of its first job.
        echoes: As of `attempting`.

    Returns:
        Those that another living process is at.

    Raises:
        Stopped: That was asked for; every job can go on from its checkpoint.
        StorageError: Files cannot be written.
    """
    elsewhere: list[Job] = []
    suspects = {job.id: job for job in jobs if work.pack > 1 and died(work.folder / job.folder)}
    for pack in [*work.packs([job for job in jobs if job.id not in suspects]), *((job,) for job in suspects.values())]:
        if len(pack) == 1:
            ended = [attempt(pack[0], work, watcher, stopper, captures=captures, echoes=echoes)]
        else:
            first, size = pack[0], len(pack)
            attempts = [
                attempting(job, work, watcher, stopper, captures=captures and job is first, echoes=echoes, packed=size)
                for job in pack
            ]
            ended = Pack(attempts).drive()
        elsewhere += [job for job, over in zip(pack, ended, strict=True) if not over]
    return elsewhere


def attempting(
    job: Job,
    work: TaskSpec,
    watcher: ProgressListener,
    stopper: Stopper,
    *,
    captures: bool = False,
    echoes: bool = False,
    packed: int = 1,
) -> Driven[bool]:
    """Run a job unless somebody else does; yields the steps of its search.

    Args:
        job: One of the work's.
        work: Where and how.
        watcher: Told how it goes.
        stopper: Knows whether this process is to stop.
        captures: As of `job_log`.
        echoes: As of `job_log`.
        packed: As of `running`.

    Returns:
        Whether the job has ended; False where another living process is at it.

    Raises:
        Stopped: That was asked for; the job can go on from its checkpoint.
        StorageError: Its files cannot be written.
    """
    if work.has_ended(job):
        return True
    folder = work.folder / job.folder
    make_folder(folder)
    with lock_job(folder) as mine:
        if not mine:
            return False
        if work.has_ended(job):  # elsewhere, between the two looks
            return True
        clear_partial(folder)
        write_text(folder / JOB, job.model_dump_json(indent=1))
        watcher.started(job)
        with job_log(folder, captures=captures, echoes=echoes), _noted(job, work) as outcome:
            record = yield from _run(job, work, watcher, stopper, packed)
            outcome.append(record.status)
        watcher.ended(record)
    return True


def _run(job: Job, work: TaskSpec, watcher: ProgressListener, stopper: Stopper, packed: int) -> Driven[Record]:
    folder = work.folder / job.folder
    if reason := _why_hopeless(read_attempts(folder)):
        record = failed_record(job, reason)
        records.write(folder, record)
        return record
    last = 0.0

    def on_step(fraction: float) -> None:
        nonlocal last
        watcher.progressed(job, fraction)
        if monotonic() - last > PROGRESS_SECONDS:
            last = monotonic()
            write_progress(folder, fraction)

    return (yield from running(job, folder, work.context_of(job), on_step, stopper, packed))


@contextlib.contextmanager
def _noted(job: Job, work: TaskSpec) -> Iterator[list[str]]:
    """Write the attempt's start and end into the job's folder and log."""
    folder = work.folder / job.folder
    number = start_attempt(folder, work.executor)
    log.info("attempt %d at %s (%s)", number, job.folder, f"{work.executor} {task_id()}".strip())
    outcome: list[str] = []
    try:
        yield outcome
    except (Stopped, StorageError) as error:
        outcome.append(str(error))
        raise
    except BaseException as error:
        outcome.append(f"ended by {type(error).__name__}")
        raise
    finally:
        log.info("attempt %d: %s", number, outcome[-1])
        with contextlib.suppress(StorageError):
            end_attempt(folder, number, outcome[-1])


def died(folder: Path) -> bool:
    """Whether a job's last attempt ended without a word; such a job is in no pack, since it might end the others."""
    attempts = read_attempts(folder)
    return bool(attempts) and not attempts[-1].ended


def _why_hopeless(attempts: list[Attempt]) -> str:
    """The reason not to go on with a job that SLURM starts again and again without its search getting any further."""
    task = task_id()
    own = [attempt for attempt in attempts if attempt.executor == "slurm" and task and attempt.task == task]
    last = own[-FRUITLESS_STARTS - 1 :]
    if len(last) <= FRUITLESS_STARTS or len({attempt.resumed for attempt in last}) > 1:
        return ""
    how = last[-2].outcome or "killed without a word"
    return (
        f"{FRUITLESS_STARTS} starts of SLURM's task {task_id()} in a row ended before the search's next checkpoint, at "
        f"{100 * (last[-1].resumed or 0):.0f}% of it ({how}). Give it more time or memory (--slurm timeout_min=..., "
        "mem_gb=...), or let checkpoints be written more often (--checkpoint-seconds)."
    )
