"""What is found out about an architecture before anything runs: what no mask reaches, what scales, what is read."""

import contextlib
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from slt_bench.data import find as find_data
from slt_bench.network import architectures
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.network.inspection import inspect
from slt_bench.utils.errors import UserError

SHAPE, CLASSES = (3, 8, 8), 5


class Recipe:
    """As an architecture of the suite, around a function that makes a module."""

    def __init__(self, make):
        self.make = make

    def build(self, *_):
        return self.make()


@pytest.fixture
def inspected(monkeypatch, request):
    """A function: the inspection of a module that a class or function makes, and the network that is built of it."""

    def look(make):
        name = f"{request.node.name} {make.__name__}"
        monkeypatch.setattr(architectures, "find", lambda _: Recipe(make))
        return inspect(name, SHAPE, CLASSES), FrozenNetwork(name, shape=SHAPE, classes=CLASSES)

    return look


class Net(nn.Module):
    """8 channels by a convolution, the mean over pixels, a linear layer; `body` lies between."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, CLASSES)
        self.make()

    def make(self):
        pass

    def body(self, x):
        return x

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))


class Plain(Net):
    def make(self):
        self.places, self.token = nn.Parameter(torch.randn(1, 8, 8, 8)), nn.Parameter(torch.randn(1, 8, 1, 8))
        self.norm, self.twice = nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 1, bias=False)
        self.scale = nn.Parameter(torch.randn(8, 1, 1))

    def body(self, x):
        x = torch.cat([self.norm(x) + self.places, self.token.expand(len(x), -1, -1, -1)], 2) * self.scale
        return functional.conv2d(x.permute(0, 1, 3, 2), self.twice.weight.double().float().clone())


class Standardised(Net):
    def make(self):
        self.conv = nn.Conv2d(8, 8, 3)

    def body(self, x):
        weight = self.conv.weight
        return functional.conv2d(x, weight - weight.mean((1, 2, 3), keepdim=True))


class Normalised(Standardised):
    """As cosine layers: what divides a weight leaves its zeros alone."""

    def body(self, x):
        weight = self.conv.weight
        return functional.conv2d(x, weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt())


class Offset(Standardised):
    def body(self, x):
        return functional.conv2d(x, self.conv.weight + 1)


class Parametrised(Net):
    def make(self):
        self.conv = weight_norm(nn.Conv2d(8, 8, 3))

    def body(self, x):
        return self.conv(x)


class Matrix(Net):
    def make(self):
        self.odd = nn.Parameter(torch.randn(8, 8))

    def body(self, x):
        return torch.einsum("bchw,cd->bdhw", x, self.odd)


class Experts(Net):
    """Weights mixed by what the image says."""

    def make(self):
        self.experts = nn.Parameter(torch.randn(4, 64))

    def body(self, x):
        weights = x.mean((2, 3))[:, :4].softmax(1) @ self.experts
        return torch.bmm(weights.view(-1, 8, 8), x.flatten(2)).view_as(x)


class Recurrent(Net):
    def make(self):
        self.lstm = nn.LSTM(8, 8, bias=False, batch_first=True)

    def body(self, x):
        return self.lstm(x.flatten(2).mT)[0].mT.reshape(x.shape)


class Filtered(Net):
    def make(self):
        self.register_buffer("filter", torch.randn(1, 1, 3, 3))

    def body(self, x):
        return functional.conv2d(x, self.filter.expand(8, 1, 3, 3), groups=8)


class TestUnmasked:
    @pytest.mark.parametrize("name", [*architectures.ARCHS, "wrn10_1", "mlp30_10", "conv2_leaky", "timm:convnext_atto"])
    def test_nothing_is_in_the_suites_own_networks(self, name):
        info = find_data(architectures.find(name).dataset)
        assert inspect(name, info.shape, info.classes).unmasked == {}

    @pytest.mark.parametrize("make", [Net, Plain, Normalised])
    def test_nothing_is_where_weights_only_move_or_scale(self, inspected, make):
        found, _ = inspected(make)
        assert found.unmasked == {}
        assert found.unmasked_share == 0

    @pytest.mark.parametrize(
        ("make", "names", "inside"),
        [
            (Standardised, {"conv.weight": 576}, True),
            (Offset, {"conv.weight": 576}, True),
            (Parametrised, {"conv.parametrizations.weight.original1": 576}, False),
            (Matrix, {"odd": 64}, False),
            (Experts, {"experts": 256}, False),
            (Recurrent, {"lstm.weight_ih_l0": 256, "lstm.weight_hh_l0": 256}, False),
            (Filtered, {"filter": 9}, False),
        ],
    )
    def test_is_what_acts_and_is_outside_the_mask_or_not_0_where_it_acts(self, inspected, make, names, inside):
        found, _ = inspected(make)
        assert found.unmasked == names
        own = 3 * 8 * 9 + 8 * CLASSES
        assert found.n == own + (sum(names.values()) if inside else 0)
        assert found.unmasked_share == pytest.approx(sum(names.values()) / (own + sum(names.values())))

    @pytest.mark.parametrize("make", [Net, Plain, Normalised, Standardised, Offset])
    def test_agrees_with_the_zeros_that_convolutions_really_get(self, inspected, make, monkeypatch):
        found, network = inspected(make)
        taken, convolve = [], functional.conv2d

        def spy(images, weight, *others):
            taken.append(weight)
            return convolve(images, weight, *others)

        monkeypatch.setattr(functional, "conv2d", spy)  # modules call it, too
        network(torch.randn(2, *SHAPE), network.weights * (torch.arange(network.n) % 2 == 0))
        assert taken
        dense = [weight for weight in taken if weight.count_nonzero() > 0.6 * weight.numel()]
        assert bool(dense) == bool(found.unmasked)

    @pytest.mark.parametrize(
        ("name", "low", "high"),
        [("timm:nf_regnet_b0", 0.5, 1), ("timm:test_nfnet", 0.5, 1), ("timm:efficientnet_cc_b0_4e", 0.85, 0.95)],
    )
    def test_of_timms_models(self, name, low, high):
        found = inspect(name, (3, 32, 32), 10)
        assert low < found.unmasked_share < high
        with pytest.raises(UserError, match=r"mask does not decide .*%.*--unmasked allow"):
            found.check_masked(name)

    def test_a_little_is_taken(self, inspected):
        found, _ = inspected(Net)
        found.check_masked("net")


class OddNames(Net):
    """LayerScale, an affine layer and a bias, by names that say nothing; a temperature."""

    def make(self):
        self.ls1, self.alpha = nn.Parameter(torch.full((8,), 1e-4)), nn.Parameter(torch.rand(8, 1, 1))
        self.beta, self.places = nn.Parameter(torch.zeros(8, 1, 1)), nn.Parameter(torch.zeros(1, 8, 8, 8))
        self.g, self.b = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8))
        self.heat = nn.Parameter(torch.full((), 7.0))
        self.one, self.two = nn.Parameter(torch.rand(5)), nn.Parameter(torch.rand(3))
        self.conv, self.gain = nn.Conv2d(8, 8, 1, bias=False), nn.Parameter(torch.zeros(8, 1, 1, 1))
        self.token = nn.Parameter(torch.randn(1, 1, CLASSES))

    def body(self, x):
        x = torch.addcmul(self.beta, self.alpha, x) + self.places
        x = functional.layer_norm(x.permute(0, 2, 3, 1), (8,), self.g, self.b) * self.ls1
        x = functional.conv2d(
            x.permute(0, 3, 1, 2), self.conv.weight * (2 * self.gain), torch.cat([self.one, self.two])
        )
        return x * self.heat.exp()

    def forward(self, x):
        return (super().forward(x)[:, None] + self.token)[:, 0]


class TestScalesAndShifts:
    def test_are_found_by_what_they_do(self, inspected):
        found, network = inspected(OddNames)
        assert found.scales == {"ls1", "alpha", "g", "gain"}
        assert found.shifts == {"beta", "b", "one", "two", "stem.bias", "head.bias"}
        values = dict(network.skeleton.named_parameters())
        assert all((values[name] == 1).all() for name in found.scales)
        assert not any(values[name].any() for name in found.shifts)
        assert values["heat"] == 7.0
        assert float(values["places"].std()) == pytest.approx(0.02, rel=0.2)
        assert 0 < float(values["token"].abs().max()) < 0.1

    def test_blocks_of_resmlp_matter(self):
        network = FrozenNetwork("timm:resmlp_12_224", shape=(3, 32, 32), classes=10).eval()
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        kept = torch.cat([torch.full((layer.size,), float("blocks" not in layer.name)) for layer in network.layers])
        with torch.no_grad():
            whole, without = network(images, network.weights), network(images, network.weights * kept)
        assert (whole - without).norm() > 0.3 * whole.norm()


class Drawn(Net):
    """A parameter of one number and a buffer that the constructor draws, by each of the global generators."""

    def make(self):
        self.one = nn.Parameter(torch.randn(()))
        self.two = nn.Parameter(torch.tensor(random.random()))
        self.three = nn.Parameter(torch.tensor(float(np.random.normal())))  # noqa: NPY002
        self.register_buffer("projection", torch.randn(8, 8), persistent=False)
        self.register_buffer("fixed", torch.full((8, 1, 1), 0.5))

    def body(self, x):
        numbers = (self.one + self.two + self.three).exp()
        return numbers * torch.einsum("bchw,cd->bdhw", x, self.projection) * self.fixed


class DrawnOrder(Net):
    def make(self):
        self.register_buffer("order", torch.randperm(8))

    def body(self, x):
        return x[:, self.order]


def build_under(seed, arch, shape=SHAPE, classes=CLASSES):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    return FrozenNetwork(arch, shape=shape, classes=classes)


class TestRandomState:
    def test_of_the_process_does_not_matter(self, monkeypatch):
        monkeypatch.setattr(architectures, "find", lambda _: Recipe(Drawn))
        one, other = build_under(1, "drawn"), build_under(2, "drawn")
        assert one.weight_hash() == other.weight_hash()
        for name in ("one", "two", "three", "projection", "fixed"):
            assert torch.equal(getattr(one.skeleton, name), getattr(other.skeleton, name)), name
        assert float(one.skeleton.projection.std()) == pytest.approx(0.02, rel=0.3), "of the suite's own streams"
        assert (one.skeleton.fixed == 0.5).all()

    def test_is_left_alone(self, monkeypatch):
        monkeypatch.setattr(architectures, "find", lambda _: Recipe(Drawn))
        build_under(5, "left alone")
        found = torch.rand(1), np.random.random(), random.random()  # noqa: NPY002
        torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002
        assert found == (torch.rand(1), np.random.random(), random.random())  # noqa: NPY002

    def test_whole_numbers_that_are_drawn_are_refused(self, inspected):
        with pytest.raises(UserError, match="draws the whole numbers of 'order'"):
            inspected(DrawnOrder)

    def test_of_a_relative_position_table_of_one_number(self):
        hashes = {build_under(seed, "timm:test_maxvit", (3, 32, 32), 10).weight_hash() for seed in (1, 2, 3)}
        assert len(hashes) == 1


class TestPixels:
    @pytest.mark.parametrize(
        ("name", "shape", "read"),
        [
            ("timm:deit_tiny_patch16_224", (1, 28, 28), 16),
            ("timm:pit_ti_224", (1, 28, 28), 24),
            ("vit_tiny", (3, 30, 30), 28),
            ("vit_micro", (3, 50, 50), 48),
            ("timm:cait_xxs24_224", (3, 40, 40), 32),
        ],
    )
    def test_that_would_be_cropped_are_refused_with_a_size_that_fits(self, name, shape, read):
        with pytest.raises(UserError, match=rf"reads {read}x{read} of an image's {shape[1]}x{shape[1]}") as caught:
            inspect(name, shape, 10)
        assert f"{read}x{read} or " in str(caught.value)
        assert inspect(name, (shape[0], read, read), 10).n > 0

    def test_are_refused_where_the_network_is_built_too(self):
        with pytest.raises(UserError, match="28x28 of an image's 30x30"):
            FrozenNetwork("vit_tiny", shape=(3, 30, 30), classes=10)

    @pytest.mark.parametrize(
        ("make", "fits"),
        [
            (lambda: nn.Conv2d(3, 8, 3, 2, 1), True),
            (lambda: nn.Conv2d(3, 8, 3, 3), False),  # 6 of 8
            (lambda: nn.Conv2d(3, 8, 1, 2), False),  # holes
            (lambda: nn.Conv2d(3, 8, 3, 2), False),  # 7 of 8
            (lambda: nn.Conv2d(3, 8, (2, 3), (2, 1)), True),
            (lambda: nn.Conv2d(3, 8, 3, 1, 0, 2), True),
            (lambda: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 8, 3, 3)), True),
            (lambda: nn.Sequential(nn.ZeroPad2d(-1), nn.Conv2d(3, 8, 1)), False),
            (
                lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(3)),
                False,
            ),  # 6, and 1 more that they see
            (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(3, 2)), True),  # 7, and 1 more
            (lambda: nn.Sequential(nn.Conv2d(3, 8, 1), nn.AvgPool2d(3)), False),
            (lambda: nn.Sequential(nn.Conv2d(3, 8, 1), nn.AvgPool2d(3, ceil_mode=True)), True),
            (lambda: nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 8, 2, 2)), True),
            (lambda: nn.Sequential(nn.Conv2d(3, 8, 2, 2), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, 3)), False),
        ],
    )
    def test_that_are_read_are_those_that_can_change_an_output(self, make, fits, monkeypatch, request):
        class Body(Net):
            def make(self):
                self.stem = make()

        monkeypatch.setattr(architectures, "find", lambda _: Recipe(Body))
        network = Body().eval()
        images = torch.rand(100, *SHAPE, requires_grad=True)  # many: pooling takes one of the pixels of each
        network.stem(images).sum().backward()
        reached = bool(images.grad.abs().sum((0, 1)).bool().all())
        assert reached == fits
        with contextlib.nullcontext() if fits else pytest.raises(UserError, match="of an image's 8x8 pixels"):
            inspect(request.node.name, SHAPE, CLASSES)


class TestReasons:
    def test_name_the_layer_and_its_sizes_where_an_error_has_no_text(self):
        with pytest.raises(UserError, match=r"'stages\.\d.*' \(HaloAttn\), given \d+x\d+x\d+ numbers") as caught:
            inspect("timm:halonet26t", (3, 32, 32), 10)
        assert "AssertionError" not in str(caught.value)
        assert "It takes images of " in str(caught.value)

    def test_have_the_error_s_own_words_where_it_has_some(self):
        with pytest.raises(UserError, match=r"cannot take images of 3x8x8 .*: .*patch_size"):
            inspect("timm:xcit_nano_12_p16_224", (3, 8, 8), 10)

    def test_outputs_that_are_no_logits(self, inspected):
        class Tuple(Net):
            def forward(self, x):
                return super().forward(x), x

        with pytest.raises(UserError, match="outputs as a tuple"):
            inspected(Tuple)


class TestMemoryFormat:
    """oneDNN's gradient of a 1x1 convolution with a stride and few input channels is wrong, aborts or hangs."""

    @pytest.mark.parametrize(
        ("layer", "last"),
        [
            (nn.Conv2d(8, 8, 1, 2), False),
            (nn.Conv2d(8, 8, 1, (1, 2), bias=False), False),
            (nn.Conv2d(8, 8, 1), True),
            (nn.Conv2d(8, 8, 3, 2, 1), True),
            (nn.Conv2d(8, 8, 1, 2, groups=8), True),
        ],
    )
    def test_is_contiguous_where_it_would_meet_that(self, inspected, layer, last):
        class Strided(Net):
            def make(self):
                self.layer = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Upsample(scale_factor=2), layer)

            def body(self, x):
                return self.layer(x)

        found, network = inspected(Strided)
        assert found.breaks_channels_last != last
        assert network.memory_format == (torch.channels_last if last else torch.contiguous_format)

    def test_of_timms_models(self):
        assert inspect("timm:repvgg_a0", (3, 32, 32), 10).breaks_channels_last
        assert FrozenNetwork("timm:repvgg_a0", shape=(3, 32, 32), classes=10).memory_format == torch.contiguous_format

    @pytest.mark.parametrize("name", ["conv2", "resnet20", "resnet18", "wrn10_1"])
    def test_is_channels_last_in_the_suites_own_networks(self, name):
        assert not inspect(name, (3, 32, 32), 10).breaks_channels_last
        assert FrozenNetwork(name, shape=(3, 32, 32), classes=10).memory_format == torch.channels_last
