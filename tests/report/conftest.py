"""Records that tests of reports share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from material import PENDING, add_record

from slt_bench.records import LoadedRecords
from slt_bench.report.build import ReportSource, build


@pytest.fixture
def found(standard):
    """The records of `standard`, which a test may change."""
    return LoadedRecords(dict(standard.records), dict(standard.problems))


@pytest.fixture(scope="session")
def drawn(standard, tmp_path_factory):
    """The report of `standard`, drawn once; its page is in the report's folder."""
    return build(
        ReportSource("tiny", standard, title="A title & more", pending=PENDING), tmp_path_factory.mktemp("drawn")
    )


@pytest.fixture(scope="session")
def standard(make_job):
    """Records of four methods and dense, one lost seed, and a label with markup in it."""
    result = LoadedRecords(problems={"some/record.json": "status: <b>wrong</b>"})
    curves = {"gates": 0.95, "edgepopup": 0.9, "random_mask": 0.1, "<script>alert(1)</script>": 0.8}
    for label, top in curves.items():
        for sparsity in (0.5, 0.9, 0.98):
            for seed in range(3):
                job = make_job(label=label, method="gates", settings={"x": label}, sparsity=sparsity, seed=seed)
                lost = (label, sparsity, seed) == ("edgepopup", 0.98, 2)
                add_record(result, job, "diverged" if lost else "done", top - 0.01 * seed - 0.05 * sparsity)
    for seed in range(3):
        add_record(result, make_job(label="dense", method="dense", sparsity=None, seed=seed), "done", 0.97)
    add_record(result, make_job(label="smoke", smoke=True), "done", 0.5)
    return result
