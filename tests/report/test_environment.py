"""Figures are the same whatever matplotlib is told by variables, files and the program around the suite."""

import os
import subprocess
import sys

import matplotlib as mpl
import pytest

from slt_bench import records
from slt_bench.report.build import ReportSource, build
from slt_bench.report.style import RC, style

DRAW = """
import sys
from pathlib import Path
from slt_bench import records
from slt_bench.report.build import ReportSource, build

build(ReportSource("tiny", records.read(Path(sys.argv[1]))), Path(sys.argv[2]))
"""
SETTINGS = """
backend: module://no_such_module
interactive: True
font.size: 30
font.family: serif
lines.linewidth: 9
axes.grid: False
axes.prop_cycle: cycler(color=['r'])
figure.dpi: 30
svg.fonttype: path
svg.hashsalt: mine
savefig.bbox: tight
"""


@pytest.fixture
def draw(standard, tmp_path):
    """A function that draws the report of `standard` in a process with other variables, in a folder with settings."""
    for record in standard.records.values():
        folder = tmp_path / "results" / record.job.folder
        folder.mkdir(parents=True)
        records.write(folder, record)

    def run(settings, **variables):
        (tmp_path / "matplotlibrc").write_bytes(settings)
        return subprocess.run(
            [sys.executable, "-c", DRAW, "results", "out"], cwd=tmp_path, env=os.environ | variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_figures_are_those_of_a_plain_environment(draw, tmp_path, backend):
    (tmp_path / "a file").touch()
    done = draw(SETTINGS.encode(), MPLBACKEND=backend, MPLCONFIGDIR=str(tmp_path / "a file"))
    assert done.returncode == 0, done.stderr
    build(ReportSource("tiny", records.read(tmp_path / "results")), tmp_path / "plain")
    expected, found = (
        {path.name: path.read_bytes() for path in (tmp_path / out / "figures").iterdir()} for out in ("plain", "out")
    )
    assert {name.rpartition(".")[2] for name in expected} == {"pdf", "svg", "png"}
    assert [name for name in expected if found[name] != expected[name]] == []
    assert found.keys() == expected.keys()


def test_settings_that_cannot_be_read_are_told(draw):
    done = draw(b"font.size: 3\xff")
    assert "UserError" in done.stderr
    assert "matplotlibrc" in done.stderr


def test_the_settings_of_the_program_around_are_its_own_afterwards():
    mine = {"lines.linewidth": 9.0, "font.size": 30.0, "svg.hashsalt": "mine"}
    with mpl.rc_context(mine):
        backend = mpl.rcParams._get("backend")  # without choosing one
        with style():
            assert {name: mpl.rcParams[name] for name in mine} == {name: RC[name] for name in mine}
        assert {name: mpl.rcParams[name] for name in mine} == mine
        assert mpl.rcParams._get("backend") == backend
