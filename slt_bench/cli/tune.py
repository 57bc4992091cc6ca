"""`tune`: look for the settings of a benchmark's methods, with as many trials for each."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slt_bench.cli.options import DataRoot, Execution, Plugins, Results, Selected, takes, use_plugins, wish_of

if TYPE_CHECKING:
    from tomlkit.items import Item

    from slt_bench.tuning import Winner


@takes(Execution)
def tune(
    execution: Execution,
    name: Annotated[str, typer.Argument(help="A benchmark of the suite's, or the path of a .toml file.")],
    methods: Annotated[str | None, typer.Option(help="Comma list or globs of its labels.")] = None,
    write: Annotated[bool, typer.Option(help="Write the winners into the benchmark's file.")] = True,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    plugins: Plugins = None,
) -> None:
    """Try settings of each method of a benchmark, equally many and under one budget; the best on validation win.

    What is tried is declared by a method's settings, how often and how long by the benchmark's `[tune]`. Trials are
    jobs like any others, in results/NAME-tune: stop and start them as you like. The test split is never read.

    **Examples**

    `slt_bench tune lenet_mnist_all --executor local`

    `slt_bench tune my.toml --methods my_method --no-write`
    """
    from slt_bench import records
    from slt_bench.benchmark import benchmark_files, jobs, load
    from slt_bench.cli.run import run_selected
    from slt_bench.execution.server import start_server
    from slt_bench.plugins import load as load_methods
    from slt_bench.selection import choose
    from slt_bench.tuning import trials, tuning_benchmark, winners
    from slt_bench.words import count

    wish = wish_of(execution)
    wish.check()
    if wish.executor == "local":
        start_server()  # it loads while we prepare
    use_plugins(plugins)
    registry, benchmark = load_methods(), load(name)
    if methods:
        labels = choose("method of the benchmark", methods, benchmark.methods)
        benchmark = benchmark.model_copy(update={"methods": {label: benchmark.methods[label] for label in labels}})
    found = trials(benchmark, registry)
    tried = tuning_benchmark(benchmark, found)
    selected = Selected(tried, jobs(tried, registry), results / tried.name)
    run_selected(selected, wish, data_root)
    there = records.read(selected.folder).records
    missing = [job.folder for job in selected.jobs if job.id not in there]
    if missing:
        typer.echo(f"slt_bench: {count(len(missing), 'job')} without a record, as {missing[0]}.", err=True)
        raise typer.Exit(3)
    best = winners(found, {trial.name: [there[job.id] for job in selected.jobs if job.label == trial.name]
                           for trial in found})  # fmt: skip
    _show(best)
    if write:
        file = benchmark_files().get(name, Path(name))
        _write(file, best)
        typer.echo(f"written into {file}")


def _show(best: "dict[str, Winner]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from slt_bench.words import duration

    table = Table(title="validation accuracy (%)", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("method", "untuned", "best", "trial", "its settings", "time"):
        table.add_column(column)
    for label, winner in best.items():
        settings = ", ".join(f"{key}={value:g}" for key, value in winner.trial.tried.items())
        table.add_row(
            label, f"{100 * winner.first:.2f}", f"{100 * winner.score:.2f}",
            f"{winner.trial.number} of {winner.trials}", settings or "untuned", duration(winner.seconds),
        )  # fmt: skip
    Console().print(table)


def _write(file: Path, best: "dict[str, Winner]") -> None:
    """Put the winners into a benchmark's file, and leave everything else of it as it is."""
    import tomlkit
    from tomlkit.items import InlineTable

    from slt_bench.files import write_text

    document = tomlkit.parse(file.read_text(encoding="utf-8"))
    for label, winner in best.items():
        entry, tuned = document["methods"][label], _inline(winner.trial.tried)
        if isinstance(entry, InlineTable):
            document["methods"][label] = _inline({**entry, "tuned": tuned})
        else:
            entry["tuned"] = tuned
    write_text(file, tomlkit.dumps(document))


def _inline(content: Mapping[str, Any]) -> "Item":
    """An inline table with spaces within its braces, as people write them."""
    import tomlkit

    inside = ", ".join(f"{key} = {tomlkit.item(value).as_string()}" for key, value in content.items())
    return tomlkit.value(f"{{ {inside} }}" if inside else "{}")
