"""`run` as its user has it: a process of its own."""

import os
import subprocess
import sys

import pytest

BENCHMARK = """
archs = "lenet300"
datasets = "digits"
sparsities = [0.5, 0.9]
seeds = "0-1"
[budget]
epochs = 3
batch_size = 64
[methods]
gates = {}
edgepopup = {}
random_mask = {}
dense = {}
"""
JOBS = 14


@pytest.fixture
def benchmark_file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(BENCHMARK)
    return path


def run(benchmark_file, room):
    """A run from start to end: exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", "slt_bench", "run", "--benchmark", str(benchmark_file), "--threads", "1"],
        cwd=room,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "100"},
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.slow
def test_one_command_trains_compares_and_draws(benchmark_file, tmp_path):
    code, output = run(benchmark_file, tmp_path)
    assert code == 0, output
    assert f"{JOBS} of {JOBS} jobs to run" in output
    assert "report: reports/tiny/index.html" in output
    assert "gates" in output
    assert (tmp_path / "reports" / "tiny" / "index.html").is_file()
    code, output = run(benchmark_file, tmp_path)
    assert code == 0
    assert f"0 of {JOBS} jobs to run" in output


FAILING = '''
"""Fails."""
from slt_bench.method import Method


class Failing(Method):
    """Fails."""

    name, version, paper = "failing", 1, "a test"
    sparsity_control, purity = "exact", "frozen"

    def gates(self):
        raise ValueError("no gates today")

    def mask(self):
        raise ValueError("no mask today")
'''


@pytest.mark.slow
def test_a_job_that_fails_stops_no_other_and_can_be_run_again(tmp_path):
    plugins = tmp_path / "mine"
    plugins.mkdir()
    plugin = plugins / "failing.py"
    plugin.write_text(FAILING)
    names = [
        "--methods",
        "failing,random_mask",
        "--archs",
        "lenet300",
        "--datasets",
        "digits",
        "--sparsities",
        "0.5",
        "--seeds",
        "0",
    ]
    command = [sys.executable, "-m", "slt_bench", "run", *names, "--no-references", "--plugins", str(plugins)]

    def run(*more):
        return subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 1, first.stderr
    assert "no gates today" in first.stderr
    assert "1 done, 1 failed" in first.stdout
    plugin.write_text(FAILING.replace('raise ValueError("no gates today")', "return self.mask().float()").replace(
        'raise ValueError("no mask today")', "return self.network.weights > 0"
    ))  # fmt: skip
    assert "0 of 2 jobs to run" in run().stdout
    again = run("--rerun", "failed")
    assert again.returncode == 0, again.stderr
    assert "2 done" in again.stdout
