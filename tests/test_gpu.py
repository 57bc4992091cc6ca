"""On a CUDA device: the same contract as on the CPU."""

import pytest
import torch

from slt_bench.execution.worker.run_job import run_job
from slt_bench.execution.worker.task_spec import Context
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import keep_top, kth_smallest
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry

pytestmark = pytest.mark.gpu
METHODS = ("gates", "gates_distilled", "gates_rounds", "gates_structured", "edgepopup", "random_mask", "dense")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_every_method_runs_there(make_job, tmp_path, method, precision):
    budget = Budget(epochs=5, batch_size=64, precision=precision)
    job = make_job(method=method, arch="resnet20", sparsity=None if method == "dense" else 0.5, budget=budget)
    record = run_job(job, tmp_path, Context(tmp_path, "cuda"))
    assert (record.status, record.reason) == ("done", "")
    assert record.provenance["device"] == "cuda"
    assert record.peak_memory_mb > 0
    if method in ("gates", "edgepopup", "dense"):
        assert record.metrics["test_accuracy"] > 0.3


def test_the_weights_are_those_of_the_cpu():
    here, there = (FrozenNetwork("resnet20", shape=(3, 32, 32), classes=10, device=name) for name in ("cpu", "cuda"))
    assert here.weight_hash() == there.weight_hash()
    images = torch.randn(4, 3, 32, 32)
    gates = torch.rand(here.n).round()
    here.eval()
    there.eval()
    logits = here(images, here.effective(gates))
    torch.testing.assert_close(there(images.cuda(), there.effective(gates.cuda())).cpu(), logits, atol=1e-2, rtol=1e-2)


def test_selection_agrees_with_the_cpu():
    values = torch.randint(0, 50, (10_000,)).float()
    for count in (0, 1, 137, 5_000, 9_999, 10_000):
        assert torch.equal(keep_top(values.cuda(), count).cpu(), keep_top(values, count))
    assert kth_smallest(values.cuda(), 77).item() == kth_smallest(values, 77).item()


@pytest.fixture
def never_waiting():
    """A function that calls another, and raises where that waits for the device."""

    def call(function):
        torch.cuda.set_sync_debug_mode("error")
        try:
            return function()
        finally:
            torch.cuda.set_sync_debug_mode("default")

    yield call
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ["gates", "edgepopup"])
def test_a_steps_selection_waits_for_nothing_and_agrees_with_the_cpu(never_waiting, name):
    kind = load_registry().find(name)
    here, there = (
        kind(FrozenNetwork("resnet20", shape=(3, 32, 32), classes=10, device=device), kind.settings_class(), 0.9)
        for device in ("cpu", "cuda")
    )
    with torch.no_grad():
        for mine, other in zip(here.parameters(), there.parameters(), strict=True):
            mine.clamp_(-0.02, 0.51)  # so that many are equal
            other.copy_(mine)

    def select():
        there.on_progress(0.3)
        effective = there.effective()
        effective.sum().backward()
        return there.mask()

    select()  # libraries load at their first call
    mask = never_waiting(select)
    here.on_progress(0.3)
    assert torch.equal(mask.cpu(), here.mask())
    if name == "gates":
        assert there.shift.item() == here.shift.item()


def test_what_waits_is_seen(never_waiting):
    with pytest.raises(RuntimeError, match="synchronizing"):
        never_waiting(lambda: torch.ones(3, device="cuda").sum().item())
