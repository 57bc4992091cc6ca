"""What is fixed beside the maskable weights: scales are 1, shifts 0; what is left and random comes from the streams."""

from collections.abc import Callable, Collection
from functools import cache

import torch
from torch import Tensor, nn

from slt_bench.network.architectures import Shape
from slt_bench.network.inspection import inspect, skeleton_of
from slt_bench.network.streams import Float64Array
from slt_bench.utils.errors import UserError

DEVIATION = 0.02  # of embeddings, as transformers draw them
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # are measured

Draw = Callable[[str, int], Float64Array]


def fix_everything_else(
    skeleton: nn.Module, arch: str, shape: Shape, classes: int, masked: Collection[str], draw: Draw
) -> None:
    """Set every number that no mask decides, so that none depends on the process that builds the network.

    A parameter that scales becomes 1 and one that shifts 0, whatever its name: the inspection has seen what it does.
    Other parameters get random numbers if they hold different numbers, as position embeddings do, or only zeros. What
    is left, constants as a temperature and buffers, stays as the architecture's constructor makes it, unless it is
    random there: then it gets random numbers, too.

    Args:
        skeleton: The network as `skeleton_of` builds it.
        arch: What it was built of.
        shape: (channels, height, width) of its images.
        classes: Number of its outputs.
        masked: Names of the parameters that are masked; they are left alone.
        draw: Gives standard normal numbers of the stream that belongs to a name, so many.

    Raises:
        UserError: The constructor draws whole numbers, which no stream of the suite replaces.
    """
    found = inspect(arch, shape, classes)
    left: dict[str, Tensor] = {
        name: buffer for name, buffer in skeleton.named_buffers() if name.rpartition(".")[2] not in STATISTICS
    }
    for name, parameter in skeleton.named_parameters():
        parameter.requires_grad_(False)
        if name in masked:
            continue
        if name in found.shifts:
            parameter.zero_()
        elif name in found.scales:
            parameter.fill_(1.0)
        elif parameter.unique().numel() > 1 or not parameter.any():
            _fill(parameter, draw(name, parameter.numel()))
        else:
            left[name] = parameter
    for name in drawn(arch, shape, classes) & left.keys() if left else ():
        if not left[name].is_floating_point():
            raise UserError(f"The architecture '{arch}' draws the whole numbers of '{name}' at random; fix them there.")
        _fill(left[name], draw(name, left[name].numel()))


@torch.no_grad()
def _fill(tensor: Tensor, numbers: Float64Array) -> None:
    tensor.copy_(torch.from_numpy(DEVIATION * numbers).view(tensor.shape))


@cache
def drawn(arch: str, shape: Shape, classes: int) -> frozenset[str]:
    """Names of the parameters and buffers that an architecture's constructor makes at random.

    They are those that differ between two builds under different states of the process's generators.
    """
    one, other = (skeleton_of(arch, shape, classes, seed) for seed in (1, 2))
    pairs = [
        *zip(one.named_parameters(), other.named_parameters(), strict=True),
        *zip(one.named_buffers(), other.named_buffers(), strict=True),
    ]
    return frozenset(name for (name, here), (_, there) in pairs if not torch.equal(here, there))
