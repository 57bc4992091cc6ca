"""`check` and `new-method`, as typed."""

from pathlib import Path

import pytest

from slt_bench.registry import load_registry

README = Path(__file__).parents[2] / "README.md"


def test_a_skeleton_passes_every_check(end, cwd):
    code, out, _ = end("new-method", "my_method", "--folder", "mine")
    assert code == 0
    assert out.splitlines()[0] == "mine/my_method.py"
    assert "check mine/my_method.py" in out
    assert (cwd / "mine" / "my_method.py").read_text().count("MyMethod") == 1
    code, out, _ = end("check", "mine/my_method.py")
    assert code == 0, out
    assert out.count("\n  passed") == 13
    assert "All checks passed." in out


def test_a_skeleton_runs(end, cwd):
    end("new-method", "mine", "--folder", "methods")
    options = ["--archs", "lenet300", "--datasets", "digits", "--seeds", "0", "--sparsities", "0.5", "--no-references"]
    code, out, err = end("run", "--plugins", "methods", "--methods", "mine", *options, "--epochs", "2")
    assert code == 0, out + err
    assert "1 done" in out


def test_what_fails_is_told_with_its_place_and_exit_code(end, cwd):
    (cwd / "sigmoid_gates.py").write_text(README.read_text().split("```python\n")[1].split("```")[0])
    code, out, _ = end("check", "sigmoid_gates.py", "--only", "planted*,mask")
    assert code == 1
    assert "  passed  mask" in out
    assert "  failed  planted ticket  it does not come near" in out
    assert "look at         sigmoid_gates.py:26 (gates)" in out
    assert "1 check failed." in out
    shown = next(line for line in README.read_text().splitlines() if line.startswith("  failed  planted ticket"))
    assert shown.removesuffix(" ...") in out, "the README shows what is printed"


def test_a_folder_stands_for_its_plug_ins(end, cwd):
    for name in ("mine", "yours", "_shared"):
        end("new-method", name.strip("_"), "--folder", "methods")
    (cwd / "methods" / "shared.py").rename(cwd / "methods" / "_shared.py")
    code, out, err = end("check", "methods", "--only", "settings")
    assert code == 0, err
    assert out.count(", version 1, ") == 2
    assert str(Path("methods", "yours.py")) in out
    (cwd / "edgepopup").mkdir()
    assert "edgepopup, version 1" in end("check", "edgepopup", "--only", "settings")[1], "a method's name comes first"


def test_a_folder_without_plug_ins_is_told(refused, cwd):
    (cwd / "empty").mkdir()
    assert "'empty' holds no plug-in" in refused("check", "empty")


def test_several_methods_and_settings(end):
    code, out, _ = end("check", "gates,edge*", "--set", "gates.penalty=1e-6", "--only", "sparsity")
    assert code == 0
    assert f"gates, version {load_registry().find('gates').version}, purity frozen, control none" in out
    assert "skipped sparsity        its settings decide the sparsity" in out
    assert "edgepopup, version 1, purity frozen, control exact" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check", "edgepop"], "Did you mean edgepopup, "),
        (["check", "nowhere.py"], "There is no plug-in at nowhere.py."),
        (["check", "gates", "--set", "gates.sgima=1"], "Did you mean sigma"),
        (["check", "gates", "--set", "edgepopup.lr=1"], "Unknown method in --set 'edgepopup'"),
        (["check", "gates", "--only", "purty"], "Did you mean purity"),
        (["new-method", "3x"], "cannot be a method's name"),
        (["new-method", "class"], "cannot be a method's name"),
        (["new-method", "../x"], "cannot be a method's name"),
        (["new-method", "gates"], "There is a method 'gates' already"),
        (["ticket", "verify", "nowhere.slt"], ""),
    ],
    ids=str,
)
def test_what_is_wrong_is_told(end, cwd, arguments, told):
    code, out, err = end(*arguments)
    assert code in (1, 2)
    assert told in out + err
    assert "Traceback" not in err
    assert list(cwd.iterdir()) == []


def test_nothing_is_written_over(end, refused):
    end("new-method", "mine")
    assert "is there already" in refused("new-method", "mine")


def test_a_broken_plug_in_is_told(end, cwd):
    (cwd / "broken.py").write_text("import no_such_package\n")
    code, _, err = end("check", "broken.py")
    assert code == 2
    assert "broken.py cannot be used: ModuleNotFoundError: No module named 'no_such_package' (broken.py, line 1)" in err
