"""One gradient step of one search; those of several are taken as one computation in `slt_bench.training.pack`."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork

STEP_PARTS = ("gates", "forward", "backward", "update")


@dataclass(frozen=True)
class Step:
    """A step that is due.

    Attributes:
        method: In training mode; `on_progress` has been called.
        network: Its frozen network.
        optimizer: Of the method.
        images: Normalised images (B, *shape).
        labels: Their labels (B,).
        precision: "float32", or "bf16" to run the network under autocast.
    """

    method: Method
    network: FrozenNetwork
    optimizer: torch.optim.Optimizer
    images: Tensor
    labels: Tensor
    precision: str


class Taken(NamedTuple):
    """What came of a step: the loss (a scalar) and the logits (B, classes) of before it, and the seconds it took."""

    loss: Tensor
    logits: Tensor
    seconds: float


def take_step(
    step: Step,
    network: Callable[[Tensor, Tensor], Tensor] | None = None,
    lap: Callable[[str], None] = lambda _: None,
) -> Taken:
    """Take a step.

    Args:
        step: The step.
        network: Runs in place of the step's own network, for example a compiled one.
        lap: Called with each name of `STEP_PARTS` when that part has ended.
    """
    start = perf_counter()
    with autocast(step.precision, step.images.device):
        effective = step.method.effective()
        lap("gates")
        logits = (network or step.network)(step.images, effective)
        loss = step.method.objective(step.images, logits.float(), step.labels)
    lap("forward")
    step.optimizer.zero_grad(set_to_none=True)
    (loss + step.method.penalty()).backward()
    lap("backward")
    step.optimizer.step()
    lap("update")
    return Taken(loss.detach(), logits.detach(), perf_counter() - start)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a network runs with that precision."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
