"""The ticket: everything needed to rebuild a subnetwork, in one small file that holds no weight of a frozen network.

Format 2 is a safetensors file. Its tensors are

    mask              bytes: the mask's code, as `slt_bench.tickets.mask_coding` describes it
    statistics.NAME   each normalisation statistic
    weights           N float32, only where a method's purity is not "frozen"

and its metadata is one JSON object, `ticket`: the fields of `Ticket` but the tensors; `format`; `layers`, a pair
(weights, kept weights) for each layer in the order of the flat vector; `mask_hash`, the SHA-256 of the mask as N bits,
the first weight in the highest bit of the first byte and the last byte filled with 0; and `checksum`, a SHA-256 over
the object without it and the tensors, as `slt_bench.utils.tensor_file` describes it.
Reading executes nothing that a file brings, and a damaged file is an error, never another network.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from slt_bench.method import Purity
from slt_bench.network.frozen import FrozenNetwork, check_shape
from slt_bench.tickets import mask_coding
from slt_bench.utils.errors import UserError
from slt_bench.utils.tensor_file import DamagedError, read_sealed, write_sealed

FORMAT = "slt_bench ticket 2"
MOST_WEIGHTS = 2**31  # that a file may speak of: what memory holds
FIELDS = ("arch", "shape", "classes", "init", "rescale", "seed", "weight_hash", "purity", "provenance")


@dataclass(frozen=True)
class Ticket:
    """A subnetwork, described.

    Attributes:
        arch, shape, classes, init, rescale, seed: As of `FrozenNetwork`.
        weight_hash: Of the frozen network that the mask belongs to.
        purity: What the method changed beside the mask.
        sizes: How many weights each layer has, in the order of the flat vector.
        mask: (N,) bool, on the CPU.
        statistics: Normalisation statistics under the mask.
        weights: (N,) float32 in place of the frozen weights; None for purity "frozen".
        provenance: Where the ticket comes from: method, settings, versions.
    """

    arch: str
    shape: tuple[int, int, int]
    classes: int
    init: str
    rescale: str
    seed: int
    weight_hash: str
    purity: str
    sizes: tuple[int, ...]
    mask: Tensor
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Tensor | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sparsity(self) -> float:
        """The fraction of weights removed, counted."""
        return 1.0 - int(self.mask.sum()) / self.mask.numel()

    @property
    def counts(self) -> list[tuple[int, int]]:
        """Of each layer: its weights, and how many of them are kept."""
        return [(part.numel(), int(part.sum())) for part in self.mask.split(self.sizes)]

    @property
    def mask_hash(self) -> str:
        """SHA-256 of the mask as bits."""
        return _hash(self.mask.numpy())

    def frozen_network(self, seed: int, device: torch.device | str = "cpu") -> FrozenNetwork:
        """The ticket's architecture and init with the weights of any seed; its own seed gives its own weights."""
        return FrozenNetwork(
            self.arch,
            shape=self.shape,
            classes=self.classes,
            init=self.init,
            seed=seed,
            rescale=self.rescale,
            device=device,
        )

    def rebuild(self, device: torch.device | str = "cpu") -> "Subnetwork":
        """The subnetwork, from the architecture and the seed.

        Raises:
            UserError: The weights that were drawn are not those of the ticket.
        """
        n = check_shape(self.arch, self.shape, self.classes)
        if n != self.mask.numel():
            raise UserError(f"The ticket's mask has {self.mask.numel():,} bits; {self.arch} has {n:,} weights.")
        network = self.frozen_network(self.seed, device)
        if tuple(network.sizes) != self.sizes:
            raise UserError(f"The ticket's layers are not those of {self.arch}.")
        if network.weight_hash() != self.weight_hash:
            raise UserError(
                f"The weights of {self.arch}, seed {self.seed}, are not those that the ticket was found in."
            )
        network.load_statistics({name: tensor.to(device) for name, tensor in self.statistics.items()})
        weights = None if self.weights is None else self.weights.to(device)
        return Subnetwork(network, network.effective(self.mask.to(device, torch.float32), weights))


class Subnetwork(nn.Module):
    """A ticket's network as a plain module: images (B, *shape) in, logits (B, classes) out."""

    def __init__(self, network: FrozenNetwork, effective: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("effective", effective, persistent=False)
        self.eval()

    effective: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Logits under the mask."""
        logits: Tensor = self.network(x, self.effective)
        return logits


def write_ticket(path: Path, ticket: Ticket) -> None:
    """The ticket at `path`, whole or not at all."""
    code = mask_coding.encode(ticket.mask.numpy(), ticket.sizes)
    tensors = {"mask": torch.frombuffer(bytearray(code), dtype=torch.uint8) if code else torch.empty(0).byte()}
    tensors |= {f"statistics.{name}": tensor.cpu().contiguous() for name, tensor in ticket.statistics.items()}
    if ticket.weights is not None:
        tensors["weights"] = ticket.weights.cpu().float().contiguous()
    header = {name: getattr(ticket, name) for name in FIELDS}
    own = {"format": FORMAT, "layers": ticket.counts, "mask_hash": ticket.mask_hash}
    write_sealed(path, "ticket", header | own, tensors)


def read_ticket(path: Path) -> Ticket:
    """The ticket at `path`.

    Raises:
        UserError: The file is missing, no ticket, of another format, or damaged.
    """
    try:
        text, tensors = read_sealed(path, "ticket", FORMAT)
    except FileNotFoundError:
        raise UserError(f"There is no ticket at {path}.") from None
    except DamagedError as error:
        raise UserError(str(error)) from error
    try:
        return _ticket(_Header.model_validate_json(text), tensors)
    except ValueError as error:
        raise UserError(f"{path} is no sound ticket: {error}") from error


def read_layer_densities(path: Path, network: FrozenNetwork) -> list[float]:
    """Return the density of each layer under the mask of a ticket, which must be of the network's own architecture.

    Raises:
        UserError: The file is missing or damaged, or its layers are others.
    """
    ticket = read_ticket(path)
    if ticket.mask.numel() != network.n or ticket.arch != network.arch:
        found = f"{ticket.arch} with N = {ticket.mask.numel():,}"
        raise UserError(f"The ticket {path} is of {found}, not of {network.arch} with N = {network.n:,}.")
    return [float(part.double().mean()) for part in ticket.mask.split(network.sizes)]


class _Header(BaseModel):
    """What a ticket's metadata must hold."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    format: str
    checksum: str
    arch: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    classes: PositiveInt
    init: str
    rescale: str
    seed: int
    weight_hash: str
    purity: Purity
    layers: list[tuple[PositiveInt, NonNegativeInt]] = Field(min_length=1)
    mask_hash: str
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _counts_are_possible(self) -> Self:
        if any(kept > n for n, kept in self.layers):
            raise ValueError("a layer keeps more weights than it has")
        if sum(n for n, _ in self.layers) > MOST_WEIGHTS:
            raise ValueError(f"it has more than {MOST_WEIGHTS:,} weights")
        return self


def _ticket(header: _Header, tensors: Mapping[str, Tensor]) -> Ticket:
    mask = _mask(header, tensors.get("mask"))
    weights = tensors.get("weights")
    if weights is not None and (weights.dtype != torch.float32 or weights.shape != mask.shape):
        raise ValueError(f"its weights are not {mask.numel():,} numbers of 32 bits")
    if weights is not None and header.purity == "frozen":
        raise ValueError("its purity is 'frozen', and it brings weights of its own")
    others = {name: tensor for name, tensor in tensors.items() if name not in ("mask", "weights")}
    for name, tensor in others.items():
        if not name.startswith("statistics.") or not tensor.is_floating_point():
            raise ValueError(f"its tensor '{name}' is none that a ticket has")
    return Ticket(
        **{name: getattr(header, name) for name in FIELDS},
        sizes=tuple(n for n, _ in header.layers),
        mask=mask,
        statistics={name.removeprefix("statistics."): tensor for name, tensor in others.items()},
        weights=weights,
    )


def _mask(header: _Header, code: Tensor | None) -> Tensor:
    if code is None or code.dtype != torch.uint8 or code.ndim != 1:
        raise ValueError("its mask's code is missing, or none of bytes")
    mask = mask_coding.decode(code.numpy().tobytes(), header.layers)
    if _hash(mask) != header.mask_hash:
        raise ValueError("its mask is not the one whose hash it names")
    return torch.from_numpy(mask)


def _hash(mask: NDArray[np.bool_]) -> str:
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
