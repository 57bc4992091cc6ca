"""What an architecture is for images of a given shape, found on the meta device before anything is computed.

How many weights are maskable, which numbers no mask reaches, which parameters scale and shift, whether every pixel is
read, and a reason that a person understands where an architecture cannot take such images.
"""

import math
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slt_bench.network import architectures
from slt_bench.network.architectures import Shape
from slt_bench.network.layers import layer_table
from slt_bench.network.trace import Trace, is_vector
from slt_bench.utils.errors import UserError

UNMASKED_LIMIT = 0.01  # share of the multiplied numbers without a mask above which a network has to be asked for
USUAL_SIDES = (8, 16, 28, 32, 48, 56, 64, 96, 128, 192, 224, 256, 299, 384)  # of images, for an error to name


@dataclass(frozen=True)
class Inspection:
    """An architecture for images of one shape.

    Attributes:
        n: N, the number of maskable weights.
        outputs: How many numbers all layers put out for one image.
        unmasked: How many numbers of each parameter or buffer act without a mask: those that multiply what depends on
            the image in a matrix product, a convolution or an attention, and are not maskable, or are not 0 there where
            the mask removes them. Vectors are left out, and so is whatever is only added or scales number by number:
            biases, scales of normalisation, position embeddings, class tokens.
        fixed: How many numbers that act so are not maskable.
        scales, shifts: Names of the fixed parameters that scale and that shift a layer's numbers.
        breaks_channels_last: Whether images whose channels come last meet a fault of oneDNN, as of `Trace`.
    """

    n: int
    outputs: int
    unmasked: dict[str, int] = field(default_factory=dict)
    fixed: int = 0
    scales: frozenset[str] = frozenset()
    shifts: frozenset[str] = frozenset()
    breaks_channels_last: bool = False

    @cached_property
    def unmasked_share(self) -> float:
        """The share of all numbers that act as a matrix, in [0, 1], which act without a mask; see `unmasked`."""
        return sum(self.unmasked.values()) / (self.n + self.fixed)

    def check_masked(self, arch: str) -> None:
        """Refuse a network of which masks reach too little.

        Raises:
            UserError: `unmasked_share` is above `UNMASKED_LIMIT`.
        """
        if self.unmasked_share > UNMASKED_LIMIT:
            raise UserError(f"{self.about_unmasked(arch)} --unmasked allow runs it all the same.")

    def about_unmasked(self, arch: str) -> str:
        """A sentence on the numbers that no mask reaches; empty where there are none."""
        if not self.unmasked:
            return ""
        largest = max(self.unmasked, key=self.unmasked.__getitem__)
        return (
            f"A mask does not decide {100 * self.unmasked_share:.3g}% of the weights of '{arch}' "
            f"({sum(self.unmasked.values()):,} numbers, as '{largest}'): they are outside the mask, or not 0 where "
            "they are used, so that the network is denser than its mask."
        )


def skeleton_of(arch: str, shape: Shape, classes: int, seed: int = 0) -> nn.Module:
    """The architecture as a module, whatever the state of the process's generators, which are left as they are."""
    with _generators_set(seed), torch.no_grad():
        return architectures.find(arch).build(shape, classes)


@contextmanager
def _generators_set(seed: int) -> Iterator[None]:
    """Every generator of the CPU set, and put back afterwards."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one is meant
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


@cache
def inspect(arch: str, shape: Shape, classes: int) -> Inspection:
    """Inspect an architecture for images of `shape` (channels, height, width), without computing anything.

    Raises:
        UserError: The architecture is unknown, cannot take such images, or does not read all of their pixels.
    """
    try:
        found, (rows, columns) = _look(arch, shape, classes)
    except _RefusedError as error:
        size = "x".join(map(str, shape))
        raise UserError(
            f"The architecture '{arch}' cannot take images of {size} (channels x height x width): {error}"
            f"{_sizes_that_fit(arch, shape, classes)}"
        ) from error.__cause__
    if (rows, columns) != shape[1:]:
        raise UserError(
            f"The architecture '{arch}' reads {rows}x{columns} of an image's {shape[1]}x{shape[2]} pixels and ignores "
            f"the others.{_sizes_that_fit(arch, shape, classes, rows)}"
        )
    return found


class _RefusedError(Exception):
    """A network cannot take some images, and says why."""


def _look(arch: str, shape: Shape, classes: int) -> tuple[Inspection, tuple[int, int]]:
    """An inspection, and how many rows and columns of pixels are read."""
    layers = _Layers()
    try:
        with warnings.catch_warnings(), torch.device("meta"), torch.no_grad():
            warnings.simplefilter("ignore")  # what a constructor says of sizes, its error says, too
            skeleton = skeleton_of(arch, shape, classes).eval()
            layers.watch(skeleton)
            images = torch.empty(2, *shape)
            table = layer_table(skeleton)
            with Trace(skeleton, [layer.name for layer in table], images) as trace:
                logits = skeleton(images)
    except UserError:
        raise
    except Exception as error:  # any layer may refuse, in its own words
        raise _RefusedError(layers.reason(error)) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        given = f"of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"as a {type(logits).__name__}"
        raise UserError(f"The architecture '{arch}' gives outputs {given} where a tensor (2, {classes}) is needed.")
    numbers = {**dict(skeleton.named_buffers()), **dict(skeleton.named_parameters())}
    sizes = {name: numbers[name].numel() for name in trace.acts if not is_vector(numbers[name])}
    masked = {layer.name for layer in table}
    found = Inspection(
        n=sum(layer.size for layer in table),
        outputs=layers.outputs // 2,
        unmasked={name: count for name, count in sizes.items() if not trace.acts[name]},
        fixed=sum(count for name, count in sizes.items() if name not in masked),
        scales=frozenset(trace.scales),
        shifts=frozenset(trace.shifts),
        breaks_channels_last=trace.breaks_channels_last,
    )
    return found, trace.coverage.read_sides()


class _Layers:
    """Watches a network's modules: how many numbers they put out, and which of them an error comes from."""

    def __init__(self) -> None:
        self.outputs = 0
        self.open: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def watch(self, skeleton: nn.Module) -> None:
        for name, module in skeleton.named_modules():
            module.register_forward_pre_hook(self._begin(name))
            module.register_forward_hook(self._end)

    def _begin(self, name: str) -> Any:
        def begin(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            first = next((tuple(one.shape[1:]) for one in inputs if isinstance(one, Tensor)), ())
            self.open.append((name, module, first))

        return begin

    def _end(self, module: nn.Module, _: object, output: object) -> None:
        self.open.pop()
        if not any(module.children()):
            self.outputs += output.numel() if isinstance(output, Tensor) else 0

    def reason(self, error: Exception) -> str:
        """What an error that a network raised has to say, and in which layer, in a sentence or two."""
        text = str(error).strip().partition("\n")[0].rstrip(".")
        if len(self.open) < 2:  # the network itself, or it was not built
            return f"{text or 'it refuses them without a reason'}."
        name, module, shape = self.open[-1]
        given = f", given {'x'.join(map(str, shape))} numbers an image" if shape else ""
        where = f"its layer '{name}' ({type(module).__name__}){given}"
        return f"{text} (in {where})." if text else f"{where}, cannot work on that size."


def _sizes_that_fit(arch: str, shape: Shape, classes: int, likely: int = 0) -> str:
    """A sentence that names the nearest smaller and larger square images that the architecture takes, if any.

    Args:
        arch: The architecture.
        shape: Of the images that it does not take.
        classes: Number of outputs.
        likely: A side to try before the usual ones.
    """
    side = math.isqrt(shape[1] * shape[2])
    smaller = [one for one in (likely, *reversed(USUAL_SIDES)) if 0 < one < side]
    larger = [one for one in (2 * likely, *USUAL_SIDES) if one > side]
    tried = (next((one for one in sides if _fits(arch, (shape[0], one, one), classes)), 0)
             for sides in (smaller, larger))  # fmt: skip
    found = [one for one in tried if one]
    names = " or ".join(f"{one}x{one}" for one in found)
    return f" It takes images of {names} pixels; folder:PATH@{found[-1]} reads a class folder so." if found else ""


def _fits(arch: str, shape: Shape, classes: int) -> bool:
    try:
        return _look(arch, shape, classes)[1] == shape[1:]
    except (UserError, _RefusedError):
        return False
