"""One small network of each family of architectures, and noise to feed it."""

import torch

from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Dataset, Split
from slt_bench.network.frozen import FrozenNetwork

SMALL, LARGE = (3, 8, 8), (3, 32, 32)
FAMILIES = {
    "fully connected": ("lenet300", SMALL),
    "convolutional": ("conv4", SMALL),
    "ResNet": ("resnet20", SMALL),
    "Wide-ResNet": ("wrn10_1", SMALL),
    "ViT": ("vit_tiny", SMALL),
    "Swin": ("swin_micro", LARGE),
}
IMAGES = 8


def family(name: str) -> tuple[FrozenNetwork, Dataset]:
    """The network of a family, and images of noise of its shape."""
    arch, shape = FAMILIES[name]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (IMAGES, *shape), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.randint(10, (IMAGES,), generator=generator))
    info = DatasetInfo("noise", "noise", shape, 10, IMAGES, IMAGES, (0.5,) * shape[0], (0.3,) * shape[0])
    return FrozenNetwork(arch, shape=shape, classes=10), Dataset(info, split, split, lambda: split)
