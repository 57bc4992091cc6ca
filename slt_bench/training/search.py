"""One search: a method, its network and data, and how far it has come. `slt_bench.training.loop` takes its steps.

Its whole state can be kept between any two steps, and a search that goes on from there ends in the same result.
"""

import itertools
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
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
from slt_bench.training.divergence import Diverged, FiniteLosses, FiniteSteps, check_finite
from slt_bench.training.method_state import load_method_state, method_state
from slt_bench.training.step import Step, Taken, take_step
from slt_bench.utils.errors import NotFiniteError

OnStep = Callable[[float], None]
log = logging.getLogger("slt_bench.job")


class CheckpointWriter(Protocol):
    """Keeps a search's state, and brings it back."""

    def find(self) -> Checkpoint | None:
        """Return what an earlier attempt left, if anything."""

    def discard(self) -> None:
        """Set aside what was found: it cannot be resumed."""

    def between_steps(self, take: Callable[[], Checkpoint]) -> bool | None:
        """Called before each step. `take` returns the state of that moment; true ends the search there."""

    def after_search(self, take: Callable[[], Checkpoint]) -> None:
        """Called once after the last step."""


class Search:
    """A search and what was measured of it.

    Args:
        method: Its parameters are trained in place; one with nothing to train is left alone.
        network: The frozen network; only its normalisation statistics move.
        data: Training and validation images; the test split is not touched.
        budget: How long to train.
        seed: Chooses the order of the data and its augmentation, alike for every method.
        on_step: Called before each step with the fraction of the budget that is spent, in [0, 1].
        keeper: Brings back the state of an earlier attempt, and keeps this one's; None keeps nothing.
        around: Makes a context for all that runs in the turn of this search. It may swallow an error, which then ends
            only this search.

    Attributes:
        curve: A row an epoch: epoch, loss (the method's objective, without its penalty), train_accuracy (of the drawn
            gates), validation_accuracy (of the relaxed network), sparsity (counted on the mask), fractional (share of
            gates strictly between 0 and 1).
        seconds: Time spent in "batches" (making them), "steps", "validation", and in all ("search"), over all attempts
            as far as their checkpoints tell. On CUDA nothing waits for the device within an epoch, so that "batches"
            and "steps" are the times to launch them.
        steps: How many gradient steps were taken.
        steps_left: How many are left of this epoch.
        over: Whether it has ended: complete, failed or stopped.
        step: The one that it is ready for.
        taken: What came of that.
    """

    step: Step
    taken: Taken

    def __init__(
        self,
        method: Method,
        network: FrozenNetwork,
        data: Dataset,
        budget: Budget,
        seed: int,
        on_step: OnStep = lambda _: None,
        keeper: CheckpointWriter | None = None,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.method, self.network, self.data, self.budget = method, network, data, budget
        self.seed, self.on_step, self.keeper, self.around = seed, on_step, keeper, around
        self.curve: list[dict[str, float]] = []
        self.seconds = {"batches": 0.0, "steps": 0.0, "validation": 0.0, "search": 0.0}
        self.steps = self.steps_left = 0
        self.over = False
        self.epochs = budget.epochs or data.info.epochs
        self.per_epoch = steps_per_epoch(len(data.train), budget.batch_size)
        self.total = self.epochs * self.per_epoch
        self.generator = torch.Generator(network.device)
        self.generator.manual_seed(derive_seed("data order", seed))
        self.loss = torch.zeros((), device=network.device)  # sums over the epoch's images
        self.right = torch.zeros((), device=network.device)
        self.images = 0

    @property
    def fraction(self) -> float:
        """The fraction of the budget that is spent."""
        return self.steps / self.total

    def turn(self, act: Callable[["Search"], None]) -> None:
        """Do something for this search; where that raises, the search is over, and `around` decides who hears of it.

        Raises:
            Diverged: In place of a `NotFiniteError`.
        """
        with self.around():
            try:
                act(self)
            except NotFiniteError as error:
                raise Diverged(str(error), self.curve) from error
            return
        self.over = True

    def start(self) -> None:
        """Go on from a checkpoint, or let the method prepare itself."""
        optimizer = self.method.optimizer()
        if optimizer is None:
            self._prepare()
            self.method.on_progress(1.0)
            self.over = True
            return
        self.optimizer = optimizer
        self.peak_rates = [group["lr"] for group in optimizer.param_groups]
        self.finite = FiniteSteps(self.method, self.network, optimizer, self.total)
        found = self.keeper.find() if self.keeper else None
        if not (self.keeper and found):
            self._prepare()
            return
        try:
            self.load(found.state)
        except Exception:
            self.keeper.discard()
            raise
        self.finish()

    def begin_epoch(self) -> None:
        """Draw the order of the images, unless a checkpoint's epoch goes on."""
        self.method.train()
        self.network.train()
        if not self.steps_left:
            self._draw_order()

    def keep_state(self) -> None:
        """Give the keeper the moment between two steps; it may end the search here."""
        if self.keeper and self.keeper.between_steps(self.checkpoint):
            self.over = True

    def get_ready(self) -> None:
        """Make the batch, and set the learning rates and the method for the step that comes."""
        self.on_step(self.fraction)
        start = perf_counter()
        batch = training_batch(*next(self.batches), self.data.info, self.generator, augmented=self.budget.augment)
        ready = perf_counter()
        for group, rate in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = rate * learning_rate_factor(self.budget.schedule, self.fraction)
        self.method.on_progress(self.fraction)
        self.step = Step(self.method, self.network, self.optimizer, *batch, self.budget.precision)
        self.seconds["batches"] += ready - start
        self.seconds["steps"] += perf_counter() - ready

    def take_step(self) -> None:
        """Take the step that this search is ready for."""
        self.taken = take_step(self.step)

    def count_step(self) -> None:
        """Add what came of the step to the sums of the epoch."""
        loss, logits, seconds = self.taken
        labels = self.step.labels
        self.seconds["steps"] += seconds
        self.seconds["search"] += seconds
        self.loss += loss * len(labels)
        self.right += (logits.argmax(1) == labels).sum()
        self.images += len(labels)
        self.steps += 1
        self.steps_left -= 1
        self.finite.after(self.steps, loss)

    def end_epoch(self) -> None:
        """Add a row to the curve.

        Raises:
            NotFiniteError: The search has diverged.
        """
        self.finite.read()
        epoch = self.steps // self.per_epoch
        mean_loss = float(self.loss) / self.images
        if not math.isfinite(mean_loss):
            raise NotFiniteError(f"the loss was {mean_loss} in epoch {epoch} of {self.epochs}")
        if epoch == self.epochs:
            self.method.on_progress(1.0)
        start = perf_counter()
        row = {"epoch": float(epoch), "loss": mean_loss, "train_accuracy": float(self.right) / self.images}
        row |= validate(self.method, self.network, self.data)
        self.curve.append(row)
        self.seconds["validation"] += perf_counter() - start
        self.loss.zero_()
        self.right.zero_()
        self.images = 0
        log.info("%s", ", ".join(f"{name} {value:.5g}" for name, value in row.items()))

    def finish(self) -> None:
        """Give the keeper the state after the last step, if that was it."""
        if self.steps == self.total:
            self.over = True
            if self.keeper:
                self.keeper.after_search(self.checkpoint)

    def checkpoint(self) -> Checkpoint:
        """Return the state of this moment, between two steps.

        Raises:
            NotFiniteError: The search has diverged.
        """
        self.finite.read()
        state = {
            "search": {"curve": list(self.curve), "seconds": dict(self.seconds), "steps": self.steps},
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
        self.curve, self.seconds, self.steps = (state["search"][name] for name in ("curve", "seconds", "steps"))
        self.loss, self.right = (part.to(device) for part in state["sums"][:2])
        self.images = state["sums"][2]
        load_method_state(self.method, state["method"])
        self.network.load_statistics(state["statistics"])
        self.optimizer.load_state_dict(state["optimizer"])
        epoch_start, now = state["data order"]
        self.generator.set_state(epoch_start)
        self._draw_order()
        self.generator.set_state(now)
        rng_state.set_all(state["global generators"], device)

    def _draw_order(self) -> None:
        """Draw the batches of an epoch, of which those that were taken already are left out."""
        self.epoch_start = self.generator.get_state()
        order = epoch_order(self.data.train, self.budget.batch_size, self.generator)[self.steps % self.per_epoch :]
        self.batches = taken(self.data.train, order)
        self.steps_left = len(order)

    def _prepare(self) -> None:
        """Let the method look at training batches before its first step; they are drawn apart from those of steps."""
        generator = torch.Generator(self.network.device)
        generator.manual_seed(derive_seed("data order of prepare", self.seed))
        train, size = self.data.train, self.budget.batch_size
        batches = (batch for _ in itertools.count() for batch in taken(train, epoch_order(train, size, generator)))
        batch: tuple[Tensor, Tensor] | None = None
        finite = FiniteLosses(self.network.device)

        def loss(effective: Tensor, *, again: bool = False) -> Tensor:
            nonlocal batch
            if batch is None or not again:
                batch = training_batch(*next(batches), self.data.info, generator, augmented=self.budget.augment)
            images, labels = batch
            return finite.noted(functional.cross_entropy(self.network(images, effective).float(), labels), effective)

        self.method.train()
        self.network.train()
        self.method.prepare(loss, self.total)
        finite.read()


@torch.no_grad()
def validate(method: Method, network: FrozenNetwork, data: Dataset) -> dict[str, float]:
    """Return what the relaxed network does on the validation split, the counted sparsity, and the fractional share.

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
    """Return what the learning rate is multiplied by: half a cosine from 1 to 0, or 1."""
    return 1.0 if schedule == "constant" else 0.5 * (1.0 + math.cos(math.pi * fraction))
