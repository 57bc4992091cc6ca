"""The grid of a benchmark: every job that it stands for."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any

from slt_bench.data.catalogue import canonical, is_folder, usual_epochs
from slt_bench.data.content import data_hash
from slt_bench.jobs.benchmark import SMOKE_BATCH, Benchmark, Budget, Entry, Job, resolve_settings
from slt_bench.jobs.parsing import check_sparsity
from slt_bench.network import architectures
from slt_bench.network.inits import Init
from slt_bench.network.rescaling import Rescaling
from slt_bench.registry import Registry
from slt_bench.utils.errors import UserError
from slt_bench.utils.text import number


def jobs(
    benchmark: Benchmark,
    registry: Registry,
    *,
    smoke: bool = False,
    shared: bool = False,
    hash_of: Callable[[str], str] = data_hash,
) -> list[Job]:
    """Every job of a benchmark, the first seed of everything first.

    Args:
        benchmark: What to run.
        registry: Where its methods are.
        smoke: Jobs of a few steps on a few images, which show only that everything runs.
        shared: Several labels may stand for the same job, which is then returned once for each of them.
        hash_of: Tells the fingerprint of class folders, by their name; asked once for each. By default they are read.

    Raises:
        UserError: A name is unknown, a setting is wrong, two jobs are the same, or there is none.
    """
    wanted = {label: _sparsities(label, benchmark, registry) for label in benchmark.methods}
    found: dict[tuple[str, str], Job] = {}
    content = cache(hash_of)
    for seed, arch, (init, label) in product(benchmark.seeds, benchmark.archs, _inits(benchmark)):
        own = benchmark.methods[label]
        if own.archs and arch not in own.archs:
            continue
        usual = (architectures.find(arch).dataset,)
        for dataset in benchmark.datasets or usual:
            for sparsity in wanted[label]:
                job = Job(
                    benchmark=benchmark.name,
                    label=label,
                    method=own.method or label,
                    settings=_settings(label, own, sparsity, registry),
                    arch=arch,
                    dataset=canonical(dataset),
                    init=init,
                    rescale=_rescale(label, own.rescale or benchmark.rescale, sparsity),
                    sparsity=sparsity,
                    seed=seed,
                    budget=_budget(benchmark.budget, dataset, smoke=smoke),
                    smoke=smoke,
                    data_hash=content(canonical(dataset)) if is_folder(dataset) else "",
                )
                key = (job.id, label if shared else "")
                if key in found:
                    raise UserError(_same(found[key], job, benchmark))
                found[key] = job
    if not found:
        raise UserError(f"No method of {benchmark.name} is meant for {', '.join(benchmark.archs)}.")
    return list(found.values())


def smoke_selection(benchmark: Benchmark, *, keep_grid: bool) -> Benchmark:
    """The benchmark with one seed and one sparsity, enough to try every (method, architecture, data set)."""
    if keep_grid:
        return benchmark
    entries = {label: entry.model_copy(update={"sparsities": None}) for label, entry in benchmark.methods.items()}
    one = {"seeds": benchmark.seeds[:1], "sparsities": benchmark.sparsities[:1], "methods": entries}
    return benchmark.model_copy(update=one)


def check_all(sparsities: Sequence[float]) -> tuple[float, ...]:
    """The sparsities themselves, each checked."""
    return tuple(check_sparsity(value) for value in sparsities)


def _sparsities(label: str, benchmark: Benchmark, registry: Registry) -> tuple[float | None, ...]:
    """The asked sparsities of a label; none where its method decides."""
    entry = benchmark.methods[label]
    method = entry.method or label
    if registry.find(method).control(resolve_settings(method, entry.settings, registry)) != "none":
        return check_all(benchmark.sparsities if entry.sparsities is None else entry.sparsities)
    if entry.sparsities:
        raise UserError(f"'{label}' is given sparsities, but {method} with these settings decides the sparsity itself.")
    return (None,)


def _settings(label: str, entry: Entry, sparsity: float | None, registry: Registry) -> dict[str, Any]:
    """What a label's settings are at a sparsity, where they differ from the method's defaults.

    Raises:
        UserError: They are wrong, or make no sense there.
    """
    method = entry.method or label
    settings = resolve_settings(method, entry.settings_at(sparsity), registry)
    reason = registry.find(method).problem(settings, sparsity)
    if reason:
        at = "" if sparsity is None else f" at sparsity {number(sparsity)}"
        raise UserError(f"'{label}'{at} makes no sense: {reason}")
    found: dict[str, Any] = settings.model_dump(mode="json", exclude_defaults=True)
    return found


def _rescale(label: str, name: Rescaling, sparsity: float | None) -> Rescaling:
    """The rescale, where it can be had at that asked sparsity."""
    if name == "authors" and not sparsity:
        asked = "has no asked sparsity" if sparsity is None else "is asked for sparsity 0"
        raise UserError(
            f"'{label}' {asked}, and rescale 'authors' divides weights by the root of it. Leave it out, or give it "
            'rescale = "density" or "none" in a benchmark file.'
        )
    return name


def _same(first: Job, second: Job, benchmark: Benchmark) -> str:
    """Why two jobs cannot both stand in a benchmark."""
    if first.dataset != second.dataset:
        return f"{first.dataset} and {second.dataset} hold the same images: name one of them."
    if first.label == second.label:
        return f"Two jobs of '{first.label}' in {benchmark.name} are the same: {second.folder}. Name nothing twice."
    return (
        f"'{first.label}' and '{second.label}' of {benchmark.name} are the same: {second.folder}. "
        "Remove one of them, or change its settings."
    )


def _inits(benchmark: Benchmark) -> list[tuple[str, str]]:
    """Every init of every label: all labels of the first init, then those of the next."""
    found = [
        (str(Init.parse(text)), label)
        for label, entry in benchmark.methods.items()
        for text in entry.inits or benchmark.inits
    ]
    order = [init for init, _ in found]
    return sorted(found, key=lambda pair: order.index(pair[0]))


def _budget(budget: Budget, dataset: str, *, smoke: bool) -> Budget:
    if smoke:
        return budget.model_copy(update={"epochs": 1, "batch_size": SMOKE_BATCH})
    return budget.model_copy(update={"epochs": budget.epochs or usual_epochs(dataset)})
