"""`report`: figures, tables and a page, from records alone."""

import importlib.util
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import Results

if TYPE_CHECKING:
    from slt_bench.jobs.benchmark import Benchmark, Job
    from slt_bench.records import LoadedRecords
    from slt_bench.report.build import ReportSource
    from slt_bench.report.record_filter import RecordFilter


def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Benchmarks; of your own: the path of the .toml file [default: all that have records]."),
    ] = None,
    results: Results = Path("results"),
    out: Annotated[
        Path | None, typer.Option(help="Folder of one report of all of them [default: reports/NAME for each].")
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="The label that others are compared with [default: edgepopup, or the first].")
    ] = "",
    methods: Annotated[str, typer.Option(help="Only these labels (list or globs), dense, random_mask.")] = "",
    archs: Annotated[str, typer.Option(help="Only these, a comma list or globs.")] = "",
    datasets: Annotated[str, typer.Option(help="Only these, a comma list or globs.")] = "",
    inits: Annotated[str, typer.Option(help="Only these, a comma list or globs.")] = "",
) -> None:
    """Draw the report of benchmarks from their records: no torch, no data, also while jobs still run.

    **Examples**

    `slt_bench report lenet_mnist`

    `slt_bench report lenet_mnist lenet_fashion --out reports/lenet --baseline edgepopup_global`

    `slt_bench report lenet_mnist_all --methods 'gates*,edgepopup' --out reports/figures_of_my_paper`
    """
    from slt_bench.report.pool import load_early

    load_early()
    from slt_bench import records
    from slt_bench.cli.show_report import show_report
    from slt_bench.records.lookup import folders
    from slt_bench.report.record_filter import RecordFilter
    from slt_bench.utils.errors import UserError

    records.check_writable(out or Path("reports"))
    chosen = names or list(folders(results))
    if not chosen:
        raise UserError(f"There are no records in {results}: `slt_bench run` makes them.")
    opened = [_open(given, results) for given in chosen]
    part = RecordFilter.choose(
        [job for one in opened for job in one.jobs], methods=methods, archs=archs, datasets=datasets, inits=inits
    )
    options = {"baseline": baseline, "methods": methods, "archs": archs, "datasets": datasets, "inits": inits}
    sources = [_source(one, part, baseline, _command([one.given], results, options)) for one in opened]
    if out is None:
        for source in sources:
            show_report(source, Path("reports") / source.name)
    else:
        show_report(_together(sources, _command(chosen, results, options | {"out": str(out)})), out)


@dataclass(frozen=True)
class _Opened:
    """A benchmark that a report is of: as it was asked for, and what there is of it."""

    given: str
    name: str
    benchmark: "Benchmark | None"
    folder: Path
    found: "LoadedRecords"
    jobs: "list[Job]"


def _open(given: str, results: Path) -> _Opened:
    from slt_bench import records
    from slt_bench.jobs.benchmark import benchmark_files, load
    from slt_bench.records.lookup import folders, known_jobs
    from slt_bench.utils.errors import unknown

    name = Path(given).stem if given.endswith(".toml") else given.rstrip("/")
    there = folders(results)
    known = given.endswith(".toml") or name in benchmark_files()
    benchmark = load(given) if known else None
    if name not in there and not (benchmark and benchmark.claims):
        raise unknown("benchmark with records", name, there)
    folder = results / name
    found = records.read(folder)
    asked = {job.id: job for job in _asked(benchmark, known_jobs(folder, found))}
    others = [job for job in known_jobs(folder, found) if job.id not in asked]
    return _Opened(given, name, benchmark, folder, found.under(asked.values()), [*asked.values(), *others])


def _source(opened: _Opened, part: "RecordFilter", baseline: str, command: str) -> "ReportSource":
    """What the report of one benchmark is drawn from."""
    from slt_bench.report.build import ReportSource

    benchmark, found = opened.benchmark, part.of(opened.found)
    return ReportSource(
        name=opened.name,
        found=found,
        title=benchmark.title if benchmark else "",
        about=benchmark.about if benchmark else "",
        claims=[claim for claim in benchmark.claims if part.tells_of(claim)] if benchmark else (),
        stale=frozenset(_stale(found)),
        pending=pending([job for job in opened.jobs if part.has(job)], opened.folder, found),
        baseline=baseline,
        command=command,
    )


def pending(jobs: "list[Job]", folder: Path, found: "LoadedRecords") -> dict[str, str]:
    """What the jobs without a record wait for, by the name of their folder."""
    from slt_bench.records.status import job_status

    open_ = [job for job in jobs if job.id not in found.records]
    overview = job_status(open_, folder, found=found)
    words = {job.id: (overview.states[job.id], overview.details.get(job.id, "")) for job in open_}
    return {job.folder: ": ".join(part for part in words[job.id] if part) for job in open_}


def _asked(benchmark: "Benchmark | None", known: "list[Job]") -> "list[Job]":
    """The jobs that a benchmark stands for; without torch, whose methods cannot be asked, none.

    The images of class folders need not be here: what they were for the latest of the known jobs is what is asked for.
    """
    if benchmark is None or importlib.util.find_spec("torch") is None:
        return []
    from slt_bench.jobs.grid import jobs
    from slt_bench.registry import load_registry

    content = {job.dataset: job.data_hash for job in reversed(known)}
    return jobs(benchmark, load_registry(), hash_of=lambda name: content.get(name, ""))


def _stale(found: "LoadedRecords") -> set[str]:
    """Ids of records of methods that have changed since, as far as the sources tell where there is no torch."""
    from slt_bench.records.staleness import is_stale
    from slt_bench.registry import Registry, fingerprints, load_registry

    registry = load_registry if importlib.util.find_spec("torch") else Registry
    codes = fingerprints()
    return {record.id for record in found.records.values() if is_stale(record, registry, codes)}


def _together(sources: "list[ReportSource]", command: str) -> "ReportSource":
    """Several benchmarks as one."""
    from dataclasses import replace

    from slt_bench.records import LoadedRecords

    first = sources[0]
    found = LoadedRecords()
    for source in sources:
        found.records |= source.found.records
        found.problems |= source.found.problems
    return replace(
        first,
        name=", ".join(source.name for source in sources),
        found=found,
        title=first.title if len(sources) == 1 else ", ".join(source.title or source.name for source in sources),
        about=" ".join(source.about for source in sources if source.about),
        claims=tuple(claim for source in sources for claim in source.claims),
        stale=frozenset().union(*(source.stale for source in sources)),
        pending={place: state for source in sources for place, state in source.pending.items()},
        command=command,
    )


def _command(names: list[str], results: Path, options: dict[str, str]) -> str:
    """The command that draws a report, for its captions."""
    words = ["python", "-m", "slt_bench", "report", *names]
    words += ["--results", str(results)] if results != Path("results") else []
    words += [word for option, value in options.items() if value for word in (f"--{option}", value)]
    return shlex.join(words)
