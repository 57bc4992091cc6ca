"""The state of jobs from files alone, and what is left will cost."""

import json

import pytest

from slt_bench import plugins
from slt_bench.benchmark import resolve_settings
from slt_bench.claims import CLAIM, claimed
from slt_bench.cost import estimate
from slt_bench.records import Record, write
from slt_bench.states import look


@pytest.fixture
def put(tmp_path):
    """A function that writes a record of a job, of today's method unless told otherwise."""

    def make(job, **changes):
        settings = resolve_settings(job.method, job.settings, plugins.load()).model_dump(mode="json")
        values = {"status": "done", "method_version": 1, "settings": settings, "seconds": {"total": 10.0}} | changes
        folder = tmp_path / job.folder
        folder.mkdir(exist_ok=True)
        write(folder, Record(id=job.id, job=job, purity="frozen", provenance={"hardware": "a processor"}, **values))

    return make


def state(job, folder):
    return look([job], folder, plugins.load()).states[job.id]


@pytest.mark.parametrize("status", ["done", "collapsed", "diverged", "failed"])
def test_a_record_tells_its_state(make_job, put, tmp_path, status):
    put(make_job(), status=status)
    assert state(make_job(), tmp_path) == status


def test_a_job_without_a_trace_is_missing(make_job, tmp_path):
    assert state(make_job(), tmp_path) == "missing"


def test_a_claimed_job_runs_and_after_its_process_is_dead(make_job, tmp_path):
    folder = tmp_path / make_job().folder
    folder.mkdir()
    with claimed(folder):
        assert state(make_job(), tmp_path) == "running"
        claim = json.loads((folder / CLAIM).read_text())
    (folder / CLAIM).write_text(json.dumps(claim | {"started": "another process"}))
    assert state(make_job(), tmp_path) == "dead"


def test_another_version_or_other_defaults_make_a_record_stale(make_job, put, tmp_path):
    put(make_job(), method_version=2)
    assert state(make_job(), tmp_path) == "stale"
    put(make_job(), settings={"lr": 123.0})
    assert state(make_job(), tmp_path) == "stale"


def test_counts_are_in_a_fixed_order_and_complete(make_job, put, tmp_path):
    jobs = [make_job(seed=seed) for seed in range(4)]
    put(jobs[0])
    put(jobs[1], status="failed")
    overview = look(jobs, tmp_path, plugins.load())
    assert list(overview.counts().items()) == [("done", 1), ("failed", 1), ("missing", 2)]
    assert overview.in_state(jobs, "missing") == jobs[2:]


def test_the_cost_is_the_median_of_jobs_of_the_kind(make_job, put, tmp_path):
    for seed, total in enumerate((8.0, 10.0, 90.0)):
        put(make_job(seed=seed), seconds={"total": total})
    put(make_job(method="gates"), seconds={"total": 1000.0})
    todo = [make_job(seed=8), make_job(seed=9), make_job(arch="conv2")]
    cost = estimate(todo, look(todo, tmp_path, plugins.load()).found)
    assert (cost.seconds, cost.known, cost.unknown, cost.hardware) == (20.0, 2, 1, "a processor")
