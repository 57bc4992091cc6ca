"""What the checks look at in a mask, in gates, in weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slt_bench.conformance.planted import stripes
from slt_bench.conformance.subject import Failed, Learned
from slt_bench.data.dataset import Dataset
from slt_bench.data.pipeline import normalise
from slt_bench.method import Method, SparsityControl
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from slt_bench.utils.text import number

APPROXIMATE = 0.1  # how far an "approximate" sparsity may be off
STEPS = 4


def check_gates(gates: Any, network: FrozenNetwork) -> None:
    """N finite numbers in [0, 1]."""
    _check_numbers(gates, network)
    low, high = float(gates.detach().min()), float(gates.detach().max())
    if not (low >= 0 and high <= 1):
        raise Failed(f"its gates lie between {low:.4g} and {high:.4g}; they must be in [0, 1]", "gates")


def _check_numbers(gates: Any, network: FrozenNetwork) -> None:
    if not isinstance(gates, Tensor) or not gates.is_floating_point() or tuple(gates.shape) != (network.n,):
        raise Failed(f"gates() gave {_words(gates)}; they are numbers of shape ({network.n},)", "gates")


def check_mask(mask: Any, network: FrozenNetwork) -> None:
    """N bits."""
    if not isinstance(mask, Tensor) or tuple(mask.shape) != (network.n,):
        raise Failed(f"mask() gave {_words(mask)}; a mask is bool of shape ({network.n},)", "mask")
    if mask.dtype != torch.bool:
        between = float(((mask > 0) & (mask < 1)).double().mean()) if mask.is_floating_point() else 0.0
        soft = f", {100 * between:.0f}% of them between 0 and 1: a soft mask" if between else ""
        raise Failed(f"mask() gave {_words(mask)}{soft}; a mask is bool, each weight kept or not", "mask")


def check_layers(mask: Tensor, network: FrozenNetwork) -> None:
    """Every layer keeps a weight."""
    for layer in network.layers:
        if not mask[layer.slice].any():
            raise Failed(f"its mask keeps no weight of layer {layer.name}: neither images nor gradients pass", "mask")


def check_loss(method: Method) -> None:
    """A training step's loss is one number, which follows from numbers that the method's optimizer can change."""
    if method.optimizer() is None:
        return
    data = stripes()
    images, labels = normalise(data.train.images[:8], data.info), data.train.labels[:8]
    method.train()
    method.network.train()
    method.on_progress(0.0)
    gates = method.gates()
    _check_numbers(gates, method.network)
    loss = _loss(method, images, labels)
    if not isinstance(loss, Tensor) or loss.ndim:
        raise Failed(f"its loss is {_words(loss)}; it must be a single number", "objective", "penalty")
    if not loss.requires_grad:
        name = "objective" if method.effective().requires_grad else "effective" if gates.requires_grad else "gates"
        raise Failed(
            f"no gradient reaches any of its parameters: what {name}() returns is detached from them, as after "
            ".detach(), under torch.no_grad(), or of a comparison; straight_through(mask, scores) lets gradients pass",
            name, "effective", "gates",
        )  # fmt: skip


def counted(mask: Tensor) -> float:
    """The fraction of weights that a mask removes."""
    return 1.0 - int(mask.sum()) / mask.numel()


def check_sparsity(
    network: FrozenNetwork, control: SparsityControl, asked: float, found: float, where: str = ""
) -> None:
    """As `sparsity_control` promises: "exact" but for the rounding to whole weights of each layer."""
    allowed = len(network.layers) / network.n + 1e-9 if control == "exact" else APPROXIMATE
    if abs(found - asked) > allowed:
        raise Failed(
            f"its mask has sparsity {found:.4f} where {number(asked)} was asked{where}, and its control is '{control}'",
            "mask", "sparsity_control",
        )  # fmt: skip


def parameters_with_gradients(method: Method) -> set[int]:
    """The ids of the parameters that some steps' gradients reach; none of them may be infinite or NaN."""
    data, reached = stripes(), set()
    images, labels = normalise(data.train.images[:64], data.info), data.train.labels[:64]
    method.train()
    method.network.train()
    for step in range(STEPS):
        method.on_progress(step / STEPS)
        method.zero_grad()
        _loss(method, images, labels).backward()
        for name, parameter in method.named_parameters():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                raise Failed(f"the gradient of its parameter '{name}' is not finite", "penalty", "objective", "gates")
            if parameter.grad is not None and parameter.grad.any():
                reached.add(id(parameter))
    return reached


def who_writes(make: Callable[[FrozenNetwork, float], Method], network: FrozenNetwork, data: Dataset) -> str:
    """The name of what changes the frozen weights: each part of a step is tried alone; empty where none does.

    Args:
        make: Makes the method, for a sparsity.
        network: Untouched.
        data: Images of its shape.
    """
    before = network.weight_hash()
    method = make(network, 0.5)
    if network.weight_hash() != before:
        return "__init__"
    images, labels = normalise(data.train.images[:8], data.info), data.train.labels[:8]
    optimizer = method.optimizer()
    method.train()
    parts: dict[str, Callable[[], Any]] = {
        "on_progress": lambda: method.on_progress(0.5),
        "gates": method.gates,
        "penalty": method.penalty,
        "effective": method.effective,
        "objective": lambda: _loss(method, images, labels).backward(),
        "optimizer": optimizer.step if optimizer else lambda: None,
        "mask": method.mask,
        "changed_weights": method.changed_weights,
    }
    for name in [*parts, *parts]:
        parts[name]()
        if network.weight_hash() != before:
            return name
    return ""


def _loss(method: Method, images: Tensor, labels: Tensor) -> Tensor:
    """As the suite's loop has it."""
    return method.objective(images, method.network(images, method.effective()), labels) + method.penalty()


def check_frozen(method: Method, network: FrozenNetwork) -> None:
    """The effective weights of the relaxed network are weights * gates, as the network rescales them."""
    with torch.no_grad():
        found, meant = method.effective(), network.effective(method.gates())
    if torch.equal(found, meant):
        return
    for layer in network.layers:
        own, other = found[layer.slice], meant[layer.slice]
        open_ = other != 0
        ratio = own[open_] / other[open_]
        if open_.any() and not torch.allclose(ratio, torch.ones(())) and torch.allclose(ratio, ratio.mean()):
            raise Failed(
                f"it says that it is 'frozen', and scales {layer.name} by {float(ratio.mean()):.4g}: a scale that it "
                "learns makes it 'rescaled'",
                "effective", "purity",
            )  # fmt: skip
    raise Failed(
        "it says that it is 'frozen', and its effective weights are not weights * gates: weights that it trains make "
        "it 'trained'",
        "effective", "purity",
    )  # fmt: skip


def check_changes(purity: str, changed: Tensor, weights: Tensor, layer: str) -> None:
    """Of the weights of a layer that are kept: "rescaled" ones keep their signs, "signed" ones their sizes."""
    if purity == "signed" and not torch.equal(changed.abs(), weights.abs()):
        raise Failed(
            f"it says that it is 'signed', and changes more than signs in {layer}", "changed_weights", "purity"
        )
    if purity == "rescaled" and (changed * weights < 0).any():
        raise Failed(f"it says that it is 'rescaled', and changes signs in {layer}", "changed_weights", "purity")


def check_same(first: Learned, second: Learned, when: str, *where: str) -> None:
    """Both searches ended in the same mask."""
    one, other = first.method.mask(), second.method.mask()
    if not torch.equal(one, other):
        differ = int((one != other).sum())
        raise Failed(
            f"{differ:,} of {one.numel():,} bits of its mask differ {when}; take random numbers from self.generator, "
            "and keep what changes in parameters, buffers or plain attributes",
            *where,
        )


class StoppedError(Exception):
    """A search was stopped."""


class StopOnce:
    """A keeper of checkpoints that stops a search at a step, and lets the next one go on.

    Args:
        path: Of its file.
        at: The step.
    """

    def __init__(self, path: Path, at: int) -> None:
        self.path, self.at, self.steps = path, at, 0

    def find(self) -> Checkpoint | None:
        """What was kept."""
        return read_checkpoint(self.path, {})

    def discard(self) -> None:
        """Nothing."""

    def between_steps(self, take: Any) -> None:
        """Keep and stop at the step."""
        if self.steps == self.at and not self.path.exists():
            write_checkpoint(self.path, {}, take())
            raise StoppedError
        self.steps += 1

    def after_search(self, take: Any) -> None:
        """Nothing."""


def _words(thing: Any) -> str:
    if not isinstance(thing, Tensor):
        return f"a {type(thing).__name__}"
    return f"{str(thing.dtype).removeprefix('torch.')} of shape {tuple(thing.shape)}"
