"""`scripts/silent_units.py` against the same network computed by hand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from slt_bench.data import default_root
from slt_bench.data.dataset import load
from slt_bench.data.pipeline import normalise
from slt_bench.jobs import benchmark, grid
from slt_bench.jobs.benchmark import resolve_settings
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.training import rng_state

SCRIPT = Path(__file__).parents[1] / "scripts" / "silent_units.py"


def run(*arguments):
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@torch.no_grad()
def silent_by_hand(job):
    """The percentage of units of each hidden layer of a fully connected network that are zero for every image."""
    data = load(job.dataset, default_root())
    registry = load_registry()
    network = FrozenNetwork(job.arch, shape=data.info.shape, classes=10, seed=job.seed)
    rng_state.seed_all(job.seed)
    method = registry.find(job.method)(network, resolve_settings(job.method, job.settings, registry), job.sparsity)
    method.eval()
    active = normalise(data.validation.images[:256], data.info).flatten(1)
    for layer, part in list(zip(network.layers, method.effective().split(network.sizes), strict=True))[:-1]:
        active = torch.relu(active @ part.view(layer.shape).T)
        yield 100 * float((active == 0).all(0).double().mean())


def test_the_share_of_silent_units_is_told_by_step_and_layer():
    done = run("quickstart", "gates", "--sparsity", "0.9", "--steps", "5")
    lines = [[float(number) for number in re.findall(r"[\d.]+", line)] for line in done.stdout.splitlines()[2:]]
    assert [line[0] for line in lines] == [0, 1, 2, 4, 5]
    assert len({line[1] for line in lines}) == len(lines), "the search goes on while it is watched"
    jobs = grid.jobs(benchmark.load("quickstart"), load_registry())
    by_hand = list(silent_by_hand(next(job for job in jobs if (job.label, job.sparsity) == ("gates", 0.9))))
    assert max(by_hand) > 1
    assert lines[0][3:] == pytest.approx(by_hand, abs=0.06)


def test_a_network_whose_relus_cannot_be_seen_is_refused():
    done = run("paper_cpu_wrn", "gates")
    assert done.returncode == 2
    assert "the ReLUs of wrn10_1 cannot be watched" in done.stderr


def test_what_the_benchmark_has_not_is_refused():
    done = run("quickstart", "gates", "--sparsity", "0.77")
    assert done.returncode == 2
    assert "quickstart has no job of gates at sparsity 0.77, seed 0" in done.stderr
