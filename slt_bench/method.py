"""The contract of a method, and the few tools that methods share.

A method is one file with one `Method` subclass and one frozen settings class. It learns a mask over the flat vector of
a frozen network; the suite owns data, budget, seeds, schedules, precision, timing and evaluation. A file in `methods/`
imports this module, torch and pydantic, and nothing else of the suite.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from slt_bench.network.frozen import FrozenNetwork
from slt_bench.network.ops.in_place import straight_through_
from slt_bench.network.ops.noise import add_noise_, noise
from slt_bench.network.ops.products import magnitude
from slt_bench.network.ops.topk import Brackets, keep_top, keep_top_of_each, kth_smallest
from slt_bench.network.streams import derive_seed

__all__ = [
    "Brackets",
    "Choice",
    "FrozenNetwork",
    "Loss",
    "Method",
    "MethodSettings",
    "OptimizerSettings",
    "Purity",
    "Range",
    "SparsityControl",
    "add_noise_",
    "keep_top",
    "keep_top_of_each",
    "kth_smallest",
    "magnitude",
    "noise",
    "ramp",
    "straight_through",
    "straight_through_",
]

SparsityControl = Literal["exact", "approximate", "none"]
Purity = Literal["frozen", "rescaled", "resampled", "signed", "trained"]


class Loss(Protocol):
    """The mean cross-entropy as a function of effective weights, on one training batch after the other."""

    def __call__(self, effective: Tensor, *, again: bool = False) -> Tensor:
        """The mean cross-entropy, a scalar, differentiable (also twice) in the effective weights.

        Args:
            effective: (N,).
            again: On the batch of the last call, not the next one.
        """


@dataclass(frozen=True)
class Range:
    """What `tune` tries for a setting: numbers between two ends, evenly, or evenly in their logarithm.

    Attributes:
        low, high: The ends.
        log: Whether the logarithms are even; both ends are above 0 then.
        whole: Whether only whole numbers are right.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, part: float) -> float | int:
        """The number that lies at a part of the way from low to high, to three digits or whole."""
        value = self.low * (self.high / self.low) ** part if self.log else self.low + part * (self.high - self.low)
        return round(value) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True)
class Choice:
    """What `tune` tries for a setting that is no number: one of some values."""

    values: tuple[str | bool, ...]

    def at(self, part: float) -> str | bool:
        """The value whose equal share of 0 to 1 a part lies in."""
        return self.values[min(int(part * len(self.values)), len(self.values) - 1)]


class MethodSettings(BaseModel):
    """Base of a method's settings: immutable, and unknown names are refused.

    Attributes:
        search: What `tune` may try for some of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    search: ClassVar[Mapping[str, Range | Choice]] = {}


class OptimizerSettings(MethodSettings):
    """Settings of a method that takes gradient steps; `Method.optimizer` reads them. A method sets its own defaults."""

    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0)


class Method(nn.Module, ABC):
    """A plug-in that learns a mask over a frozen network.

    Args:
        network: The frozen network; its `weights` (N,) and `layers` are all that most methods need to know.
        settings: An instance of the class's own `settings_class`.
        sparsity: The fraction of weights to remove, in [0, 1); None where the settings decide it themselves.

    Attributes:
        name: As typed on the command line.
        version: Rises whenever results change; records of another version are stale.
        paper: Where the method comes from.
        sparsity_control: Whether the mask has the asked sparsity exactly, approximately, or the method decides.
        purity: What else is changed beside the mask; "frozen" is nothing.
        generator: The method's own random numbers, on the network's device, seeded by the network's seed.

    A search may be stopped between any two steps and go on in another process. What changes while a method learns must
    therefore stand in its parameters, its buffers, or attributes that are generators, tensors, numbers, texts, or
    lists, tuples and dicts of such; anything else must be as the constructor makes it, or
    change no result, as `Brackets` do.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    paper: ClassVar[str]
    sparsity_control: ClassVar[SparsityControl]
    purity: ClassVar[Purity]
    settings_class: ClassVar[type[MethodSettings]] = MethodSettings

    def __init__(self, network: FrozenNetwork, settings: MethodSettings, sparsity: float | None) -> None:
        super().__init__()
        self.__dict__["network"] = network  # not a submodule: nothing of it is the method's to train
        self.settings = settings
        self.sparsity = sparsity
        self.generator = torch.Generator(network.device)
        self.generator.manual_seed(derive_seed("method", self.name, network.seed))

    network: FrozenNetwork

    @classmethod
    def control(cls, settings: MethodSettings) -> SparsityControl:  # noqa: ARG003 - some methods' settings decide
        """How the sparsity is controlled under these settings; the class's `sparsity_control` unless overridden."""
        return cls.sparsity_control

    @classmethod
    def problem(cls, settings: MethodSettings, sparsity: float | None) -> str:  # noqa: ARG003
        """Why these settings make no sense at that sparsity, in a sentence; empty where they do."""
        return ""

    def prepare(self, loss: Loss, steps: int) -> None:
        """Called once, before the first step of a search; for methods that look before they learn, or learn nothing.

        Args:
            loss: On training batches.
            steps: How many gradient steps the budget has.
        """

    @abstractmethod
    def gates(self) -> Tensor:
        """(N,) in [0, 1], differentiable: one draw while `self.training`, else the relaxed network's fixed gates."""

    @abstractmethod
    def mask(self) -> Tensor:
        """(N,) bool, the answer: True keeps a weight."""

    def objective(self, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002 - some look at them
        """What a training step minimises, but for the penalty: a scalar; the mean cross-entropy unless overridden.

        It runs in the precision of the budget (autocast). Another forward pass is one of `network.beside`, which
        leaves the normalisation statistics to the effective weights.

        Args:
            images: (B, *shape), normalised and augmented.
            logits: (B, classes), float32, of these images under the effective weights.
            labels: (B,).
        """
        return functional.cross_entropy(logits, labels)

    def penalty(self) -> Tensor:
        """A scalar added to the loss; 0 unless overridden."""
        return self.network.weights.new_zeros(())

    def effective(self) -> Tensor:
        """(N,) the weights under the gates. A method that changes weights overrides it."""
        return self.network.effective(self.gates())

    def changed_weights(self) -> Tensor | None:
        """(N,) the weights that the ticket must carry because they are no longer the frozen ones; None for "frozen"."""
        return None

    def optimizer(self) -> torch.optim.Optimizer | None:
        """What trains the method's parameters, by its `OptimizerSettings`; None where there is nothing to train."""
        settings = self.settings
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if not parameters or not isinstance(settings, OptimizerSettings):
            return None
        if settings.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
        return torch.optim.SGD(
            parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay, fused=True
        )

    def on_progress(self, fraction: float) -> None:
        """Called before every step with the part of the budget that is spent, from 0 up to (but not) 1; and with 1."""


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, mask: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG004
        return mask.view(torch.uint8).to(scores.dtype) if mask.dtype == torch.bool else mask.to(scores.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[None, Tensor]:  # noqa: ARG004
        return None, grads[0]


def straight_through(mask: Tensor, scores: Tensor) -> Tensor:
    """The mask as numbers, its gradient handed to the scores as if the mask were the scores (Bengio et al. 2013)."""
    result: Tensor = _StraightThrough.apply(mask, scores)
    return result


def ramp(fraction: float, until: float = 1.0, power: float = 3.0) -> float:
    """From 0 to 1 as `fraction` goes from 0 to `until`: 1 - (1 - fraction / until)^power (Zhu and Gupta 2017)."""
    return 1.0 - float(max(0.0, 1.0 - fraction / until) ** power)
