"""A wheel, installed where there is no checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The python of a new environment that has the wheel, and the packages of this one but not this suite."""
    pytest.importorskip("hatchling", reason="the wheel is built by hatchling")
    room = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(room),
        str(CHECKOUT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = room.glob("slt_bench-*.whl")
    venv.create(room / "venv", with_pip=True)
    python = room / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site,) = (room / "venv" / "lib").glob("python*/site-packages")
    (site / "packages-of-the-tests.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def call(python, folder, *arguments):
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # may lead to the checkout
    done = subprocess.run([python, *arguments], cwd=folder, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_installed_suite_works_from_any_folder(installed, tmp_path):
    where = call(installed, tmp_path, "-c", "import slt_bench; print(slt_bench.__file__)")
    assert str(installed.parent.parent) in where
    listed = call(installed, tmp_path, "-m", "slt_bench", "list")
    assert all(name in listed for name in ("edgepopup", "gates_structured", "quickstart", "lenet_mnist"))
    assert "cannot be used" not in listed
    options = ["--benchmark", "quickstart", "--smoke", "--methods", "gates,dense"]
    assert "2 done" in call(installed, tmp_path, "-m", "slt_bench", "run", *options)
    assert (tmp_path / "results" / "quickstart").is_dir()
    code = "from slt_bench.methods.edgepopup import EdgePopup; print(EdgePopup.name)"
    assert call(installed, tmp_path, "-c", code).split() == ["edgepopup"]
    script = installed.parent / "slt_bench"
    assert "Usage" in call(script, tmp_path, "--help")


@pytest.mark.slow
def test_types_and_templates_travel_along(installed, tmp_path):
    code = "import pathlib, slt_bench; print(*[p.name for p in pathlib.Path(slt_bench.__file__).parent.rglob('*')])"
    names = call(installed, tmp_path, "-c", code).split()
    assert {"py.typed", "page.html", "gates.py", "threshold.py", "accepted_code.toml", "quickstart.toml"} <= set(names)
