"""What counts as a file's code: whatever may change a result, and nothing else."""

import pytest

from slt_bench.utils.source_code import code_files, read_source

CODE = """
class Mine(Base):
    name = "mine"

    class Settings(OptimizerSettings):
        lr: Annotated[float, Range(1, 2)] = Field(0.1, gt=0, description="how fast")

    def mask(self):
        return self.scores > 0.5 - 0
"""


@pytest.fixture
def digest(tmp_path):
    def digest(text):
        (tmp_path / "some.py").write_text(text)
        return read_source(tmp_path / "some.py").digest

    return digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nclass Mine", '\n"""What it is."""\n\n\n# why\nclass Mine'),
        ("    def mask(self):", '    def mask(self):\n        """The answer."""'),
        ("    def mask(self):", "    def mask(\n        self,\n    ):  # noqa"),
        ('"mine"', "'mine'"),
        ('"how fast"', '"how fast it learns"'),
        (', description="how fast"', ""),
        ("Range(1, 2)", "Range(1, 3, log=True)"),
        ("Annotated[float, Range(1, 2)]", "float"),
    ],
)
def test_prose_and_search_ranges_are_no_code(digest, old, new):
    assert digest(CODE.replace(old, new)) == digest(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.5", "0.25"),
        ("> 0.5", ">= 0.5"),
        ("- 0", "- False"),
        ("gt=0", "ge=0"),
        ("0.1", "0.2"),
        ("(Base)", "(Other)"),
        ('"mine"', '"yours"'),
        ("    def mask", "    @classmethod\n    def mask"),
    ],
)
def test_everything_else_is(digest, old, new):
    assert digest(CODE.replace(old, new)) != digest(CODE)


def test_the_hash_is_the_same_on_every_python(digest):
    """Records made by one version of Python are compared with sources read by another."""
    text = "def f(x: int = 1, *, y=-0.5) -> str:\n    return f'{x!r:>{y}} é \\x00' if x else b'a'[1:2]\n"
    assert digest(text)[:16] == "702955d28840c391"


def test_a_file_that_python_cannot_read_has_a_hash_too(digest):
    assert digest("def (:") != digest("def ):")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A function that writes files, and gives the names of those that the first is built from."""
    monkeypatch.syspath_prepend(tmp_path / "site")

    def tree(packages=(), **files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('____init__', '/@').replace('__', '/').replace('@', '__init__')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        first = tmp_path / f"{next(iter(files)).replace('__', '/')}.py"
        found = code_files(first, {name: tmp_path / folder for name, folder in packages})
        return {str(path.relative_to(tmp_path).with_suffix("")) for path in found}

    return tree


def test_relative_imports_are_followed_as_far_as_they_lead(tree):
    found = tree(
        mine__a="from ._b import x\nfrom . import c\nfrom .deep.d import y, z",
        mine___b="def f():\n    from .deep import e",
        mine__c="",
        mine__other="",
        mine__deep__d="from ..c import x",
        mine__deep__e="from .. import a",
    )
    assert found == {"mine/a", "mine/_b", "mine/c", "mine/deep/d", "mine/deep/e"}


def test_the_suites_methods_are_followed_by_their_name(tree):
    found = tree(
        [("slt_bench.methods", "suite")],
        mine__a="from slt_bench.methods.gates import Gates\nimport slt_bench.method, torch",
        suite__gates="from slt_bench.methods import helper",
        suite__helper="",
        suite__edgepopup="",
    )
    assert found == {"mine/a", "suite/gates", "suite/helper"}


@pytest.mark.parametrize(
    ("line", "base"),
    [
        ("from theirs.base import Base", "Base"),
        ("from theirs.base import Base as B", "B"),
        ("import theirs.base", "theirs.base.Base"),
        ("from theirs import base as b", "b.Base"),
    ],
)
def test_bases_are_followed_into_installed_packages(tree, line, base):
    found = tree(
        mine__a=f"{line}\nimport lonely\nfrom torch import nn\nclass A({base}, nn.Module): ...",
        site__theirs____init__="raise RuntimeError('imported')",
        site__theirs__base="from theirs.helper import x",
        site__theirs__helper="",
        site__theirs__other="",
        site__lonely="",
    )
    assert found == {"mine/a", "site/theirs/base", "site/theirs/helper"}


def test_bases_that_a_package_hands_on_are_found(tree):
    found = tree(
        mine__a="from handson import Base\nclass A(Base): ...",
        site__handson____init__="from .base import Base",
        site__handson__base="",
    )
    assert found == {"mine/a", "site/handson/__init__", "site/handson/base"}


def test_a_base_in_a_single_module_is_found(tree):
    assert tree(mine__a="import single\nclass A(single.Base): ...", site__single="") == {"mine/a", "site/single"}
