"""What the code of a file is, whatever its prose, and which files it is built from. Nothing is imported for it.

The hash of a file is that of its syntax tree, without comments, formatting, docstrings, the descriptions of settings
and the ranges that `tune` tries: none of them changes a result. It is the same in every version of Python that can read
the file.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

IGNORED = ("ctx", "kind", "type_comment", "type_ignores")  # fields of a tree that say nothing, or in some versions only
FOREIGN = {"torch", "numpy", "pydantic", "slt_bench"}  # whose classes are bases of methods, and no methods' code


@dataclass(frozen=True)
class Source:
    """What a file says.

    Attributes:
        digest: Of its code.
        names: What its classes assign to `name`, as methods do.
        imports: (level, dotted name) of everything that it imports; level 0 is absolute.
        bases: Dotted names of the imported classes that its own are derived from.
    """

    digest: str
    names: tuple[str, ...] = ()
    imports: tuple[tuple[int, str], ...] = ()
    bases: tuple[str, ...] = ()


def read_source(file: Path) -> Source:
    """Return what a file says; of one that Python cannot read only a hash of its bytes."""
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _read(file: Path, *_: int) -> Source:
    text = file.read_bytes()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return Source(hashlib.sha256(text).hexdigest())
    digest = hashlib.sha256("".join(_canonical(tree)).encode()).hexdigest()
    imports = tuple(dict.fromkeys((level, dotted) for level, dotted, _ in _imports(tree)))
    bound = {alias: dotted for level, dotted, alias in _imports(tree) if level == 0}
    bases = (_dotted(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases)
    parts = (base.partition(".") for base in bases)
    outside = tuple(bound[first] + dot + rest for first, dot, rest in parts if first in bound)
    return Source(digest, tuple(_names(tree)), imports, outside)


def code_files(file: Path, packages: Mapping[str, Path]) -> set[Path]:
    """Return a file and all that its code is built from, directly or not.

    These are what it imports from its own package, by relative imports, or from `packages`; and wherever they lie, the
    files of the classes that its own are derived from, torch's and the suite's excepted.

    Args:
        file: Of Python.
        packages: Folders of packages that count as its own, by their names.
    """
    found: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _followed(path, packages)
    return found


def _followed(file: Path, packages: Mapping[str, Path]) -> Iterator[Path]:
    source = read_source(file)
    own = {**_own_package(file), **packages}
    for level, dotted in source.imports:
        if level:
            folder = file.parents[level - 1]
            yield from _file_in(folder, dotted)
        for name, folder in own.items() if not level else ():
            if f"{dotted}.".startswith(f"{name}."):
                yield from _file_in(folder, dotted[len(name) + 1 :])
    for dotted in source.bases:
        top = dotted.partition(".")[0]
        if top not in own and top not in FOREIGN and top not in sys.stdlib_module_names:
            yield from module_file(dotted)


def _own_package(file: Path) -> dict[str, Path]:
    """The outermost package that a file belongs to, and its folder; none where it belongs to none, or to the suite."""
    package = None
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        package = folder
    return {package.name: package} if package and package.name not in FOREIGN else {}


def _file_in(folder: Path, dotted: str) -> Iterator[Path]:
    """The file of the longest part of a dotted name that is a module in a package's folder."""
    parts = dotted.split(".") if dotted else []
    for count in range(len(parts), -1, -1):
        path = folder.joinpath(*parts[:count])
        for file in (path.with_suffix(".py") if count else path / "__init__.py", path / "__init__.py"):
            if file.is_file():
                yield file.resolve()
                return


def module_file(dotted: str) -> Iterator[Path]:
    """Yield the file of the longest part of a dotted name that is an installed module, if there is one."""
    top, _, rest = dotted.partition(".")
    try:
        spec = importlib.util.find_spec(top)  # of an outermost module, which imports nothing
    except (ImportError, ValueError):
        return
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from _file_in(Path(folder), rest)
        return
    if spec and spec.origin and spec.origin.endswith(".py"):
        yield Path(spec.origin).resolve()


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(level, dotted name, name that it is bound to) of all imports, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield 0, name.name, name.asname or name.name
                if not name.asname:
                    yield 0, name.name.partition(".")[0], name.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                inner = () if name.name == "*" else (name.name,)
                yield node.level, ".".join(filter(None, (node.module, *inner))), name.asname or name.name


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _names(tree: ast.Module) -> Iterator[str]:
    for kind in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for node in (node for node in kind.body if isinstance(node, ast.Assign)):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            else:
                pairs = [(target, value)]
            for left, right in pairs:
                if isinstance(left, ast.Name) and left.id == "name" and isinstance(right, ast.Constant):
                    yield str(right.value)


def _canonical(thing: Any) -> Iterator[str]:
    """A text of a tree that depends on its code alone."""
    if isinstance(thing, list):
        yield "["
        for item in thing:
            if not _is_prose(item):
                yield from _canonical(item)
        yield "]"
    elif isinstance(thing, ast.AST):
        thing = _without_ranges(thing)
        yield f"{type(thing).__name__}("
        for name, value in ast.iter_fields(thing):
            if name not in IGNORED and value is not None and value != []:
                yield f"{name}="
                yield from _canonical(value)
        yield ")"
    else:
        yield f"{type(thing).__name__}:{thing!a},"


def _is_prose(node: Any) -> bool:
    """Whether it is a docstring, or the description of a setting."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.keyword) and node.arg == "description"


def _without_ranges(node: ast.AST) -> ast.AST:
    """`Annotated[float, Range(...)]` as `float`."""
    if not (isinstance(node, ast.Subscript) and _dotted(node.value).endswith("Annotated")):
        return node
    if not isinstance(node.slice, ast.Tuple):
        return node
    left = [item for item in node.slice.elts if not _is_range(item)]
    if len(left) == 1:
        return left[0]
    return ast.Subscript(node.value, ast.Tuple(left, ast.Load()), ast.Load())


def _is_range(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _dotted(node.func).rpartition(".")[2] in ("Range", "Choice")
