"""Fixtures that tests share."""

import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from slt_bench.execution.worker.task_spec import Context
from slt_bench.jobs.benchmark import Budget, Job

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes says something of the machine, nothing of the code
torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))  # where what tests share is imported from


@pytest.fixture
def data_root():
    """The folder of real data sets; skips where there is none."""
    root = os.environ.get("SLT_BENCH_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("SLT_BENCH_DATA names no folder of real data sets")
    return Path(root)


@pytest.fixture
def context(tmp_path):
    """A place to run jobs that need no data from disk."""
    return Context(tmp_path / "no-data", "cpu")


@pytest.fixture(scope="session")
def make_job():
    """A function that makes jobs: edge-popup on LeNet and digits, two epochs, unless told otherwise."""

    def make(**changes):
        values = {
            "benchmark": "tiny",
            "label": changes.get("method", "edgepopup"),
            "method": "edgepopup",
            "settings": {},
            "arch": "lenet300",
            "dataset": "digits",
            "init": "signed_constant",
            "rescale": "density",
            "sparsity": 0.5,
            "seed": 0,
            "budget": Budget(epochs=2, batch_size=64),
        }
        return Job(**(values | changes))

    return make


def pytest_collection_modifyitems(items):
    """Skip what needs a part that is not here, and say which. The longest test begins, so that none waits for it."""
    items.sort(key=lambda item: "test_kills_at_random" not in item.name)
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
