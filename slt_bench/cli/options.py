"""Options that several verbs take, and what they select."""

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from slt_bench.benchmark import Benchmark, Job

Results = Annotated[Path, typer.Option(help="Folder of records.")]
Plugins = Annotated[list[Path] | None, typer.Option(help="A folder with methods of your own; may be repeated.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of data sets [default: SLT_BENCH_DATA or a cache folder].")]


@dataclass(frozen=True)
class Selection:
    """The options of `plan` and `run` that say which jobs are meant."""

    benchmark: Annotated[str | None, typer.Option(help="A benchmark's name, or the path of its .toml file.")] = None
    methods: Annotated[str | None, typer.Option(help="Comma list or globs; of a benchmark: its labels.")] = None
    archs: Annotated[str | None, typer.Option(help="Comma list or globs.")] = None
    datasets: Annotated[
        str | None, typer.Option(help="Comma list or globs [default: what each architecture is tried on].")
    ] = None
    sparsities: Annotated[str | None, typer.Option(help="Fractions of weights removed, as 0.5,0.9.")] = None
    seeds: Annotated[str | None, typer.Option(help="As 0-4 or 0,3,7.")] = None
    inits: Annotated[str | None, typer.Option(help="Distributions of the frozen weights.")] = None
    rescale: Annotated[str | None, typer.Option(help="none or density.")] = None
    epochs: Annotated[int | None, typer.Option(help="The budget [default: the data set's usual one].", min=1)] = None
    batch_size: Annotated[int | None, typer.Option(min=1)] = None
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, as gates.sigma=0.3; may be repeated.")] = (
        None
    )
    name: Annotated[str | None, typer.Option(help="Name of a benchmark made of options [default: adhoc].")] = None
    references: Annotated[bool, typer.Option(help="Add dense and random_mask to --methods.")] = True
    smoke: Annotated[bool, typer.Option(help="Try every cell for a few steps on a few images; never reported.")] = False
    results: Results = Path("results")
    plugins: Plugins = None


@dataclass(frozen=True)
class Selected:
    """What a selection stands for."""

    benchmark: "Benchmark"
    jobs: "list[Job]"
    folder: Path


def takes_selection(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb whose first parameter is `selection` the options of `Selection` on the command line."""
    hints = get_type_hints(Selection, include_extras=True)
    own = list(inspect.signature(verb).parameters.values())[1:]
    options = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(Selection)
    ]

    @functools.wraps(verb)
    def wrapper(**values: Any) -> None:
        selection = Selection(**{field.name: values.pop(field.name) for field in fields(Selection)})
        verb(selection, **values)

    parameters = [*options, *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own)]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def use_plugins(folders: list[Path] | None) -> None:
    """Make folders of plug-ins known to this process and to those that it starts."""
    from slt_bench.plugins import VARIABLE, plugin_folders

    chosen = [str(folder.resolve()) for folder in folders or ()]
    os.environ[VARIABLE] = os.pathsep.join([*map(str, plugin_folders()), *chosen])


def select(selection: Selection) -> Selected:
    """The benchmark and the jobs that the options mean.

    Raises:
        UserError: A name or a value is wrong.
    """
    from slt_bench import plugins
    from slt_bench.benchmark import jobs, smoke_selection

    use_plugins(selection.plugins)
    registry = plugins.load()
    benchmark = _benchmark(selection, registry)
    if selection.smoke:
        benchmark = smoke_selection(benchmark, keep_grid=bool(selection.sparsities or selection.seeds))
    found = jobs(benchmark, registry, smoke=selection.smoke)
    return Selected(benchmark, found, selection.results / benchmark.name)


def _benchmark(selection: Selection, registry: Any) -> "Benchmark":
    from slt_bench import archs, data
    from slt_bench.benchmark import Benchmark, Entry, load
    from slt_bench.errors import UserError
    from slt_bench.selection import choose, parse_assignments, parse_seeds, parse_sparsities, split_list

    given = parse_assignments(selection.set_ or ())
    changes: dict[str, Any] = {}
    if selection.archs:
        changes["archs"] = tuple(choose("architecture", selection.archs, archs.ARCHS, archs.is_known))
    if selection.datasets:
        changes["datasets"] = tuple(choose("data set", selection.datasets, data.DATASETS))
    if selection.sparsities:
        changes["sparsities"] = parse_sparsities(selection.sparsities)
    if selection.seeds:
        changes["seeds"] = parse_seeds(selection.seeds)
    if selection.inits:
        changes["inits"] = tuple(split_list(selection.inits))
    if selection.rescale:
        changes["rescale"] = _rescale(selection.rescale)
    if selection.benchmark:
        if selection.name:
            raise UserError("--name is for benchmarks made of options; with --benchmark the name is that of the file.")
        base = load(selection.benchmark)
        entries = dict(base.methods)
        if selection.methods:
            entries = {label: entries[label] for label in choose("method of the benchmark", selection.methods, entries)}
        if selection.sparsities:
            entries = {label: entry.model_copy(update={"sparsities": None}) for label, entry in entries.items()}
    elif selection.methods and selection.archs:
        known = list(registry.methods)
        broken = [name for name in split_list(selection.methods) if name not in known and "*" not in name]
        for name in broken:
            registry.find(name)  # tells why, or offers the nearest
        chosen = choose("method", selection.methods, known)
        chosen += [name for name in ("dense", "random_mask") if selection.references and name not in chosen]
        entries = {name: Entry() for name in chosen}
        base = Benchmark(name=_name(selection.name or "adhoc"), methods=entries, archs=changes["archs"])
    else:
        raise UserError(
            "Name what to run: --benchmark NAME, or --methods and --archs. `python -m slt_bench list` shows all."
        )
    for label, settings in given.items():
        if label not in entries:
            raise UserError(f"--set {label}...: '{label}' is not among the methods {', '.join(entries)}.")
        entries[label] = entries[label].model_copy(update={"settings": entries[label].settings | settings})
    budget = {"epochs": selection.epochs, "batch_size": selection.batch_size}
    changes["budget"] = base.budget.model_copy(update={key: value for key, value in budget.items() if value})
    return base.model_copy(update={**changes, "methods": entries})


def _rescale(text: str) -> str:
    from slt_bench.errors import unknown

    if text not in ("none", "density"):
        raise unknown("rescale", text, ("none", "density"))
    return text


def _name(text: str) -> str:
    from slt_bench.errors import UserError

    if not text.replace("_", "").replace("-", "").isalnum():
        raise UserError(f"The name '{text}' is not made of letters, digits, - and _.")
    return text
