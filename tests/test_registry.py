"""Where methods come from, and what happens to those that cannot be used."""

import importlib
import importlib.metadata
import os
import re
import sys

import pytest

from slt_bench.method import Method
from slt_bench.registry import ENTRY_POINTS, VARIABLE, load_registry, suite_folder
from slt_bench.utils.errors import UserError

METHOD = """
import torch
from slt_bench.method import Method
{extra}

class {title}(Method):
    "A method of the tests."

    name, version, paper = "{name}", 1, "none"
    sparsity_control, purity = "exact", "frozen"

    def gates(self):
        return torch.ones_like(self.network.weights)

    def mask(self):
        return torch.ones_like(self.network.weights, dtype=torch.bool)
"""


def source(name, extra="", title="Mine"):
    return METHOD.format(name=name, extra=extra, title=title)


def searching(name, settings):
    """A method with settings for `tune`."""
    extra = "from typing import Annotated\nfrom slt_bench.method import Choice, OptimizerSettings, Range"
    own = f"    class Settings(OptimizerSettings):\n        {settings}\n\n    sparsity_control"
    return source(name, extra).replace("    sparsity_control", own)


@pytest.fixture
def found(tmp_path, monkeypatch):
    """The registry with one folder of plug-ins, of these files."""

    def found(**files):
        folder = tmp_path / "mine"
        folder.mkdir()
        for stem, content in files.items():
            (folder / f"{stem}.py").write_text(content)
        monkeypatch.setenv(VARIABLE, str(folder))
        return load_registry()

    return found


def by_file(registry):
    return {os.path.basename(where): error for where, error in registry.broken.items()}  # noqa: PTH119


def test_the_suites_own_methods_are_all_usable(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    registry = load_registry()
    assert registry.broken == {}
    assert {"gates", "edgepopup", "random_mask", "dense"} <= set(registry.methods)
    for name, method in registry.methods.items():
        assert method.name == name
        assert registry.find(name) is method
        assert registry.sources[name].endswith(".py")


def test_the_suites_methods_are_modules_that_anybody_may_import(found):
    registry = found(
        mine=source("mine", "from slt_bench.methods.edgepopup import EdgePopup").replace("(Method)", "(EdgePopup)")
    )
    assert registry.find("edgepopup") is importlib.import_module("slt_bench.methods.edgepopup").EdgePopup
    assert issubclass(registry.find("mine"), registry.find("edgepopup"))
    assert {method.__module__ for name, method in registry.methods.items() if name != "mine"} == {
        f"slt_bench.methods.{name}" for name in registry.methods if name != "mine"
    }


def test_a_file_in_a_folder_is_a_method(found, tmp_path):
    registry = found(good=source("good_one"))
    method = registry.find("good_one")
    assert issubclass(method, Method)
    assert method.name == "good_one"
    assert registry.sources["good_one"] == str((tmp_path / "mine" / "good.py").resolve())
    assert registry.broken == {}


def test_broken_plugins_are_listed_with_their_error_and_stop_nothing_else(found):
    registry = found(
        a_syntax="def (:\n",
        b_two=source("two_a") + source("two_b", title="Second"),
        c_clash=source("gates"),
        d_none="x = 1\n",
        e_raises="raise RuntimeError('not today')\n",
        f_exits="import sys\nsys.exit('goodbye')\n",
        g_import="import a_module_that_does_not_exist\n",
        h_silent=source("h").replace('sparsity_control, purity = "exact", "frozen"', ""),
        i_name=source("../evil"),
        j_abstract=source("j").replace("def mask", "def other"),
        k_number=source("k").replace('"k"', "3"),
        l_version=source("l").replace(", 1,", ', "one",'),
        m_purity=source("m").replace('"frozen"', '"clean"'),
        n_control=source("n").replace('"exact"', '"more or less"'),
        p_search=searching("p", "lr: Annotated[float, Range(0, 1, log=True)] = 0.5"),
        r_search=searching("r", 'optimizer: Annotated[str, Choice(("adam", "adam"))] = "adam"'),
        x_good=searching("good_three", 'optimizer: Annotated[str, Choice(("adam", "sgd"))] = "adam"'),
        y_good=searching("good_two", "lr: Annotated[float, Range(0.1, 1, log=True)] = 0.5"),
        z_good=source("good_one"),
    )
    told = {
        "a_syntax.py": "SyntaxError",
        "b_two.py": "Mine, Second",
        "c_clash.py": "'gates' is taken by",
        "d_none.py": "no class that gives a `name`",
        "e_raises.py": "RuntimeError: not today",
        "f_exits.py": "SystemExit: goodbye",
        "g_import.py": "a_module_that_does_not_exist",
        "h_silent.py": "sparsity_control, purity",
        "i_name.py": "'../evil'",
        "j_abstract.py": "does not define mask() (j_abstract.py, line 6)",
        "k_number.py": "name",
        "l_version.py": "version",
        "m_purity.py": "purity",
        "n_control.py": "sparsity_control",
        "p_search.py": "Range(low=0, high=1, log=True, whole=False) must rise from low to high",
        "r_search.py": "must have several values (r_search.py, line 1",
    }
    broken = by_file(registry)
    assert set(broken) == set(told)
    for file, words in told.items():
        assert words in broken[file], file
    assert registry.find("good_one").name == "good_one"
    assert registry.find("gates").__module__ != registry.find("good_one").__module__
    assert registry.sources["gates"].endswith("gates.py"), "the newcomer loses the name"
    assert not {"two_a", "two_b", "h", "../evil", 3, "l", "m", "n"} & set(registry.methods)


def test_asking_for_a_broken_plugin_tells_its_error(found):
    registry = found(mine="raise RuntimeError('not today')\n")
    with pytest.raises(UserError, match=r"'mine' \(.*mine\.py\) cannot be used: RuntimeError: not today"):
        registry.find("mine")


def test_methods_share_what_stands_in_a_file_with_an_underscore(found):
    registry = found(
        _helper="PAPER = 'from the helper'\n",
        one=source("one", "from ._helper import PAPER").replace('"none"', "PAPER"),
        two=source("two", "from . import _helper").replace('"none"', "_helper.PAPER"),
    )
    assert registry.broken == {}
    assert registry.find("one").paper == registry.find("two").paper == "from the helper"


def test_two_folders_may_have_files_of_the_same_name(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "_helper.py").write_text(f"PAPER = '{name}'\n")
        text = source(f"of_{name}", "from ._helper import PAPER").replace('"none"', "PAPER")
        (tmp_path / name / "same.py").write_text(text)
    monkeypatch.setenv(VARIABLE, os.pathsep.join(str(tmp_path / name) for name in ("first", "second")))
    registry = load_registry()
    assert registry.broken == {}
    assert registry.find("of_first").paper == "first"
    assert registry.find("of_second").paper == "second"


def test_a_folder_named_twice_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.py").write_text(source("one"))
    monkeypatch.chdir(tmp_path)
    again = ("mine", str(tmp_path / "mine"), str(suite_folder("methods")))
    monkeypatch.setenv(VARIABLE, os.pathsep.join(again))
    registry = load_registry()
    assert registry.broken == {}
    assert registry.find("one")


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_is_not_there_is_told(tmp_path, monkeypatch, name):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / name))
    with pytest.raises(UserError, match=re.escape(f"The plug-in folder '{tmp_path / name}' does not exist.")):
        load_registry()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("good_on", "Did you mean good_one?"),
        ("gates_structurd", "Did you mean gates_structured"),
        ("qqqq", "Known: aslp, biprop, continuous_sparsification"),
        ("", "Known: aslp"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(found, name, told):
    with pytest.raises(UserError, match=re.escape(f"Unknown method '{name}'. {told}")):
        found(good=source("good_one")).find(name)


@pytest.fixture
def entry_points(monkeypatch):
    """Installed packages that offer these methods, by name of the entry point."""
    original = importlib.metadata.entry_points

    def offer(**values):
        def fake(**wanted):
            if wanted.get("group") != ENTRY_POINTS:
                return original(**wanted)
            group = ENTRY_POINTS
            return importlib.metadata.EntryPoints(
                importlib.metadata.EntryPoint(name, value, group) for name, value in values.items()
            )

        monkeypatch.setattr(importlib.metadata, "entry_points", fake)

    return offer


def test_installed_packages_bring_methods_by_entry_points(tmp_path, monkeypatch, entry_points, found):
    (tmp_path / "an_installed_package.py").write_text(source("installed"))
    monkeypatch.syspath_prepend(tmp_path)
    entry_points(installed="an_installed_package:Mine", gone="a_package_that_is_gone:Mine")
    registry = found(good=source("good_one"))
    try:
        assert registry.find("installed").__module__ == "an_installed_package"
        assert registry.find("good_one")
        assert "an_installed_package" in registry.sources["installed"]
        ((where, error),) = registry.broken.items()
        assert "a_package_that_is_gone:Mine" in where
        assert "ModuleNotFoundError" in error
        with pytest.raises(UserError, match=r"'gone' \(gone = a_package_that_is_gone:Mine\) cannot be used"):
            registry.find("gone")
    finally:
        sys.modules.pop("an_installed_package", None)


def test_plugins_are_reached_from_anywhere(found, tmp_path, monkeypatch):
    """A worker in another folder and process finds what `--plugins` named: nothing depends on where we are."""
    method = found(good=source("good_one")).find("good_one")
    monkeypatch.chdir(tmp_path)
    assert load_registry().find("good_one") is method
