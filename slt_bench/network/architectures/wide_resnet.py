"""The CIFAR Wide-ResNets of Zagoruyko and Komodakis (2016), which neither timm nor torchvision has."""

from torch import Tensor, nn
from torch.nn import functional

from slt_bench.network.architectures import Shape
from slt_bench.network.architectures.common import norm


class WideBlock(nn.Module):
    """Pre-activation: norm, ReLU, 3x3 convolution, twice; a 1x1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1 = norm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm2 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.shortcut = (
            nn.Conv2d(channels_in, channels, 1, stride, bias=False) if (channels_in, 1) != (channels, stride) else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) to (B, channels, H / stride, W / stride)."""
        active = functional.relu(self.norm1(x))
        shortcut: Tensor = self.shortcut(active) if self.shortcut else x
        out: Tensor = self.conv2(functional.relu(self.norm2(self.conv1(active))))
        return out + shortcut


def wrn(depth: int, width: int, shape: Shape, classes: int) -> nn.Module:
    """16 channels, then stages of 16, 32 and 64 times `width` channels with (depth - 4) / 6 blocks each."""
    channels = 16
    layers: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, 1, 1, bias=False)]
    for stage in range(3):
        for block in range((depth - 4) // 6):
            wide = 16 * width * 2**stage
            layers.append(WideBlock(channels, wide, 2 if stage and not block else 1))
            channels = wide
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes, bias=False)]
    return nn.Sequential(*layers, norm(channels), nn.ReLU(), *head)
