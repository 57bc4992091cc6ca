"""Divergence: what ends a search whose numbers are no longer finite, and where that began."""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.utils.errors import NotFiniteError

EVERY = 100  # steps between two reads of what a GPU has noted, since a read waits for the device
NEVER = 2**53  # a step that no search reaches; whole in float64, too
MOST_LAYERS = 3  # that a reason names


class Diverged(Exception):  # noqa: N818 - a status, not an error of ours
    """A number that decides the result is infinite or NaN; `curve` holds the epochs before.

    Its rows are as those of `Search`.
    """

    def __init__(self, message: str, curve: list[dict[str, float]]) -> None:
        super().__init__(message)
        self.curve = curve


@contextlib.contextmanager
def diverging(curve: list[dict[str, float]]) -> Iterator[None]:
    """Turn a `NotFiniteError` into a `Diverged` with that curve."""
    try:
        yield
    except NotFiniteError as error:
        raise Diverged(str(error), curve) from error


def is_finite(values: Tensor) -> bool:
    """Whether all numbers are finite. Waits for the device.

    A sum is infinite or NaN where one of its terms is, and takes a fiftieth of the time that `isfinite` takes on a
    processor; large finite numbers, whose sum overflows, are looked at one by one.
    """
    return math.isfinite(values.detach().sum()) or bool(values.isfinite().all())


def check_finite(what: str, values: Tensor) -> None:
    """Refuse infinite numbers and NaN. Waits for the device.

    Raises:
        NotFiniteError: There are some; `what` names them in the plural.
    """
    if not is_finite(values):
        count = int((~values.isfinite()).sum())
        raise NotFiniteError(f"{count:,} of {values.numel():,} {what} were not finite")


class FiniteLosses:
    """Looks at the losses, and at their gradients, that a method asks for before its first step.

    A loss may be infinite or NaN, as that of a bad mask among many, but not every one; a gradient may not.

    Args:
        device: Of the losses. Nothing waits for it before `read`.
    """

    def __init__(self, device: torch.device) -> None:
        self.asked = 0
        self.finite = torch.zeros((), dtype=torch.int64, device=device)  # of the losses
        self.bad = torch.zeros((), dtype=torch.int64, device=device)  # of the gradients

    def noted(self, loss: Tensor, effective: Tensor) -> Tensor:
        """The loss itself, noted; and its gradient, once it reaches the effective weights."""
        self.asked += 1
        self.finite += loss.detach().isfinite()
        if effective.requires_grad:
            effective.register_hook(self._note)
        return loss

    def read(self) -> None:
        """Read what was noted.

        Raises:
            NotFiniteError: No loss was finite, or a gradient was not.
        """
        if self.asked and not int(self.finite):
            raise NotFiniteError(f"none of the {self.asked:,} losses before the first step was finite")
        if int(self.bad):
            raise NotFiniteError("a gradient of the loss before the first step was not finite")

    def _note(self, gradient: Tensor) -> None:
        self.bad += ~gradient.detach().isfinite().all()


class FiniteSteps:
    """Looks after each step at the loss and at the parameters that the step has changed.

    On a processor a number that is not finite ends the search in the step that made it. On a GPU the device notes the
    step; the note is read now and then, and wherever the search waits for the device anyway.

    Args:
        method: Whose parameters are trained.
        network: Its frozen network.
        optimizer: What trains them.
        total: Steps of the search.
        every: Steps between two reads; None: 1 on a processor, `EVERY` on a GPU.
    """

    def __init__(
        self,
        method: Method,
        network: FrozenNetwork,
        optimizer: torch.optim.Optimizer,
        total: int,
        every: int | None = None,
    ) -> None:
        names = {id(parameter): name for name, parameter in method.named_parameters()}
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.parameters = {names.get(id(one), f"parameter {place}"): one for place, one in enumerate(trained)}
        self.network, self.total = network, total
        self.every = every or (1 if network.device.type == "cpu" else EVERY)
        self.began = torch.full((1 + len(trained),), NEVER, device=network.device)  # the loss, then the parameters

    @torch.no_grad()
    def after(self, step: int, loss: Tensor) -> None:
        """Look at a step's loss and at what the step left.

        Args:
            step: Counted from 1.
            loss: A scalar.

        Raises:
            NotFiniteError: One of them is not finite, in this step or in one since the last read.
        """
        if self.every == 1 and all(math.isfinite(one.sum()) for one in (loss, *self.parameters.values())):
            return
        self._note(step, loss)
        if step % self.every == 0:
            self.read()

    @torch.no_grad()
    def read(self) -> None:
        """Read what the device has noted so far.

        Raises:
            NotFiniteError: A loss or a parameter was not finite.
        """
        began = self.began.tolist()
        first = min(began)
        if first == NEVER:
            return
        if began[0] == first:
            raise NotFiniteError(f"the loss was not finite in step {first:,} of {self.total:,}")
        for (name, parameter), step in zip(self.parameters.items(), began[1:], strict=True):
            if step == first and not is_finite(parameter):
                where = self._where(name, parameter)
                raise NotFiniteError(f"{where} not finite from step {first:,} of {self.total:,} on")
        self.began.fill_(NEVER)  # sums of large finite numbers

    def _note(self, step: int, loss: Tensor) -> None:
        sums = torch.stack([loss.float(), *(one.sum(dtype=torch.float32) for one in self.parameters.values())])
        self.began = torch.where(sums.isfinite(), self.began, self.began.clamp(max=step))

    def _where(self, name: str, parameter: Tensor) -> str:
        """How many numbers of a parameter are not finite, and in which layers."""
        bad = ~parameter.detach().isfinite()
        counted = f"{int(bad.sum()):,} of {bad.numel():,} numbers in '{name}'"
        if bad.shape != (self.network.n,):
            return f"{counted} were"
        parts = zip(self.network.layers, bad.split(self.network.sizes), strict=True)
        return f"{counted} ({_listed(layer.name for layer, part in parts if part.any())}) were"


def _listed(names: Iterator[str]) -> str:
    """The first names, and how many more there are."""
    found = list(names)
    more = len(found) - MOST_LAYERS
    return ", ".join(found[:MOST_LAYERS]) + (f" and {more} more layers" if more > 0 else "")
