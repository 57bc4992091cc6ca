"""The map of rooms (CONTRIBUTING.md) holds: which room may import which, no circle, no type name twice, short files.

Everything is read from the sources, imports inside functions and under TYPE_CHECKING included.
"""

import ast
from collections import Counter, defaultdict
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGE = "slt_bench"
LONGEST = 350  # lines
TOP = {"__init__.py", "__main__.py", "method.py", "registry.py", "py.typed"}

# From the top floor down. A room imports rooms of lower floors; those that it imports of its own floor are named.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"report", "execution", "conformance", "profiling"},
    {"training", "tickets", "analysis"},
    {"records", "jobs"},
    {"method", "registry"},
    {"network", "data"},
    {"utils"},
)
SAME_FLOOR = {("training", "tickets"), ("records", "jobs"), ("registry", "method"), ("data", "network")}
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
    return name.removesuffix(".__init__")


SOURCES = {
    module_name(path): path
    for path in sorted((CHECKOUT / PACKAGE).rglob("*.py"))
    if (CHECKOUT / PACKAGE / "methods") not in path.parents
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}


def imported(tree: ast.AST, known: set[str]) -> set[str]:
    """The modules of `known` that a source imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {full if (full := f"{node.module}.{alias.name}") in known else node.module for alias in node.names}
    return found & known


def graph() -> dict[str, set[str]]:
    return {name: imported(tree, set(SOURCES)) - {name} for name, tree in TREES.items()}


def room(module: str) -> str:
    return module.split(".")[1] if module != PACKAGE else PACKAGE


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """A circle of imports, the first name repeated at its end; empty where there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def forbidden(arrows: dict[str, set[str]]) -> list[str]:
    """The imports that run against the floors."""
    return [
        f"{one} imports {other}"
        for one, others in sorted(arrows.items())
        for other in sorted(others)
        if PACKAGE not in (room(one), room(other))
        and room(one) != room(other)
        and FLOOR[room(one)] >= FLOOR[room(other)]
        and (room(one), room(other)) not in SAME_FLOOR
    ]


def test_the_top_holds_rooms_and_two_loose_modules():
    top = {path.name for path in (CHECKOUT / PACKAGE).iterdir() if path.is_file()}
    assert top == TOP
    rooms = {path.name for path in (CHECKOUT / PACKAGE).iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms - {"methods"} == set(FLOOR) - {"__main__", "method", "registry"}


def test_no_module_imports_itself_over_others():
    assert circle(graph()) == []


def test_imports_run_down_the_floors():
    assert forbidden(graph()) == []


@pytest.mark.parametrize("room_name", ["analysis", "report"])
def test_what_draws_and_compares_loads_no_torch(room_name):
    loaders = [
        name
        for name, tree in TREES.items()
        if room(name) == room_name
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "torch" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch")
    ]
    assert loaders == []


def test_files_are_short():
    lengths = {
        str(path.relative_to(CHECKOUT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in (PACKAGE, "methods")
        for path in (CHECKOUT / folder).rglob("*.py")
    }
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}


def test_no_type_has_the_name_of_another():
    names: Counter[str] = Counter()
    where = defaultdict(list)
    for module, tree in TREES.items():
        assert isinstance(tree, ast.Module)
        for node in tree.body:
            name = node.name if isinstance(node, ast.ClassDef) else _alias(node)
            if name and not name.startswith("_"):
                names[name] += 1
                where[name].append(module)
    assert {name: where[name] for name, count in names.items() if count > 1} == {}


def _alias(node: ast.stmt) -> str:
    """The name of a type alias such as `Shape = tuple[int, int, int]`; empty for any other statement."""
    if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
        return ""
    name = node.targets[0].id
    return (
        name if name[0].isupper() and not name.isupper() and isinstance(node.value, ast.Subscript | ast.BinOp) else ""
    )


class TestTheTestItself:
    """What it is to find, it finds."""

    def test_a_circle_inside_functions(self):
        tree = ast.parse("def late():\n    from slt_bench.b import thing\n")
        arrows = {"slt_bench.a": imported(tree, {"slt_bench.a", "slt_bench.b"}), "slt_bench.b": {"slt_bench.a"}}
        found = circle(arrows)
        assert set(found) == {"slt_bench.a", "slt_bench.b"}
        assert all(pair for pair in pairwise(found))

    def test_an_import_up_the_floors(self):
        arrows = {"slt_bench.utils.files": {"slt_bench.cli.run"}, "slt_bench.cli.run": {"slt_bench.utils.files"}}
        assert forbidden(arrows) == ["slt_bench.utils.files imports slt_bench.cli.run"]

    def test_an_import_between_rooms_of_one_floor(self):
        assert forbidden({"slt_bench.report.page": {"slt_bench.execution.log"}})
        assert not forbidden({"slt_bench.training.loop": {"slt_bench.tickets.evaluate"}})

    def test_a_type_alias(self):
        assert _alias(ast.parse("Shape = tuple[int, int]").body[0]) == "Shape"
        assert _alias(ast.parse("LIMIT = 3").body[0]) == ""
