"""What a job measures: the search, then the ticket, then what the ticket is worth.

The reported accuracy is that of the ticket read back from disk: the hard mask is taken, the ticket written, the method
dropped, the network rebuilt from the file, its weights verified, its sparsity counted, and the test split read once.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from slt_bench import records
from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Dataset
from slt_bench.data.dataset import load as load_data
from slt_bench.jobs.benchmark import SMOKE_IMAGES, SPARSITY_TOLERANCE, Job, resolve_settings
from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.records import GATE_BINS, LayerDensity
from slt_bench.registry import load_registry
from slt_bench.tickets.evaluate import CHECKS, accuracy, dead_units, measure_statistics, sanity
from slt_bench.tickets.ticket import Ticket, read_ticket, write_ticket
from slt_bench.training import rng_state
from slt_bench.training.divergence import check_finite, diverging
from slt_bench.training.search import Search, validate
from slt_bench.utils.files import TEMPORARY
from slt_bench.utils.text import number

CANDIDATE = f"{TEMPORARY}{records.TICKET}"  # a ticket that has no record yet


class ImpureError(Exception):
    """A method changed what it must leave alone."""


class Measurement:
    """What one job measures: `begin` makes its search, `end` takes the ticket of it, `score` reads that back.

    Args:
        job: What to run.
        folder: The job's own.
        data_root: Of data sets.
        device: Where.
    """

    def __init__(self, job: Job, folder: Path, data_root: Path, device: torch.device) -> None:
        self.job, self.folder, self.data_root, self.device = job, folder, data_root, device
        self.fields: dict[str, Any] = {}  # of the job's record
        self.seconds: dict[str, float] = {}  # by phase

    def begin(self, **how: Any) -> Search:
        """Load the data, and build the network and the method; `how` are further arguments of the search."""
        job = self.job
        with self._timed("load"):
            data = load_data(job.dataset, self.data_root, str(self.device), job.data_hash)
            data = data.first(SMOKE_IMAGES, SMOKE_IMAGES // 2) if job.smoke else data
            self.data = data.with_shuffled_labels(job.seed) if job.budget.labels == "shuffled" else data
        with self._timed("build"):
            network = network_of(job, data.info, self.device)
            rng_state.seed_all(job.seed)
            registry = load_registry()
            self.fields = {"weight_hash": network.weight_hash(), "data_hash": data.data_hash}
            settings = resolve_settings(job.method, job.settings, registry)
            method = registry.find(job.method)(network, settings, job.sparsity)
            return Search(method, network, self.data, job.budget, job.seed, **how)

    def end(self, search: Search) -> None:
        """Take the ticket that the search ends in, and write it as `CANDIDATE` into the job's folder.

        Raises:
            Diverged: A number that decides the result became infinite or NaN.
            ImpureError: The method changed what it must leave alone.
        """
        network, expected = search.network, self.fields["weight_hash"]
        with self._timed("ticket"), diverging(search.curve):
            ticket, relaxed, histogram = _take_ticket(self.job, search.method, network, self.data, expected)
            if network.weight_hash() != expected:
                raise ImpureError(f"{self.job.method} changed the frozen weights")
            write_ticket(self.folder / CANDIDATE, ticket)
        layers = _layers(network, ticket)
        sizes = zip(layers, network.sizes, strict=True)
        empty = [layer.name for layer, size in sizes if layer.density * size < 0.5]
        self.fields |= {
            "status": "done",
            "flags": [f"no weight is left in {', '.join(empty)}"] if empty else [],
            "n": network.n,
            "unmasked": network.inspection.unmasked_share,
            "metrics": relaxed,
            "layers": layers,
            "gate_histogram": histogram,
            "seconds": search.seconds,  # whose "search" counts every attempt
            "mask_hash": ticket.mask_hash,
            "curve": search.curve,
        }

    def score(self) -> dict[str, Any]:
        """Score the ticket that was written; return all fields of the record.

        Raises:
            Diverged: The subnetwork gives infinite numbers or NaN.
        """
        job, fields = self.job, self.fields
        with self._timed("evaluation"), diverging(fields["curve"]):
            ticket = read_ticket(self.folder / CANDIDATE)
            metrics, flags = _score(ticket, self.data, self.device, tested=job.budget.scores == "test")
        flags = [] if job.smoke else [*flags, *_sparsity_flag(job, metrics["sparsity"])]  # a few images say nothing
        if unmasked := fields["unmasked"]:
            flags.append(f"the mask does not decide {100 * unmasked:.3g}% of the weights")
        hard, relaxed = metrics["validation_accuracy"], fields["metrics"]
        gap = relaxed["relaxed_accuracy"] - hard if hard is not None else None
        total = sum(self.seconds.values()) + fields["seconds"]["search"]
        labels = (self.data.test if job.budget.scores == "test" else self.data.validation).labels
        return fields | {
            "metrics": metrics | relaxed | {"binarisation_gap": gap},
            "images": len(labels),
            "chance": float(labels.bincount().max()) / len(labels),
            "flags": [*flags, *fields["flags"]],
            "seconds": self.seconds | fields["seconds"] | {"total": total},
        }

    @contextlib.contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[phase] = perf_counter() - start


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
        | ({"unmasked": share} if (share := network.inspection.unmasked_share) else {}),
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
