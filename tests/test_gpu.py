"""On a CUDA device: the same contract as on the CPU."""

import pytest
import torch

from slt_bench.benchmark import Budget
from slt_bench.execution.work import Context
from slt_bench.execution.worker import run_job
from slt_bench.frozen import FrozenNetwork
from slt_bench.method import keep_top, kth_smallest

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("method", ["gates", "gates_structured", "edgepopup", "random_mask", "dense"])
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
