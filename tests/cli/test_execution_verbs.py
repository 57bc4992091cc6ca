"""Where and how jobs run, how far they are, and ending them, as typed."""

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise

import pytest
import torch
from rich.console import Console

from slt_bench import records
from slt_bench.cli import status_live
from slt_bench.execution.worker.log import LOG
from slt_bench.records import LoadedRecords, Record, runs
from slt_bench.records.attempts import end_attempt, read_attempts, start_attempt
from slt_bench.records.lock import lock_job
from slt_bench.records.runs import Run, Unit
from slt_bench.records.status import JobStatuses
from slt_bench.utils.text import duration

CHOICE = ["--archs", "lenet300", "--datasets", "digits", "--no-references", "--name", "tiny", "--epochs", "2"]
QUICK = ["--methods", "random_mask", *CHOICE]  # nothing to train
FLOOR = [*QUICK, "--sparsities", "0.9"]  # three jobs


@pytest.fixture
def ran(end):
    """The same as `end`, after three quick jobs."""
    code, _, err = end("run", *FLOOR, "--no-report")
    assert code == 0, err
    return end


@pytest.fixture
def put(cwd, make_job):
    """A function that writes records of jobs, a seed a job."""

    def put(status, seeds, name="tiny", **changes):
        for seed in seeds:
            job = make_job(benchmark=name, seed=seed)
            place = cwd / "results" / name / job.folder
            place.mkdir(parents=True)
            (place / records.JOB).write_text(job.model_dump_json())
            values = {"method_version": 1, "purity": "frozen", "settings": {}, "provenance": {"method_code": CODE}}
            records.write(place, Record(id=job.id, job=job, status=status, **(values | changes)))

    return put


CODE = "of the method that is there"


@pytest.fixture
def todays(monkeypatch):
    """Records of `put` are of today's methods."""
    monkeypatch.setattr("slt_bench.records.status.fingerprints", lambda: {"random_mask": CODE, "edgepopup": CODE})


def places(cwd):
    return sorted(path for path in (cwd / "results" / "tiny").iterdir() if path.name != runs.RUNS)


# plan


def test_a_plan_tells_where_jobs_would_run(end, cwd, cores):
    inline = end("plan", *FLOOR, "--device", "cpu")[1]
    assert "tiny: 3 jobs, 3 to run." in inline
    assert "They would run one after another in this process, on cpu, 1 thread each." in inline
    cores(2)
    places = end("plan", *FLOOR, "--device", "cpu", "--executor", "local", "--max-parallel", "3", "--threads", "2")[1]
    assert "They would run 3 at once on the CPU of this machine, 2 threads each." in places
    assert list(cwd.iterdir()) == []


SIDE_BY_SIDE = r"They would run (\d+) at once on the CPU of this machine, (.*) threads? each\."
INLINE = r"They would run (.*) in this process, on cpu, (.*) threads? each\."
LARGE = ["--methods", "random_mask", "--archs", "resnet18", "--datasets", "cifar10", "--no-references"]


@pytest.mark.parametrize(
    ("machine", "options", "told", "expected"),
    [
        (1, [], INLINE, ("one after another", "1")),
        (2, [], SIDE_BY_SIDE, ("2", "1")),
        (16, [], SIDE_BY_SIDE, ("3", "1")),
        (64, [], SIDE_BY_SIDE, ("3", "1")),
        (16, ["--seeds", "0"], INLINE, ("one after another", "1")),
        (16, ["--executor", "inline"], INLINE, ("one after another", "1")),
        (16, ["--max-parallel", "1"], INLINE, ("one after another", "1")),
        (16, ["--max-parallel", "2"], SIDE_BY_SIDE, ("2", "1")),
        (16, ["--threads", "8"], SIDE_BY_SIDE, ("2", "8")),
        (16, ["--threads", "16"], INLINE, ("one after another", "16")),
        (16, ["--pack", "3"], INLINE, ("3 of a kind together", "1")),
        (16, ["--pack", "2"], SIDE_BY_SIDE, ("2", "1")),
        (16, ["--smoke", "--seeds", "0-1"], SIDE_BY_SIDE, ("2", "1")),
    ],
)
def test_small_jobs_run_side_by_side_where_several_fit(end, cores, machine, options, told, expected):
    cores(machine)
    out = end("plan", *FLOOR, "--device", "cpu", *options)[1]
    assert re.search(told, out).groups() == expected


@pytest.mark.parametrize(("machine", "told"), [(2, INLINE), (16, SIDE_BY_SIDE), (64, SIDE_BY_SIDE)])
def test_large_jobs_share_the_cores(end, cores, machine, told):
    cores(machine)
    out = end("plan", *LARGE, "--sparsities", "0.5,0.9", "--device", "cpu", "--executor", "auto")[1]
    at_once, threads = re.search(told, out).groups()
    assert int(threads) > 1
    assert int(threads) * (int(at_once) if at_once.isdecimal() else 1) <= machine


def test_threads_of_small_and_large_jobs_are_told_as_a_range(end, cores):
    cores(16)
    options = ["--methods", "random_mask", "--archs", "resnet18,lenet300", "--datasets", "cifar10", "--device", "cpu"]
    at_once, threads = re.search(SIDE_BY_SIDE, end("plan", *options, "--no-references")[1]).groups()
    assert int(at_once) > 3
    assert re.fullmatch(r"1 to ([2-9]|1[0-6])", threads)


@pytest.mark.parametrize("executor", ["auto", "inline", "local"])
def test_every_executor_takes_the_threads_of_the_environment(end, cores, monkeypatch, executor):
    cores(8)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    options = ["plan", *FLOOR, "--device", "cpu", "--executor", executor]
    assert "4 threads each" in end(*options)[1]
    assert "2 threads each" in end(*options, "--threads", "2")[1], "who types it knows better"
    monkeypatch.setenv("OMP_NUM_THREADS", "1000")
    assert "8 threads each" in end(*options)[1], "it is meant for all programs"
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert "1 thread each" in end(*options)[1]


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_record_says_the_threads_that_were_asked_for(end, cwd, monkeypatch, cores, executor):
    cores(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = torch.get_num_threads()
    try:
        for options in (["--seeds", "0"], ["--seeds", "1", "--threads", "1"]):
            assert end("run", *FLOOR, *options, "--device", "cpu", "--executor", executor, "--no-report")[0] == 0
    finally:
        torch.set_num_threads(before)
    found = records.read(cwd / "results" / "tiny").records.values()
    assert {record.job.seed: record.provenance["threads"] for record in found} == {0: 2, 1: 1}


def test_by_default_a_job_on_its_own_runs_here_and_several_run_in_processes(end, cwd, cores):
    cores(2)
    assert end("run", *FLOOR, "--seeds", "0", "--device", "cpu", "--no-report")[0] == 0
    assert end("run", *FLOOR, "--device", "cpu", "--no-report")[0] == 0
    attempts = {place.name.split("seed")[1][0]: read_attempts(place)[0] for place in places(cwd)}
    assert [attempts[seed].executor for seed in "012"] == ["inline", "local", "local"]
    assert [attempts[seed].pid == os.getpid() for seed in "012"] == [True, False, False]


def test_a_job_on_its_own_runs_here_however_many_might_run_at_once(end, cwd, cores):
    cores(2)
    options = ["--seeds", "0", "--max-parallel", "2", "--device", "cpu", "--no-report"]
    assert end("run", *FLOOR, *options)[0] == 0
    assert [read_attempts(place)[0].executor for place in places(cwd)] == ["inline"]


@pytest.mark.parametrize(
    ("gpus", "options", "told"),
    [
        (1, [], "one after another in this process, on cuda"),
        (1, ["--jobs-per-gpu", "2"], "2 at once on 1 GPU of this machine"),
        (2, [], "2 at once on 2 GPUs of this machine"),
        (2, ["--seeds", "0"], "one after another in this process, on cuda"),
        (1, ["--executor", "local"], "1 at once on 1 GPU of this machine"),
    ],
)
def test_several_jobs_fit_where_there_are_several_gpus_or_jobs_share_one(end, cores, monkeypatch, gpus, options, told):
    cores(16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert told in end("plan", *FLOOR, *options)[1]


def test_a_plan_of_nothing_left_says_no_place(ran):
    code, out, _ = ran("plan", *FLOOR, "--executor", "local")
    assert code == 0
    assert "3 jobs, 0 to run" in out
    assert "would run" not in out


def test_several_places_shorten_what_the_records_tell(ran):
    more = [*QUICK, "--sparsities", "0.9,0.98", "--seeds", "0-5", "--device", "cpu"]
    one = ran("plan", *more)[1]
    assert re.search(r"9 to run\. About .* for 9 of them one after another \([\d.e-]+ core-hours\)", one)
    two = ran("plan", *more, "--executor", "local", "--max-parallel", "3")[1]
    assert re.search(r"9 to run\. About .* \([\d.e-]+ core-hours, .* with 3 at once\), by the records of", two)


def test_a_probe_tells_the_hours_before_anything_has_run(end, cwd):
    options = ["--methods", "gates", *CHOICE, "--epochs", "500", "--sparsities", "0.5,0.9", "--seeds", "0-4"]
    options += ["--device", "cpu"]
    assert "--probe measures it" in end("plan", *options)[1]
    code, out, _ = end("plan", *options, "--probe")
    assert code == 0
    told = re.search(
        r"About (\d+) (s|min) for 10 of them one after another \(([\d.]+) core-hours\), by a probe on", out
    )
    assert told, out
    assert int(told[1]) > 0
    assert list(cwd.iterdir()) == []


@pytest.mark.filterwarnings("ignore:beware of the mask")
def test_a_probe_of_a_method_that_fails_leaves_its_cost_unknown(end, cwd, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "raises.py").write_text(RAISES)
    options = ["--methods", "raises,random_mask", *CHOICE, "--plugins", tmp_path / "mine", "--sparsities", "0.9"]
    code, out, _ = end("plan", *options, "--device", "cpu", "--probe")
    assert code == 0
    assert re.search(r"6 jobs, 6 to run\. About \d+ s for 3 of them", out)
    assert "and 3 jobs of kinds that have not run yet" in out


def test_a_dry_run_takes_the_same_options_as_a_plan(end):
    options = [*FLOOR, "--device", "cpu", "--executor", "local", "--max-parallel", "2"]
    assert end("run", *options, "--dry-run") == end("plan", *options)


def test_a_pack_on_a_cpu_is_run_and_said_once_to_be_slower(end):
    options = [*FLOOR, "--device", "cpu", "--executor", "inline", "--no-report"]
    code, _, err = end("run", *options, "--pack", "3")
    assert code == 0
    assert err.count("--pack is for GPUs") == err.count("slower") == 1
    assert "--pack" not in end("run", *options, "--rerun", "all")[2]


def test_a_plan_tells_once_what_all_jobs_share(end):
    options = ["--methods", "gates,edgepopup", "--datasets", "digits", "--seeds", "0", "--device", "cpu"]
    alike, *rest = end("plan", *options, "--archs", "lenet300")[1].splitlines()
    assert alike == "arch lenet300, data set digits, init signed_constant"
    assert "lenet300" not in "".join(rest)
    alike, *rest = end("plan", *options, "--archs", "lenet300,mlp8")[1].splitlines()
    assert alike == "data set digits, init signed_constant"
    assert sum("mlp8" in line for line in rest) == len(["gates", "edgepopup", "random_mask", "dense"])


def test_a_plan_counts_what_failed_and_is_stale(end, put, todays):
    put("failed", range(2), reason="no luck")
    put("done", [2], method_version=0, provenance={})
    options = ["--methods", "edgepopup", *CHOICE, "--batch-size", "64", "--sparsities", "0.5"]
    out = end("plan", *options)[1]
    assert "3 jobs, 0 to run" in out
    assert "2 failed: run them again with --rerun failed." in out
    assert "1 stale: run them again with --rerun stale." in out
    again = end("run", *options, "--dry-run", "--rerun", "failed")[1]
    assert "3 jobs, 2 to run" in again
    assert "failed: run them again" not in again
    assert "1 stale: run them again" in again


@pytest.mark.parametrize(
    ("pattern", "jobs"), [("*-s0.9-*", 3), ("*seed1*", 2), ("*seed1*,*seed2*", 4), ("*-s0.9-*seed1*,*-s0.9-*seed0*", 2)]
)
def test_a_filter_chooses_jobs_by_their_names(end, pattern, jobs):
    out = end("plan", *QUICK, "--sparsities", "0.5,0.9", "--filter", pattern)[1]
    assert f"tiny: {jobs} jobs, {jobs} to run." in out


def test_a_filter_that_nothing_fits_is_refused(refused):
    told = refused("run", *FLOOR, "--filter", "*seed7*")
    assert told.startswith("No job matches '*seed7*'.")


def test_a_filtered_run_runs_nothing_else(end, cwd):
    assert end("run", *FLOOR, "--filter", "*seed1*", "--no-report")[0] == 0
    assert [record.job.seed for record in records.read(cwd / "results" / "tiny").records.values()] == [1]


# what is refused


@pytest.mark.parametrize("verb", [["run"], ["plan"], ["run", "--dry-run"]])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--executor", "slurmm"], "Unknown executor 'slurmm'. Did you mean slurm?"),
        (["--executor", "threads"], "Unknown executor 'threads'. Known: auto, inline, local, slurm."),
        (
            ["--executor", "inline", "--max-parallel", "4"],
            (
                "--max-parallel is for --executor local or slurm; inline runs one job after another "
                "(or --pack N of a kind together)."
            ),
        ),
        (["--slurm", "partition=gpu"], "--slurm is for --executor slurm, not auto."),
        (
            ["--executor", "slurm", "--threads", "8", "--slurm", "cpus_per_task=4"],
            "--threads 8 is more than --slurm cpus_per_task=4",
        ),
        (["--threads", "1000"], "--threads 1000 is more than this machine has cores (1)."),
        (["--executor", "inline", "--threads", "1000"], "--threads 1000 is more than this machine has cores (1)."),
        (["--executor", "local", "--threads", "1000"], "--threads 1000 is more than this machine has cores (1)."),
        (["--executor", "local", "--slurm", "mem_gb=8"], "--slurm is for --executor slurm, not local."),
        (["--executor", "local", "--device", "cuda:99"], "The device 'cuda:99' cannot be used here"),
        (["--executor", "slurm", "--slurm", "time=10"], "--slurm time=... is not taken; use timeout_min=MINUTES."),
        (["--executor", "slurm", "--slurm", "mem=10"], "--slurm mem=... is not taken; use mem_gb=GIB."),
        (
            ["--executor", "slurm", "--slurm", "partition=main,nodes=2"],
            "--slurm nodes=... is not taken; a job is one process on one node.",
        ),
        (
            ["--executor", "slurm", "--slurm", "array_parallelism=3"],
            "--slurm array_parallelism=... is not taken; use --max-parallel.",
        ),
        (
            ["--executor", "slurm", "--slurm", "partitoin=gpu"],
            "Unknown option of --slurm 'partitoin'. Did you mean partition",
        ),
        (["--executor", "slurm", "--slurm", "mem_gb=-1"], "--slurm mem_gb=-1 is not above 0."),
        (["--executor", "slurm", "--slurm", "timeout_min=0"], "--slurm timeout_min=0 is not above 0."),
        (["--executor", "slurm", "--slurm", "timeout_min=1.5"], "--slurm timeout_min=1.5 is no whole number."),
        (["--executor", "slurm", "--slurm", "timeout_min=02:00"], "--slurm timeout_min=02:00 is no whole number."),
        (["--executor", "slurm", "--slurm", "mem_gb=8G"], "--slurm mem_gb=8G is no number."),
        (
            ["--executor", "slurm", "--slurm", "gpu"],
            "'gpu' is no option. Write NAME=VALUE, as in partition=gpu,mem_gb=8.",
        ),
    ],
)
def test_wrong_ways_to_run_are_refused_with_what_to_write(refused, cwd, monkeypatch, verb, options, told):
    monkeypatch.setenv("PATH", str(cwd / "empty"))  # nothing is ever submitted by mistake
    assert told in refused(*verb, *FLOOR, *options)


@pytest.mark.parametrize(
    "value", ["mem_gb=true", "mem_gb=much", "cpus_per_task=true", "gpus_per_node=a100:2", "timeout_min=false"]
)
def test_amounts_that_are_no_numbers_are_refused(refused, value):
    told = refused("plan", *FLOOR, "--executor", "slurm", "--slurm", value)
    assert re.fullmatch(rf"--slurm {value} is no (whole )?number\.", told, re.IGNORECASE)


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_slurm_without_its_commands_is_refused_with_what_to_do(refused, cwd, monkeypatch, verb):
    monkeypatch.setenv("PATH", str(cwd / "empty"))
    assert refused(verb, *FLOOR, "--executor", "slurm") == (
        "--executor slurm needs SLURM's commands, and there is no sbatch here. Run it where jobs are submitted from, "
        "or take --executor local."
    )


@pytest.mark.parametrize(
    "options", [["--max-parallel", "0"], ["--jobs-per-gpu", "0"], ["--checkpoint-seconds", "-1"], ["--threads", "0"]]
)
def test_amounts_below_the_least_are_refused_by_the_parser(end, cwd, options):
    code, _, err = end("run", *FLOOR, *options)
    assert code == 2
    assert f"'{options[0]}'" in err
    assert list(cwd.iterdir()) == []


# run --job


@pytest.fixture
def failing(end, cwd):
    """The folder of a job that has failed by an error of its plug-in."""
    folder = cwd / "mine"
    folder.mkdir()
    (folder / "raises.py").write_text(RAISES)
    options = ["--methods", "raises", *CHOICE, "--sparsities", "0.9", "--seeds", "0", "--plugins", "mine"]
    assert end("run", *options)[0] == 1
    (place,) = places(cwd)
    return place


RAISES = """
import warnings
from slt_bench.method import Method

class Raises(Method):
    name, version, paper = "raises", 1, "a test"
    sparsity_control, purity = "exact", "frozen"

    def gates(self):
        return self.mask().float()

    def mask(self):
        warnings.warn("beware of the mask")
        raise ValueError("no mask today")
"""


def test_one_job_of_a_selection_is_run_here_and_shows_its_log(end, cwd):
    listed = end("status", *FLOOR, "--full")[1]
    name = re.search(r"random_mask-\S+-seed1-\S+", listed)[0]
    code, out, err = end("run", *FLOOR, "--job", name.rpartition("-")[2])
    assert code == 0
    assert out == f"done: results/tiny/{name}\n"
    assert f"attempt 1 at {name}" in err
    assert "attempt 1: done" in err
    assert [place.name for place in places(cwd)] == [name]
    log = (cwd / "results" / "tiny" / name / LOG).read_text()
    assert log == err, "what was shown is what is kept"


def test_one_job_is_found_without_a_selection_once_a_run_has_asked_for_it(end, cwd):
    assert end("run", *FLOOR, "--no-report")[0] == 0
    place = places(cwd)[1]
    before = records.read_one(place)
    (place / records.RECORD).unlink()
    code, out, _ = end("run", "--job", place.name.rpartition("-")[2])
    assert (code, out) == (0, f"done: results/tiny/{place.name}\n")
    after = records.read_one(place)
    assert (after.metrics, after.mask_hash) == (before.metrics, before.mask_hash)
    assert [attempt.outcome for attempt in read_attempts(place)] == ["done", "done"]


def test_one_job_with_a_record_is_refused_with_what_to_do(ran, refused, cwd):
    identity = places(cwd)[0].name.rpartition("-")[2]
    for selection in ([], FLOOR):
        told = refused("run", *selection, "--job", identity)
        assert told == f"{places(cwd)[0].name} is done. `show {identity}` shows its record; --rerun all runs it again."


def test_one_job_is_run_again_where_that_is_said(ran, cwd):
    place = places(cwd)[0]
    before = (place / records.RECORD).read_text()
    code, out, _ = ran("run", "--job", place.name, "--rerun", "all")
    assert (code, out) == (0, f"done: results/tiny/{place.name}\n")
    assert (place / records.RECORD).read_text() != before
    assert (place / "record.superseded-1.json").read_text() == before
    assert len(read_attempts(place)) == 2
    assert len(read_attempts(places(cwd)[1])) == 1, "the others are left alone"


def test_one_job_that_is_none_is_refused(ran, refused):
    assert "There is no job 'ffffff'." in refused("run", "--job", "ffffff")
    assert "There is no job 'ffffff'." in refused("run", *FLOOR, "--job", "ffffff")
    assert "may be 3 jobs" in refused("run", *FLOOR, "--job", "random_mask*")


def test_one_job_that_fails_shows_why_and_ends_with_1(end, failing):
    identity = failing.name.rpartition("-")[2]
    code, out, err = end("run", "--job", identity, "--rerun", "failed", "--plugins", "mine")
    assert (code, out) == (1, f"failed: results/tiny/{failing.name}\n")
    assert "ValueError: no mask today" in err
    assert "Traceback" in err, "the log is what was asked for"
    assert (failing / LOG).read_text().endswith(err)
    assert "beware of the mask" in (failing / LOG).read_text()


def test_nonsense_to_rerun_of_one_job_is_refused(ran, refused, cwd):
    told = refused("run", "--job", places(cwd)[0].name, "--rerun", "everything")
    assert told == "--rerun takes failed, stale or all, not 'everything'."


def test_a_good_record_is_no_failure_to_be_run_again(ran, refused, cwd):
    assert "is done" in refused("run", "--job", places(cwd)[0].name, "--rerun", "failed")


def test_a_dry_run_of_one_job_runs_nothing(end, cwd):
    end("run", *FLOOR, "--filter", "*seed0*", "--job", "random_mask*", "--dry-run")
    assert list(cwd.iterdir()) == []


# show


def test_show_tells_everything_of_a_job_by_its_id(ran, cwd):
    place = places(cwd)[0]
    record = records.read_one(place)
    code, out, _ = ran("show", record.id)
    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == [place.name, "  done"]
    assert "method random_mask, arch lenet300, dataset digits" in out
    assert "2 epochs, batches of 128; " in out
    assert re.search(r"attempt 1: \S+ on .*, process \d+, inline: done at \S+\n", out)
    assert f"  test_accuracy        {record.metrics['test_accuracy']:.4f}\n" in out
    assert "MiB" in out
    assert "hardware" in out
    assert "---" not in out, "no log unless it is asked for"
    assert ran("show", place.name)[1] == out
    assert ran("show", f"results/tiny/{place.name}/")[1] == out


def test_show_prints_the_log_where_it_is_asked_for(ran, cwd):
    place = places(cwd)[0]
    out = ran("show", records.read_one(place).id, "--log")[1]
    assert f"--- results/tiny/{place.name}/{LOG}\n" in out
    assert f"attempt 1 at {place.name} (inline)" in out
    (place / LOG).unlink()
    assert "There is no log: nobody has begun this job here." in ran("show", place.name, "--log")[1]


def test_show_of_a_failed_job_tells_why_with_the_traceback(end, failing):
    code, out, _ = end("show", failing.name)
    assert code == 0
    assert "  failed: ValueError: no mask today\n" in out
    assert "Traceback (most recent call last):" in out
    assert "in mask" in out
    assert "inline: failed at" in out


def test_show_tells_of_attempts_that_left_no_record(end, make_job, cwd):
    job = make_job()
    place = cwd / "results" / "tiny" / job.folder
    place.mkdir(parents=True)
    (place / records.JOB).write_text(job.model_dump_json())
    end_attempt(place, start_attempt(place, "local"), "stopped by SIGTERM")
    start_attempt(place, "slurm")
    out = end("show", job.id)[1]
    assert "  stopped: attempt 2; killed; no checkpoint\n" in out
    assert re.search(r"attempt 1: .* local: stopped by SIGTERM at ", out)
    assert re.search(r"attempt 2: .* slurm: no end was noted\n", out)


def test_show_tells_the_tasks_of_slurm_and_what_became_of_them(end, make_job, cwd):
    job = make_job()
    folder = cwd / "results" / "tiny"
    run = runs.begin(folder, "slurm", [job], [[job]])
    run = run.model_copy(update={"units": (run.units[0].model_copy(update={"task": "5_1", "over": "timeout"}),)})
    runs.write(folder, run)
    (folder / runs.RUNS / run.id).mkdir()
    (folder / runs.RUNS / run.id / "5_1_0_log.out").write_text("srun: said something\n")
    out = end("show", job.id, "--log")[1]
    assert "  stopped: timeout; no checkpoint\n" in out
    assert "  SLURM task 5_1: timeout\n" in out
    assert "srun: said something\n" in out


def test_show_of_nothing_is_refused(ran, refused):
    assert "There is no job 'zzz'." in refused("show", "zzz")
    assert "may be 3 jobs" in refused("show", "random_mask*")


# status


def test_status_shows_all_benchmarks_that_are_there(end, put, todays):
    put("done", range(3), name="first")
    put("failed", [5], name="second", reason="no luck")
    code, out, _ = end("status")
    assert code == 1
    assert out.startswith("first: 3 jobs: 3 done\nsecond: 1 jobs: 1 failed\n  failed    edgepopup-")
    assert out.endswith("  no luck\n")
    assert end("status", "first") == (0, "first: 3 jobs: 3 done\n", "")
    assert end("status", "fir*,second")[1] == out
    assert end("status", "first", "second")[1] == out


def test_status_knows_what_a_run_was_asked_to_do(end, put, todays, make_job, cwd):
    put("done", [0])
    runs.end(
        cwd / "results" / "tiny", runs.begin(cwd / "results" / "tiny", "local", [make_job(seed=s) for s in (0, 1)], [])
    )
    assert end("status")[:2] == (3, "tiny: 2 jobs: 1 done, 1 missing\n")


def test_status_of_unknown_names_offers_the_nearest(end, put, todays, refused):
    put("done", [0])
    assert "Did you mean tiny?" in refused("status", "tinny")
    assert "No benchmark with results matches 'z*'." in refused("status", "z*")
    assert refused("status", "tiny", *FLOOR) == "Name benchmarks, or give the options of a run; not both."


def test_status_lists_everything_where_that_is_asked_for(end, put, todays):
    put("done", range(3))
    assert end("status")[1] == "tiny: 3 jobs: 3 done\n"
    out = end("status", "--full")[1]
    assert len(re.findall(r"^  done      edgepopup-\S+$", out, re.MULTILINE)) == 3


def test_status_cuts_long_lists_and_says_so(end, put, todays):
    put("failed", range(15), reason="no luck")
    out = end("status")[1]
    assert out.count("no luck") == 12
    assert "  failed    ... and 3 more (--full lists them)\n" in out
    assert end("status", "--full")[1].count("no luck") == 15
    put("failed", range(20, 32), name="other", reason="no luck")
    assert "more" not in end("status", "other")[1], "twelve are shown"


def test_status_tells_who_runs_a_job(end, put, todays, make_job, cwd):
    put("done", [0])
    place = cwd / "results" / "tiny" / make_job(seed=1).folder
    place.mkdir()
    (place / records.JOB).write_text(make_job(seed=1).model_dump_json())
    with lock_job(place):
        start_attempt(place, "local")
        code, out, _ = end("status")
    assert code == 3
    assert "2 jobs: 1 done, 1 running\n" in out
    assert f"attempt 1; process {os.getpid()} on " in out
    assert "stopped" in end("status")[1]


def test_status_tells_of_records_that_cannot_be_read(end, put, todays, cwd):
    put("done", range(2))
    path = places(cwd)[0] / records.RECORD
    path.write_text(path.read_text()[:200])
    out = end("status")[1]
    assert f"  unreadable tiny/{path.parent.name}/record.json: it is cut off, or has no checksum\n" in out


def test_watching_what_has_ended_returns(end, put, todays):
    put("done", range(2))
    assert end("status", "--watch") == (0, "tiny: 2 jobs: 2 done\n", "")
    put("failed", [7])
    assert end("status", "--watch")[0] == 1


def test_watching_goes_on_until_nothing_runs_or_waits(end, put, todays, make_job, cwd, monkeypatch):
    put("done", [0])
    folder = cwd / "results" / "tiny"
    run = runs.begin(folder, "local", [make_job(seed=0), make_job(seed=1)], [[make_job(seed=1)]])
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            put("done", [1])
            runs.end(folder, run)

    monkeypatch.setattr(status_live.time, "sleep", sleep)
    assert end("status", "--watch") == (0, "tiny: 2 jobs: 2 done\n", "")
    assert len(slept) == 3


def test_ctrl_c_ends_watching_and_shows_how_far_it_was(end, put, todays, make_job, cwd, monkeypatch):
    put("done", [0])
    runs.begin(cwd / "results" / "tiny", "local", [make_job(seed=0), make_job(seed=1)], [[make_job(seed=1)]])

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(status_live.time, "sleep", interrupt)
    code, out, _ = end("status", "--watch")
    assert code == 3
    assert "2 jobs: 1 done, 1 waiting\n" in out


# cancel


def test_cancel_wants_names_or_all(refused, ran):
    assert refused("cancel") == "Name the benchmarks whose runs are to end, or say --all."
    assert refused("cancel", "tiny", "--all") == "Name the benchmarks whose runs are to end, or say --all."
    assert "Did you mean tiny?" in refused("cancel", "tinny")


def test_cancel_says_where_nothing_is_open(ran, end):
    assert ran("cancel", "tiny") == (0, "There is nothing to cancel.\n", "")
    assert ran("cancel", "--all") == (0, "There is nothing to cancel.\n", "")
    assert end("cancel", "--all", "--results", "elsewhere") == (0, "There is nothing to cancel.\n", "")


def test_cancel_of_a_run_on_another_host_says_where(end, make_job, cwd):
    folder = cwd / "results" / "tiny"
    run = runs.begin(folder, "local", [make_job()], [[make_job()]])
    runs.write(folder, run.model_copy(update={"host": "another-host"}))
    code, out, _ = end("cancel", "tiny")
    assert out == f"tiny: the local run of {run.started} belongs to another-host; cancel it there\n"
    assert code == 0
    assert not runs.read_runs(folder)[0].ended


def test_cancel_of_what_was_submitted_needs_slurm(end, refused, make_job, cwd, monkeypatch):
    folder = cwd / "results" / "tiny"
    run = runs.begin(folder, "slurm", [make_job()], [[make_job()]])
    monkeypatch.setenv("PATH", str(cwd / "empty"))
    assert "there is no sbatch here" in refused("cancel", "tiny")
    assert runs.read_runs(folder) == [run]


def test_cancel_ends_a_run_on_this_machine_with_a_checkpoint(end, cwd):
    options = ["--methods", "gates", *CHOICE[:-2], "--epochs", "2000", "--sparsities", "0.9", "--executor", "local"]
    command = [sys.executable, "-m", "slt_bench", "run", *options, "--seeds", "0-2", "--max-parallel", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            deadline = time.monotonic() + 100
            while not list(cwd.glob("results/tiny/*/progress.json")) and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert "1 running, 2 waiting" in end("status")[1]
            code, out, _ = end("cancel", "tiny")
            assert code == 0
            assert re.fullmatch(rf"tiny: asked process {process.pid} to stop \(local, since \S+\)\n", out)
            told, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 3
    assert "What has ended is kept; the same command goes on from there." in told
    out = end("status", "--full")[1]
    assert "3 jobs: 1 stopped, 2 missing" in out
    assert re.search(r"attempt 1; stopped by SIGTERM; checkpoint at \d+%", out)
    assert end("cancel", "--all")[1] == "There is nothing to cancel.\n"


# the live table


NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def ago(**time):
    return (NOW - timedelta(**time)).isoformat(timespec="seconds")


@pytest.fixture
def overview(make_job):
    """A function that makes up an overview of jobs by what is said of each: a state, when it ended, a fraction."""

    def make(*rows, started=None):
        jobs = [make_job(seed=seed) for seed in range(len(rows))]
        states = {job.id: row[0] for job, row in zip(jobs, rows, strict=True)}
        found = {
            job.id: Record(
                id=job.id,
                job=job,
                status="done",
                method_version=1,
                purity="frozen",
                settings={},
                provenance={"ended": row[1]} if row[1] else {},
            )
            for job, row in zip(jobs, rows, strict=True)
            if row[0] == "done"
        }
        fractions = {job.id: row[1] for job, row in zip(jobs, rows, strict=True) if row[0] == "running"}
        asked = [run_of(jobs, start) for start in ([started] if isinstance(started, str) else started or [])]
        return jobs, JobStatuses(states, LoadedRecords(found), fractions=fractions, runs=asked)

    return make


def run_of(jobs, started, **changes):
    values = {"id": "x", "executor": "slurm", "host": "h", "pid": 1, "process": "p", "place": "q"}
    units = (Unit(jobs=tuple(job.id for job in jobs), task="7_0"),)
    return Run(**(values | {"started": started, "jobs": tuple(jobs), "units": units} | changes))


def test_the_rate_counts_what_ended_since_the_run_began_and_parts_of_what_runs(overview):
    rows = [
        ("done", ago(minutes=30)),
        ("done", ago(minutes=10)),
        ("done", ago(hours=5)),
        ("running", 0.5),
        ("waiting",),
    ]
    jobs, seen = overview(*rows, started=ago(hours=1))
    assert status_live.rate(jobs, seen, NOW) == pytest.approx(2.5 / 3600)


def test_the_rate_is_over_the_oldest_run_that_is_open(overview, make_job):
    jobs, seen = overview(("done", ago(minutes=30)), ("waiting",), started=[ago(minutes=20), ago(hours=2)])
    assert status_live.rate(jobs, seen, NOW) == pytest.approx(1 / 7200)
    seen.runs[1] = run_of(jobs, ago(hours=2), ended=ago(minutes=30))
    assert status_live.rate(jobs, seen, NOW) == 0.0, "nothing has ended since the other began"


def test_there_is_no_rate_where_nothing_runs_or_has_just_begun(overview):
    assert status_live.rate(*overview(("done", ago(minutes=1)), started=None), NOW) == 0.0
    assert status_live.rate(*overview(("waiting",), started=NOW.isoformat()), NOW) == 0.0
    future = (NOW + timedelta(seconds=30)).isoformat()
    assert status_live.rate(*overview(("running", 0.5), started=future), NOW) == 0.0, "clocks differ"


def test_records_that_do_not_say_when_they_ended_count_for_no_rate(overview):
    assert status_live.rate(*overview(("done", ""), ("running", 0.25), started=ago(seconds=10)), NOW) == pytest.approx(
        0.025
    )


def printed(looked):
    console = Console(file=StringIO(), width=160)
    console.print(status_live.table(looked))
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_the_table_has_a_row_a_benchmark_with_the_time_that_is_left(overview, monkeypatch):
    stopped = type("Stopped", (datetime,), {"now": staticmethod(lambda _: NOW)})
    monkeypatch.setattr(status_live, "datetime", stopped)
    rows = [("done", ago(minutes=30))] * 2 + [("running", 0.5), ("waiting",), ("failed",)]
    jobs, seen = overview(*rows, started=ago(hours=1))
    text = printed([("first", jobs, seen), ("second", *overview(("done", ago(days=1))))])
    head = next(line for line in text if "benchmark" in line)
    words = [word for word in head if word not in "┃│|"]
    assert words == ["benchmark", "done", "failed", "running", "waiting", "jobs/h", "left"]
    first = " ".join(next(line for line in text if "first" in line))
    assert re.search(r"first │.*│ 2 +│ 1 +│ 1 +│ 1 +│ 2\.5 +│ 36 min", first), first
    second = " ".join(next(line for line in text if "second" in line))
    assert re.search(r"second │.*│ 1 +│ +│ +│ +│ +│", second), second


def test_the_bar_shows_the_part_that_is_done(overview):
    def bar(*rows):
        (line,) = [line for line in printed([("tiny", *overview(*rows))]) if "tiny" in line]
        return sum(word.count("━") for word in line)

    assert 0 <= bar(("missing",), ("missing",)) <= 24
    jobs, seen = overview(("done", ""), ("running", 0.5), ("failed",), ("missing",))
    assert status_live.table([("tiny", jobs, seen)]).columns[1]._cells[0].completed == 2.5


def test_a_table_of_nothing_is_drawn(overview):
    assert printed([("tiny", [], JobStatuses({}, LoadedRecords()))])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (40, "40 s"),
        (89, "89 s"),
        (91, "2 min"),
        (720, "12 min"),
        (3540, "59 min"),
        (3600, "1.0 h"),
        (12_240, "3.4 h"),
        (72_000, "20 h"),
        (100_000, "28 h"),
        (172_800, "2.0 days"),
        (181_440, "2.1 days"),
        (8_640_000, "100 days"),
    ],
)
def test_a_time_is_told_as_a_person_says_it(seconds, text):
    assert duration(seconds) == text


def test_no_duration_is_told_shorter_than_a_smaller_one():
    units = {"s": 1, "min": 60, "h": 3600, "days": 86400}
    told = [duration(1.01**step).split() for step in range(2000)]
    values = [float(number) * units[unit] for number, unit in told]
    assert all(later >= 0.98 * earlier for earlier, later in pairwise(values))
    assert all(0.65 * 1.01**step <= value <= 1.51 * 1.01**step for step, value in enumerate(values))
