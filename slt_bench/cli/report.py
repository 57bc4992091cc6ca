"""`report`: figures, tables and a page, from records alone."""

from pathlib import Path
from typing import Annotated

import typer

from slt_bench.cli.options import Results


def report(
    names: Annotated[list[str], typer.Argument(help="Benchmarks that have records.")],
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option(help="Folder of reports.")] = Path("reports"),
) -> None:
    """Draw the report of benchmarks from their records: no torch, no data, also while jobs still run."""
    from slt_bench import records
    from slt_bench.benchmark import Benchmark, Entry, benchmark_files, load
    from slt_bench.cli.show_report import show_report
    from slt_bench.errors import unknown

    for name in names:
        if not (results / name).is_dir():
            raise unknown("benchmark with records", name, (path.name for path in results.glob("*") if path.is_dir()))
        known = name in benchmark_files()
        benchmark = load(name) if known else Benchmark(name=name, methods={"-": Entry()}, archs=("-",))
        show_report(benchmark, records.read(results / name), out / name)
