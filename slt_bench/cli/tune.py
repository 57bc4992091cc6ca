"""`tune`: look for the settings of a benchmark's methods, with as many trials for each."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import DataRoot, Plugins, Results, Selected, check_execution, takes, use_plugins
from slt_bench.execution.planning.options import ExecutionOptions

if TYPE_CHECKING:
    from tomlkit.items import Item, Key, Table

    from slt_bench.analysis.winners import Winner
    from slt_bench.jobs.benchmark import Benchmark, Job
    from slt_bench.jobs.tuning import Trial
    from slt_bench.records import Record
    from slt_bench.registry import Registry

BARE = r"(?<!\r)\n"  # a line end of Unix, where files of Windows have two characters


@takes(ExecutionOptions)
def tune(
    options: ExecutionOptions,
    name: Annotated[str, typer.Argument(help="A benchmark of the suite's, or the path of a .toml file.")],
    methods: Annotated[str | None, typer.Option(help="Comma list or globs [default: the file's choice].")] = None,
    write: Annotated[bool, typer.Option(help="Write the winners into the benchmark's file.")] = True,
    dry_run: Annotated[bool, typer.Option(help="Only show what would be run.")] = False,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    plugins: Plugins = None,
) -> None:
    """Try settings of each method of a benchmark, equally many and under one budget; the best on validation win.

    What is tried is declared by a method's settings, how often and how long by the benchmark's `[tune]`. The best few
    of each method and sparsity are tried with more seeds, and the best mean of those wins. Trials are
    jobs like any others, in results/NAME-tune: stop and start them as you like. The test split is never read.

    **Examples**

    `slt_bench tune lenet_mnist_all --executor local`

    `slt_bench tune my.toml --methods my_method --no-write`
    """
    check_execution(options)
    from slt_bench.analysis.winners import finalists, winners
    from slt_bench.data.content import data_hash
    from slt_bench.jobs.benchmark import benchmark_files, load
    from slt_bench.jobs.grid import jobs
    from slt_bench.jobs.parsing import choose
    from slt_bench.jobs.tuning import final_jobs, trials, tuning_benchmark
    from slt_bench.registry import load_registry
    from slt_bench.utils.text import pluralize

    use_plugins(plugins)
    registry, benchmark = load_registry(), load(name)
    wanted = methods or ",".join(benchmark.tune.methods or ("*",))
    found = trials(benchmark, choose("method of the benchmark", wanted, benchmark.methods), registry)
    tried = tuning_benchmark(benchmark, found)
    read = partial(data_hash, root=data_root, tell=partial(typer.echo, err=True))
    cells = jobs(tried, registry, shared=True, hash_of=read)
    run = partial(_run, tried, folder=results / tried.name, options=options, data_root=data_root, dry_run=dry_run)
    there = run(cells)
    tune = benchmark.tune
    if dry_run:
        if tune.finalists:
            more = pluralize(len(tune.final_seeds), "more seed")
            typer.echo(f"Then the best {tune.finalists} of each method and sparsity with {more}.")
        return
    if tune.finalists:
        there += run(final_jobs(benchmark, cells, finalists(found, there, tune.finalists)))
    best = winners(found, there)
    _show(best, found, sum({record.id: record.seconds.get("total", 0.0) for record in there}.values()))
    if write:
        file = benchmark_files().get(name, Path(name))
        _write(file, best)
        typer.echo(f"written into {file}")
        _warn_of_twins(name, registry)


def _run(
    tried: "Benchmark",
    cells: "Sequence[Job]",
    *,
    folder: Path,
    options: "ExecutionOptions",
    data_root: Path | None,
    dry_run: bool,
) -> "list[Record]":
    """Run the jobs that have no record, and return the record of each; labels that share a job have one each."""
    from slt_bench import records
    from slt_bench.cli.run import run_selected
    from slt_bench.utils.text import pluralize

    once = {job.id: job for job in reversed(cells)}  # labels may share a job: the first one's name
    selected = Selected(tried, list(reversed(once.values())), folder)
    run_selected(selected, options, data_root, rerun="stale", dry_run=dry_run)
    there = records.read(folder).records
    missing = [] if dry_run else [job.folder for job in selected.jobs if job.id not in there]
    if missing:
        typer.echo(f"slt_bench: {pluralize(len(missing), 'job')} without a record, as {missing[0]}.", err=True)
        raise typer.Exit(3)
    return [there[job.id].model_copy(update={"job": job}) for job in cells if job.id in there]


def _warn_of_twins(name: str, registry: "Registry") -> None:
    """Say so where labels of a benchmark have become the same by what was found for them: `run` refuses it."""
    from slt_bench.jobs.benchmark import load
    from slt_bench.jobs.grid import jobs
    from slt_bench.utils.errors import UserError

    try:
        jobs(load(name), registry)
    except UserError as error:
        typer.echo(f"slt_bench: `run` will refuse this benchmark. {error}", err=True)


def _show(best: "Sequence[Winner]", found: "Sequence[Trial]", seconds: float) -> None:
    from rich import box
    from rich.table import Table

    from slt_bench.analysis.winners import at_an_end
    from slt_bench.cli.screen import screen
    from slt_bench.utils.text import duration, number

    trials = f"best of {best[0].trials} trials, {duration(seconds)} in all"
    table = Table(title=f"validation accuracy (%), {trials}", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("method", "sparsity", "untuned", "best"):
        table.add_column(column, overflow="fold", justify="left" if column == "method" else "right")
    table.add_column("its settings", overflow="fold")
    for winner in best:
        ends = {name: f" ({end} tried)" for name, end in at_an_end(winner, found).items()}
        settings = [f"{name}={value}{ends.get(name, '')}" for name, value in winner.trial.tried.items()]
        settings = settings or ["untuned", *(f"{name}{end}" for name, end in ends.items())]
        table.add_row(
            winner.trial.label, "own" if winner.sparsity is None else number(winner.sparsity),
            _percent(winner.first), _percent(winner.score), ", ".join(settings),
        )  # fmt: skip
    screen().print(table)


def _percent(score: float) -> str:
    return f"{100 * score:.2f}" if score else "missed"  # the sparsity, or every number


def _write(file: Path, best: "Sequence[Winner]") -> None:
    """Put the winners into a benchmark's file, and leave everything else of it as it is."""
    import tomlkit
    from tomlkit.items import InlineTable

    from slt_bench.utils.files import write_text

    text = file.read_bytes().decode("utf-8")  # with its line ends, and the byte order mark that some editors write
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    document = tomlkit.parse(text.removeprefix(mark))
    for label in dict.fromkeys(winner.trial.label for winner in best):
        entry = document["methods"][label]
        tuned = _tuned([winner for winner in best if winner.trial.label == label])
        if isinstance(entry, InlineTable):
            others = {key: value.as_string() for key, value in entry.items() if key != "tuned"}
            document["methods"][label] = tomlkit.value(_inline(others | {"tuned": tuned}))
        else:
            _add(entry, tomlkit.value(tuned))
    written = tomlkit.dumps(document)
    if "\r\n" in text and not re.search(BARE, text):
        written = re.sub(BARE, "\r\n", written)
    write_text(file, mark + written)


def _add(entry: "Table", tuned: "Item") -> None:
    """Put it behind the other keys, before the blank lines and comments that follow: they belong to what comes next."""
    following: list[tuple[Key | None, Item]] = []
    while entry.value.body and entry.value.body[-1][0] is None:
        following.insert(0, entry.value.body.pop())
    entry["tuned"] = tuned
    entry.value.body.extend(following)


def _tuned(best: "Sequence[Winner]") -> str:
    """A label's winners as an array, a line a sparsity."""
    from tomlkit import item

    lines = []
    for winner in best:
        at = {} if winner.sparsity is None else {"sparsity": repr(winner.sparsity)}
        settings = _inline({name: item(value).as_string() for name, value in winner.trial.tried.items()})
        lines.append(f"    {_inline(at | {'settings': settings})},")
    return "\n".join(["[", *lines, "]"])


def _inline(content: Mapping[str, str]) -> str:
    """An inline table with spaces within its braces, as people write them."""
    return f"{{ {', '.join(f'{key} = {value}' for key, value in content.items())} }}" if content else "{}"
