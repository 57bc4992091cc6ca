"""What a job needs of a machine, from its architecture and data set, and from what its kind did need."""

from collections.abc import Callable, Mapping
from functools import cache
from math import ceil

from slt_bench.benchmark import Job
from slt_bench.cost import Costs
from slt_bench.data import find, is_folder
from slt_bench.execution.layout import Needs
from slt_bench.frozen import footprint

PROCESS_GB = 1.0  # Python and torch
CUDA_HOST_GB = 4.0  # and CUDA's libraries
VECTORS = 12  # of N float32 numbers: weights, gates, gradients, optimiser state, and what a step makes of them
ACTIVATIONS = 3  # copies of each layer's output: itself, its gradient, and what a layer works with
SMALL = 1_000_000  # weights below which a second thread helps little
MARGIN = 1.3


def needs_of(costs: Costs, *, device: str, threads: int | None) -> Callable[[Job], Needs]:
    """A function that says what a job needs.

    Args:
        costs: Of past records, whose peaks of memory are taken where there are some.
        device: cpu or cuda.
        threads: CPU threads of a job; None: 1 for small networks, else 4.
    """

    def needs(job: Job) -> Needs:
        weights, _ = _footprint(job.arch, job.dataset)
        cpus = threads or (1 if weights < SMALL else 4)
        if device == "cuda":
            return Needs(cpus, ceil(CUDA_HOST_GB + 3 * _data_gb(job)), gpus=1)
        cost = costs.of(job)
        if cost and cost.memory_mb and cost.device == "cpu":
            return Needs(cpus, ceil(MARGIN * cost.memory_mb / 1024))
        return Needs(cpus, ceil(MARGIN * memory_gb(job)))

    return needs


def memory_gb(job: Job) -> float:
    """The memory that a job takes on a CPU, in GiB, estimated."""
    weights, outputs = _footprint(job.arch, job.dataset)
    batch = max(job.budget.batch_size, 1)
    return PROCESS_GB + 3 * _data_gb(job) + 4 * (VECTORS * weights + ACTIVATIONS * batch * outputs) / 2**30


def _data_gb(job: Job) -> float:
    info = find(job.dataset)
    if is_folder(job.dataset):
        return 0.0  # stays on disk
    size: int = info.shape[0] * info.shape[1] * info.shape[2]
    return info.images * size / 2**30


@cache
def _footprint(arch: str, dataset: str) -> tuple[int, int]:
    info = find(dataset)
    return footprint(arch, info.shape, info.classes)


def with_options(needs: Callable[[Job], Needs], options: Mapping[str, object]) -> Callable[[Job], Needs]:
    """The same where what the user says, as `--slurm mem_gb=8`, goes first."""

    def asked(job: Job) -> Needs:
        own = needs(job)
        cpus, memory, gpus = (
            options.get(key, value)
            for key, value in (("cpus_per_task", own.cpus), ("mem_gb", own.mem_gb), ("gpus_per_node", own.gpus))
        )
        return Needs(int(str(cpus)), ceil(float(str(memory))), int(str(gpus)))

    return asked
