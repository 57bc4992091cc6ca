"""Where methods come from: the package `slt_bench.methods`, `--plugins` folders, and the entry points of that name.

Each file of such a folder holds one method, except those whose name begins with `_`. What methods of a folder share
stands in such a file or in a folder below (`from ._shared import ...`). A user's folder is a private package.
A plug-in that cannot be imported is listed with its error, and the others stay usable.
"""

import contextlib
import hashlib
import importlib
import importlib.metadata
import inspect
import os
import sys
import traceback
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from slt_bench.network.streams import derive_seed
from slt_bench.utils.errors import UserError, unknown
from slt_bench.utils.import_torch import load_torch
from slt_bench.utils.source_code import code_files, module_file, read_source

if TYPE_CHECKING:
    from slt_bench.method import Method

SUITE = "slt_bench.methods"
ENTRY_POINTS = "slt_bench.methods"
VARIABLE = "SLT_BENCH_PLUGINS"


@dataclass
class Registry:
    """The methods that were found.

    Attributes:
        methods: By name.
        broken: Errors of plug-ins that could not be used, by file or entry point.
        sources: Where each method was found, by name.
        codes: The fingerprints of the code that was imported, by name.
    """

    methods: dict[str, type["Method"]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> type["Method"]:
        """The method of that name.

        Raises:
            UserError: There is none, or its plug-in is broken.
        """
        if name in self.methods:
            return self.methods[name]
        for source, error in self.broken.items():
            if name in (Path(source).stem, source.partition(" = ")[0]):  # a file, or an entry point
                raise UserError(f"The method '{name}' ({source}) cannot be used: {error}")
        own = name.endswith(".py") or "/" in name
        hint = "Methods of your own are known by name once --plugins names their folder." if own else ""
        raise unknown("method", name, self.methods, hint)

    def add(self, method: type["Method"], source: str) -> None:
        """Take a method in; a name that is taken already is an error of the newcomer."""
        if method.name in self.methods:
            self.broken[source] = f"its name '{method.name}' is taken by {self.sources[method.name]}"
        else:
            self.methods[method.name] = method
            self.sources[method.name] = source
            self.codes[method.name] = fingerprint(Path(inspect.getfile(method)))


def fingerprint(file: Path) -> str:
    """Return what tells a method's code from any other's: 16 hexadecimal digits.

    It is a hash over every file that the method is built from, wherever it lies (`code_files`), and over the contract;
    comments, docstrings and the like do not change it. A record with the fingerprint of a file that is there was made
    by that very code.
    """
    contract = Path(__file__).with_name("method.py").resolve()
    files = code_files(file, {SUITE: suite_folder("methods").resolve()}) - {contract}
    own = read_source(file.resolve()).digest
    others = sorted(read_source(other).digest for other in files - {file.resolve()})
    return hashlib.sha256("".join([own, *others, read_source(contract).digest]).encode()).hexdigest()[:16]


def fingerprints() -> dict[str, str]:
    """Return those of the methods that are there, by name, and import none: names are read from the sources.

    A name that a class does not give as a plain text is missing.
    """
    files = [file for folder in method_folders(plugin_folders()) for file in method_files(folder)]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        files += module_file(entry.value.partition(":")[0])
    found: dict[str, str] = {}
    for file in files:
        for name in read_source(file).names:
            found.setdefault(name, fingerprint(file))  # as of two methods of one name the registry takes the first
    return found


def suite_folder(name: str) -> Path:
    """The suite's own folder `methods` or `benchmarks`: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def plugin_folders() -> tuple[Path, ...]:
    """The user's folders of plug-ins, from the environment variable that `--plugins` sets."""
    return tuple(Path(part).resolve() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part)


def method_folders(plugins: Iterable[Path]) -> list[Path]:
    """The suite's folder of methods, then these folders of plug-ins, each once."""
    return list(dict.fromkeys((suite_folder("methods").resolve(), *plugins)))


def method_files(folder: Path) -> list[Path]:
    """The files of a folder that hold a method each."""
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith("_"))


def load_registry() -> Registry:
    """Every method of the suite, of the user's folders, and of installed packages.

    Raises:
        UserError: A folder of plug-ins does not exist.
    """
    return _load(plugin_folders())


@cache
def _load(folders: tuple[Path, ...]) -> Registry:
    with contextlib.suppress(ImportError):  # then each method tells it
        load_torch()
    registry = Registry()
    for folder in method_folders(folders):
        if not folder.is_dir():
            raise UserError(f"The plug-in folder '{folder}' does not exist.")
        for file in method_files(folder):
            _add_from(registry, str(file), _file_module(folder, file.stem))
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        _add_from(registry, f"{entry.name} = {entry.value}", entry.value.partition(":")[0])
    return registry


def _file_module(folder: Path, stem: str) -> str:
    """The module name of a file in a folder of methods; a user's folder becomes a package on first use."""
    if folder == suite_folder("methods").resolve():
        return f"{SUITE}.{stem}"
    package = f"_slt_bench_plugins_{derive_seed(folder):x}"
    if package not in sys.modules:
        module = types.ModuleType(package, f"Plug-ins in {folder}.")
        module.__path__ = [str(folder)]
        sys.modules[package] = module
    return f"{package}.{stem}"


def _add_from(registry: Registry, source: str, module: str) -> None:
    try:
        found = _methods_of(importlib.import_module(module))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may fail in any way
        registry.broken[source] = f"{type(error).__name__}: {error}{_line_of(error)}"
        return
    if len(found) == 1:
        registry.add(found[0], source)
        return
    names = ", ".join(method.__name__ for method in found)
    registry.broken[source] = (
        f"a plug-in holds one method; found {names}" if names else "it holds no class that gives a `name`"
    )


def _line_of(error: BaseException) -> str:
    """The innermost line of a plug-in, the suite's contract excepted, that an error came from; empty without one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_file()]
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(Path(__file__).parent)]
    own = [frame for frame in own if Path(frame.filename) != Path(importlib.__file__)]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _methods_of(module: types.ModuleType) -> list[type["Method"]]:
    from slt_bench.method import Method  # noqa: PLC0415 - torch loads with it

    classes: Iterable[type] = (value for value in vars(module).values() if inspect.isclass(value))
    return [
        value
        for value in classes
        if issubclass(value, Method) and value.__module__ == module.__name__ and hasattr(value, "name")
    ]
