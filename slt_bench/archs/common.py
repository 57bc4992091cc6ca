"""What recipes of several families share."""

from functools import partial

from torch import nn

SMALL_IMAGE = 64  # pixels a side up to which a network gets the stem of its CIFAR versions
norm = partial(nn.BatchNorm2d, affine=False)
