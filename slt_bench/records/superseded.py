"""Records that a rerun replaces. They are renamed, never overwritten: a job without a new record shows as open.

The command that plans a rerun renames them once, each under its job's lock, so that whoever runs the job need not know
of the rerun: a job with a record has ended, also for a SLURM task that is requeued after it has written one.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from slt_bench.jobs.benchmark import Job
from slt_bench.records.folder import RECORD, SUPERSEDED, LoadedRecords, Record, read_one
from slt_bench.records.lock import lock_job
from slt_bench.records.runs import read_runs
from slt_bench.utils.errors import StorageError, UserError
from slt_bench.utils.files import storage_error


@contextlib.contextmanager
def superseding(folder: Path, jobs: Sequence[Job], found: LoadedRecords) -> Iterator[bool]:
    """Set the records of jobs aside while they are run again.

    Whatever ends the block in order, also Ctrl-C or a refusal by SLURM: where a job has no new record by then, and no
    run is to make one, its old record is put back. After a crash it stays aside, and the job shows as stopped.

    Args:
        folder: `results/<benchmark>`.
        jobs: To be run again, or for the first time.
        found: The records by which they were chosen. A record that was written since is left alone.

    Yields:
        Whether there is a record to replace.

    Raises:
        StorageError: Files cannot be renamed.
    """
    before = [job for job in jobs if (folder / job.folder / RECORD).exists()]
    try:
        for job in before:
            set_aside(folder / job.folder, found.records.get(job.id))
        yield bool(before)
    finally:
        left = [job for job in before if not (folder / job.folder / RECORD).exists()]
        promised = {key for run in read_runs(folder) for unit in run.open_units() for key in unit.jobs} if left else ()
        for job in left:
            if job.id not in promised:
                with contextlib.suppress(StorageError):
                    put_back(folder / job.folder)


def set_aside(folder: Path, judged: Record | None) -> None:
    """Rename the record in a job's folder to the next free `record.superseded-N.json`.

    Nothing is renamed where another process is at the job, or has replaced the record since.

    Args:
        folder: The job's own folder.
        judged: The record that is to be replaced; None where it could not be read.

    Raises:
        StorageError: It cannot be renamed.
    """
    with lock_job(folder) as mine:
        if mine and _present(folder) in (None, judged):
            last = max(map(_number, superseded(folder)), default=0)
            _rename(folder / RECORD, folder / SUPERSEDED.replace("*", str(last + 1)))


def put_back(folder: Path) -> None:
    """Make the last record that was set aside the job's record again, if there is no other and no process is at it.

    Raises:
        StorageError: It cannot be renamed.
    """
    with lock_job(folder) as mine:
        if mine and not (folder / RECORD).exists() and (aside := superseded(folder)):
            _rename(aside[-1], folder / RECORD)


def superseded(folder: Path) -> list[Path]:
    """The files of the records that were set aside in a job's folder, the oldest first."""
    return sorted(folder.glob(SUPERSEDED), key=_number)


def _number(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _present(folder: Path) -> Record | None:
    with contextlib.suppress(UserError):
        return read_one(folder)
    return None


def _rename(path: Path, to: Path) -> None:
    try:
        if path.exists():
            path.rename(to)
    except OSError as error:
        raise storage_error(to, error) from error
