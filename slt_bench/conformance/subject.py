"""A method under test: how it is made, how it learns, and where its code stands."""

import inspect
import os
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import Any

from slt_bench.data.dataset import Dataset
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import Method, SparsityControl
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.training import rng_state
from slt_bench.training.loop import search
from slt_bench.training.search import CheckpointWriter


class Failed(Exception):  # noqa: N818 - a finding, not an error of ours
    """A method does not do what it must.

    Attributes:
        where: Names of the class' attributes to look at, the likeliest first.
        stack: Or where it happened.
    """

    def __init__(self, message: str, *where: str, stack: traceback.StackSummary | None = None) -> None:
        super().__init__(message)
        self.where, self.stack = where, stack


class Skipped(Exception):  # noqa: N818
    """A check has nothing to look at, and why."""


@dataclass(frozen=True)
class Learned:
    """A method after a search.

    Attributes:
        method: As the search left it, in the relaxed network's mode.
        network: Its frozen network.
        steps: How many the search took.
        weight_hash: Of the network before the method was made.
    """

    method: Method
    network: FrozenNetwork
    steps: int
    weight_hash: str


@dataclass(frozen=True)
class CheckedMethod:
    """A method's class with the settings that it is tried with.

    Attributes:
        kind: The class.
        given: Settings in place of its defaults.
    """

    kind: type[Method]
    given: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Any:
        """An instance of its settings class."""
        return self.kind.settings_class(**self.given)

    @property
    def control(self) -> SparsityControl:
        """How its sparsity is controlled under these settings."""
        return self.kind.control(self.settings)

    @property
    def file(self) -> Path:
        """The file of its class."""
        return Path(inspect.getfile(self.kind))

    def make(self, network: FrozenNetwork, sparsity: float, seed: int = 0) -> Method:
        """An instance, made as a job makes it."""
        rng_state.seed_all(seed)
        return self.kind(network, self.settings, None if self.control == "none" else sparsity)

    def learn(
        self,
        network: FrozenNetwork,
        data: Dataset,
        sparsity: float,
        budget: Budget,
        keeper: CheckpointWriter | None = None,
    ) -> Learned:
        """A search, as a job makes it."""
        before = network.weight_hash()
        method = self.make(network, sparsity)
        steps = search(method, network, data, budget, network.seed, lambda _: None, keeper).steps  # and drop the data
        method.eval()
        network.eval()
        return Learned(method, network, steps, before)

    def place(self, *names: str) -> str:
        """Where to look: the first of these attributes that is not `Method`'s own, else the class."""
        for name in names:
            for owner in self.kind.__mro__:
                if owner is Method:
                    break
                if name in vars(owner):
                    return _line_of(owner, name)
        return _line(self.kind, self.kind.__name__)

    def place_in(self, stack: traceback.StackSummary) -> str:
        """The innermost line of a stack that stands in the folder of the method's file."""
        for frame in reversed(stack):
            if Path(frame.filename).parent == self.file.parent:
                return f"{_short(frame.filename)}:{frame.lineno} ({frame.name})"
        return self.place()


def _line_of(owner: type, name: str) -> str:
    """Where a class says what its attribute is: a function's own line, or that of an assignment."""
    thing = vars(owner)[name]
    thing = getattr(thing, "__func__", thing)
    if inspect.isfunction(thing) or inspect.isclass(thing):
        return _line(thing, name)
    lines, first = inspect.getsourcelines(owner)
    place = next((number for number, line in enumerate(lines) if re.search(rf"\b{name}\b.*=", line)), 0)
    return f"{_short(inspect.getfile(owner))}:{first + place} ({name})"


def _line(thing: type | FunctionType, name: str) -> str:
    return f"{_short(inspect.getfile(thing))}:{inspect.getsourcelines(thing)[1]} ({name})"


def _short(path: str) -> str:
    """A path as a person would type it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
