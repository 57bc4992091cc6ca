"""A folder to type commands in, and the command line."""

import os
import re
import sys

import pytest

from slt_bench.cli import main
from slt_bench.data import root
from slt_bench.registry import VARIABLE as PLUGINS


@pytest.fixture
def cores(monkeypatch):
    """A function that says how many CPU cores this machine has, beside plenty of memory; forgets OMP_NUM_THREADS."""

    def have(count):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)
        monkeypatch.setattr("slt_bench.execution.executors.local._free_gb", lambda: 1000.0)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    return have


@pytest.fixture
def cwd(tmp_path, monkeypatch, cores):
    """An empty folder to be in, with no data, cache or plug-ins of the user's, on a machine of one core."""
    cores(1)
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv(PLUGINS, "")
    monkeypatch.setenv(root.VARIABLE, str(tmp_path / "no data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(root, "DEBIAN_FOLDERS", {})
    return folder


@pytest.fixture
def end(cwd, monkeypatch, capsys):
    """Runs a command: its exit code, what it printed, and what it said on stderr."""

    def end(*arguments):
        monkeypatch.setattr(sys, "argv", ["slt_bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        told = capsys.readouterr()
        return stop.value.code or 0, told.out, told.err

    return end


@pytest.fixture
def refused(end, cwd):
    """Runs a command that is wrong, checks how that is told, and gives back the words."""

    def refused(*arguments):
        before = sorted(cwd.rglob("*"))
        code, out, err = end(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("slt_bench: ")
        assert err.endswith((".\n", "?\n"))
        assert err.count("\n") == 1, "one line"
        assert len(err) < 800
        assert len(re.findall(r"[.?](?=\s)", err)) <= 3, "few sentences"
        assert "Traceback" not in err
        assert not re.search(r"\w(Error|Exception)\b", err), "no name of an exception"
        assert sorted(cwd.rglob("*")) == before
        return err.removeprefix("slt_bench: ").strip()

    return refused
