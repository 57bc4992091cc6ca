"""What is profiled: a method on an architecture, with everything that a step needs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from slt_bench.data import find
from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Split, noise_split
from slt_bench.data.pipeline import training_batch
from slt_bench.jobs.benchmark import resolve_settings
from slt_bench.method import Method
from slt_bench.network import architectures
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.training.step import STEP_PARTS, Step, take_step

PARTS = ("data", *STEP_PARTS)
SPARSITY = 0.9


@dataclass(frozen=True)
class ProfileOptions:
    """How steps are taken.

    Attributes:
        batch_size: Images a step.
        precision: "float32" or "bf16".
        compiled: Whether the network goes through `torch.compile`.
        device: Where.
    """

    batch_size: int = 128
    precision: str = "float32"
    compiled: bool = False
    device: str = "cpu"


@dataclass
class ProfiledMethod:
    """A method that takes steps; `twin` names the optimiser that a dense step beside it must have."""

    name: str
    arch: str
    method: Method
    network: FrozenNetwork
    optimizer: torch.optim.Optimizer
    split: Split
    info: DatasetInfo
    generator: torch.Generator
    wish: ProfileOptions
    forward: Callable[[Tensor, Tensor], Tensor]

    @classmethod
    def build(cls, name: str, arch: str, wish: ProfileOptions, optimizer: str = "") -> "ProfiledMethod":
        """A method by its name, as a job of its default settings at sparsity 0.9 has it.

        Args:
            name: The method, one that takes gradient steps.
            arch: The architecture, on images shaped as those of its own data set.
            wish: How.
            optimizer: In place of the method's own kind: "adam" or "sgd".

        Raises:
            UserError: A name is unknown.
        """
        info, device, registry = find(architectures.find(arch).dataset), torch.device(wish.device), load_registry()
        network = FrozenNetwork(arch, shape=info.shape, classes=info.classes, device=device)
        kind = registry.find(name)
        settings = resolve_settings(name, {"optimizer": optimizer} if optimizer else {}, registry)
        sparsity = None if kind.control(settings) == "none" else SPARSITY
        method = kind(network, settings, sparsity)
        taken = method.optimizer()
        assert taken, "a method that takes gradient steps"
        forward = torch.compile(network.forward) if wish.compiled else network.forward
        split = noise_split(info, 4 * wish.batch_size, device)
        generator = torch.Generator(device)
        method.train()
        network.train()
        return cls(name, arch, method, network, taken, split, info, generator, wish, forward)

    @property
    def twin(self) -> str:
        """The kind of its optimiser, as settings name it."""
        return "sgd" if isinstance(self.optimizer, torch.optim.SGD) else "adam"

    @property
    def device(self) -> torch.device:
        """Where its steps are taken."""
        return self.network.device

    def step(self, fraction: float, lap: Callable[[str], None] = lambda _: None) -> Tensor:
        """One step, data included, as the search takes it.

        Args:
            fraction: Of the search that is behind it.
            lap: Told the parts of `PARTS` as they end.

        Returns:
            The loss before it, a scalar.
        """
        rows = torch.randint(len(self.split), (self.wish.batch_size,), device=self.device)
        images, labels = training_batch(*self.split.take(rows), self.info, self.generator, augmented=True)
        lap("data")
        self.method.on_progress(fraction)
        step = Step(self.method, self.network, self.optimizer, images, labels, self.wish.precision)
        return take_step(step, self.forward, lap).loss
