"""Vision transformers, and anything else that timm has."""

from typing import Any

import timm
from torch import nn

from slt_bench.network.architectures import Shape
from slt_bench.network.architectures.common import SMALL_IMAGE
from slt_bench.utils.errors import unknown


def vit(size: str, change: dict[str, Any], few: int, shape: Shape, classes: int) -> nn.Module:
    """timm's ViT of that size ("tiny", "small", "base") for images of any shape.

    Args:
        size: As timm names it.
        change: Of timm's numbers.
        few: Patches along a side of an image of up to 64 pixels; 0: of 4 pixels each.
        shape: (channels, height, width) of the images.
        classes: Number of outputs.
    """
    side = max(shape[1:])
    small = side // few if few else 4
    patch = small if side <= SMALL_IMAGE else 16
    network = timm.create_model(
        f"vit_{size}_patch16_224",
        num_classes=classes,
        in_chans=shape[0],
        img_size=shape[1:],
        patch_size=patch,
        **change,
    )
    assert isinstance(network, nn.Module)
    return network


def swin(channels: int, depths: tuple[int, ...], coarse: int, shape: Shape, classes: int) -> nn.Module:
    """timm's Swin of that width and depth for images of any shape, without stochastic depth.

    Args:
        channels: Of the first stage.
        depths: Blocks of each stage.
        coarse: How many times as wide the patches are as usual.
        shape: (channels, height, width) of the images.
        classes: Number of outputs.
    """
    patch, window = (2, 4) if max(shape[1:]) <= SMALL_IMAGE else (4, 7)
    network = timm.create_model(
        "swin_tiny_patch4_window7_224",
        num_classes=classes,
        in_chans=shape[0],
        img_size=shape[1:],
        patch_size=coarse * patch,
        window_size=window,
        embed_dim=channels,
        depths=depths,
        num_heads=tuple(channels * 2**stage // 32 for stage in range(len(depths))),
        drop_path_rate=0.0,
    )
    assert isinstance(network, nn.Module)
    return network


def from_timm(name: str, shape: Shape, classes: int) -> nn.Module:
    """timm's model `name`, told of the image size where it has to know it.

    Raises:
        UserError: timm has no such model.
    """
    if name.partition(".")[0] not in timm.list_models():
        raise unknown("timm model", name, timm.list_models())
    takes_size = timm.get_pretrained_cfg(name)
    fixed = takes_size is not None and takes_size.fixed_input_size
    extra: dict[str, Any] = {"img_size": shape[1:]} if fixed else {}
    network = timm.create_model(name, pretrained=False, num_classes=classes, in_chans=shape[0], **extra)
    assert isinstance(network, nn.Module)
    return network
