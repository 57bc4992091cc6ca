"""One attempt at a job, or at a pack of jobs, as every executor makes it: lock, log, run, let go."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

from slt_bench.execution.worker.log import in_turn, job_log
from slt_bench.execution.worker.run_job import JobRun, learn
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task_spec import ProgressListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records import JOB
from slt_bench.records.attempts import Attempt, end_attempt, read_attempts, start_attempt, task_id, write_progress
from slt_bench.records.lock import lock_job
from slt_bench.records.runs import Executor
from slt_bench.training.search import OnStep
from slt_bench.utils.errors import StorageError
from slt_bench.utils.files import clear_partial, make_folder, write_text

FRUITLESS_STARTS = 3
PROGRESS_SECONDS = 1.0
log = logging.getLogger("slt_bench.job")


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
        watcher: Hears how it goes.
        stopper: Knows whether this process is to stop.
        captures: As of `job_log`; what a pack prints goes into the log of its first job.
        echoes: As of `job_log`.

    Returns:
        Those that another living process is at.

    Raises:
        Stopped: That was asked for; every job can go on from its checkpoint.
        StorageError: Files cannot be written.
    """
    elsewhere: list[Job] = []
    suspects = {job.id: job for job in jobs if work.pack > 1 and died(work.folder / job.folder)}
    for pack in [*work.packs([job for job in jobs if job.id not in suspects]), *((job,) for job in suspects.values())]:
        elsewhere += _attempt(pack, work, watcher, stopper, captures=captures, echoes=echoes)
    return elsewhere


def _attempt(
    pack: Sequence[Job], work: TaskSpec, watcher: ProgressListener, stopper: Stopper, *, captures: bool, echoes: bool
) -> list[Job]:
    """Run jobs side by side; return those that another living process is at."""
    mine: list[tuple[Job, ExitStack]] = []  # each with what is let go when it has ended
    elsewhere: list[Job] = []
    with ExitStack() as everything:
        for job in pack:
            if work.has_ended(job):
                continue
            folder = work.folder / job.folder
            make_folder(folder)
            own = everything.enter_context(ExitStack())
            if not own.enter_context(lock_job(folder)):
                elsewhere.append(job)
            elif work.has_ended(job):  # elsewhere, between the two looks
                own.close()
            else:
                mine.append((job, own))
        runs: list[tuple[JobRun, list[str]]] = []
        for job, own in mine:
            folder = work.folder / job.folder
            clear_partial(folder)
            write_text(folder / JOB, job.model_dump_json(indent=1))
            watcher.started(job)
            own.enter_context(job_log(folder, captures=captures and not runs, echoes=echoes))
            outcome = own.enter_context(_noted(folder, work.executor))
            on_step = _progress(job, folder, watcher)
            run = JobRun(job, folder, work.context_of(job), on_step, stopper, len(mine))
            run.fail(_why_hopeless(read_attempts(folder)))
            runs.append((run, outcome))
        learn([run for run, _ in runs], stopper)
        for (run, outcome), (_, own) in zip(runs, mine, strict=True):
            with own:
                record = run.finish()
                outcome.append(record.status)
            watcher.ended(record)
    return elsewhere


def _progress(job: Job, folder: Path, watcher: ProgressListener) -> OnStep:
    """Return what tells of the job's progress before each step, and writes it down now and then."""
    last = 0.0

    def on_step(fraction: float) -> None:
        nonlocal last
        watcher.progressed(job, fraction)
        if monotonic() - last > PROGRESS_SECONDS:
            last = monotonic()
            write_progress(folder, fraction)

    return on_step


@contextlib.contextmanager
def _noted(folder: Path, executor: Executor) -> Iterator[list[str]]:
    """Write the attempt's start and end into the job's folder and log; the end is the last word in the list."""
    number = start_attempt(folder, executor)
    with in_turn(folder):
        log.info("attempt %d at %s (%s)", number, folder.name, f"{executor} {task_id()}".strip())
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
        with in_turn(folder):
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
