"""The smallest network of each family, noise to feed it, and every method with few rounds."""

from functools import cache
from unittest.mock import patch

import torch

from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Dataset, noise_split
from slt_bench.network import architectures
from slt_bench.network.architectures import Arch
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry

SMALL = {
    "vit_rehearsed": Arch("", "transformer:vit", ("tiny", {"embed_dim": 24, "depth": 1, "num_heads": 2}, 2)),
    "swin_rehearsed": Arch("", "transformer:swin", (32, (2, 1), 1)),
}
FAMILIES = {
    "fully connected": ("mlp16_16", (3, 4, 4)),
    "convolutional": ("conv2", (3, 4, 4)),
    "ResNet": ("wrn10_1", (3, 4, 4)),
    "ViT": ("vit_rehearsed", (3, 8, 8)),
    "Swin": ("swin_rehearsed", (3, 8, 8)),
}
CLASSES, TRAIN, VALIDATION = 4, 12, 4
FEW = {"synflow": {"rounds": 2}, "genetic": {"population": 4}, "iterand": {"period": 1}}
REGISTRY = load_registry()


def small_archs():
    """Within, the networks of `SMALL` have names."""
    return patch.dict(architectures.ARCHS, SMALL)


@cache
def network(family, device, seed=0):
    """The family's network; to be called within a rehearsal where the device is "cuda"."""
    arch, shape = FAMILIES[family]
    with small_archs():
        return FrozenNetwork(arch, shape=shape, classes=CLASSES, seed=seed, device=device)


@cache
def noise(family):
    """Images of noise on the device, which are augmented."""
    shape, device = FAMILIES[family][1], torch.device("cuda")
    info = DatasetInfo(
        "noise", "noise", shape, CLASSES, TRAIN, VALIDATION, (0.5,) * 3, (0.3,) * 3, epochs=1, flips=True, pad=1
    )
    train, validation = noise_split(info, TRAIN, device), noise_split(info, VALIDATION, device)
    return Dataset(info, train, validation, lambda: validation)


def make(name, network, sparsity=0.6, **settings):
    """A method with its defaults."""
    kind = REGISTRY.find(name)
    chosen = kind.settings_class(**FEW.get(name, {}) | settings)
    return kind(network, chosen, None if kind.control(chosen) == "none" else sparsity)
