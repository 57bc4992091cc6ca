"""Gradient steps as something that is asked for: a search yields each of its steps, and whoever drives it takes them.

One search alone has its steps taken one by one (`drive`); several of one architecture have theirs taken together, as
one batched computation (`slt_bench.training.pack`).
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork

STEP_PARTS = ("gates", "forward", "backward", "update")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Step:
    """A step that is due.

    Attributes:
        method: In training mode; told how far it is.
        network: Its frozen network.
        optimizer: Of the method.
        images: (B, *shape), normalised.
        labels: (B,).
        precision: "float32", or "bf16" for what autocast takes there.
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


class Rest(NamedTuple):
    """Yielded where a search has ended: what follows begins when all that are driven together have come as far."""


Driven = Generator[Step | Rest, Taken | None, Result]


def drive(search: Driven[Result]) -> Result:
    """Take one step after the other; what the search returns. What a step raises is raised in the search."""
    advance = partial(search.send, None)
    while True:
        try:
            asked = advance()
        except StopIteration as end:
            result: Result = end.value
            return result
        advance = answered(search, asked)


def answered(search: Driven[Result], asked: Step | Rest) -> "partial[Step | Rest]":
    """How a search goes on after what it asked for, which is done first."""
    if isinstance(asked, Rest):
        return partial(search.send, None)
    try:
        return partial(search.send, take_step(asked))
    except BaseException as error:  # noqa: BLE001 - signals too: the search ends itself in its own way
        return partial(search.throw, error)


def take_step(
    step: Step,
    network: Callable[[Tensor, Tensor], Tensor] | None = None,
    lap: Callable[[str], None] = lambda _: None,
) -> Taken:
    """Take a step.

    Args:
        step: Which.
        network: In place of the step's own, as a compiled one.
        lap: Told the name of each part when it has ended: those of `STEP_PARTS`.
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
    """What a precision means while a network runs."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
