"""The source of a function of the suite, with everything of the suite that it uses, as a text that needs no suite."""

import ast
import importlib
import inspect
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

SUITE = "slt_bench"


@dataclass
class Standalone:
    """Pieces of source, in an order in which each stands after what it uses.

    Attributes:
        imports: Lines that import what is not of the suite.
        definitions: Functions, classes and assignments of the suite, by module and name.
    """

    imports: set[str] = field(default_factory=set)
    definitions: dict[tuple[str, str], str] = field(default_factory=dict)

    def text(self) -> str:
        """The imports, then the definitions."""
        return "\n".join(sorted(self.imports)) + "\n\n\n" + "\n\n\n".join(self.definitions.values()) + "\n"


def standalone(module: str, name: str) -> Standalone:
    """A top-level definition and all that it uses, from modules of the suite that import it by its own name.

    Args:
        module: As in `slt_bench.network.architectures.conv`.
        name: Of a function, a class or an assignment in it.
    """
    found = Standalone()
    _collect(importlib.import_module(module), name, found)
    return found


def _collect(module: ModuleType, name: str, found: Standalone) -> None:
    key = (module.__name__, name)
    if key in found.definitions:
        return
    source, definitions, imports = _parsed(module)
    node = definitions[name]
    for used in (part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id != name):
        if used in definitions:
            _collect(module, used, found)
        elif used in imports:
            _import(imports[used], used, found)
    found.definitions[key] = _text(source, node)


def _import(node: ast.Import | ast.ImportFrom, used: str, found: Standalone) -> None:
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == SUITE:
        _collect(importlib.import_module(str(node.module)), used, found)
    else:
        (alias,) = (alias for alias in node.names if (alias.asname or alias.name.split(".")[0]) == used)
        found.imports.add(ast.unparse(_with_names(node, alias)))


def _with_names(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    return ast.ImportFrom(node.module, [alias], 0) if isinstance(node, ast.ImportFrom) else ast.Import([alias])


@cache
def _parsed(module: ModuleType) -> tuple[list[str], dict[str, ast.stmt], dict[str, Any]]:
    """The lines of a module, its top-level definitions, and its imports, by the names that they give."""
    source = inspect.getsource(module)
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            definitions |= {target.id: node for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports |= {alias.asname or alias.name.split(".")[0]: node for alias in node.names}
    return source.splitlines(), definitions, imports


def _text(lines: list[str], node: ast.stmt) -> str:
    """The source of a definition, with its decorators."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[first - 1 : node.end_lineno])
