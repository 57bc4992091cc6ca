"""Options that several verbs take, and what they select."""

import functools
import inspect
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from slt_bench.execution.planning.options import ExecutionOptions
from slt_bench.utils.import_torch import OPTIMISERS, load_torch

if TYPE_CHECKING:
    from slt_bench.jobs.benchmark import Benchmark, Entry, Job
    from slt_bench.registry import Registry

Results = Annotated[Path, typer.Option(help="Folder of records.")]
Plugins = Annotated[list[Path] | None, typer.Option(help="A folder with methods of your own; may be repeated.")]
Precision = Annotated[
    Literal["float32", "bf16"] | None, typer.Option(help="bf16: what autocast takes there [default: float32].")
]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of data sets [default: SLT_BENCH_DATA or a cache folder].")]


@dataclass(frozen=True)
class Selection:
    """The options of `plan` and `run` that say which jobs are meant."""

    benchmark: Annotated[str | None, typer.Option(help="A benchmark's name, or the path of its .toml file.")] = None
    methods: Annotated[str | None, typer.Option(help="Comma list or globs; of a benchmark: its labels.")] = None
    archs: Annotated[str | None, typer.Option(help="Comma list or globs.")] = None
    datasets: Annotated[
        str | None,
        typer.Option(help="Comma list or globs, folder:PATH@SIDE [default: what each architecture is tried on]."),
    ] = None
    sparsities: Annotated[str | None, typer.Option(help="Fractions of weights removed, as 0.5,0.9.")] = None
    seeds: Annotated[str | None, typer.Option(help="As 0-4 or 0,3,7.")] = None
    inits: Annotated[str | None, typer.Option(help="Distributions of the frozen weights.")] = None
    rescale: Annotated[str | None, typer.Option(help="none, density or authors.")] = None
    epochs: Annotated[int | None, typer.Option(help="The budget [default: the data set's usual one].", min=1)] = None
    batch_size: Annotated[int | None, typer.Option(min=1)] = None
    precision: Precision = None
    labels: Annotated[
        str | None, typer.Option(help="true, or shuffled: training labels that say nothing, as a check of methods.")
    ] = None
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, as gates.sigma=0.3; may be repeated.")] = (
        None
    )
    name: Annotated[str | None, typer.Option(help="Name of a benchmark made of options [default: adhoc].")] = None
    references: Annotated[bool, typer.Option(help="Add dense and random_mask to --methods.")] = True
    unmasked: Annotated[
        Literal["refuse", "allow"] | None,
        typer.Option(help="Networks of which masks do not reach every weight [default: refuse above 1% of them]."),
    ] = None
    filter: Annotated[
        str | None, typer.Option(help="Only jobs with such names, as '*-s0.9*,*seed0*' (comma list of globs).")
    ] = None
    smoke: Annotated[bool, typer.Option(help="Try every cell for a few steps on a few images; never reported.")] = False
    results: Results = Path("results")
    plugins: Plugins = None


@dataclass(frozen=True)
class Selected:
    """What a selection stands for."""

    benchmark: "Benchmark"
    jobs: "list[Job]"
    folder: Path


def takes(*groups: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb, whose first parameters are of these classes, their fields as options of the command line."""

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(verb).parameters.values())[len(groups) :]
        options = [
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hint)
            for group in groups
            for field, hint in (
                (field, get_type_hints(group, include_extras=True)[field.name]) for field in fields(group)
            )
        ]

        @functools.wraps(verb)
        def wrapper(**values: Any) -> None:
            made = [group(**{field.name: values.pop(field.name) for field in fields(group)}) for group in groups]
            verb(*made, **values)

        parameters = [*options, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own)]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapper

    return decorate


def check_execution(options: ExecutionOptions) -> None:
    """Find out whether jobs can be run as the options say.

    Raises:
        UserError: One of the options cannot be used here.
    """
    load_torch(OPTIMISERS)
    options.check()


def use_plugins(folders: list[Path] | None) -> None:
    """Make folders of plug-ins known to this process and to those that it starts."""
    from slt_bench.registry import VARIABLE, plugin_folders

    chosen = [str(folder.resolve()) for folder in folders or ()]
    os.environ[VARIABLE] = os.pathsep.join([*map(str, plugin_folders()), *chosen])


def select(selection: Selection, data_root: Path | None = None) -> Selected:
    """The benchmark and the jobs that the options mean.

    Args:
        selection: The options.
        data_root: Which keeps the fingerprints of class folders.

    Raises:
        UserError: A name or a value is wrong.
    """
    from slt_bench.data.content import data_hash
    from slt_bench.jobs.grid import jobs, smoke_selection
    from slt_bench.jobs.parsing import choose
    from slt_bench.registry import load_registry

    use_plugins(selection.plugins)
    registry = load_registry()
    benchmark = _benchmark(selection, registry)
    if selection.smoke:
        benchmark = smoke_selection(benchmark, keep_grid=bool(selection.sparsities or selection.seeds))
    read = partial(data_hash, root=data_root, tell=partial(typer.echo, err=True))
    found = jobs(benchmark, registry, smoke=selection.smoke, hash_of=read)
    if selection.filter:
        names = choose("job", selection.filter, [job.folder for job in found])
        found = [job for job in found if job.folder in names]
    return Selected(benchmark, found, selection.results / benchmark.name)


def left_out(jobs: "Sequence[Job]") -> list[str]:
    """Say which files in the class folders of jobs are not read, a sentence for each data set that has some."""
    from slt_bench.data import is_folder
    from slt_bench.data.folder import scan_folder

    names = dict.fromkeys(job.dataset for job in jobs if is_folder(job.dataset))
    return [f"{told}." for told in (scan_folder(name).left_out for name in names) if told]


def check_networks(jobs: "Sequence[Job]", unmasked: str) -> None:
    """Find out, without computing anything, whether every architecture can take its data and batches, and a mask all.

    Args:
        jobs: What is to be run.
        unmasked: "refuse" networks of which masks do not reach every weight, or "allow" them.

    Raises:
        UserError: One cannot, or does not exist.
    """
    from slt_bench.data import find
    from slt_bench.network.frozen import check_batch_size
    from slt_bench.network.inspection import inspect

    for arch, dataset, batch_size in dict.fromkeys((job.arch, job.dataset, job.budget.batch_size) for job in jobs):
        info = find(dataset)
        found = inspect(arch, info.shape, info.classes)
        if unmasked == "refuse":
            found.check_masked(arch)
        check_batch_size(arch, info.shape, info.classes, batch_size)


def _benchmark(selection: Selection, registry: "Registry") -> "Benchmark":
    """The benchmark that was named, or one of the methods and architectures that were; options replace its values."""
    from slt_bench.utils.errors import UserError

    if selection.benchmark:
        base = _named(selection)
    elif selection.methods and selection.archs:
        base = _made_of_options(selection, registry)
    else:
        hint = "`python -m slt_bench list` shows what there is."
        raise UserError(f"Name what to run: --benchmark NAME, or --methods and --archs. {hint}")
    return base.model_copy(update={**_replaced(selection, base), "methods": _with_settings(selection, base)})


def _named(selection: Selection) -> "Benchmark":
    from slt_bench.jobs.benchmark import load
    from slt_bench.jobs.parsing import choose
    from slt_bench.utils.errors import UserError

    if selection.name:
        raise UserError("--name is for benchmarks made of options; with --benchmark the name is that of the file.")
    base = load(selection.benchmark or "")
    labels = choose("method of the benchmark", selection.methods, base.methods) if selection.methods else base.methods
    dropped = {name: None for name in ("sparsities", "inits", "rescale") if getattr(selection, name)}
    return base.model_copy(update={"methods": {name: base.methods[name].model_copy(update=dropped) for name in labels}})


def _made_of_options(selection: Selection, registry: "Registry") -> "Benchmark":
    from slt_bench.jobs.benchmark import LONGEST_NAME, NAME, REFERENCES, Benchmark, Entry
    from slt_bench.jobs.parsing import choose
    from slt_bench.utils.errors import UserError

    name = selection.name or "adhoc"
    if not re.fullmatch(NAME, name):
        raise UserError(f"The name '{name}' is not made of letters, digits, - and _.")
    if len(name) > LONGEST_NAME:
        raise UserError(f"The name '{name}' has {len(name)} characters; {LONGEST_NAME} are the most.")
    chosen = choose("method", selection.methods or "", registry.methods, lambda name: bool(registry.find(name)))
    references = [name for name in REFERENCES if selection.references and name not in chosen]
    methods = {label: Entry() for label in (*chosen, *references)}
    if selection.rescale == "authors" and "dense" in references:  # which has no asked sparsity, and divides by 1
        methods["dense"] = Entry(rescale="density")
    return Benchmark(name=name, methods=methods, archs=("replaced below",))


def _replaced(selection: Selection, base: "Benchmark") -> dict[str, Any]:
    """What the options put in place of a benchmark's values."""
    from slt_bench import data
    from slt_bench.data.catalogue import canonical
    from slt_bench.jobs.benchmark import TRAINING_LABELS
    from slt_bench.jobs.parsing import choose, parse_seeds, parse_sparsities
    from slt_bench.network import architectures
    from slt_bench.network.inits import INITS, Init
    from slt_bench.network.rescaling import RESCALES
    from slt_bench.utils.errors import unknown

    if selection.rescale and selection.rescale not in RESCALES:
        raise unknown("rescale", selection.rescale, RESCALES)
    readers: dict[str, Callable[[str], object]] = {
        "archs": lambda text: tuple(
            choose("architecture", text, architectures.ARCHS, lambda name: bool(architectures.find(name)))
        ),
        "datasets": lambda text: tuple(
            choose("data set", text, data.DATASETS, lambda name: bool(canonical(name)), data.folder_exists)
        ),
        "sparsities": parse_sparsities,
        "seeds": parse_seeds,
        "inits": lambda text: tuple(choose("init", text, INITS, lambda item: bool(Init.parse(item)))),
        "rescale": str,
    }
    given = {name: getattr(selection, name) for name in readers}
    if selection.labels and selection.labels not in TRAINING_LABELS:
        raise unknown("labels", selection.labels, TRAINING_LABELS)
    budget = {name: getattr(selection, name) for name in ("epochs", "batch_size", "precision", "labels")}
    new_budget = base.budget.model_copy(update={name: value for name, value in budget.items() if value})
    others = {"budget": new_budget} | ({"unmasked": selection.unmasked} if selection.unmasked else {})
    return {name: readers[name](text) for name, text in given.items() if text is not None} | others


def _with_settings(selection: Selection, base: "Benchmark") -> "dict[str, Entry]":
    from slt_bench.jobs.parsing import parse_assignments
    from slt_bench.utils.errors import unknown

    entries = dict(base.methods)
    for label, settings in parse_assignments(selection.set_ or ()).items():
        if label not in entries:
            raise unknown("method in --set", label, entries)
        entry = entries[label]
        tuned = tuple(found.without(settings) for found in entry.tuned)
        entries[label] = entry.model_copy(update={"settings": entry.settings | settings, "tuned": tuned})
    return entries
