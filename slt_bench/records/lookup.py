"""The jobs that a results folder knows of, from its runs, records and job folders; finding one by its id or name."""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from slt_bench import records
from slt_bench.jobs.benchmark import Job
from slt_bench.records import JOB, LINES, RECORD, LoadedRecords
from slt_bench.records.runs import RUNS, read_runs
from slt_bench.utils.errors import UserError

MANY = 5  # jobs that an error lists


def folders(results: Path) -> dict[str, Path]:
    """The benchmarks' folders in a folder of results, by name."""
    if not results.is_dir():
        return {}
    return {path.name: path for path in sorted(results.iterdir()) if path.is_dir() and _is_benchmark(path)}


def _is_benchmark(folder: Path) -> bool:
    return any(any(folder.glob(mark)) for mark in (RUNS, LINES, f"*/{JOB}", f"*/{RECORD}"))


def known_jobs(folder: Path, found: LoadedRecords) -> list[Job]:
    """Every job that a benchmark's folder knows of: those that runs asked for first, in their order.

    Args:
        folder: `results/<benchmark>`.
        found: Its records.
    """
    known = {job.id: job for run in reversed(read_runs(folder)) for job in run.jobs}
    known |= {key: record.job for key, record in found.records.items() if key not in known}
    names = {job.folder for job in known.values()}
    for path in sorted(folder.glob(f"*/{JOB}")):
        if path.parent.name not in names and (job := _read_job(path)):
            known[job.id] = job
    return list(known.values())


def find_job(results: Path, text: str) -> tuple[Job, Path]:
    """The job that `text` names in a folder of results, and its benchmark's folder.

    Args:
        results: Folder of benchmarks' folders.
        text: An id, the beginning of one, a name as `status` shows it, or a glob of names.

    Raises:
        UserError: There is none, or several.
    """
    known = [(job, folder) for folder in folders(results).values() for job in known_jobs(folder, records.read(folder))]
    return pick(text, known)


def pick(text: str, known: Iterable[tuple[Job, Path]]) -> tuple[Job, Path]:
    """The only one of these jobs, each with its benchmark's folder, that `text` names.

    Raises:
        UserError: There is none, or several.
    """
    name = Path(text.rstrip("/")).name
    fits = [
        (job, folder)
        for job, folder in known
        if job.id.startswith(text) or job.folder == name or fnmatch(job.folder, text)
    ]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise UserError(f"There is no job '{text}'. `status` lists jobs by name; an id is the end of a name.")
    names = ", ".join(f"{folder.name}/{job.folder}" for job, folder in fits[:MANY])
    names += ", ..." if len(fits) > MANY else ""
    raise UserError(f"'{text}' may be {len(fits)} jobs: {names}.")


def _read_job(path: Path) -> Job | None:
    try:
        job = Job.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return job if job.folder == path.parent.name else None
