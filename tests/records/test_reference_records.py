"""The records that git keeps: whole, of today's methods, and as good as the README says."""

from pathlib import Path

import pytest

from slt_bench import records
from slt_bench.analysis.curves import curves
from slt_bench.analysis.frame import comparable, frame
from slt_bench.data import find
from slt_bench.data.root import is_present
from slt_bench.execution.worker.run_job import run_job
from slt_bench.execution.worker.task_spec import Context
from slt_bench.jobs.benchmark import load
from slt_bench.jobs.grid import jobs
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.records.status import job_status
from slt_bench.registry import load_registry

FOLDER = Path(__file__).parents[2] / "results" / "lenet_mnist"


@pytest.fixture(scope="module")
def found():
    return records.read(FOLDER)


@pytest.fixture(scope="module")
def summary(found):
    table = curves(frame(comparable(found.records.values()).compared))
    return table.set_index(["label", "asked_sparsity"]).sort_index()


def test_every_job_has_a_record_and_none_is_stale(found):
    expected = jobs(load("lenet_mnist"), load_registry())
    assert found.problems == {}
    assert {job.id for job in expected} == set(found.records)
    overview = job_status(expected, FOLDER)
    assert set(overview.states.values()) <= {"done"}


def test_the_methods_reach_what_was_measured_first(summary):
    assert summary.loc[("edgepopup", 0.9), "mean"] >= 0.975
    assert summary.loc[("gates", 0.9), "mean"] >= 0.975
    assert summary.loc[("gates", 0.95), "mean"] >= 0.970
    dense = summary.loc["dense"]
    assert dense["mean"].iloc[0] >= 0.980
    assert dense["n"].iloc[0] == 3
    floor = summary.loc["random_mask"]
    assert (floor["mean"] < 0.2).all()


def test_the_counted_sparsity_is_the_asked_one(found):
    asked = [record for record in found.records.values() if record.job.sparsity is not None]
    assert len(asked) == 81
    assert all(abs(record.metrics["sparsity"] - record.job.sparsity) < 0.01 for record in asked)


def test_no_ticket_survives_its_sanity_checks(found):
    flagged = [record.job.folder for record in found.records.values() if record.flags and record.status == "done"]
    assert flagged == []


def test_the_weights_of_a_record_are_drawn_again(found):
    for seed in (0, 1, 2):
        hashes = {record.weight_hash for record in found.records.values() if record.job.seed == seed}
        network = FrozenNetwork("lenet300", shape=(1, 28, 28), classes=10, seed=seed)
        assert hashes == {network.weight_hash()}


@pytest.mark.data
def test_a_recorded_job_gives_its_record_again(found, data_root, tmp_path):
    if not is_present(find("mnist"), data_root):
        pytest.skip("no mnist in SLT_BENCH_DATA")
    old = next(r for r in found.records.values() if r.job.method == "random_mask" and r.job.sparsity == 0.5)
    new = run_job(old.job, tmp_path, Context(data_root))
    assert (new.mask_hash, new.weight_hash) == (old.mask_hash, old.weight_hash)
    assert new.metrics["test_accuracy"] == pytest.approx(old.metrics["test_accuracy"], abs=5e-4)


@pytest.mark.data
@pytest.mark.slow
def test_a_recorded_job_with_normalisation_gives_its_record_again(data_root, tmp_path):
    """Its statistics come from 10,000 images in equal chunks, which weigh as they did when all chunks weighed alike."""
    if not is_present(find("cifar10"), data_root):
        pytest.skip("no cifar10 in SLT_BENCH_DATA")
    found = records.read(FOLDER.with_name("cifar10_short")).records.values()
    old = next(r for r in found if r.job.method == "random_mask" and r.job.sparsity == 0.5 and r.job.seed == 0)
    new = run_job(old.job, tmp_path, Context(data_root))
    assert (old.job.arch, new.mask_hash, new.weight_hash) == ("resnet20", old.mask_hash, old.weight_hash)
    assert new.metrics["test_accuracy"] == pytest.approx(old.metrics["test_accuracy"], abs=5e-4)
    assert new.metrics["validation_accuracy"] == pytest.approx(old.metrics["validation_accuracy"], abs=5e-4)
