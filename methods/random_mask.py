"""A random mask: the floor under every method. Nothing is learned, so its accuracy is that of a random network.

The sparsity is spread over the layers in one of three ways, each with the exact total:

    uniform   every layer has the asked density
    erk       layer densities proportional to (sum of the shape's sides) / (product of them), capped at 1
              (Erdos-Renyi-Kernel: Mocanu et al. 2018, Evci et al. 2020)
    a path    the layer densities of the ticket in that file, which then also decides the sparsity: does a method's
              mask say more than how many weights each layer keeps? (Su et al. 2020) The path is kept with a hash of
              the file, PATH#HASH, so that a job is about that ticket and no later one.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import Field, field_validator
from torch import Tensor

from slt_bench.method import FrozenNetwork, Method, MethodSettings, SparsityControl, keep_top_of_each
from slt_bench.tickets.ticket import read_layer_densities

SPREADS = ("uniform", "erk")


class RandomMask(Method):
    """A mask drawn by chance, with chosen layer densities."""

    name = "random_mask"
    version = 1
    paper = "floor"
    sparsity_control = "exact"
    purity = "frozen"

    class Settings(MethodSettings):
        """Settings of `random_mask`."""

        layers: str = Field(
            "uniform", description='"uniform", "erk", or the path of a ticket whose densities are taken'
        )

        @field_validator("layers")
        @classmethod
        def _pin(cls, value: str) -> str:
            path, _, pinned = value.partition("#")
            if value in SPREADS or (pinned and not Path(path).is_file()):
                return value
            if not Path(path).is_file():
                raise ValueError(f"it is neither {' nor '.join(SPREADS)}, nor the path of a ticket")
            found = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
            if pinned not in ("", found):
                raise ValueError(f"the ticket {path} has changed: its hash is now {found}")
            return f"{path}#{found}"

    settings: Settings
    kept: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        ranks = torch.empty_like(network.weights).uniform_(generator=self.generator)
        self.register_buffer("kept", keep_top_of_each(ranks, network.sizes, self._counts()))

    @classmethod
    def control(cls, settings: Settings) -> SparsityControl:
        """A ticket's densities decide the sparsity themselves."""
        return "exact" if settings.layers in SPREADS else "none"

    def gates(self) -> Tensor:
        """The mask itself."""
        return self.kept.to(self.network.weights.dtype)

    def mask(self) -> Tensor:
        """The mask that was drawn at the start."""
        return self.kept

    def _counts(self) -> list[int]:
        sizes = self.network.sizes
        if self.sparsity is None:
            densities = read_layer_densities(Path(self.settings.layers.partition("#")[0]), self.network)
            return [round(size * density) for size, density in zip(sizes, densities, strict=True)]
        kept = sum(sizes) - round(self.sparsity * sum(sizes))
        shares = [1.0] * len(sizes)
        if self.settings.layers == "erk":
            shares = [sum(layer.shape) / layer.size for layer in self.network.layers]
        return spread_exactly(kept, sizes, shares)


def spread_exactly(kept: int, sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """How many weights each layer keeps: densities proportional to `shares`, at most 1, the total exactly `kept`."""
    full: set[int] = set()
    while True:
        open_layers = [i for i in range(len(sizes)) if i not in full]
        left = kept - sum(sizes[i] for i in full)
        scale = left / max(sum(sizes[i] * shares[i] for i in open_layers), 1e-30)
        over = {i for i in open_layers if scale * shares[i] > 1}
        if not over:
            break
        full |= over
    wanted = [sizes[i] if i in full else scale * shares[i] * sizes[i] for i in range(len(sizes))]
    counts = [int(number) for number in wanted]
    largest_rest = sorted(range(len(sizes)), key=lambda i: counts[i] - wanted[i])
    for i in largest_rest[: kept - sum(counts)]:
        counts[i] += 1
    return counts
