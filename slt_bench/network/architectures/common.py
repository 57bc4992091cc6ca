"""What recipes of several families share."""

from functools import partial

from torch import nn

SMALL_IMAGE = 64  # pixels a side up to which a network gets the stem of its CIFAR versions
norm = partial(nn.BatchNorm2d, affine=False)


def activation(slope: float) -> nn.Module:
    """A ReLU, or one that leaks (Maas et al. 2013): `slope` is that where the input is negative."""
    return nn.LeakyReLU(slope) if slope else nn.ReLU()
