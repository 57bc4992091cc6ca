"""Accuracies: of tickets read back from disk, and of what should be no ticket at all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Split
from slt_bench.data.pipeline import plain_batches
from slt_bench.network import streams
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.tickets.ticket import Ticket
from slt_bench.utils.errors import NotFiniteError

STATISTICS_IMAGES = 10_000  # training images over which normalisation statistics are measured
CHECK_IMAGES = 2_000  # of either split for a sanity check: an accuracy is known to a point, and 15 above chance count
REDRAWN_SEED_OFFSET = 1_000_003  # a redrawn network is that of a far-off seed


@torch.no_grad()
def accuracy(
    network: Callable[[Tensor], Tensor], split: Split, info: DatasetInfo, *, refuses_nan: bool = False
) -> float:
    """Return the fraction of images, in [0, 1], whose largest logit is their label's.

    Args:
        network: Logits (B, classes) of normalised images (B, C, H, W).
        split: The images, and their labels.
        info: Of the data set.
        refuses_nan: Whether logits that are infinite or NaN are an error; else their image counts as wrong.

    Raises:
        NotFiniteError: There are such logits, and they are an error.
    """
    right, sound = torch.zeros(2, dtype=torch.int64, device=split.labels.device)
    for images, labels in plain_batches(split, info):
        logits = network(images)
        finite = logits.isfinite().all(1)
        right += (finite & (logits.argmax(1) == labels)).sum()
        sound += finite.sum()
    if refuses_nan and int(sound) < len(split):
        raise NotFiniteError(f"the outputs for {len(split) - int(sound):,} of {len(split):,} images were not finite")
    return int(right) / len(split)


def measure_statistics(network: FrozenNetwork, effective: Tensor, train: Split, info: DatasetInfo) -> None:
    """Normalisation statistics of the network under `effective`, over the first training images, not augmented."""
    batches: Iterator[Tensor] = (images for images, _ in plain_batches(train.first(STATISTICS_IMAGES), info))
    network.measure_statistics(batches, effective)


CHECKS = ("shuffled", "redrawn", "inverted")


@dataclass(frozen=True)
class Sanity:
    """Validation accuracies of what must not work.

    Attributes:
        shuffled: The mask shuffled within its layers.
        redrawn: The mask over other weights of the same init.
        inverted: What the mask removes, without what it keeps.
    """

    shuffled: float
    redrawn: float
    inverted: float

    def survivors(self, classes: int) -> list[str]:
        """The checks that left the accuracy well above chance: by 15 points, or by 1.5 times chance if that is less.

        Untrained networks of 10 classes score up to about 0.2.
        """
        limit = 1 / classes + min(1.5 / classes, 0.15)
        return [name for name in CHECKS if getattr(self, name) > limit]


def sanity(ticket: Ticket, network: FrozenNetwork, train: Split, validation: Split, info: DatasetInfo) -> Sanity:
    """The sanity checks of a ticket (Frankle et al. 2021; Su et al. 2020), statistics measured anew for each.

    Args:
        ticket: A ticket whose weights are frozen.
        network: Its frozen network, whose statistics are overwritten.
        train: Images for the statistics; the first `CHECK_IMAGES` are taken.
        validation: Images to score, likewise.
        info: Of the data set.
    """
    train, validation = train.first(CHECK_IMAGES), validation.first(CHECK_IMAGES)

    def score(frozen: FrozenNetwork, mask: Tensor) -> float:
        effective = frozen.effective(mask.to(frozen.device, torch.float32))
        measure_statistics(frozen, effective, train, info)
        return accuracy(lambda images: frozen(images, effective), validation, info)

    redrawn = ticket.frozen_network(ticket.seed + REDRAWN_SEED_OFFSET, network.device)
    shuffled = shuffle_within_layers(ticket.mask, network.sizes, ticket.seed)
    return Sanity(score(network, shuffled), score(redrawn, ticket.mask), score(network, ~ticket.mask))


def dead_units(mask: Tensor, shape: tuple[int, ...]) -> int:
    """How many units of a layer (its outputs) get nothing, since no weight that leads to them is kept.

    Args:
        mask: The layer's part of a mask.
        shape: Of its weight; the first side are its outputs.
    """
    return int((~mask.view(shape[0], -1).any(dim=1)).sum())


def shuffle_within_layers(mask: Tensor, sizes: list[int], seed: int) -> Tensor:
    """The mask (N,) with each layer's part in a random order, so that only the layer densities remain."""
    parts = [
        streams.subset(len(part), int(part.sum()), "slt_bench shuffle 2", seed, place)
        for place, part in enumerate(mask.split(sizes))
    ]
    return torch.from_numpy(np.concatenate(parts))
