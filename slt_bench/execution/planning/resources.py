"""What a job needs of a machine, from its architecture and data set, and from what its kind did need."""

from collections.abc import Callable, Mapping
from functools import cache
from math import ceil

from slt_bench.data import find, is_folder
from slt_bench.execution.planning.arrays import Needs
from slt_bench.execution.planning.cost import Costs
from slt_bench.jobs.benchmark import Job
from slt_bench.network.frozen import footprint

PROCESS_GB = 1.0  # Python and torch
CUDA_HOST_GB = 4.0  # and CUDA's libraries
VECTORS = 12  # of N float32 numbers: weights, gates, gradients, optimiser state, and what a step makes of them
ACTIVATIONS = 3  # copies of each layer's output: itself, its gradient, and what a layer works with
MARGIN = 1.3
SLURM_CORES = 4  # that a job asks SLURM for, at most

# A step multiplies each weight by each image of its batch at least once. A convolution uses a weight at many positions:
# it multiplies a few hundred numbers for each that it puts out, and about two thirds of all outputs are those of
# normalisation and activation, which multiply next to nothing.
PRODUCTS_PER_OUTPUT = 50
# Threads meet hundreds of times a step, and wait each time for the last of them. With batches of 128, a step has
# 0.04e9 products for LeNet-300-100 (MNIST), 2.5e9 for ResNet-20 and 2.4e9 for Conv-2 (CIFAR-10). On two cores that
# others used, too, a second thread made it 0.45, 0.75 and 0.9 times as fast. Jobs of such steps are faster side by
# side; of much larger ones, few fit into memory.
PRODUCTS_PER_THREAD = 1_500_000_000


def needs_of(costs: Costs, *, device: str, threads: int | None) -> Callable[[Job], Needs]:
    """A function that says what a job needs.

    Args:
        costs: Of past records, whose peaks of memory are taken where there are some.
        device: cpu or cuda.
        threads: CPU threads of a job; None: as `threads_of`, at most `SLURM_CORES`.
    """

    def needs(job: Job) -> Needs:
        cpus = threads or threads_of(job, SLURM_CORES)
        if device == "cuda":
            return Needs(cpus, ceil(CUDA_HOST_GB + 3 * _data_gb(job)), gpus=1)
        cost = costs.of(job)
        if cost and cost.memory_mb and cost.device == "cpu":
            return Needs(cpus, ceil(MARGIN * cost.memory_mb / 1024))
        return Needs(cpus, ceil(MARGIN * memory_gb(job)))

    return needs


def threads_of(job: Job, cores: int, pack: int = 1) -> int:
    """Choose the CPU threads of a job by the size of its step.

    Masks may differ between numbers of threads. So the number depends on the job and the machine only: whatever else is
    to be run beside it, a job that is repeated or resumed there gives the same mask.

    Args:
        job: The job.
        cores: Of the machine, at least 1.
        pack: How many jobs take their steps together.

    Returns:
        At least 1 and at most `cores`, such that jobs of this size fill the cores side by side.
    """
    weights, outputs = _footprint(job.arch, job.dataset)
    products = pack * job.budget.batch_size * (weights + PRODUCTS_PER_OUTPUT * outputs)
    useful = min(cores, max(1, products // PRODUCTS_PER_THREAD))
    return cores // ceil(cores / useful)


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
