"""A record is tied to every file that its method is built from, and to no other."""

import importlib.util
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from slt_bench import registry
from slt_bench.method import Method
from slt_bench.records import Record, staleness
from slt_bench.records.staleness import is_stale
from slt_bench.registry import VARIABLE, fingerprint, fingerprints, load_registry, suite_folder
from slt_bench.utils.files import remove_checksum
from slt_bench.utils.source_code import code_files

CHECKOUT = Path(__file__).parents[2]
GATES = {"gates", "gates_best", "gates_distilled", "gates_rounds", "gates_structured"}
LOGITS = {"aslp", "continuous_sparsification", "hard_concrete", "supermask"}
SCORES = {
    "biprop", "edgepopup", "er_edgepopup", "global_edgepopup", "iterand", "multicoated", "partial_freeze",
}  # fmt: skip


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A copy of the suite's methods, in place of them."""
    folder = tmp_path / "methods"
    shutil.copytree(suite_folder("methods"), folder)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(registry, "suite_folder", lambda _: folder)
    return folder


def edit(file, text="\nUNUSED = 1\n"):
    file.write_text(file.read_text() + text)


@pytest.mark.parametrize(
    ("file", "built_from_it"),
    [
        ("dense.py", {"dense"}),
        ("gates.py", GATES),
        ("gates_best.py", {"gates_best", "gates_distilled", "gates_rounds"}),
        ("shared/multiplier.py", GATES),
        ("shared/threshold.py", GATES | LOGITS),
        ("shared/logits.py", LOGITS),
        ("shared/saliency.py", {"grasp", "snip", "synflow"}),
        ("edgepopup.py", SCORES),
        ("biprop.py", {"biprop"}),
    ],
)
def test_an_edit_changes_the_code_of_the_methods_that_are_built_from_the_file(suite, file, built_from_it):
    before = fingerprints()
    edit(suite / file)
    after = fingerprints()
    assert {name for name in before if before[name] != after[name]} == built_from_it
    assert before.keys() == after.keys() == load_registry().methods.keys()


def test_comments_and_docstrings_change_no_code(suite):
    before = fingerprints()
    for file in suite.rglob("*.py"):
        text = re.sub(r'^( *)"""(?=\S)', r'\1"""In other words: ', file.read_text(), flags=re.MULTILINE)
        file.write_text(f"# A comment.\n{text}")
    assert fingerprints() == before


def test_every_class_of_a_method_lies_in_the_files_that_its_code_is(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    folder = suite_folder("methods").resolve()
    for method in load_registry().methods.values():
        built_from = code_files(Path(inspect.getfile(method)), {"slt_bench.methods": folder})
        classes = method.__mro__[: method.__mro__.index(Method)]
        assert {Path(inspect.getfile(kind)).resolve() for kind in classes} <= built_from, method.name


def test_what_is_read_from_sources_is_what_is_imported(monkeypatch, tmp_path):
    (tmp_path / "_base.py").write_text("from slt_bench.methods.gates import Gates\nclass Base(Gates): ...\n")
    (tmp_path / "mine.py").write_text("from ._base import Base\nclass Mine(Base):\n    name = 'mine'\n")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert load_registry().codes == fingerprints()
    assert "mine" in fingerprints()


def test_a_plug_ins_code_is_its_file_its_helpers_and_its_bases(tmp_path):
    (tmp_path / "_helper.py").write_text("X = 1\n")
    (tmp_path / "_other.py").write_text("X = 1\n")
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from slt_bench.methods.edgepopup import EdgePopup\nfrom ._helper import X\nclass A(EdgePopup): ..."
    )
    before = fingerprint(mine)
    edit(tmp_path / "_other.py")
    assert fingerprint(mine) == before
    edit(tmp_path / "_helper.py")
    assert fingerprint(mine) != before


def test_the_contract_is_part_of_every_methods_code(suite, monkeypatch):
    before = fingerprints()
    package = suite.parent / "slt_bench"
    package.mkdir()
    shutil.copy(CHECKOUT / "slt_bench" / "method.py", package)
    monkeypatch.setattr(registry, "__file__", str(package / "registry.py"))
    assert fingerprints() == before
    edit(package / "method.py")
    assert not set(fingerprints().values()) & set(before.values())


def test_no_record_that_git_keeps_is_stale():
    """Every fingerprint that occurs is either the present one, or was accepted beside it."""
    found = {}
    for file in sorted((CHECKOUT / "results").glob("*/records.jsonl")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            key = (record["job"]["method"], record["method_version"], record["provenance"]["method_code"])
            found.setdefault(key, line)
    codes = fingerprints()

    def never():
        raise AssertionError("the methods were loaded")

    stale = [
        key for key, line in found.items() if is_stale(Record.model_validate_json(remove_checksum(line)), never, codes)
    ]
    assert not stale, "show that masks are equal, then run scripts/accept_code.py; or raise the version"
    assert len(found) > 50


def test_accepting_code_lists_the_present_one_beside_those_of_the_records(suite, monkeypatch, capsys):
    """`scripts/accept_code.py`, of records of two codes and of an earlier version."""
    spec = importlib.util.spec_from_file_location("accept_code", CHECKOUT / "scripts" / "accept_code.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "suite_folder", lambda _: suite)
    monkeypatch.setattr(staleness, "_table", lambda: {"dense": {"1": ["kept"]}})
    lines = [
        json.dumps({"job": {"method": method}, "method_version": version, "provenance": {"method_code": code}})
        for method, version, code in [
            ("edgepopup", 1, "a"),
            ("edgepopup", 1, "b"),
            ("edgepopup", 0, "c"),
            ("snip", 1, "d"),
        ]
    ]
    (suite.parent / "results" / "some").mkdir(parents=True)
    (suite.parent / "results" / "some" / "records.jsonl").write_text("\n".join(lines))
    script.main(["edgepopup"])
    present = load_registry().codes["edgepopup"]
    written = tomllib.loads((suite / "accepted_code.toml").read_text())
    assert written == {"dense": {"1": ["kept"]}, "edgepopup": {"1": sorted(["a", "b", present])}}
    assert capsys.readouterr().out == f"edgepopup, version 1: {', '.join(sorted(['a', 'b', present]))}\n"
    with pytest.raises(SystemExit, match="Not a method of the suite: edgepop"):
        script.main(["edgepop"])


def test_fingerprints_need_no_torch():
    code = "import sys; from slt_bench.registry import fingerprints; assert len(fingerprints()) > 20; "
    code += "assert 'torch' not in sys.modules and 'slt_bench.method' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CHECKOUT)
