"""Every architecture with every method, end to end, on real images."""

import pytest

from slt_bench.data import find
from slt_bench.data.root import is_present
from slt_bench.execution.worker.run_job import run_job
from slt_bench.execution.worker.task_spec import Context
from slt_bench.jobs.benchmark import Budget
from slt_bench.network import architectures

METHODS = ("gates", "gates_structured", "edgepopup", "random_mask", "dense")  # `check` tries the others by family
LARGE = {  # with fewer methods: up to minutes each
    **dict.fromkeys(("resnet34", "vit_small", "vit_base", "wrn28_10"), ("gates",)),
    **dict.fromkeys(("resnet50", "wrn50_2", "swin_t"), ("edgepopup",)),
}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("arch", [*architectures.ARCHS, "wrn16_2", "timm:convnext_atto"])
def test_every_method_runs_on_every_architecture(arch, make_job, data_root, tmp_path):
    dataset = architectures.find(arch).dataset
    if not is_present(find(dataset), data_root):
        pytest.skip(f"no {dataset} in SLT_BENCH_DATA")
    for method in LARGE.get(arch, METHODS):
        sparsity = None if method == "dense" else 0.5
        budget = Budget(epochs=1, batch_size=4)
        job = make_job(method=method, arch=arch, dataset=dataset, sparsity=sparsity, budget=budget, smoke=True)
        record = run_job(job, tmp_path, Context(data_root))
        # "done" says that the weights were bit-identical after the search, and again when rebuilt from the ticket.
        assert (record.status, record.reason) == ("done", "")
        assert record.job.smoke
        tolerance = 0.05 if method == "gates_structured" else 1e-3
        assert record.metrics["sparsity"] == pytest.approx(sparsity or 0.0, abs=tolerance)
        if method != "random_mask":
            assert len(record.curve) == 1
