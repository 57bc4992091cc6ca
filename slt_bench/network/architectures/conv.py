"""The Conv-2/4/6/8 networks of Frankle and Carbin (2019): VGG in small, without normalisation, here without biases."""

from torch import nn

from slt_bench.network.architectures import Shape
from slt_bench.network.architectures.common import activation
from slt_bench.utils.errors import UserError


def conv(depth: int, slope: float, shape: Shape, classes: int) -> nn.Module:
    """`depth` 3x3 convolutions in pairs of 64, 128, 256, 512 channels, each pair halved by pooling; 256, 256, classes.

    `slope` is that of the ReLUs where their input is negative; 0: none, as usual.

    Raises:
        UserError: The images are too small to be halved `depth / 2` times.
    """
    channels, height, width = shape
    layers: list[nn.Module] = []
    for pair in range(depth // 2):
        wide = 64 * 2**pair
        for fan_in in (channels, wide):
            layers += [nn.Conv2d(fan_in, wide, 3, padding=1, bias=False), activation(slope)]
        layers.append(nn.MaxPool2d(2))
        channels, height, width = wide, height // 2, width // 2
    if not height * width:
        raise UserError(f"conv{depth} halves its images {depth // 2} times; {shape[1]}x{shape[2]} pixels are too few.")
    flat = channels * height * width
    head = [nn.Linear(flat, 256, bias=False), activation(slope), nn.Linear(256, 256, bias=False), activation(slope)]
    return nn.Sequential(*layers, nn.Flatten(), *head, nn.Linear(256, classes, bias=False))
