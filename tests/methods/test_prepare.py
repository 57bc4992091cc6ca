"""Methods that look at the training loss before their first step, and settings that make no sense."""

import pytest
import torch
from oracle import REGISTRY
from torch import nn

from slt_bench.data.dataset import load as load_data
from slt_bench.execution.worker.run_job import run_job
from slt_bench.jobs.benchmark import Benchmark, Budget
from slt_bench.jobs.grid import jobs
from slt_bench.method import Method, OptimizerSettings
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.training.loop import search
from slt_bench.utils.errors import UserError


class Looks(Method):
    """Notes what it is given before it learns."""

    name, version, paper = "looks", 1, "a test"
    sparsity_control, purity = "exact", "frozen"
    Settings = OptimizerSettings

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.logits = nn.Parameter(torch.zeros_like(network.weights))
        self.told = []

    def prepare(self, loss, steps):
        flat = self.network.weights.clone().requires_grad_()
        first, same, other = loss(flat), loss(flat, again=True), loss(flat)
        (slope,) = torch.autograd.grad(first, flat, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.square().sum(), flat)
        self.told.append(
            (steps, float(first.detach()), float(same.detach()), float(other.detach()), bool(curvature.any()))
        )
        self.prepared_before_steps = self.steps_seen == 0

    steps_seen = 0

    def on_progress(self, fraction):  # noqa: ARG002
        self.steps_seen += 1

    def gates(self):
        return torch.sigmoid(self.logits)

    def mask(self):
        return self.logits.detach() >= 0


@pytest.fixture
def data(tmp_path):
    return load_data("digits", tmp_path)


def learn(data, seed=0, keeper=None):
    network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10, seed=seed)
    method = Looks(network, OptimizerSettings(), 0.5)
    search(method, network, data, Budget(epochs=2, batch_size=100), seed, lambda _: None, keeper)
    return method


def test_the_loss_is_of_one_training_batch_after_the_other(data):
    ((steps, first, same, other, curved),) = learn(data).told
    assert steps == 2 * (1293 // 100)
    assert first == same
    assert first != other
    assert curved, "it can be differentiated twice"


def test_it_is_asked_before_the_first_step_and_alike_for_the_same_seed(data):
    one = learn(data)
    assert one.prepared_before_steps
    assert one.told == learn(data).told
    assert one.told != learn(data, seed=1).told


def test_a_search_that_goes_on_is_not_prepared_again(data, tmp_path):
    from slt_bench.conformance.assertions import StopOnce, StoppedError

    keeper = StopOnce(tmp_path / "checkpoint.safetensors", at=5)
    with pytest.raises(StoppedError):
        learn(data, keeper=keeper)
    assert len(learn(data, keeper=keeper).told) == 1, "what the checkpoint holds, and no second time"


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow", "magnitude_at_init", "genetic"])
def test_what_learns_nothing_has_a_mask_all_the_same(name, make_job, context, tmp_path):
    kind = REGISTRY.find(name)
    sparsity = None if kind.control(kind.settings_class()) == "none" else 0.9
    job = make_job(method=name, sparsity=sparsity, budget=Budget(epochs=1, batch_size=64))
    record = run_job(job, tmp_path, context)
    assert (record.status, record.reason) == ("done", "")
    assert record.curve == []
    if sparsity:
        assert record.metrics["sparsity"] == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(
    ("method", "sparsity", "told"),
    [
        ("er_edgepopup", 0.3, "'er_edgepopup' at sparsity 0.3 makes no sense: it is to keep 0.7 of the weights"),
        ("gem_miner", 0.3, "'gem_miner' at sparsity 0.3 makes no sense: half of its scores"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_the_reason(method, sparsity, told):
    values = {"name": "x", "methods": {method: {}}, "archs": "lenet300", "datasets": "digits"}
    with pytest.raises(UserError, match=told):
        jobs(Benchmark.model_validate(values | {"sparsities": [sparsity]}), REGISTRY)
    assert jobs(Benchmark.model_validate(values | {"sparsities": [0.9]}), REGISTRY)
