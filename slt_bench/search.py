"""The one loop that trains a method's parameters, with the same data, budget and precision for every method."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from slt_bench.benchmark import Budget
from slt_bench.data.dataset import Dataset
from slt_bench.data.pipeline import steps_per_epoch, training_batches
from slt_bench.evaluate import accuracy
from slt_bench.frozen import FrozenNetwork
from slt_bench.method import Method
from slt_bench.streams import derive_seed

OnStep = Callable[[float], None]


class Diverged(Exception):  # noqa: N818 - a status, not an error of ours
    """The loss is no finite number any more; `curve` holds the epochs before.

    Its rows are as those of `Search`.
    """

    def __init__(self, message: str, curve: list[dict[str, float]]) -> None:
        super().__init__(message)
        self.curve = curve


@dataclass
class Search:
    """What the loop measured.

    Attributes:
        curve: A row an epoch: epoch, loss, train_accuracy (of the drawn gates), validation_accuracy (of the relaxed
            network), sparsity (counted on the mask), fractional (share of gates strictly between 0 and 1).
        seconds: Time spent in "batches" (making them), "steps", and "validation". On CUDA nothing waits for the device
            within an epoch, so that "batches" and "steps" are the times to launch them.
        steps: How many gradient steps were taken.
    """

    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"batches": 0.0, "steps": 0.0, "validation": 0.0})
    steps: int = 0


def search(method: Method, network: FrozenNetwork, data: Dataset, budget: Budget, seed: int, on_step: OnStep) -> Search:
    """Train the method within the budget.

    Args:
        method: Its parameters are trained in place; one with nothing to train is left alone.
        network: The frozen network; only its normalisation statistics move.
        data: Training and validation images; the test split is not touched.
        budget: With `epochs` set.
        seed: Chooses the order of the data and its augmentation, alike for every method.
        on_step: Told the part of the budget that is spent, in [0, 1], before each step.

    Raises:
        Diverged: The loss became infinite or NaN.
    """
    result = Search()
    optimizer = method.optimizer()
    if optimizer is None:
        method.on_progress(1.0)
        return result
    epochs = budget.epochs or data.info.epochs
    total = epochs * steps_per_epoch(len(data.train), budget.batch_size)
    peak = [group["lr"] for group in optimizer.param_groups]
    generator = torch.Generator(network.device)
    generator.manual_seed(derive_seed("data order", seed))
    for epoch in range(1, epochs + 1):
        method.train()
        network.train()
        loss_sum = torch.zeros((), device=network.device)
        right = torch.zeros((), device=network.device)
        batches = training_batches(data.train, data.info, budget.batch_size, generator, augmented=budget.augment)
        images_seen = 0
        for images, labels in _timed(batches, result.seconds):
            fraction = result.steps / total
            on_step(fraction)
            start = perf_counter()
            for group, rate in zip(optimizer.param_groups, peak, strict=True):
                group["lr"] = rate * learning_rate_factor(budget.schedule, fraction)
            method.on_progress(fraction)
            loss, logits = _step(method, network, optimizer, images, labels, budget)
            loss_sum += loss * len(labels)
            right += (logits.argmax(1) == labels).sum()
            images_seen += len(labels)
            result.steps += 1
            result.seconds["steps"] += perf_counter() - start
        mean_loss = float(loss_sum) / images_seen
        if not math.isfinite(mean_loss):
            raise Diverged(f"the loss was {mean_loss} in epoch {epoch} of {epochs}", result.curve)
        if epoch == epochs:
            method.on_progress(1.0)
        start = perf_counter()
        row = {"epoch": float(epoch), "loss": mean_loss, "train_accuracy": float(right) / images_seen}
        result.curve.append(row | validate(method, network, data))
        result.seconds["validation"] += perf_counter() - start
    return result


@torch.no_grad()
def validate(method: Method, network: FrozenNetwork, data: Dataset) -> dict[str, float]:
    """The relaxed network on the validation split, the counted sparsity, and the share of fractional gates."""
    method.eval()
    network.eval()
    effective = method.effective()
    gates = method.gates()
    return {
        "validation_accuracy": accuracy(lambda images: network(images, effective), data.validation, data.info),
        "sparsity": 1.0 - float(method.mask().double().mean()),
        "fractional": float(((gates > 0) & (gates < 1)).double().mean()),
    }


def learning_rate_factor(schedule: str, fraction: float) -> float:
    """What the learning rate is multiplied by: half a cosine from 1 to 0, or 1."""
    return 1.0 if schedule == "constant" else 0.5 * (1.0 + math.cos(math.pi * fraction))


def _step(
    method: Method,
    network: FrozenNetwork,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    budget: Budget,
) -> tuple[Tensor, Tensor]:
    with _precision(budget, network.device):
        logits = network(images, method.effective())
    loss = functional.cross_entropy(logits.float(), labels)
    optimizer.zero_grad(set_to_none=True)
    (loss + method.penalty()).backward()
    optimizer.step()
    return loss.detach(), logits.detach()


def _precision(budget: Budget, device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if budget.precision == "bf16" else nullcontext()


def _timed(batches: Iterator[tuple[Tensor, Tensor]], seconds: dict[str, float]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        start = perf_counter()
        batch = next(batches, None)
        seconds["batches"] += perf_counter() - start
        if batch is None:
            return
        yield batch
