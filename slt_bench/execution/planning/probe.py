"""A probe: what a job will cost, from a few of its steps on images of noise, so that no data set is needed."""

from time import perf_counter

import torch

from slt_bench.data import find
from slt_bench.data.dataset import VALIDATION_SHARE, Dataset, noise_split
from slt_bench.data.pipeline import steps_per_epoch
from slt_bench.execution.planning.cost import Cost
from slt_bench.jobs.benchmark import Job, resolve_settings
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.tickets.evaluate import CHECKS, STATISTICS_IMAGES, accuracy
from slt_bench.training import rng_state
from slt_bench.training.loop import search
from slt_bench.utils.machine import peak_memory_mb, reset_peak_memory

STEPS = 5
LEAST_SECONDS = 0.5  # of steps, where a step is short
IMAGES = 500


def probe(job: Job, device: str) -> Cost:
    """What a job costs on a device, measured on a few steps and one pass over a few images, and extrapolated."""
    info = find(job.dataset)
    target = torch.device(device)
    reset_peak_memory(target)
    if job.smoke:
        return Cost(0.0, torch.get_num_threads(), target.type, None)
    registry = load_registry()
    network = FrozenNetwork(
        job.arch,
        shape=info.shape,
        classes=info.classes,
        init=job.init,
        seed=0,
        rescale=job.network_rescale,
        device=target,
    )
    method = registry.find(job.method)(network, resolve_settings(job.method, job.settings, registry), job.sparsity)
    rng_state.seed_all(0)
    training = round((1 - VALIDATION_SHARE) * info.train)
    total = (job.budget.epochs or info.epochs) * steps_per_epoch(training, job.budget.batch_size)
    learns = method.optimizer() is not None
    step = _seconds_a_step(job, method, network, target) if learns else 0.0
    images = _noise(job, IMAGES, target)
    effective = method.eval().effective().detach()
    start = perf_counter()
    accuracy(lambda batch: network(batch, effective), images.validation, info)
    image = (perf_counter() - start) / IMAGES
    held_out, passes = info.train - training, (job.budget.epochs or info.epochs) if learns else 0
    # Scoring: statistics and validation of the relaxed network, of the hard one, and of each sanity check; test once.
    passed = 2 + len(CHECKS)
    scored = info.test + held_out * (passes + passed) + passed * min(STATISTICS_IMAGES, training)
    seconds = total * step * learns + scored * image
    return Cost(seconds, torch.get_num_threads(), target.type, peak_memory_mb(target))


def _seconds_a_step(job: Job, method: object, network: FrozenNetwork, device: torch.device) -> float:
    """The median over rounds of a few steps each; the first round warms up."""
    batch = job.budget.batch_size
    budget = job.budget.model_copy(update={"epochs": 1})
    rounds: list[float] = []
    spent = 0.0
    while len(rounds) < 2 or spent < LEAST_SECONDS:
        data = _noise(job, STEPS * batch, device)
        start = perf_counter()
        found = search(method, network, data, budget, 0, lambda _: None)  # type: ignore[arg-type]
        spent += perf_counter() - start
        # On CUDA the loop waits for the device only at its end, so that the times of single steps say nothing.
        rounds.append((found.seconds["search"] - found.seconds["validation"]) / max(found.steps, 1))
    later = sorted(rounds[1:])
    return later[len(later) // 2]


def _noise(job: Job, count: int, device: torch.device) -> Dataset:
    split = noise_split(find(job.dataset), count, device)
    return Dataset(find(job.dataset), split, split.first(IMAGES), lambda: split.first(1))
