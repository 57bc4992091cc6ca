"""`list`: what there is."""

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from slt_bench.cli.options import Plugins, use_plugins

What = Literal["all", "methods", "archs", "datasets", "benchmarks", "inits"]
WORD = 28  # characters of a cell that are never broken into lines


def list_(
    what: Annotated[What, typer.Argument(help="methods, archs, datasets, benchmarks or inits.")] = "all",
    plugins: Plugins = None,
) -> None:
    """Show methods, architectures, data sets, benchmarks and inits."""
    use_plugins(plugins)
    for name, show in {
        "methods": _methods,
        "archs": _archs,
        "datasets": _datasets,
        "benchmarks": _benchmarks,
        "inits": _inits,
    }.items():
        if what in ("all", name):
            show()


def _show(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from slt_bench.cli.screen import screen

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column, cells in zip(header, zip(*rows, strict=True), strict=True):
        table.add_column(column, no_wrap=max(map(len, cells)) <= WORD)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    screen().print(table)


def _methods() -> None:
    from slt_bench.registry import load_registry

    registry = load_registry()
    rows = [
        (
            name,
            method.purity,
            method.sparsity_control,
            f"{(method.__doc__ or '').partition(chr(10))[0]} ({method.paper})",
        )
        for name, method in sorted(registry.methods.items())
    ]
    _show("methods", ("name", "purity", "control", "what it is (paper)"), rows)
    if registry.broken:
        _show("plug-ins that cannot be used", ("where", "why"), list(registry.broken.items()))


def _archs() -> None:
    from slt_bench.network import architectures

    _show(
        "architectures",
        ("name", "usual data", "what it is"),
        [(n, a.dataset, a.about) for n, a in architectures.ARCHS.items()],
    )
    typer.echo(f"  also: {architectures.FAMILIES}\n")


def _datasets() -> None:
    from slt_bench.data import DATASETS

    rows = [(i.name, "x".join(map(str, i.shape)), str(i.classes), str(i.epochs), i.about) for i in DATASETS.values()]
    _show("data sets", ("name", "shape", "classes", "usual epochs", "what it is"), rows)


def _benchmarks() -> None:
    from slt_bench.jobs.benchmark import benchmark_files, load

    rows = [(name, found.title, _few(list(found.methods))) for name in benchmark_files() if (found := load(name))]
    _show("benchmarks", ("name", "title", "methods"), rows)


def _few(names: list[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:most])} and {more} more"


def _inits() -> None:
    from slt_bench.network.inits import DEFAULT_RANGE, INITS

    _show("inits", ("name",), [(f"{name}:A (A = {DEFAULT_RANGE:g})" if name == "uniform" else name,) for name in INITS])
