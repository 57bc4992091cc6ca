"""Architectures: named recipes for networks. Nothing heavy loads before one is built.

Every recipe is a function `(shape, classes) -> nn.Module` for images of `shape` = (channels, height, width). The
frozen network takes the module over: it decides every weight itself, so a recipe only says how layers are connected.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from slt_bench.utils.errors import UserError, unknown

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Arch:
    """A recipe, by the place of its function, so that it can be listed without loading torch."""

    about: str
    function: str  # "module:function" below slt_bench.network.architectures
    arguments: tuple[Any, ...] = ()
    dataset: str = "cifar10"  # what `run` takes where no data set is named

    def build(self, shape: Shape, classes: int) -> "nn.Module":
        """A module for images of `shape`, with `classes` outputs."""
        module, function = self.function.split(":")
        maker: Callable[..., nn.Module] = getattr(import_module(f"slt_bench.network.architectures.{module}"), function)
        return maker(*self.arguments, shape, classes)


ARCHS: dict[str, Arch] = {
    "lenet300": Arch("LeNet-300-100: two hidden layers (LeCun et al. 1998)", "mlp:mlp", ((300, 100), 0.0), "mnist"),
    **{
        f"conv{depth}": Arch(
            f"{depth} 3x3 convolutions, then three linear layers (Frankle and Carbin 2019)", "conv:conv", (depth, 0.0)
        )
        for depth in (2, 4, 6, 8)
    },
    "resnet20": Arch("the CIFAR ResNet of depth 20 (He et al. 2016)", "resnet:cifar_resnet", (20,)),
    **{
        f"resnet{depth}": Arch(f"torchvision's ResNet-{depth}", "resnet:torchvision_resnet", (f"resnet{depth}",))
        for depth in (18, 34, 50)
    },
    "wrn50_2": Arch("torchvision's Wide-ResNet-50-2", "resnet:torchvision_resnet", ("wide_resnet50_2",)),
    "wrn28_10": Arch("the CIFAR Wide-ResNet-28-10 (Zagoruyko and Komodakis 2016)", "wide_resnet:wrn", (28, 10)),
    "vit_micro": Arch(
        "a ViT small enough for a CPU: 6 layers of 96 numbers; 4 by 4 patches up to 64 pixels",
        "transformer:vit",
        ("tiny", {"embed_dim": 96, "depth": 6}, 4),
    ),
    **{
        f"vit_{size}": Arch(
            f"timm's ViT-{size}; patches of 4 up to 64 pixels, else 16", "transformer:vit", (size, {}, 0)
        )
        for size in ("tiny", "small", "base")
    },
    "swin_micro": Arch(
        "a Swin small enough for a CPU: stages of 2 blocks, 32 to 256 channels; patches of 4 up to 64 pixels, else 8",
        "transformer:swin",
        (32, (2, 2, 2, 2), 2),
    ),
    "swin_t": Arch(
        "timm's Swin-T; patches of 2 and windows of 4 up to 64 pixels, else 4 and 7",
        "transformer:swin",
        (96, (2, 2, 6, 2), 1),
    ),
}

FAMILIES = (
    "mlp<width>_<width>..., as mlp30_10 (hidden layers), wrn<depth>_<width>, as wrn16_8 (depth 6n+4), "
    "<lenet300, mlp<width>_..., or conv<depth>>_leaky (leaky ReLUs), and timm:<name of any timm model>"
)
SLOPE = 0.25  # of leaky ReLUs, below 0: that of a PReLU before it is trained (He et al. 2015)


def find(name: str) -> Arch:
    """The recipe of that name.

    Raises:
        UserError: There is none.
    """
    if name in ARCHS:
        return ARCHS[name]
    if re.fullmatch(r"mlp[1-9]\d{0,4}(_[1-9]\d{0,4}){0,9}", name):
        widths = tuple(map(int, name[3:].split("_")))
        return Arch(f"hidden layers of {', '.join(map(str, widths))} units", "mlp:mlp", (widths, 0.0), "mnist")
    if found := re.fullmatch(r"wrn([1-9]\d{0,3})_([1-9]\d{0,3})", name):
        depth, width = int(found[1]), int(found[2])
        if depth < 10 or (depth - 4) % 6:
            raise UserError(f"'{name}' has depth {depth}; a Wide-ResNet has 6n+4 layers: 10, 16, 22, 28, 34, 40, ...")
        return Arch(f"the CIFAR Wide-ResNet-{depth}-{width}", "wide_resnet:wrn", (depth, width))
    if name.startswith("timm:"):
        return Arch(f"timm's {name[5:]}", "transformer:from_timm", (name[5:],))
    if is_leaky(name):
        return _leaky(name)
    raise unknown("architecture", name, ARCHS, f"Also: {FAMILIES}.")


def _leaky(name: str) -> Arch:
    """A fully connected or convolutional network without normalisation, with leaky ReLUs in place of its ReLUs.

    Its weights are other ones: they are drawn by the network's name.
    """
    if not is_known(name.removesuffix("_leaky")):
        raise unknown("architecture", name, ARCHS, f"Also: {FAMILIES}.")
    arch = find(name.removesuffix("_leaky"))
    if arch.function not in {"mlp:mlp", "conv:conv"} or arch.arguments[1]:
        raise UserError(f"'{name}': lenet300, mlp... and conv2 to conv8 can have leaky ReLUs, other networks cannot.")
    about = f"{arch.about}; leaky ReLUs (slope {SLOPE}, as an untrained PReLU)"
    return replace(arch, about=about, arguments=(arch.arguments[0], SLOPE))


def is_leaky(name: str) -> bool:
    """Whether the name asks for leaky ReLUs in place of ReLUs."""
    return name.endswith("_leaky")


def hidden_widths(name: str) -> tuple[int, ...]:
    """Units of each hidden layer of a fully connected network; () of others.

    Raises:
        UserError: There is no such network.
    """
    arch = find(name)
    return tuple(arch.arguments[0]) if arch.function == "mlp:mlp" else ()


def is_known(name: str) -> bool:
    """Whether `find` knows the name; a name of the right form that cannot be built raises its reason."""
    try:
        find(name)
    except UserError:
        if re.fullmatch(r"wrn\d+_\d+", name) or (is_leaky(name) and is_known(name.removesuffix("_leaky"))):
            raise
        return False
    return True
