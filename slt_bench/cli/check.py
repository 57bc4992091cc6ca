"""`check`: the conformance suite on methods, the user's own included."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import Plugins, use_plugins
from slt_bench.utils.import_torch import OPTIMISERS, load_torch

if TYPE_CHECKING:
    from slt_bench.conformance.conform import Outcome
    from slt_bench.conformance.subject import CheckedMethod


def check(
    names: Annotated[list[str], typer.Argument(help="Methods, globs, or paths of plug-ins and of folders of them.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, as gates.sigma=0.3; may be repeated.")] = (
        None
    ),
    only: Annotated[str | None, typer.Option(help="Checks, as 'purity,same*' (comma list or globs).")] = None,
    plugins: Plugins = None,
) -> None:
    """Try whether methods do what every method must: hard masks, untouched weights, the sparsity that they promise, ...

    It takes less than a minute a method on a CPU. Exit code 1 where something fails; it is told where to look.

    **Examples**

    `slt_bench check edgepopup`

    `slt_bench check my_methods/sigmoid_gates.py`

    `slt_bench check my_methods`
    """
    load_torch(OPTIMISERS)
    import torch

    from slt_bench.conformance.checks import CHECKS
    from slt_bench.conformance.conform import conform
    from slt_bench.jobs.parsing import choose
    from slt_bench.utils.text import pluralize

    wanted = choose("check", only, CHECKS) if only else list(CHECKS)
    torch.set_num_threads(1)  # small networks
    failed = 0
    for subject in _subjects(names, set_ or [], plugins):
        kind = subject.kind
        typer.echo(
            f"{kind.name}, version {kind.version}, purity {kind.purity}, control {subject.control}: {subject.file}"
        )
        for outcome in conform(subject, wanted):
            _show(outcome)
            failed += outcome.status == "failed"
        typer.echo()
    if failed:
        typer.echo(f"{pluralize(failed, 'check')} failed.")
        raise typer.Exit(1)
    typer.echo("All checks passed.")


def _show(outcome: "Outcome") -> None:
    typer.echo(f"  {outcome.status:<8}{outcome.check:<16}{outcome.words}")
    if outcome.status == "failed":
        typer.echo(f"{'':<10}{'promise':<16}{outcome.promise}")
        typer.echo(f"{'':<10}{'look at':<16}{outcome.where}")


def _subjects(names: list[str], assignments: list[str], plugins: list[Path] | None) -> "list[CheckedMethod]":
    """The methods that were named, each with its settings."""
    from slt_bench.conformance.subject import CheckedMethod
    from slt_bench.jobs.benchmark import resolve_settings
    from slt_bench.jobs.parsing import choose, parse_assignments
    from slt_bench.registry import load_registry
    from slt_bench.utils.errors import UserError, unknown

    use_plugins(plugins)
    folders = [name for name in names if name not in load_registry().methods and Path(name).is_dir()]
    files = [Path(name) for name in names if name.endswith(".py")]
    for file in files:
        if not file.is_file():
            raise UserError(f"There is no plug-in at {file}.")
    for folder in folders:
        found = sorted(file for file in Path(folder).glob("*.py") if not file.name.startswith("_"))
        if not found:
            raise UserError(f"The folder '{folder}' holds no plug-in: a .py file whose name does not begin with '_'.")
        files += found
    use_plugins([file.parent for file in files])
    registry = load_registry()
    chosen = [_name_in(file) for file in files]
    rest = [name for name in names if not name.endswith(".py") and name not in folders]
    if rest:
        chosen += choose("method", ",".join(rest), registry.methods, lambda name: bool(registry.find(name)))
    settings = parse_assignments(assignments)
    for label in settings.keys() - set(chosen):
        raise unknown("method in --set", label, chosen)
    for name in chosen:
        resolve_settings(name, settings.get(name, {}), registry)
    return [CheckedMethod(registry.find(name), settings.get(name, {})) for name in dict.fromkeys(chosen)]


def _name_in(file: Path) -> str:
    """The name of the method in a plug-in's file.

    Raises:
        UserError: The plug-in cannot be used.
    """
    from slt_bench.registry import load_registry
    from slt_bench.utils.errors import UserError

    registry, source = load_registry(), str(file.resolve())
    for name, found in registry.sources.items():
        if found == source:
            return name
    raise UserError(f"The plug-in {file} cannot be used: {registry.broken.get(source, 'it holds no method')}.")
