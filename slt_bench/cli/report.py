"""`report`: figures, tables and a page, from records alone."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import Results

if TYPE_CHECKING:
    from slt_bench.records import Found


def report(
    names: Annotated[
        list[str], typer.Argument(help="Benchmarks that have records; of your own: the path of the .toml file.")
    ],
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option(help="Folder of reports.")] = Path("reports"),
) -> None:
    """Draw the report of benchmarks from their records: no torch, no data, also while jobs still run."""
    from slt_bench import records
    from slt_bench.benchmark import Benchmark, Entry, benchmark_files, load
    from slt_bench.cli.show_report import show_report
    from slt_bench.errors import unknown

    records.check_writable(out)
    there = [path.name for path in results.glob("*") if path.is_dir()]
    for given in names:
        name = Path(given).stem if given.endswith(".toml") else given.rstrip("/")
        if name not in there:
            raise unknown("benchmark with records", name, there)
        known = given.endswith(".toml") or name in benchmark_files()
        benchmark = load(given) if known else Benchmark(name=name, methods={"-": Entry()}, archs=("-",))
        found = records.read(results / name)
        show_report(benchmark, found, out / name, _stale(found))


def _stale(found: "Found") -> set[str]:
    """Ids of records of methods that have changed since; without torch, whose methods cannot be asked, none."""
    if importlib.util.find_spec("torch") is None:
        return set()
    from slt_bench.plugins import fingerprints, load
    from slt_bench.states import is_stale

    codes = fingerprints()
    return {record.id for record in found.records.values() if is_stale(record, load, codes)}
