"""The architectures, against weight counts worked out from their papers."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from slt_bench.network import architectures
from slt_bench.network.frozen import FrozenNetwork, check_shape
from slt_bench.utils.errors import UserError

MNIST, CIFAR, IMAGENET = (1, 28, 28), (3, 32, 32), (3, 224, 224)


# The counts below are sums over layers as the papers describe them; nothing is built to find them.


def count_mlp(*widths):
    return sum(a * b for a, b in pairwise(widths))


def count_conv(depth, channels, side, classes):
    """Frankle and Carbin 2019, figure 2: pairs of 3x3 convolutions and pooling; 256, 256, classes."""
    total, wide = 0, channels
    for pair in range(depth // 2):
        out = 64 * 2**pair
        total += 9 * out * (wide + out)
        wide, side = out, side // 2
    return total + count_mlp(wide * side * side, 256, 256, classes)


def count_cifar_resnet(n, channels, classes):
    """He et al. 2016, section 4.2: 6n + 2 layers, shortcuts without parameters."""
    stages = [(16, 16), (16, 32), (32, 64)]
    body = sum(9 * a * b + (2 * n - 1) * 9 * b * b for a, b in stages)
    return 9 * channels * 16 + body + 64 * classes


def count_basic_resnet(blocks, stem, classes, channels=3):
    """He et al. 2016, table 1, ResNet-18 and -34: two 3x3 a block, 1x1 projections where the shape changes."""
    total, wide = stem * stem * channels * 64, 64
    for stage, count in enumerate(blocks):
        out = 64 * 2**stage
        projection = wide * out if stage else 0
        total += 9 * wide * out + (2 * count - 1) * 9 * out * out + projection
        wide = out
    return total + 512 * classes


def count_bottleneck_resnet(blocks, stem, classes, widen=1):
    """He et al. 2016, table 1, ResNet-50: 1x1, 3x3, 1x1 with four times the channels; the 3x3 `widen` times as wide."""
    total, wide = stem * stem * 3 * 64, 64
    for stage, count in enumerate(blocks):
        inner, out = 64 * 2**stage * widen, 256 * 2**stage
        total += wide * out  # projection
        for block in range(count):
            total += (wide if block == 0 else out) * inner + 9 * inner * inner + inner * out
        wide = out
    return total + 2048 * classes


def count_wrn(depth, width, classes, channels=3):
    """Zagoruyko and Komodakis 2016, table 1, with 1x1 projections where the shape changes."""
    n = (depth - 4) // 6
    total, wide = 9 * channels * 16, 16
    for stage in range(3):
        out = 16 * width * 2**stage
        changes = wide != out or stage > 0
        total += 9 * wide * out + (2 * n - 1) * 9 * out * out + (wide * out if changes else 0)
        wide = out
    return total + wide * classes


def count_vit(dim, patch, classes, channels=3, depth=12):
    """Dosovitskiy et al. 2021: patches, then 12 layers of qkv (3 d^2), projection (d^2) and MLP (8 d^2)."""
    return patch * patch * channels * dim + depth * 12 * dim * dim + dim * classes


def count_swin_t(patch, classes, channels=3):
    """Liu et al. 2021, Swin-T: C = 96, layers 2, 2, 6, 2; patch merging from 4 C to 2 C."""
    blocks = sum(layers * 12 * (96 * 2**stage) ** 2 for stage, layers in enumerate((2, 2, 6, 2)))
    merging = sum(8 * (96 * 2**stage) ** 2 for stage in range(3))
    return patch * patch * channels * 96 + blocks + merging + 768 * classes


def count_mixer_s32(side, classes):
    """Tolstikhin et al. 2021, table 1, S/32: 8 layers, hidden 512, token MLP 256, channel MLP 2048."""
    tokens = (side // 32) ** 2
    return 32 * 32 * 3 * 512 + 8 * 2 * (tokens * 256 + 512 * 2048) + 512 * classes


def count_convnext_atto(classes):
    """Liu et al. 2022, in timm's atto size: dims 40 to 320, depths 2, 2, 6, 2; 7x7 depthwise and a 4-fold MLP."""
    dims = (40, 80, 160, 320)
    blocks = sum(depth * (49 * dim + 8 * dim * dim) for dim, depth in zip(dims, (2, 2, 6, 2), strict=True))
    return 4 * 4 * 3 * 40 + blocks + sum(4 * a * b for a, b in pairwise(dims)) + 320 * classes


RESNET34, RESNET18 = (3, 4, 6, 3), (2, 2, 2, 2)
COUNTS = [
    ("lenet300", MNIST, 10, 266_200),
    ("conv2", CIFAR, 10, 4_300_992),
    ("conv4", CIFAR, 10, 2_425_024),
    ("conv6", CIFAR, 10, 2_261_184),
    ("conv8", CIFAR, 10, 5_275_840),
    ("lenet300", CIFAR, 100, count_mlp(3072, 300, 100, 100)),
    ("mlp30_10", MNIST, 10, count_mlp(784, 30, 10, 10)),
    ("mlp7", CIFAR, 100, count_mlp(3072, 7, 100)),
    ("lenet300_leaky", MNIST, 10, 266_200),
    ("mlp7_leaky", CIFAR, 100, count_mlp(3072, 7, 100)),
    ("conv2_leaky", CIFAR, 10, 4_300_992),
    ("conv2", MNIST, 10, count_conv(2, 1, 28, 10)),
    ("conv4", MNIST, 10, count_conv(4, 1, 28, 10)),
    ("conv6", MNIST, 10, count_conv(6, 1, 28, 10)),
    ("conv8", CIFAR, 100, count_conv(8, 3, 32, 100)),
    ("resnet20", CIFAR, 10, count_cifar_resnet(3, 3, 10)),
    ("resnet20", MNIST, 10, count_cifar_resnet(3, 1, 10)),
    ("resnet18", CIFAR, 10, count_basic_resnet(RESNET18, 3, 10)),
    ("resnet18", IMAGENET, 1000, count_basic_resnet(RESNET18, 7, 1000)),
    ("resnet18", (1, 224, 224), 10, count_basic_resnet(RESNET18, 7, 10, channels=1)),
    ("resnet34", CIFAR, 100, count_basic_resnet(RESNET34, 3, 100)),
    ("resnet34", IMAGENET, 1000, count_basic_resnet(RESNET34, 7, 1000)),
    ("resnet50", CIFAR, 10, count_bottleneck_resnet(RESNET34, 3, 10)),
    ("resnet50", IMAGENET, 1000, count_bottleneck_resnet(RESNET34, 7, 1000)),
    ("wrn50_2", CIFAR, 10, count_bottleneck_resnet(RESNET34, 3, 10, widen=2)),
    ("wrn50_2", IMAGENET, 1000, count_bottleneck_resnet(RESNET34, 7, 1000, widen=2)),
    ("wrn28_10", CIFAR, 10, count_wrn(28, 10, 10)),
    ("wrn16_8", CIFAR, 100, count_wrn(16, 8, 100)),
    ("wrn40_2", CIFAR, 10, count_wrn(40, 2, 10)),
    ("wrn10_1", MNIST, 10, count_wrn(10, 1, 10, channels=1)),
    ("vit_micro", CIFAR, 10, count_vit(96, 8, 10, depth=6)),
    ("vit_micro", MNIST, 10, count_vit(96, 7, 10, depth=6, channels=1)),
    ("vit_tiny", CIFAR, 10, count_vit(192, 4, 10)),
    ("vit_small", CIFAR, 10, count_vit(384, 4, 10)),
    ("vit_base", CIFAR, 100, count_vit(768, 4, 100)),
    ("vit_tiny", MNIST, 10, count_vit(192, 4, 10, channels=1)),
    ("vit_tiny", IMAGENET, 1000, count_vit(192, 16, 1000)),
    ("vit_small", IMAGENET, 1000, count_vit(384, 16, 1000)),
    ("vit_base", IMAGENET, 1000, count_vit(768, 16, 1000)),
    ("swin_t", CIFAR, 10, count_swin_t(2, 10)),
    ("swin_t", IMAGENET, 1000, count_swin_t(4, 1000)),
    ("timm:resnet18", CIFAR, 10, count_basic_resnet(RESNET18, 7, 10)),
    ("timm:vit_tiny_patch16_224", CIFAR, 10, count_vit(192, 16, 10)),
    ("timm:vit_tiny_patch16_224", IMAGENET, 1000, count_vit(192, 16, 1000)),
    ("timm:mixer_s32_224", (3, 64, 64), 10, count_mixer_s32(64, 10)),
    ("timm:mixer_s32_224", IMAGENET, 1000, count_mixer_s32(224, 1000)),
    ("timm:convnext_atto", CIFAR, 10, count_convnext_atto(10)),
    ("timm:convnext_atto", IMAGENET, 1000, count_convnext_atto(1000)),
]


@pytest.mark.parametrize(("arch", "shape", "classes", "expected"), COUNTS)
def test_masked_weights(arch, shape, classes, expected):
    assert check_shape(arch, shape, classes) == expected


def test_the_counts_that_other_suites_publish():
    assert count_wrn(28, 10, 10) == 36_461_232  # 36.5 M in its paper
    assert count_basic_resnet(RESNET18, 7, 1000) == 11_678_912  # 11.69 M, less 9,600 of norms and 1,000 biases ...
    assert 11_689_512 - 9_600 - 1_000 == 11_678_912  # ... in torchvision's table


@pytest.mark.parametrize("name", list(architectures.ARCHS))
def test_every_named_architecture_takes_its_own_data_set(name):
    from slt_bench.data import find

    info = find(architectures.find(name).dataset)
    assert check_shape(name, info.shape, info.classes) > 0


@pytest.mark.parametrize(
    ("arch", "shape"),
    [
        ("lenet300", MNIST),
        ("mlp30_10", MNIST),
        ("lenet300_leaky", MNIST),
        ("conv2_leaky", CIFAR),
        ("conv2", CIFAR),
        ("conv8", CIFAR),
        ("conv6", (1, 8, 8)),
        ("resnet20", CIFAR),
        ("resnet20", (1, 8, 8)),
        ("resnet18", CIFAR),
        ("wrn10_1", CIFAR),
        ("wrn16_2", MNIST),
        ("vit_tiny", CIFAR),
        ("vit_tiny", (1, 8, 8)),
        ("swin_t", CIFAR),
        ("swin_t", (1, 28, 28)),
        ("timm:resnet18", CIFAR),
        ("timm:convnext_atto", (3, 64, 64)),
        ("timm:mixer_s32_224", (3, 64, 64)),
        ("timm:vit_tiny_patch16_224", IMAGENET),
    ],
)
def test_forward_and_backward(arch, shape):
    network = FrozenNetwork(arch, shape=shape, classes=10)
    assert network.n == check_shape(arch, shape, 10)
    gates = torch.ones(network.n, requires_grad=True)
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    logits = network(images, network.effective(gates))
    assert logits.shape == (4, 10)
    assert torch.isfinite(logits).all()
    assert float(logits.detach().std(0).max()) > 1e-4, "the output does not depend on the image"
    functional.cross_entropy(logits, torch.arange(4)).backward()
    assert torch.isfinite(gates.grad).all()
    for layer, part in zip(network.layers, gates.grad.split(network.sizes), strict=True):
        assert part.any(), f"no gradient reaches {layer.name}"


@pytest.mark.parametrize("arch", ["resnet20", "wrn10_1", "vit_tiny", "swin_t"])
def test_an_image_does_not_change_another_once_statistics_are_fixed(arch):
    network = FrozenNetwork(arch, shape=CIFAR, classes=10)
    images = torch.randn(3, *CIFAR, generator=torch.Generator().manual_seed(0))
    network.measure_statistics([images], network.weights)
    with torch.no_grad():
        together = network(images, network.weights)
        assert torch.allclose(network(images[1:2], network.weights), together[1:2], atol=1e-4)
        assert torch.equal(network(images, network.weights), together)


def test_leaky_relus_let_a_quarter_through():
    network = FrozenNetwork("mlp7_5_leaky", shape=MNIST, classes=10)
    images = torch.randn(4, *MNIST, generator=torch.Generator().manual_seed(0))
    first, second, last = (
        part.view(layer.shape) for layer, part in zip(network.layers, network.weights.split(network.sizes), strict=True)
    )
    hidden = images.flatten(1) @ first.T
    hidden = torch.where(hidden > 0, hidden, hidden / 4) @ second.T
    hidden = torch.where(hidden > 0, hidden, hidden / 4) @ last.T
    assert torch.allclose(network(images, network.weights), hidden, atol=1e-4)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arch", "shape"),
        [
            ("conv8", (1, 8, 8)),
            ("conv8", (3, 15, 32)),
            ("conv2", (3, 1, 1)),
            ("timm:mixer_s32_224", (3, 8, 8)),
            ("timm:vit_tiny_patch16_224", (3, 8, 8)),
            ("timm:convnext_atto", (3, 8, 8)),
        ],
    )
    def test_images_that_are_too_small(self, arch, shape):
        with pytest.raises(UserError, match=rf"{arch}.*{shape[1]}x{shape[2]}"):
            check_shape(arch, shape, 10)

    def test_too_small_is_said_when_it_is_built_too(self):
        with pytest.raises(UserError, match="8x8 pixels are too few"):
            FrozenNetwork("conv8", shape=(1, 8, 8), classes=10)

    @pytest.mark.parametrize(
        ("name", "answer"),
        [
            ("lenet30", "lenet300"),
            ("wrn28-10", "wrn28_10"),
            ("timm:resnet1", "resnet18"),
            ("timm:", "Unknown timm model"),
            ("conv3", "conv4"),
            ("conv3_leaky", "architecture 'conv3_leaky'.*conv4"),
            ("", "Unknown architecture"),
            *((name, "other networks cannot") for name in ("resnet18_leaky", "wrn10_1_leaky", "conv2_leaky_leaky")),
            *((name, r"6n\+4") for name in ("wrn11_1", "wrn4_1", "wrn1_1", "wrn29_10")),
            *((f"wrn{end}", "Unknown architecture") for end in ("0_1", "28_0", "028_1", "28_10x", "99999_1")),
        ],
    )
    def test_names_of_no_network(self, name, answer):
        with pytest.raises(UserError, match=answer):
            check_shape(name, CIFAR, 10)

    def test_is_known(self):
        assert architectures.is_known("lenet300")
        assert architectures.is_known("wrn16_8")
        assert not architectures.is_known("lenet30")
        assert architectures.is_known("mlp30_10_leaky")
        assert not architectures.is_known("somebody's own_leaky")
        for name in ("resnet18_leaky", "wrn11_1"):
            with pytest.raises(UserError):
                architectures.is_known(name)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("timm:test_nfnet", "gain", 1.0),
        ("timm:convnext_atto", "gamma", 1.0),
        ("timm:cait_xxs24_224", "gamma_1", 1.0),
        ("timm:poolformer_s12", "scale", 1.0),
        ("timm:xcit_nano_12_p16_224", "temperature", 1.0),
    ],
)
def test_scales_of_timm_models_neither_vanish_nor_are_random(name, parameter, value):
    network = FrozenNetwork(name, shape=(3, 64, 64), classes=10)
    scales = [p for key, p in network.skeleton.named_parameters() if key.rpartition(".")[2] == parameter]
    assert scales
    assert all((scale == value).all() for scale in scales)
    network.eval()
    assert network(torch.randn(4, 3, 64, 64), network.weights).std() > 0.01
