"""What a job costs, told from a few of its steps."""

import math

import pytest
import torch

from slt_bench.execution.planning.probe import probe
from slt_bench.execution.worker.run_job import run_job
from slt_bench.jobs.benchmark import Budget

METHODS = ["gates", "dense", "random_mask"]


def job_of(make_job, method, epochs=1, **changes):
    sparsity = None if method == "dense" else 0.9
    return make_job(method=method, sparsity=sparsity, budget=Budget(epochs=epochs, batch_size=64), **changes)


@pytest.mark.parametrize("method", METHODS)
def test_a_probe_measures_time_threads_and_memory(make_job, method):
    cost = probe(job_of(make_job, method), "cpu")
    assert 0 < cost.seconds < 100
    assert (cost.threads, cost.device) == (torch.get_num_threads(), "cpu")
    assert 100 < cost.memory_mb < 20_000


def test_a_probe_counts_the_steps_of_the_budget(make_job):
    short, long = (probe(job_of(make_job, "gates", epochs), "cpu").seconds for epochs in (1, 10_000))
    assert short < 20
    assert long > 1000 * short
    assert probe(job_of(make_job, "random_mask", 10_000), "cpu").seconds < 20, "it takes no step"


def test_a_smoke_job_costs_nothing_to_speak_of(make_job):
    assert 0 <= probe(job_of(make_job, "gates", 10_000, smoke=True), "cpu").seconds < 20


def test_a_probe_needs_no_data_set(make_job, monkeypatch, tmp_path):
    monkeypatch.setenv("SLT_BENCH_DATA", str(tmp_path / "nothing"))
    cost = probe(job_of(make_job, "gates", dataset="mnist"), "cpu")
    assert math.isfinite(cost.seconds)
    assert cost.seconds > probe(job_of(make_job, "gates"), "cpu").seconds, "33 times as many images"


@pytest.mark.slow
@pytest.mark.parametrize(("method", "epochs"), [("gates", 250), ("dense", 400)])
def test_a_probe_tells_what_a_run_of_some_seconds_takes(make_job, context, tmp_path, method, epochs):
    job = job_of(make_job, method, epochs)
    told = probe(job, "cpu").seconds
    record = run_job(job, tmp_path, context)
    assert record.status == "done"
    assert record.seconds["total"] / 4 < told < 4 * record.seconds["total"], (told, record.seconds)


@pytest.mark.slow
def test_a_probe_tells_that_a_mask_nobody_learns_costs_little(make_job, context, tmp_path):
    job = job_of(make_job, "random_mask", 250)
    told = probe(job, "cpu").seconds
    assert 0 < told < 3
    assert run_job(job, tmp_path, context).seconds["total"] < told + 10
