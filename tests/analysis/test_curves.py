"""Records as a DataFrame, and curves over seeds."""

import math
import subprocess
import sys

import pytest

from slt_bench.analysis.curves import curves
from slt_bench.analysis.frame import comparable, frame
from slt_bench.data.catalogue import DATASETS
from slt_bench.records import Record


@pytest.fixture
def record(make_job):
    def make(accuracy=0.9, status="done", version=1, counted=None, **job):
        made = make_job(**job)
        sparsity = made.sparsity if counted is None else counted
        return Record(
            id=made.id,
            job=made,
            status=status,
            method_version=version,
            purity="frozen",
            settings={},
            metrics={"test_accuracy": accuracy, "sparsity": sparsity},
        )

    return make


def test_a_curve_is_the_mean_over_seeds_at_each_sparsity(record):
    found = [record(0.8, seed=0), record(0.9, seed=1), record(0.5, seed=0, sparsity=0.9, counted=0.91)]
    summary = curves(frame(found)).set_index("asked_sparsity")
    assert summary.loc[0.5, "mean"] == pytest.approx(0.85)
    assert summary.loc[0.5, "n"] == 2
    assert summary.loc[0.9, "sparsity"] == 0.91
    assert math.isnan(summary.loc[0.9, "half_width"])


def test_lost_seeds_are_told_and_never_averaged(record):
    found = [record(0.8, seed=0), record(0.1, seed=1, status="diverged"), record(0.1, seed=2, status="diverged")]
    (row,) = curves(frame(found)).to_dict("records")
    assert (row["mean"], row["n"], row["lost"]) == (0.8, 1, 2)
    assert row["statuses"] == "2 diverged"


def test_seeds_that_learned_nothing_are_told_apart_from_those_that_learned(record):
    """Their accuracy is within noise of chance: a mean of both modes is near neither."""
    chance = DATASETS["digits"].chance
    found = [record(0.8, seed=0), record(chance + 0.01, seed=1), record(0.9, seed=2)]
    (row,) = curves(frame(found)).to_dict("records")
    assert (row["median"], row["low"], row["n"], row["learned"], row["mixed"]) == (0.8, chance + 0.01, 3, 2, True)
    noise = 3 * math.sqrt(chance * (1 - chance) / DATASETS["digits"].test)
    learned = [frame([record(chance + noise + more)])["learned"].item() for more in (-0.001, 0.001)]
    assert learned == [False, True]
    (none,) = curves(frame([record(0.1, seed=0), record(0.12, seed=1)])).to_dict("records")
    assert (none["learned"], none["mixed"]) == (0, False)
    floor = record(0.1, method="random_mask")
    assert frame([floor])["learned"].item()  # it learns nothing by design


def test_a_record_that_knows_its_chance_is_judged_by_it(record):
    """Class folders have their own."""
    found = record(0.5).model_copy(update={"images": 100, "chance": 0.45})
    assert not frame([found])["learned"].item()
    assert frame([found.model_copy(update={"images": 10_000})])["learned"].item()


def test_methods_that_decide_their_sparsity_have_a_row(record):
    (row,) = curves(frame([record(method="dense", sparsity=None, counted=0.0)])).to_dict("records")
    assert math.isnan(row["asked_sparsity"])
    assert row["sparsity"] == 0.0


def test_what_cannot_be_compared_is_left_out_with_its_reason(record):
    good = record(seed=0, version=2)
    left = comparable(
        [good, record(seed=1, version=1), record(seed=2, smoke=True), record(seed=3, version=2, status="failed")]
    )
    assert left.compared == [good]
    assert sorted(reason.split(":")[0] for reason in left.left_out.values()) == ["a smoke run", "failed", "stale"]


def test_no_records_give_empty_tables():
    assert curves(frame([])).empty


def test_analysis_and_report_load_no_torch():
    code = "import sys, slt_bench.report.build, slt_bench.analysis.curves; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
