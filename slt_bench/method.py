"""The contract of a method, and the few tools that methods share.

A method is one file with one `Method` subclass, its settings inside. It learns a mask over the flat vector of a frozen
network; the suite owns data, budget, seeds, schedules, precision, timing and evaluation. A file in `methods/` imports
this module, torch, pydantic and other methods.

    class TopScores(Method):
        name = "top_scores"
        version = 1
        paper = "arXiv ..."
        sparsity_control = "exact"
        purity = "frozen"

        class Settings(OptimizerSettings):
            lr: Annotated[float, Range(0.01, 10, log=True)] = 0.1

        def __init__(self, network, settings, sparsity):
            super().__init__(network, settings, sparsity)
            self.scores = nn.Parameter(...)

        def gates(self):
            return straight_through(self.mask(), self.scores)

        def mask(self):
            return self.keep_largest(self.scores)
"""

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, get_args

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from slt_bench.network.frozen import FrozenNetwork
from slt_bench.network.ops.noise import add_noise, noise
from slt_bench.network.ops.straight_through import straight_through
from slt_bench.network.ops.topk import Brackets, keep_top, keep_top_of_each, kth_smallest
from slt_bench.network.streams import derive_seed

__all__ = [
    "Choice",
    "FrozenNetwork",
    "Loss",
    "Method",
    "MethodSettings",
    "OptimizerSettings",
    "Purity",
    "Range",
    "Rounding",
    "SparsityControl",
    "add_noise",
    "keep_top",
    "keep_top_of_each",
    "kth_smallest",
    "noise",
    "ramp",
    "straight_through",
]

SparsityControl = Literal["exact", "approximate", "none"]
Purity = Literal["frozen", "rescaled", "resampled", "signed", "trained"]
Rounding = Literal["nearest", "down"]


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

    Raises:
        TypeError: The ends do not rise, or one whose logarithm is taken is not above 0.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise TypeError(f"{self} must rise from low to high, and be above 0 with log=True")

    def at(self, part: float) -> float | int:
        """The number that lies at a part of the way from low to high, to three digits or whole."""
        value = self.low * (self.high / self.low) ** part if self.log else self.low + part * (self.high - self.low)
        return round(value) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True)
class Choice:
    """What `tune` tries for a setting that is not a number: one of several values."""

    values: tuple[str | bool, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < 2:
            raise TypeError(f"{self} must have several values")

    def at(self, part: float) -> str | bool:
        """The value whose equal share of 0 to 1 a part lies in."""
        return self.values[min(int(part * len(self.values)), len(self.values) - 1)]


class MethodSettings(BaseModel):
    """Base of a method's settings: immutable, and unknown names are refused.

    What `tune` may try stands at a setting's field: `lr: Annotated[float, Range(0.01, 10, log=True)] = 0.1`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def search_ranges(cls) -> dict[str, Range | Choice]:
        """Return what `tune` may try, by setting: in the order of the fields, each where it was last written."""
        order: dict[str, None] = {}
        for base in reversed(cls.__mro__):
            for name in inspect.get_annotations(base):
                order.pop(name, None)
                order[name] = None
        fields = {name: cls.model_fields[name].metadata for name in order if name in cls.model_fields}
        return {name: kind for name, all_ in fields.items() for kind in all_ if isinstance(kind, Range | Choice)}


class OptimizerSettings(MethodSettings):
    """Settings of a method that takes gradient steps; `Method.optimizer` reads them. A method sets its own defaults."""

    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    nesterov: bool = Field(False, description="whether sgd looks ahead by its momentum")
    weight_decay: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError(
                f"nesterov needs optimizer 'sgd' and a momentum above 0, not '{self.optimizer}' and {self.momentum:g}"
            )
        return self


class Method(nn.Module, ABC):
    """A plug-in that learns a mask over a frozen network.

    A subclass that gives a `name` is a method; one without is a base that methods share. A method that breaks the
    contract raises a TypeError where its class is defined.

    Args:
        network: The frozen network; its `weights` (N,) and `layers` are all that most methods need to know.
        settings: An instance of the class's own `Settings`.
        sparsity: The fraction of weights to remove, in [0, 1); None where the settings decide it themselves.

    Attributes:
        name: As typed on the command line.
        version: Rises whenever results change; records of another version are stale.
        paper: Where the method comes from.
        sparsity_control: Whether the mask has the asked sparsity exactly, approximately, or the method decides.
        purity: What else is changed beside the mask; "frozen" is nothing.
        Settings: The class of its settings, written inside the method's class.
        settings_class: The same; set by the suite.
        generator: The method's own random numbers, on the network's device, seeded by the network's seed.

    A search may be stopped between any two steps and go on in another process. What changes while a method learns must
    therefore stand in its parameters, its buffers, or attributes that are generators, tensors, numbers, texts, or
    lists, tuples and dicts of such; anything else must be as the constructor makes it.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    paper: ClassVar[str]
    sparsity_control: ClassVar[SparsityControl]
    purity: ClassVar[Purity]
    Settings: ClassVar[type[MethodSettings]] = MethodSettings
    settings_class: ClassVar[type[MethodSettings]] = MethodSettings
    settings: Any  # an instance of `Settings`; a method that annotates it so has it checked

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if problem := _contract_problem(cls):
            raise TypeError(problem)
        cls.settings_class = cls.Settings

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__()
        self.__dict__["network"] = network  # not a submodule: nothing of it is the method's to train
        self.settings = settings
        self.sparsity = sparsity
        self.generator = torch.Generator(network.device)
        self.generator.manual_seed(derive_seed("method", self.name, network.seed))
        self._brackets = Brackets()  # where the last selections ended: they make the next ones faster, not different

    network: FrozenNetwork

    @classmethod
    def control(cls, settings: Any) -> SparsityControl:  # noqa: ARG003 - some methods' settings decide
        """How the sparsity is controlled under these settings; the class's `sparsity_control` unless overridden."""
        return cls.sparsity_control

    @classmethod
    def problem(cls, settings: Any, sparsity: float | None) -> str:  # noqa: ARG003
        """Why these settings make no sense at that sparsity, in a sentence; empty where they do."""
        return ""

    def keep_largest(
        self,
        values: Tensor,
        sparsity: float | None = None,
        *,
        per_layer: bool = False,
        rounding: Rounding = "nearest",
    ) -> Tensor:
        """Return the mask of the largest values: of n, all but round(sparsity * n). Of equal ones the first are kept.

        Args:
            values: (n,) numbers without NaN; (N,) with `per_layer`.
            sparsity: The fraction to remove, in [0, 1]; the method's own sparsity unless given.
            per_layer: Whether each layer keeps the largest of its own values, not the vector those of all.
            rounding: "down" removes floor(sparsity * n) instead, as edge-popup is defined.

        Returns:
            (n,) bool, without a gradient. On CUDA nothing waits for the device.

        Raises:
            TypeError: No sparsity is given, and the method has none.
        """
        sparsity = self.sparsity if sparsity is None else sparsity
        if sparsity is None:
            raise TypeError("keep_largest needs a sparsity, since these settings leave it to the method")
        sizes = self.network.sizes if per_layer else [values.numel()]
        removed = [int(sparsity * size) if rounding == "down" else round(sparsity * size) for size in sizes]
        counts = [size - out for size, out in zip(sizes, removed, strict=True)]
        return keep_top_of_each(values, sizes, counts, self._brackets)

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
            parameters,
            lr=settings.lr,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def on_progress(self, fraction: float) -> None:
        """Called before every step with the part of the budget that is spent, from 0 up to (but not) 1; and with 1."""


def ramp(fraction: float, until: float = 1.0, power: float = 3.0) -> float:
    """From 0 to 1 as `fraction` goes from 0 to `until`: 1 - (1 - fraction / until)^power (Zhu and Gupta 2017)."""
    return 1.0 - float(max(0.0, 1.0 - fraction / until) ** power)


def _contract_problem(method: type[Method]) -> str:  # noqa: PLR0911 - one of many
    """Why a class cannot be a method, or a base of methods; empty where it can."""
    title = method.__name__
    if "settings_class" in vars(method):
        return f"{title} sets settings_class; write its settings as a class `Settings` inside it"
    if not (inspect.isclass(method.Settings) and issubclass(method.Settings, MethodSettings)):
        return f"the Settings of {title} are not a subclass of MethodSettings"
    if not hasattr(method, "name"):
        return ""
    missing = [name for name in ("version", "paper", "sparsity_control", "purity") if not hasattr(method, name)]
    if missing:
        return f"{title} does not give its {', '.join(missing)}"
    if not isinstance(method.name, str) or not method.name.replace("_", "").isalnum():
        return f"the name {method.name!r} of {title} is not made of letters, digits and underscores"
    if type(method.version) is not int:
        return f"the version of {title} is {method.version!r}, not a whole number"
    for attribute, kinds in (("sparsity_control", get_args(SparsityControl)), ("purity", get_args(Purity))):
        if getattr(method, attribute) not in kinds:
            return f"the {attribute} of {title} is {getattr(method, attribute)!r}, not one of {', '.join(kinds)}"
    promised = {name for base in method.__mro__[1:] for name in getattr(base, "__abstractmethods__", ())}
    absent = sorted(name for name in promised if getattr(getattr(method, name), "__isabstractmethod__", False))
    return f"{title} does not define {', '.join(f'{name}()' for name in absent)}" if absent else ""
