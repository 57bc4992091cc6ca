"""The one loop that trains a method's parameters, with the same data, budget and precision for every method.

Its whole state can be kept between any two steps, and a search that goes on from there ends in the same result.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from slt_bench.data.dataset import Dataset
from slt_bench.data.pipeline import epoch_order, steps_per_epoch, taken, training_batch
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.network.streams import derive_seed
from slt_bench.tickets.evaluate import accuracy
from slt_bench.training import rng_state
from slt_bench.training.checkpoint import Checkpoint
from slt_bench.training.divergence import Diverged, FiniteLosses, FiniteSteps, check_finite, diverging
from slt_bench.training.method_state import load_method_state, method_state
from slt_bench.training.step import Driven, Step, Taken, drive
from slt_bench.utils.errors import NotFiniteError

OnStep = Callable[[float], None]
log = logging.getLogger("slt_bench.job")


class CheckpointWriter(Protocol):
    """Keeps a search's state, and brings it back."""

    def find(self) -> Checkpoint | None:
        """What an earlier attempt left, if anything."""

    def discard(self) -> None:
        """What was found cannot be gone on from."""

    def between_steps(self, take: Callable[[], Checkpoint]) -> None:
        """Called before each step; `take` gives the state of that moment."""

    def after_search(self, take: Callable[[], Checkpoint]) -> None:
        """Called once after the last step."""


@dataclass
class Search:
    """What the loop measured.

    Attributes:
        curve: A row an epoch: epoch, loss (the method's objective, without its penalty), train_accuracy (of the drawn
            gates), validation_accuracy (of the relaxed network), sparsity (counted on the mask), fractional (share of
            gates strictly between 0 and 1).
        seconds: Time spent in "batches" (making them), "steps", "validation", and in all ("search"), over all attempts
            as far as their checkpoints tell. On CUDA nothing waits for the device within an epoch, so that "batches"
            and "steps" are the times to launch them.
        steps: How many gradient steps were taken.
    """

    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: dict[str, float] = field(
        default_factory=lambda: {"batches": 0.0, "steps": 0.0, "validation": 0.0, "search": 0.0}
    )
    steps: int = 0


def searching(
    method: Method,
    network: FrozenNetwork,
    data: Dataset,
    budget: Budget,
    seed: int,
    on_step: OnStep,
    keeper: CheckpointWriter | None = None,
) -> Driven[Search]:
    """Train the method within the budget, yielding each of its steps; returns what was measured.

    Args:
        method: Its parameters are trained in place; one with nothing to train is left alone.
        network: The frozen network; only its normalisation statistics move.
        data: Training and validation images; the test split is not touched.
        budget: With `epochs` set.
        seed: Chooses the order of the data and its augmentation, alike for every method.
        on_step: Told the part of the budget that is spent, in [0, 1], before each step.
        keeper: Brings back the state of an earlier attempt, and keeps this one's; None keeps nothing.

    Raises:
        Diverged: A loss, a parameter or a gate became infinite or NaN.
    """
    optimizer = method.optimizer()
    if optimizer is None:
        with diverging([]):
            _prepare(method, network, data, budget, seed)
            method.on_progress(1.0)
        return Search()
    loop = _Loop(method, network, data, budget, seed, optimizer)
    found = keeper.find() if keeper else None
    try:
        if not found:
            _prepare(method, network, data, budget, seed)
        if keeper and found:
            try:
                loop.load(found.state)
            except Exception:
                keeper.discard()
                raise
        while loop.result.steps < loop.total:
            yield from loop.run_epoch(on_step, keeper)
        if keeper:
            keeper.after_search(loop.checkpoint)
    except NotFiniteError as error:
        raise Diverged(str(error), loop.result.curve) from error
    return loop.result


def search(
    method: Method,
    network: FrozenNetwork,
    data: Dataset,
    budget: Budget,
    seed: int,
    on_step: OnStep = lambda _: None,
    keeper: CheckpointWriter | None = None,
) -> Search:
    """As `searching`, with its steps taken."""
    return drive(searching(method, network, data, budget, seed, on_step, keeper))


def _prepare(method: Method, network: FrozenNetwork, data: Dataset, budget: Budget, seed: int) -> None:
    """Let a method look at training batches before its first step; they are drawn apart from those of the steps."""
    generator = torch.Generator(network.device)
    generator.manual_seed(derive_seed("data order of prepare", seed))

    def epochs_of_batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from taken(data.train, epoch_order(data.train, budget.batch_size, generator))

    batches = epochs_of_batches()

    batch: tuple[Tensor, Tensor] | None = None
    finite = FiniteLosses(network.device)

    def loss(effective: Tensor, *, again: bool = False) -> Tensor:
        nonlocal batch
        if batch is None or not again:
            batch = training_batch(*next(batches), data.info, generator, augmented=budget.augment)
        images, labels = batch
        return finite.noted(functional.cross_entropy(network(images, effective).float(), labels), effective)

    method.train()
    network.train()
    epochs = budget.epochs or data.info.epochs
    method.prepare(loss, epochs * steps_per_epoch(len(data.train), budget.batch_size))
    finite.read()


class _Loop:
    """A search between two steps: everything that decides how it goes on."""

    def __init__(
        self,
        method: Method,
        network: FrozenNetwork,
        data: Dataset,
        budget: Budget,
        seed: int,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.method, self.network, self.data, self.budget, self.optimizer = method, network, data, budget, optimizer
        self.epochs = budget.epochs or data.info.epochs
        self.per_epoch = steps_per_epoch(len(data.train), budget.batch_size)
        self.total = self.epochs * self.per_epoch
        self.finite = FiniteSteps(method, network, optimizer, self.total)
        self.peak_rates = [group["lr"] for group in optimizer.param_groups]
        self.generator = torch.Generator(network.device)
        self.generator.manual_seed(derive_seed("data order", seed))
        self.epoch_start = self.generator.get_state()
        self.within_epoch = False  # right after `load`
        self.loss = torch.zeros((), device=network.device)  # sums over the epoch's images
        self.right = torch.zeros((), device=network.device)
        self.images = 0
        self.result = Search()
        self.start = perf_counter()

    @property
    def fraction(self) -> float:
        """The part of the budget that is spent."""
        return self.result.steps / self.total

    def run_epoch(self, on_step: OnStep, keeper: CheckpointWriter | None) -> Driven[None]:
        """The steps that are left of an epoch, each yielded, then its row of the curve."""
        self.method.train()
        self.network.train()
        order = self._order()
        batches = taken(self.data.train, order)
        for _ in order:
            if keeper:
                keeper.between_steps(self.checkpoint)
            on_step(self.fraction)
            start = perf_counter()
            batch = training_batch(*next(batches), self.data.info, self.generator, augmented=self.budget.augment)
            ready = perf_counter()
            self._get_ready()
            self.result.seconds["batches"] += ready - start
            self.result.seconds["steps"] += perf_counter() - ready
            self._stop_watch()
            taken_step = yield Step(self.method, self.network, self.optimizer, *batch, self.budget.precision)
            assert taken_step
            self.start = perf_counter()
            self._add(taken_step, batch[1])
        self._end_epoch()

    def checkpoint(self) -> Checkpoint:
        """The state of this moment, between two steps.

        Raises:
            NotFiniteError: The search has diverged.
        """
        self.finite.read()
        self._stop_watch()
        state = {
            "search": asdict(self.result),
            "sums": (self.loss, self.right, self.images),
            "method": method_state(self.method),
            "statistics": self.network.statistics(),
            "optimizer": self.optimizer.state_dict(),
            "data order": (self.epoch_start, self.generator.get_state()),
            "global generators": rng_state.get_all(self.network.device),
        }
        return Checkpoint(self.fraction, state)

    def load(self, state: Mapping[str, Any]) -> None:
        """Go back to the moment that `checkpoint` kept."""
        device = self.network.device
        self.result = Search(**state["search"])
        self.loss, self.right = (part.to(device) for part in state["sums"][:2])
        self.images = state["sums"][2]
        load_method_state(self.method, state["method"])
        self.network.load_statistics(state["statistics"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch_start = state["data order"][0]
        self.generator.set_state(state["data order"][1])
        self.within_epoch = True
        rng_state.set_all(state["global generators"], device)
        self.start = perf_counter()

    def _order(self) -> tuple[Tensor, ...]:
        """The batches that are left of the present epoch, as rows of the training split."""
        if self.within_epoch:  # its order was drawn before the checkpoint, perhaps with no step after it
            now = self.generator.get_state()
            self.generator.set_state(self.epoch_start)
        self.epoch_start = self.generator.get_state()
        order = epoch_order(self.data.train, self.budget.batch_size, self.generator)
        if self.within_epoch:
            self.generator.set_state(now)
            self.within_epoch = False
        return order[self.result.steps % self.per_epoch :]

    def _get_ready(self) -> None:
        """The learning rates and the method of the step that comes."""
        for group, rate in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = rate * learning_rate_factor(self.budget.schedule, self.fraction)
        self.method.on_progress(self.fraction)

    def _add(self, step: Taken, labels: Tensor) -> None:
        self.result.seconds["steps"] += step.seconds
        self.result.seconds["search"] += step.seconds
        self.loss += step.loss * len(labels)
        self.right += (step.logits.argmax(1) == labels).sum()
        self.images += len(labels)
        self.result.steps += 1
        self.finite.after(self.result.steps, step.loss)

    def _end_epoch(self) -> None:
        self.finite.read()
        epoch = self.result.steps // self.per_epoch
        mean_loss = float(self.loss) / self.images
        if not math.isfinite(mean_loss):
            raise NotFiniteError(f"the loss was {mean_loss} in epoch {epoch} of {self.epochs}")
        if epoch == self.epochs:
            self.method.on_progress(1.0)
        start = perf_counter()
        row = {"epoch": float(epoch), "loss": mean_loss, "train_accuracy": float(self.right) / self.images}
        row |= validate(self.method, self.network, self.data)
        self.result.curve.append(row)
        self.result.seconds["validation"] += perf_counter() - start
        self.loss.zero_()
        self.right.zero_()
        self.images = 0
        self._stop_watch()
        log.info("%s", ", ".join(f"{name} {value:.5g}" for name, value in row.items()))

    def _stop_watch(self) -> None:
        now = perf_counter()
        self.result.seconds["search"] += now - self.start
        self.start = now


@torch.no_grad()
def validate(method: Method, network: FrozenNetwork, data: Dataset) -> dict[str, float]:
    """The relaxed network on the validation split, the counted sparsity, and the share of fractional gates.

    Raises:
        NotFiniteError: A gate or an effective weight is infinite or NaN.
    """
    method.eval()
    network.eval()
    effective = method.effective()
    gates = method.gates()
    check_finite("gates", gates)
    check_finite("effective weights", effective)
    return {
        "validation_accuracy": accuracy(lambda images: network(images, effective), data.validation, data.info),
        "sparsity": 1.0 - float(method.mask().double().mean()),
        "fractional": float(((gates > 0) & (gates < 1)).double().mean()),
    }


def learning_rate_factor(schedule: str, fraction: float) -> float:
    """What the learning rate is multiplied by: half a cosine from 1 to 0, or 1."""
    return 1.0 if schedule == "constant" else 0.5 * (1.0 + math.cos(math.pi * fraction))
