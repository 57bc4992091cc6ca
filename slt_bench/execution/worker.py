"""One job, from its plain description to its record; whatever happens, there is a record.

The reported accuracy is that of the ticket read back from disk: the hard mask is taken, the ticket written, the method
dropped, the network rebuilt from the file, its weights verified, its sparsity counted, and the test split read once.
"""

import gc
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

from slt_bench import plugins, records, streams
from slt_bench.benchmark import SMOKE_IMAGES, SPARSITY_TOLERANCE, Job, resolve_settings
from slt_bench.data.dataset import Dataset
from slt_bench.data.dataset import load as load_data
from slt_bench.evaluate import accuracy, measure_statistics, sanity
from slt_bench.execution.machine import peak_memory_mb, provenance, reset_peak_memory
from slt_bench.frozen import FrozenNetwork
from slt_bench.method import Method
from slt_bench.records import LayerDensity, Record
from slt_bench.search import Diverged, OnStep, search, validate
from slt_bench.ticket import Ticket, read_ticket, write_ticket


@dataclass(frozen=True)
class Context:
    """Where jobs run: what may differ between machines without changing a result."""

    data_root: Path
    device: str = "cpu"


class ImpureError(Exception):
    """A method changed what it must leave alone."""


def run_job(job: Job, folder: Path, context: Context, on_step: OnStep = lambda _: None) -> Record:
    """Run a job and write its files into its folder; the record is written last.

    Args:
        job: What to run.
        folder: The job's own folder; what an interrupted run left there is overwritten.
        context: Where.
        on_step: Told the part of the search that is done, in [0, 1].

    Returns:
        The record, also of a failure.
    """
    registry = plugins.load()
    method_class = registry.find(job.method)
    settings = resolve_settings(job.method, job.settings, registry)
    device = torch.device(context.device)
    reset_peak_memory(device)
    record = Record(
        id=job.id,
        job=job,
        status="failed",
        method_version=method_class.version,
        purity=method_class.purity,
        paper=method_class.paper,
        settings=settings.model_dump(mode="json"),
    )
    try:
        measured = _measure(
            job, folder, context, lambda network: method_class(network, settings, job.sparsity), on_step
        )
    except Diverged as error:
        measured = {"status": "diverged", "reason": str(error), "curve": error.curve}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a method may fail in any way; the others go on
        measured = {
            "status": "failed",
            "reason": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
        }
    extra = {"peak_memory_mb": peak_memory_mb(device), "provenance": provenance(device)}
    record = Record.model_validate(record.model_dump() | measured | extra)
    records.write(folder, record)
    return record


def _measure(
    job: Job, folder: Path, context: Context, make_method: Callable[[FrozenNetwork], Method], on_step: OnStep
) -> dict[str, object]:
    clock = _Clock()
    data = load_data(job.dataset, context.data_root, context.device)
    data = data.first(SMOKE_IMAGES, SMOKE_IMAGES // 2) if job.smoke else data
    clock.lap("load")
    network = FrozenNetwork(
        job.arch,
        shape=data.info.shape,
        classes=data.info.classes,
        init=job.init,
        seed=job.seed,
        rescale=job.rescale,
        device=context.device,
    )
    method = make_method(network)
    clock.lap("build")
    weight_hash = network.weight_hash()
    torch.manual_seed(streams.derive_seed("global", job.seed))  # for plug-ins that use torch's own generator
    found = search(method, network, data, job.budget, job.seed, on_step)
    clock.lap("search")
    if network.weight_hash() != weight_hash:
        raise ImpureError(f"{job.method} changed the frozen weights")
    ticket, relaxed = _take_ticket(job, method, network, data, weight_hash)
    n, sizes = network.n, network.sizes
    layers = _layers(network, ticket)
    del method, network
    gc.collect()
    write_ticket(folder / records.TICKET, ticket)
    clock.lap("ticket")
    metrics, flags = _score(read_ticket(folder / records.TICKET), data, context)
    flags = [] if job.smoke else [*flags, *_sparsity_flag(job, metrics["sparsity"])]  # a few images say nothing
    clock.lap("evaluation")
    hard = metrics["validation_accuracy"]
    gap = relaxed["relaxed_accuracy"] - hard if hard is not None else None
    collapsed = [layer.name for layer, size in zip(layers, sizes, strict=True) if layer.density * size < 0.5]
    return {
        "status": "collapsed" if collapsed else "done",
        "reason": f"no weight is left in {', '.join(collapsed)}" if collapsed else "",
        "n": n,
        "metrics": metrics | relaxed | {"binarisation_gap": gap},
        "flags": flags,
        "layers": layers,
        "seconds": clock.laps | found.seconds | {"total": sum(clock.laps.values())},
        "weight_hash": ticket.weight_hash,
        "mask_hash": ticket.mask_hash,
        "curve": found.curve,
    }


@torch.no_grad()
def _take_ticket(
    job: Job, method: Method, network: FrozenNetwork, data: Dataset, weight_hash: str
) -> tuple[Ticket, dict[str, float]]:
    """The hard mask with its normalisation statistics, and what the relaxed network can do."""
    method.eval()
    # Measured as for the ticket, so that only the gates differ between relaxed and hard.
    measure_statistics(network, method.effective(), data.train, data.info)
    row = validate(method, network, data)
    relaxed = {"relaxed_accuracy": row["validation_accuracy"], "fractional": row["fractional"]}
    mask, weights = method.mask(), method.changed_weights()
    _check_mask(method, mask, network)
    if method.purity == "frozen" and weights is not None:
        raise ImpureError(f"{method.name} says that it is 'frozen', and gives changed weights")
    measure_statistics(network, network.effective(mask.float(), weights), data.train, data.info)
    ticket = Ticket(
        arch=job.arch,
        shape=data.info.shape,
        classes=data.info.classes,
        init=job.init,
        rescale=job.rescale,
        seed=job.seed,
        weight_hash=weight_hash,
        purity=method.purity,
        mask=mask.cpu(),
        statistics=network.statistics(),
        weights=None if weights is None else weights.cpu(),
        provenance={"job": job.model_dump(mode="json"), "method_version": method.version},
    )
    return ticket, relaxed


def _score(ticket: Ticket, data: Dataset, context: Context) -> tuple[dict[str, float | None], list[str]]:
    """Everything that is reported of a ticket, from the ticket alone."""
    subnetwork = ticket.rebuild(context.device)
    metrics: dict[str, float | None] = {
        "test_accuracy": accuracy(subnetwork, data.test, data.info),
        "validation_accuracy": accuracy(subnetwork, data.validation, data.info),
        "sparsity": ticket.sparsity,
        "density": 1.0 - ticket.sparsity,
    }
    if ticket.weights is not None:
        return metrics, []
    checks = sanity(ticket, subnetwork.network, data.train, data.validation, data.info)
    metrics |= {"shuffled_accuracy": checks.shuffled, "redrawn_accuracy": checks.redrawn}
    return metrics, [f"survives: {name}" for name in checks.survivors(ticket.classes)]


def _sparsity_flag(job: Job, counted: float | None) -> list[str]:
    if job.sparsity is None or counted is None or abs(counted - job.sparsity) <= SPARSITY_TOLERANCE:
        return []
    return [f"sparsity {counted:.4f} where {job.sparsity:g} was asked"]


def _check_mask(method: Method, mask: torch.Tensor, network: FrozenNetwork) -> None:
    if mask.dtype != torch.bool or tuple(mask.shape) != (network.n,):
        found = f"{mask.dtype} of shape {tuple(mask.shape)}"
        raise ImpureError(f"{method.name}.mask() gave {found}; a mask is bool of shape ({network.n},)")


def _layers(network: FrozenNetwork, ticket: Ticket) -> list[LayerDensity]:
    parts = zip(network.layers, ticket.mask.split(network.sizes), strict=True)
    return [
        LayerDensity(name=layer.name, shape=layer.shape, density=float(part.double().mean())) for layer, part in parts
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
