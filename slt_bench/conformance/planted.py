"""A planted ticket: a network in which a known sparse mask is right about every image, and images to find it by.

Planting comes from Fischer and Burkholz, "Plant 'n' Seek" (ICLR 2022, arXiv 2111.11153): only where the answer is known
can one tell whether a method comes near it. Here the images have one of four stripes brighter than the others, and the
mask keeps four groups of units, each of which sums up its own stripe with weights of one sign.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Dataset, Split
from slt_bench.network import streams
from slt_bench.network.frozen import FrozenNetwork

CLASSES, SIDE = 4, 8
UNITS = (40, 10, 1)  # of each class in each layer
TRAIN, VALIDATION, TEST = 1024, 256, 256
FAINT = 15.0  # divides the pixels, so that the planted ticket's logits are of the size of a trained network's
INFO = DatasetInfo("stripes", "images with a bright stripe", (1, SIDE, SIDE), CLASSES, TRAIN, TEST, (0.4,), (FAINT,))


@dataclass(frozen=True)
class Planted:
    """A network with a ticket planted in it.

    Attributes:
        network: Its frozen network.
        mask: (N,) bool, the ticket.
    """

    network: FrozenNetwork
    mask: Tensor


def plant(seed: int = 0) -> Planted:
    """LeNet-300-100 on small images, with weights as always but for those of the ticket, which are made positive."""
    network = FrozenNetwork("lenet300", shape=INFO.shape, classes=CLASSES, seed=seed)
    pixels = torch.arange(SIDE * SIDE) // SIDE // (SIDE // CLASSES)  # the stripe, and so the class, of each pixel
    before, parts = pixels, []
    for layer, each in zip(network.layers, UNITS, strict=True):
        units = torch.full((layer.shape[0],), -1)
        units[: each * CLASSES] = torch.arange(CLASSES).repeat_interleave(each)
        parts.append((units[:, None] == before[None, :]) & (units[:, None] >= 0))
        before = units
    mask = torch.cat([part.flatten() for part in parts])
    network.weights.copy_(torch.where(mask, network.weights.abs(), network.weights))
    return Planted(network, mask)


def stripes(test_seed: int = 0) -> Dataset:
    """Images and their labels. Only the test split depends on the seed."""
    training = _split(TRAIN, "train", 0)
    test = _split(TEST, "test", test_seed)
    return Dataset(INFO, training, _split(VALIDATION, "validation", 0), lambda: test)


def _split(count: int, *key: object) -> Split:
    labels = torch.from_numpy((CLASSES * streams.uniform(count, "stripes", *key)).astype("int64"))
    noise = torch.from_numpy(streams.uniform(count * SIDE * SIDE, "pixels", *key)).view(count, 1, SIDE, SIDE)
    rows = torch.arange(SIDE) // (SIDE // CLASSES)
    bright = (rows[None, :] == labels[:, None])[:, None, :, None]
    images = (150 * noise + 100 * bright).to(torch.uint8)
    return Split(images, labels)
