"""What a job measures: the search, then the ticket, then what the ticket is worth.

The reported accuracy is that of the ticket read back from disk: the hard mask is taken, the ticket written, the method
dropped, the network rebuilt from the file, its weights verified, its sparsity counted, and the test split read once.
"""

import gc
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from slt_bench import records
from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Dataset, locked_test_split
from slt_bench.data.dataset import load as load_data
from slt_bench.execution.worker.checkpoint_writer import JobCheckpointWriter
from slt_bench.jobs.benchmark import SMOKE_IMAGES, SPARSITY_TOLERANCE, Job, resolve_settings
from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.records import GATE_BINS, LayerDensity
from slt_bench.registry import load_registry
from slt_bench.tickets.evaluate import CHECKS, accuracy, dead_units, measure_statistics, sanity
from slt_bench.tickets.ticket import Ticket, read_ticket, write_ticket
from slt_bench.training import rng_state
from slt_bench.training.divergence import check_finite, diverging
from slt_bench.training.loop import OnStep, searching, validate
from slt_bench.training.step import Driven, Rest
from slt_bench.utils.files import TEMPORARY
from slt_bench.utils.text import number

CANDIDATE = f"{TEMPORARY}{records.TICKET}"  # a ticket that has no record yet


class ImpureError(Exception):
    """A method changed what it must leave alone."""


def measuring(
    job: Job, folder: Path, data_root: Path, device: torch.device, keeper: JobCheckpointWriter, on_step: OnStep
) -> Driven[dict[str, object]]:
    """Search, write the ticket as `CANDIDATE` into the job's folder, and score it; yields the steps of the search.

    Args:
        job: What to run.
        folder: The job's own.
        data_root: Of data sets.
        device: Where.
        keeper: Of checkpoints.
        on_step: Told the part of the search that is done.

    Returns:
        Fields of the job's record.

    Raises:
        Diverged: A number that decides the result became infinite or NaN.
        ImpureError: The method changed what it must leave alone.
        Exception: Whatever the method raises.
    """
    clock = _Clock()
    data = load_data(job.dataset, data_root, str(device), job.data_hash)
    data = data.first(SMOKE_IMAGES, SMOKE_IMAGES // 2) if job.smoke else data
    data = data.with_shuffled_labels(job.seed) if job.budget.labels == "shuffled" else data
    clock.lap("load")
    network = network_of(job, data.info, device)
    rng_state.seed_all(job.seed)
    registry = load_registry()
    weight_hash = network.weight_hash()
    with locked_test_split(f"{job.method} learns"):
        method = registry.find(job.method)(network, resolve_settings(job.method, job.settings, registry), job.sparsity)
        clock.lap("build")
        with keeper.stopper.deferred():
            found = yield from searching(method, network, data, job.budget, job.seed, on_step, keeper)
        clock.lap("search")
        with diverging(found.curve):
            ticket, relaxed, histogram = _take_ticket(job, method, network, data, weight_hash)
        if network.weight_hash() != weight_hash:
            raise ImpureError(f"{job.method} changed the frozen weights")
    yield Rest()
    keeper.stopper.check()  # Python swallows what a signal raises while an object is being deleted
    n, sizes, unmasked = network.n, network.sizes, network.inspection.unmasked_share
    layers = _layers(network, ticket)
    del method, network
    gc.collect()
    write_ticket(folder / CANDIDATE, ticket)
    clock.lap("ticket")
    with diverging(found.curve):
        metrics, flags = _score(read_ticket(folder / CANDIDATE), data, device, tested=job.budget.scores == "test")
    flags = [] if job.smoke else [*flags, *_sparsity_flag(job, metrics["sparsity"])]  # a few images say nothing
    flags += [f"the mask does not decide {100 * unmasked:.3g}% of the weights"] if unmasked else []
    clock.lap("evaluation")
    hard = metrics["validation_accuracy"]
    gap = relaxed["relaxed_accuracy"] - hard if hard is not None else None
    seconds = clock.laps | found.seconds  # whose "search" counts every attempt
    empty = [layer.name for layer, size in zip(layers, sizes, strict=True) if layer.density * size < 0.5]
    flags += [f"no weight is left in {', '.join(empty)}"] if empty else []
    scored = (data.test if job.budget.scores == "test" else data.validation).labels
    return {
        "status": "done",
        "n": n,
        "unmasked": unmasked,
        "metrics": metrics | relaxed | {"binarisation_gap": gap},
        "images": len(scored),
        "chance": float(scored.bincount().max()) / len(scored),
        "flags": flags,
        "layers": layers,
        "gate_histogram": histogram,
        "seconds": seconds | {"total": sum(seconds[name] for name in clock.laps)},
        "weight_hash": ticket.weight_hash,
        "mask_hash": ticket.mask_hash,
        "data_hash": data.data_hash,
        "curve": found.curve,
    }


@torch.no_grad()
def _take_ticket(
    job: Job, method: Method, network: FrozenNetwork, data: Dataset, weight_hash: str
) -> tuple[Ticket, dict[str, float], list[int]]:
    """The hard mask with its normalisation statistics, what the relaxed network can do, and its gates' histogram."""
    method.eval()
    # Measured as for the ticket, so that only the gates differ between relaxed and hard.
    measure_statistics(network, method.effective(), data.train, data.info)
    row = validate(method, network, data)
    gates = method.gates()
    relaxed = {"relaxed_accuracy": row["validation_accuracy"], "fractional": row["fractional"]}
    relaxed |= {"closed": float((gates <= 0).double().mean()), "open": float((gates >= 1).double().mean())}
    mask, weights = method.mask(), method.changed_weights()
    _check_mask(method, mask, network)
    if method.purity == "frozen" and weights is not None:
        raise ImpureError(f"{method.name} says that it is 'frozen', and gives changed weights")
    if weights is not None:
        check_finite("changed weights", weights)
    measure_statistics(network, network.effective(mask.float(), weights), data.train, data.info)
    ticket = Ticket(
        arch=job.arch,
        shape=data.info.shape,
        classes=data.info.classes,
        init=job.init,
        rescale=network.rescale,
        seed=job.seed,
        weight_hash=weight_hash,
        purity=method.purity,
        sizes=tuple(network.sizes),
        mask=mask.cpu(),
        statistics=network.statistics(),
        weights=None if weights is None else weights.cpu(),
        provenance={
            "job": job.model_dump(mode="json"),
            "method_version": method.version,
            "data_hash": data.data_hash,
        }
        | _unmasked(network),
    )
    return ticket, relaxed, _histogram(gates)


def network_of(job: Job, info: DatasetInfo, device: torch.device | str = "cpu") -> FrozenNetwork:
    """The frozen network that a job searches in, for images of that shape and as many classes."""
    return FrozenNetwork(
        job.arch,
        shape=info.shape,
        classes=info.classes,
        init=job.init,
        seed=job.seed,
        rescale=job.network_rescale,
        device=device,
    )


def _unmasked(network: FrozenNetwork) -> dict[str, float]:
    """What a ticket says of a network of which masks do not reach every weight."""
    share = network.inspection.unmasked_share
    return {"unmasked": share} if share else {}


def _histogram(gates: torch.Tensor) -> list[int]:
    """How many gates lie in each of `GATE_BINS` equal parts of [0, 1]."""
    counts, _ = np.histogram(gates.float().cpu().numpy(), GATE_BINS, (0.0, 1.0))  # counts in whole numbers of any size
    return [int(count) for count in counts]


def _score(
    ticket: Ticket, data: Dataset, device: torch.device, *, tested: bool
) -> tuple[dict[str, float | None], list[str]]:
    """Everything that is reported of a ticket, from the ticket alone."""
    subnetwork = ticket.rebuild(device)
    metrics: dict[str, float | None] = {
        "test_accuracy": accuracy(subnetwork, data.test, data.info, refuses_nan=True) if tested else None,
        "validation_accuracy": accuracy(subnetwork, data.validation, data.info, refuses_nan=True),
        "sparsity": ticket.sparsity,
        "density": 1.0 - ticket.sparsity,
    }
    if ticket.weights is not None:
        return metrics, []
    checks = sanity(ticket, subnetwork.network, data.train, data.validation, data.info)
    metrics |= {f"{name}_accuracy": getattr(checks, name) for name in CHECKS}
    return metrics, [f"survives: {name}" for name in checks.survivors(ticket.classes)]


def _sparsity_flag(job: Job, counted: float | None) -> list[str]:
    if job.sparsity is None or counted is None or abs(counted - job.sparsity) <= SPARSITY_TOLERANCE:
        return []
    return [f"sparsity {counted:.4f} where {number(job.sparsity)} was asked"]


def _check_mask(method: Method, mask: torch.Tensor, network: FrozenNetwork) -> None:
    if mask.dtype != torch.bool or tuple(mask.shape) != (network.n,):
        found = f"{mask.dtype} of shape {tuple(mask.shape)}"
        raise ImpureError(f"{method.name}.mask() gave {found}; a mask is bool of shape ({network.n},)")


def _layers(network: FrozenNetwork, ticket: Ticket) -> list[LayerDensity]:
    return [
        LayerDensity(
            name=layer.name,
            shape=layer.shape,
            density=float(part.double().mean()),
            dead_units=dead_units(part, layer.shape),
        )
        for layer, part in zip(network.layers, ticket.mask.split(network.sizes), strict=True)
    ]


class _Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.laps[name] = now - self.last
        self.last = now
