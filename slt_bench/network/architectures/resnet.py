"""Residual networks: torchvision's, and the small CIFAR ones, which it does not have."""

import torchvision
from torch import Tensor, nn
from torch.nn import functional

from slt_bench.network.architectures import Shape
from slt_bench.network.architectures.common import SMALL_IMAGE, norm


def torchvision_resnet(name: str, shape: Shape, classes: int) -> nn.Module:
    """torchvision's network `name`; images of up to 64 pixels get the CIFAR stem (3x3, stride 1, no pooling)."""
    network = torchvision.models.get_model(name, weights=None, num_classes=classes)
    small = max(shape[1:]) <= SMALL_IMAGE
    if small:
        network.maxpool = nn.Identity()
    if small or shape[0] != 3:
        kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
        network.conv1 = nn.Conv2d(shape[0], 64, kernel, stride, padding, bias=False)
    assert isinstance(network, nn.Module)
    return network


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters (He et al. 2016, option A)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = norm(channels)
        self.stride = stride
        self.extra = channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) to (B, channels, H / stride, W / stride)."""
        out = functional.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.extra:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return functional.relu(out + shortcut)


def cifar_resnet(depth: int, shape: Shape, classes: int) -> nn.Module:
    """The CIFAR ResNet of `depth` = 6n + 2 layers: stages of 16, 32 and 64 channels with n blocks each."""
    channels = 16
    layers: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, 1, 1, bias=False), norm(channels), nn.ReLU()]
    for stage, width in enumerate((16, 32, 64)):
        for block in range((depth - 2) // 6):
            layers.append(BasicBlock(channels, width, 2 if stage and not block else 1))
            channels = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes, bias=False)]
    return nn.Sequential(*layers, *head)
