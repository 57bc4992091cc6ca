"""The state of jobs from files alone, and what is left will cost."""

import json
import os
import socket

import pytest

from slt_bench import records
from slt_bench.execution.planning.cost import from_records
from slt_bench.jobs.benchmark import resolve_settings
from slt_bench.records import Record, runs, staleness, write
from slt_bench.records.attempts import CHECKPOINT, end_attempt, start_attempt, write_progress
from slt_bench.records.lock import CLAIM, lock_job
from slt_bench.records.runs import begin, close_units
from slt_bench.records.status import job_status
from slt_bench.records.superseded import set_aside
from slt_bench.registry import fingerprints, load_registry
from slt_bench.training.checkpoint import Checkpoint, write_checkpoint


@pytest.fixture
def put(tmp_path):
    """A function that writes a record of a job, of today's method unless told otherwise."""

    def make(job, **changes):
        values = {"status": "done", "method_version": 1, "seconds": {"total": 10.0}} | changes
        if "settings" not in values:
            values["settings"] = resolve_settings(job.method, job.settings, load_registry()).model_dump(mode="json")
        values.setdefault("provenance", {"hardware": "a processor"})
        folder = tmp_path / job.folder
        folder.mkdir(exist_ok=True)
        write(folder, Record(id=job.id, job=job, purity="frozen", **values))

    return make


def state(job, folder):
    return job_status([job], folder).states[job.id]


@pytest.mark.parametrize("status", ["done", "diverged", "failed"])
def test_a_record_tells_its_state(make_job, put, tmp_path, status):
    put(make_job(), status=status)
    assert state(make_job(), tmp_path) == status


def test_a_job_without_a_trace_is_missing(make_job, tmp_path):
    assert state(make_job(), tmp_path) == "missing"


def test_a_claimed_job_runs_and_after_its_process_is_dead(make_job, tmp_path):
    folder = tmp_path / make_job().folder
    folder.mkdir()
    with lock_job(folder):
        assert state(make_job(), tmp_path) == "running"
        claim = json.loads((folder / CLAIM).read_text())
    (folder / CLAIM).write_text(json.dumps(claim | {"started": "another process"}))
    assert state(make_job(), tmp_path) == "dead"


def test_another_version_or_other_defaults_make_a_record_stale(make_job, put, tmp_path):
    put(make_job(), method_version=2)
    assert state(make_job(), tmp_path) == "stale"
    put(make_job(), settings={"lr": 123.0})
    assert state(make_job(), tmp_path) == "stale"


def test_a_setting_that_came_since_leaves_records_valid_and_one_that_went_does_not(make_job, put, tmp_path):
    settings = resolve_settings("edgepopup", {}, load_registry()).model_dump(mode="json")
    put(make_job(), settings={name: value for name, value in settings.items() if name != "scope"})
    assert state(make_job(), tmp_path) == "done"
    put(make_job(), settings=settings | {"gone": 1})
    assert state(make_job(), tmp_path) == "stale"


def test_counts_are_in_a_fixed_order_and_complete(make_job, put, tmp_path):
    jobs = [make_job(seed=seed) for seed in range(4)]
    put(jobs[0])
    put(jobs[1], status="failed")
    overview = job_status(jobs, tmp_path)
    assert list(overview.counts().items()) == [("done", 1), ("failed", 1), ("missing", 2)]
    assert overview.in_state(jobs, "missing") == jobs[2:]


def test_the_cost_is_the_median_of_jobs_of_the_kind(make_job, put, tmp_path):
    for seed, total in enumerate((8.0, 10.0, 90.0)):
        put(make_job(seed=seed), seconds={"total": total})
    put(make_job(method="gates"), seconds={"total": 1000.0})
    todo = [make_job(seed=8), make_job(seed=9), make_job(arch="conv2")]
    costs = from_records(job_status(todo, tmp_path).found.records.values())
    total = costs.total(todo)
    assert (total.seconds, total.known, total.unknown) == (20.0, 2, 1)
    assert total.core_hours == pytest.approx(20 / 3600)
    assert total.gpu_hours == 0
    assert costs.hardware == ("a processor",)
    assert [job.arch for job in costs.unknown_kinds(todo)] == ["conv2"]


@pytest.fixture
def place(make_job, tmp_path):
    """The folder of a job that was begun."""
    folder = tmp_path / make_job().folder
    folder.mkdir()
    return folder


def words(job, folder):
    return job_status([job], folder).details.get(job.id, "")


def keep(place, fraction):
    write_checkpoint(place / CHECKPOINT, {}, Checkpoint(fraction, None))


def test_what_an_open_run_is_to_start_waits(make_job, tmp_path):
    jobs = [make_job(seed=seed) for seed in range(3)]
    run = begin(tmp_path, "slurm", jobs, [jobs[:2]])
    overview = job_status(jobs, tmp_path)
    assert list(overview.counts().items()) == [("waiting", 2), ("missing", 1)]
    assert overview.details == {job.id: f"slurm, since {run.started}" for job in jobs[:2]}
    assert overview.runs == [run]


def test_a_job_of_a_run_that_has_ended_is_missing_again(make_job, tmp_path):
    run = begin(tmp_path, "local", [make_job()], [[make_job()]])
    assert state(make_job(), tmp_path) == "waiting"
    runs.end(tmp_path, run)
    assert state(make_job(), tmp_path) == "missing"


def test_a_claim_and_a_record_go_before_the_wish(make_job, put, place, tmp_path):
    begin(tmp_path, "local", [make_job()], [[make_job()]])
    with lock_job(place):
        assert state(make_job(), tmp_path) == "running"
    put(make_job())
    assert state(make_job(), tmp_path) == "done"


def test_a_job_that_was_begun_and_ended_without_a_record_is_stopped(make_job, place, tmp_path):
    end_attempt(place, start_attempt(place, "local"), "stopped by SIGTERM")
    assert state(make_job(), tmp_path) == "stopped"
    assert words(make_job(), tmp_path) == "attempt 1; stopped by SIGTERM; no checkpoint"
    keep(place, 0.4)
    start_attempt(place, "local")
    assert words(make_job(), tmp_path) == "attempt 2; killed; checkpoint at 40%"
    assert job_status([make_job()], tmp_path).fractions == {make_job().id: 0.4}


def test_a_job_that_was_begun_waits_again_where_a_run_is_to_go_on(make_job, place, tmp_path):
    end_attempt(place, start_attempt(place, "local"), "stopped by SIGTERM")
    begin(tmp_path, "local", [make_job()], [[make_job()]])
    assert state(make_job(), tmp_path) == "waiting"


def test_a_job_whose_task_is_over_is_stopped_and_says_why(make_job, tmp_path):
    job = make_job()
    run = begin(tmp_path, "slurm", [job], [[job]])
    run = run.model_copy(update={"units": (run.units[0].model_copy(update={"task": "5_1"}),)})
    runs.write(tmp_path, run)
    close_units(tmp_path, run, {"5_1": "SLURM task 5_1 left the queue: timeout, exit code 0:0"})
    assert state(job, tmp_path) == "stopped"
    assert words(job, tmp_path) == "SLURM task 5_1 left the queue: timeout, exit code 0:0; no checkpoint"
    begin(tmp_path, "slurm", [job, make_job(seed=1)], [[job]])
    assert state(job, tmp_path) == "waiting", "it was submitted again"


def test_a_running_job_tells_who_runs_it_and_how_far_it_is(make_job, place, tmp_path):
    with lock_job(place):
        start_attempt(place, "local")
        who = f"attempt 1; process {os.getpid()} on {socket.gethostname()}"
        assert words(make_job(), tmp_path) == f"{who}; 0%"
        keep(place, 0.25)
        assert words(make_job(), tmp_path) == f"{who}; 25%", "where it goes on from"
        write_progress(place, 0.6)
        overview = job_status([make_job()], tmp_path)
        assert overview.details[make_job().id] == f"{who}; 60%"
        assert overview.fractions[make_job().id] == 0.6


def test_a_dead_job_tells_who_ran_it_and_what_is_kept(make_job, place, tmp_path):
    start_attempt(place, "local")
    claim = {"host": socket.gethostname(), "pid": 1, "started": "never", "token": "t", "task": "7_2"}
    (place / CLAIM).write_text(json.dumps(claim))
    keep(place, 0.5)
    who = f"attempt 1; process 1 on {socket.gethostname()}, SLURM task 7_2"
    assert state(make_job(), tmp_path) == "dead"
    assert words(make_job(), tmp_path) == f"{who}; checkpoint at 50%"


def test_a_failed_job_tells_its_reason_and_a_good_one_nothing(make_job, put, tmp_path):
    put(make_job(), status="failed", reason="ValueError: no mask today")
    assert words(make_job(), tmp_path) == "ValueError: no mask today"
    put(make_job())
    assert words(make_job(), tmp_path) == ""


def never():
    raise AssertionError("the methods were loaded")


def code(method):
    return fingerprints()[method]


def test_methods_are_loaded_only_for_records_without_a_code(make_job, put, tmp_path):
    put(make_job(), provenance={"method_code": code("edgepopup")})
    overview = job_status([make_job(), make_job(seed=1)], tmp_path, never)
    assert overview.states == {make_job().id: "done", make_job(seed=1).id: "missing"}
    put(make_job(), provenance={"method_code": "0123456789abcdef"})
    assert job_status([make_job()], tmp_path, never).states == {make_job().id: "stale"}
    put(make_job(), provenance={})
    with pytest.raises(AssertionError, match="the methods were loaded"):
        job_status([make_job()], tmp_path, never)


def test_other_code_makes_a_record_stale_whatever_its_version_and_settings(make_job, put, tmp_path):
    put(make_job(), provenance={"method_code": "0123456789abcdef"})
    assert state(make_job(), tmp_path) == "stale"
    put(make_job(), provenance={"method_code": code("gates")})
    assert state(make_job(), tmp_path) == "stale"


def test_code_that_was_accepted_beside_the_present_one_is_as_good(make_job, put, tmp_path, monkeypatch):
    accepted = "0123456789abcdef"
    monkeypatch.setattr(staleness, "_table", lambda: {"edgepopup": {"1": [accepted, code("edgepopup")]}})
    put(make_job(), provenance={"method_code": accepted})
    assert state(make_job(), tmp_path) == "done"
    put(make_job(), provenance={"method_code": accepted}, method_version=2)
    assert state(make_job(), tmp_path) == "stale", "it was accepted for another version"
    monkeypatch.setattr(staleness, "_table", lambda: {"edgepopup": {"1": [accepted, "an earlier code"]}})
    put(make_job(), provenance={"method_code": accepted})
    assert state(make_job(), tmp_path) == "stale", "the present code is not among the accepted"


@pytest.mark.parametrize("provenance", [{}, {"method_code": "0123456789abcdef"}])
def test_a_record_of_a_method_that_is_not_here_stays_what_it_is(make_job, put, tmp_path, provenance):
    put(make_job(method="theirs"), settings={}, provenance=provenance)
    assert state(make_job(method="theirs"), tmp_path) == "done"


def test_a_run_whose_job_folder_is_gone_leaves_it_missing(make_job, place, tmp_path):
    start_attempt(place, "local")
    assert state(make_job(), tmp_path) == "stopped"
    place.rename(tmp_path / "elsewhere")
    assert state(make_job(), tmp_path) == "missing"


def test_a_job_that_waits_to_be_run_again_is_waiting_until_its_new_record(make_job, put, place, tmp_path):
    put(make_job(), status="failed")
    run = begin(tmp_path, "local", [make_job()], [[make_job()]])
    set_aside(place, records.read_one(place))
    assert state(make_job(), tmp_path) == "waiting"
    put(make_job(), seconds={"total": 11.0})
    assert state(make_job(), tmp_path) == "done"
    runs.end(tmp_path, run)
    assert state(make_job(), tmp_path) == "done"


def test_a_job_whose_rerun_was_killed_is_stopped_and_says_where_its_last_record_is(make_job, put, place, tmp_path):
    put(make_job())
    set_aside(place, records.read_one(place))
    overview = job_status([make_job()], tmp_path)
    assert overview.states[make_job().id] == "stopped"
    assert "its last record, record.superseded-1.json, was set aside for a rerun" in overview.details[make_job().id]


def submitted(folder, job, claim_folder, **changes):
    """A SLURM run of a job whose claim a task of it holds, as of another host."""
    run = begin(folder, "slurm", [job], [[job]])
    run = run.model_copy(update={"units": (run.units[0].model_copy(update={"task": "7_0"}),)})
    runs.write(folder, run)
    claim = {"host": "another-host", "pid": 1, "started": "1", "token": "t", "task": "7_0"} | changes
    (claim_folder / CLAIM).write_text(json.dumps(claim))
    return run


def test_a_task_that_slurm_will_start_again_is_waiting_though_its_process_is_dead(make_job, place, tmp_path):
    submitted(tmp_path, make_job(), place, host=socket.gethostname())
    assert state(make_job(), tmp_path) == "waiting"


def test_a_claim_of_a_task_that_is_over_is_dead_however_fresh_its_heart(make_job, place, tmp_path):
    run = submitted(tmp_path, make_job(), place)
    assert state(make_job(), tmp_path) == "running"
    close_units(tmp_path, run, {"7_0": "out of memory"})
    assert state(make_job(), tmp_path) == "dead"


def test_costs_are_those_of_the_device(make_job, put, tmp_path):
    put(make_job(seed=0), seconds={"total": 100.0}, provenance={"device": "cpu"})
    put(make_job(seed=1), seconds={"total": 1.0}, provenance={"device": "cuda"})
    found = job_status([], tmp_path).found.records.values()
    assert from_records(found).seconds(make_job(seed=2)) == 100.0
    assert from_records(found, "cuda").seconds(make_job(seed=2)) == 1.0
    assert from_records(found, "cuda").total([make_job(seed=2)]).gpu_hours == pytest.approx(1 / 3600)
