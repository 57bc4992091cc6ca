"""`run` as its user has it: a process that can be killed, and that shares its folder."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from slt_bench import records

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


def start(benchmark_file, folder, *more):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "slt_bench", "run", "--benchmark", str(benchmark_file), "--threads", "1", *more]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "100"},
        preexec_fn=listen_to_ctrl_c,  # noqa: PLW1509 - no thread of the tests holds a lock here
    )


def listen_to_ctrl_c():
    """A process that was started in the background of a script ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process):
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def outcomes(folder):
    found = records.read(folder / "results" / "tiny")
    assert found.problems == {}
    return {
        identity: (record.status, record.metrics, record.mask_hash, record.weight_hash, record.curve, record.layers)
        for identity, record in found.records.items()
    }


@pytest.fixture
def undisturbed(benchmark_file, tmp_path):
    code, output = finish(start(benchmark_file, tmp_path / "undisturbed", "--no-report"))
    assert code == 0, output
    result = outcomes(tmp_path / "undisturbed")
    assert len(result) == JOBS
    return result


@pytest.mark.slow
def test_one_command_trains_compares_and_draws(benchmark_file, tmp_path):
    code, output = finish(start(benchmark_file, tmp_path / "one"))
    assert code == 0, output
    assert f"{JOBS} of {JOBS} jobs to run" in output
    assert "report: reports/tiny/index.html" in output
    assert "gates" in output
    assert (tmp_path / "one" / "reports" / "tiny" / "index.html").is_file()
    code, output = finish(start(benchmark_file, tmp_path / "one"))
    assert code == 0
    assert f"0 of {JOBS} jobs to run" in output


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_records(benchmark_file, tmp_path, undisturbed):
    rng = random.Random(1)
    folder = tmp_path / "killed"
    kills = 0
    for attempt in range(40):
        process = start(benchmark_file, folder, "--no-report")
        try:
            process.wait(timeout=rng.uniform(3.0, 3.5 + attempt))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        break
    code, output = finish(process if process.returncode == 0 else start(benchmark_file, folder, "--no-report"))
    assert code == 0, output
    assert kills >= 2
    assert outcomes(folder) == undisturbed


@pytest.mark.slow
def test_two_runs_share_a_folder_and_do_each_job_once(benchmark_file, tmp_path, undisturbed):
    folder = tmp_path / "shared"
    both = [finish(process) for process in [start(benchmark_file, folder) for _ in range(2)]]
    assert [code for code, _ in both] == [0, 0], both
    assert outcomes(folder) == undisturbed
    lines = [line for _, output in both for line in output.splitlines() if line.startswith("done ")]
    assert len(lines) == len(set(lines)) == JOBS
    assert all(any(line.startswith("done ") for line in output.splitlines()) for _, output in both)


@pytest.mark.slow
def test_ctrl_c_keeps_what_has_ended(benchmark_file, tmp_path):
    folder = tmp_path / "stopped"
    process = start(benchmark_file, folder)
    results = folder / "results" / "tiny"
    deadline = time.monotonic() + 120
    while not list(results.glob(f"*/{records.RECORD}")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 3, output
    assert "What has ended is kept" in output
    assert "Traceback" not in output
    assert 1 <= len(outcomes(folder)) < JOBS


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
