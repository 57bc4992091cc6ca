"""Sweeps on a real SLURM, undisturbed and disturbed in every way that clusters know."""

import os
import re
import socket
import subprocess
import sys

import pytest
from cluster import PATIENT, slurm, wait_until

from slt_bench.records.attempts import read_attempts
from slt_bench.records.lock import read_claim
from slt_bench.records.runs import read_runs

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

SMALL = ("--no-references", "--archs", "lenet300", "--datasets", "digits")
GRID = ("--methods", "gates,edgepopup", *SMALL, "--epochs", "3", "--sparsities", "0.5,0.9", "--seeds", "0-3")  # 16 jobs
LONG = ("--methods", "patient", "--plugins", str(PATIENT), *SMALL, "--sparsities", "0.5", "--epochs", "40")
ONE, THREE = (*LONG, "--seeds", "0"), (*LONG, "--seeds", "0-2")
KEEP = ("--checkpoint-seconds", "1")


def count_arrays(tasks):
    return len({task.partition("_")[0] for task in tasks})


@pytest.mark.parametrize("options", [(), ("--probe", "--max-parallel", "2")], ids=["a task a job", "bundled"])
def test_arrays_give_the_records_of_inline(sweep, undisturbed, same_as, options):
    one = sweep(*GRID)
    code, output = one.run(*options)
    assert code == 0, output
    same_as(one.records(), undisturbed(*GRID))
    tasks = one.tasks()
    assert len(tasks) == (2 if options else 16)
    limit = int(slurm("scontrol", "show", "config").split("MaxArraySize")[1].split()[1])
    assert count_arrays(tasks) == (1 if options else -(-16 // limit))
    assert all(unit.over == "done" for run in read_runs(one.folder) for unit in run.units)
    assert one.call("status")[0] == 0
    assert one.run()[1].startswith("0 of 16 jobs to run")


def test_a_task_is_a_pack(sweep, undisturbed):
    one = sweep(*GRID)
    code, output = one.run("--pack", "4", "--filter", "*-s0.5-*")
    assert code == 0, output
    assert len(one.tasks()) == 2
    expected = undisturbed(*GRID)
    assert one.records().keys() == {key for key, record in expected.items() if record.job.sparsity == 0.5}
    for identity, record in one.records().items():
        assert (record.status, record.provenance["packed"]) == ("done", 4)
        assert record.metrics["test_accuracy"] == pytest.approx(expected[identity].metrics["test_accuracy"], abs=0.02)


def test_a_time_limit_puts_a_job_back_into_the_queue(sweep, undisturbed, same_as):
    one = sweep(*ONE)
    process = one.start("--slurm", "timeout_min=1,signal_delay_s=10", pause=50)  # SLURM signals 10 to 40 s too early
    code, output = one.finish(process)
    assert code == 0, output
    assert "stopped by SIGUSR2" in one.log()
    assert "goes on from a checkpoint" in one.log()
    same_as(one.records(), undisturbed(*ONE))


def test_a_preempted_job_ends_in_the_same_record(sweep, undisturbed, same_as):
    if "high" not in slurm("sinfo", "--noheader", "--format=%R"):
        pytest.skip("the cluster has no partition that preempts another")
    one = sweep(*ONE)
    process = one.start(*KEEP, "--slurm", "partition=low,timeout_min=60")
    one.wait_for_running()
    other = slurm("sbatch", "--parsable", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap", "sleep 5")
    try:
        code, output = one.finish(process)
    finally:
        slurm("scancel", other.strip())
    assert code == 0, output
    assert "attempt 2" in one.log()
    assert "goes on from a checkpoint" in one.log()
    same_as(one.records(), undisturbed(*ONE))


def test_cancelled_tasks_are_told_and_done_by_the_next_run(sweep, undisturbed, same_as):
    one = sweep(*THREE)
    process = one.start(*KEEP, "--max-parallel", "1")
    one.wait_for_running()
    running, _, pending = one.tasks()
    slurm("scancel", pending)
    slurm("scancel", running)
    code, output = one.finish(process)
    assert code == 3, output
    assert len(one.records()) == 1
    told = one.call("status")[1]
    assert "1 done, 2 stopped" in told
    assert "stopped by SIGTERM" in told
    assert f"SLURM task {pending} left the queue" in told
    code, output = one.run()
    assert code == 0, output
    assert output.startswith("2 of 3 jobs to run")
    assert "goes on from a checkpoint" in one.log()
    same_as(one.records(), undisturbed(*THREE))


@pytest.mark.parametrize("accounting", [True, False], ids=["with sacct", "without sacct"])
def test_a_killed_task_is_told_and_done_by_the_next_run(
    sweep, undisturbed, same_as, kill, tmp_path_factory, accounting
):
    one = sweep(*ONE)
    if not accounting:
        shim = tmp_path_factory.mktemp("path") / "sacct"
        shim.write_text("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n")
        shim.chmod(0o755)
        one.environment["PATH"] = f"{shim.parent}{os.pathsep}{one.environment['PATH']}"
    process = one.start(*KEEP)
    folder = one.wait_for_running()[0]
    kill(folder)
    code, output = one.finish(process)
    assert code == 3, output
    assert "has left the queue without a record" in output
    told = one.call("status")[1]
    assert "1 dead" in told
    assert f"process {read_claim(folder).pid} on {socket.gethostname()}" in told
    shown = one.call("show", folder.name)[1]
    assert "no end was noted" in shown
    assert ("left the queue: failed" in shown) == accounting
    code, output = one.run()
    assert code == 0, output
    assert "goes on from a checkpoint" in one.log()
    same_as(one.records(), undisturbed(*ONE))


@pytest.fixture
def node():
    """The cluster's node, which the test may drain or take down; back at work afterwards."""
    name = slurm("sinfo", "--noheader", "--Node", "--format=%N").split()[0]
    if subprocess.run(
        ["scontrol", "update", f"node={name}", "state=resume"], capture_output=True, check=False
    ).returncode:
        state = slurm("sinfo", "--noheader", "--Node", "--format=%T")
        if "idle" not in state and "mixed" not in state:
            pytest.skip("nodes cannot be drained by this user")

    def set_state(state):
        """A node that is back already refuses to be resumed."""
        command = ("scontrol", "update", f"node={name}", f"state={state}", "reason=a test of slt_bench")
        subprocess.run(command, capture_output=True, check=state != "resume")

    yield set_state
    subprocess.run(["scontrol", "update", f"node={name}", "state=resume"], capture_output=True, check=False)


def test_a_drained_node_delays_what_waits(sweep, undisturbed, same_as, node):
    one = sweep(*THREE)
    process = one.start("--max-parallel", "1", *KEEP)
    one.wait_for_running()
    node("drain")
    wait_until(lambda: one.records() and not one.running(), "the running job's end")
    told = one.call("status")[1]
    assert "1 done, 2 waiting" in told
    node("resume")
    code, output = one.finish(process)
    assert code == 0, output
    same_as(one.records(), undisturbed(*THREE))


def test_a_failed_node_loses_no_more_than_the_time_since_the_checkpoint(sweep, undisturbed, same_as, node):
    one = sweep(*ONE)
    process = one.start(*KEEP)
    one.wait_for_running()
    node("down")
    wait_until(lambda: not one.running(), "the end of the job's process")
    node("resume")
    code, output = one.finish(process)
    assert code == 0, output
    assert "goes on from a checkpoint" in one.log()
    same_as(one.records(), undisturbed(*ONE))


def test_ctrl_c_leaves_what_was_submitted_and_cancel_ends_it(sweep, undisturbed, same_as):
    one = sweep(*THREE)
    process = one.start(*KEEP, "--max-parallel", "1", pause=25)  # as long as it takes to ask for the status twice
    one.wait_for_running()
    process.terminate()
    code, output = one.finish(process)
    assert code == 3
    assert "What was submitted goes on" in output
    assert re.search(r"1 running, [12] waiting", one.call("status")[1])
    again = one.start()  # follows; submits nothing
    left = re.fullmatch(r"0 of 3 jobs to run, ([23]) run or wait elsewhere\n", again.stdout.readline())
    assert left, "a busy machine may be through with one before it looks"
    one.wait_for_running()  # one that is just starting could not say why it stops
    code, told = one.call("cancel", "adhoc")
    assert code == 0
    assert re.search(r"cancelled [123] SLURM tasks?\b", told)
    code, output = one.finish(again)
    assert code == 3, output
    assert len(one.tasks()) == 3
    assert "stopped by SIGTERM" in one.call("status")[1]
    assert one.run()[0] == 0
    same_as(one.records(), undisturbed(*THREE))


def test_a_second_run_waits_for_what_a_rerun_replaces(sweep):
    one = sweep(*ONE)
    assert one.run()[0] == 0
    code, output = one.finish(one.start("--rerun", "all", "--no-wait", pause=60))  # longer than a run takes to start
    assert "submitted" in output, output
    code, output = one.run()
    assert code == 0, output
    assert "run or wait elsewhere" in output
    for record in one.records().values():
        folder = one.folder / record.job.folder
        assert [attempt.outcome for attempt in read_attempts(folder)] == ["done", "done"]


def test_a_run_can_be_started_inside_an_allocation(sweep, undisturbed, same_as):
    one = sweep(*GRID[:-4], "--sparsities", "0.5", "--seeds", "0")
    process = one.start(prefix=("srun", "--ntasks=1", "--cpus-per-task=2", "--mem=600M"))
    code, output = one.finish(process)
    assert code == 0, output
    same_as(one.records(), undisturbed(*one.options))


def test_a_site_that_exports_nothing_still_finds_the_task(sweep):
    one = sweep(*GRID[:-4], "--sparsities", "0.5", "--seeds", "0")
    one.environment |= {"SBATCH_EXPORT": "NONE", "SLURM_EXPORT_ENV": "NONE"}
    code, output = one.run("--slurm", f"setup=export SLURM_CONF={os.environ.get('SLURM_CONF', '')}")
    assert code == 0, output


def test_what_slurm_refuses_is_told_and_leaves_no_trace(sweep):
    one = sweep(*ONE)
    code, output = one.run("--slurm", "partition=nowhere")
    assert code == 2
    assert "SLURM refused an array of 1 tasks" in output
    assert "nowhere" in output
    assert one.tasks() == []
    assert "1 missing" in one.call("status", *ONE)[1]


def test_a_plugin_is_found_where_the_task_runs(sweep, tmp_path):
    plugins = tmp_path / "mine"
    plugins.mkdir()
    source = """
import torch
from slt_bench.method import Method

class Everything(Method):
    name, version, paper = "everything", 1, "a test"
    sparsity_control, purity = "none", "frozen"
    def gates(self): return torch.ones_like(self.network.weights)
    def mask(self): return torch.ones_like(self.network.weights, dtype=torch.bool)
"""
    (plugins / "everything.py").write_text(source)
    options = "--methods everything --no-references --archs lenet300 --datasets digits --seeds 0-1 --plugins mine"
    one = sweep(*options.split())
    code, output = one.run()
    assert code == 0, output
    assert {record.metrics["sparsity"] for record in one.records().values()} == {0.0}
    assert b"everything" not in b"".join(path.read_bytes() for path in plugins.rglob("*.pkl"))


def test_python_of_this_test_is_python_of_the_task(sweep):
    one = sweep(*ONE)
    code, output = one.call("plan", *ONE, "--executor", "slurm", "--slurm", "partition=main,mem_gb=2")
    assert code == 0, output
    assert f"{sys.executable} -u -m submitit.core._submit" in output
    assert "#SBATCH --partition=main" in output
    assert "#SBATCH --mem=2GB" in output
