"""What every method must do, a function a promise. Each says in words what it saw, or raises where it is broken."""

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from slt_bench.conformance import assertions
from slt_bench.conformance.families import FAMILIES, family
from slt_bench.conformance.planted import CLASSES, Planted, plant, stripes
from slt_bench.conformance.split_guard import Peek, watched
from slt_bench.conformance.subject import CheckedMethod, Failed, Learned, Skipped
from slt_bench.data.dataset import SplitLockedError
from slt_bench.data.pipeline import normalise
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import Method
from slt_bench.tickets.evaluate import accuracy
from slt_bench.tickets.ticket import Ticket, read_ticket, write_ticket

BUDGET = Budget(epochs=16, batch_size=64)
SPARSITY = 0.8
NEAR = 0.75  # accuracy of a mask that comes near the planted one, whose own is 1; random ones have 0.3, at most 0.6
MORE_OFTEN = 1.05  # planted weights are to be kept that many times as often as others


class CheckRun:
    """A subject, and searches that several checks look at, each made once."""

    def __init__(self, subject: CheckedMethod) -> None:
        self.subject = subject
        self._takes_steps = False

    @cached_property
    def planted(self) -> Planted:
        """The network that `learned` learned on, with its ticket."""
        return plant()

    @cached_property
    def learned(self) -> Learned:
        """The method after a search on the planted network."""
        return self.learn(self.planted.network, stripes(), SPARSITY, BUDGET)

    @cached_property
    def twin(self) -> Learned:
        """The same once more."""
        return self.learn(plant().network, stripes(), SPARSITY, BUDGET)

    @cached_property
    def sealed(self) -> tuple[Learned | None, list[Peek]]:
        """The same with another test split, which is sealed, and who looked for it; None where that stopped it."""
        with watched(f"{self.subject.kind.name} learns") as peeks:
            try:
                return self.learn(plant().network, stripes(test_seed=1), SPARSITY, BUDGET), peeks
            except SplitLockedError:
                return None, peeks

    def learn(self, *arguments: Any) -> Learned:
        """A search by `CheckedMethod.learn`, once it is known that the method can take a step."""
        if not self._takes_steps:
            assertions.check_loss(self.fresh())
            self._takes_steps = True
        return self.subject.learn(*arguments)

    def fresh(self) -> Method:
        """The method before any step, on a planted network."""
        return self.subject.make(plant().network, SPARSITY)


Check = Callable[[CheckRun], str]


def settings(trial: CheckRun) -> str:
    """Every setting has a default, and none can be changed."""
    made = trial.subject.settings
    for name in type(made).model_fields:
        try:
            setattr(made, name, getattr(made, name))
        except (ValueError, TypeError):
            continue
        raise Failed(f"its setting '{name}' can be changed after it was given", "Settings")
    return f"{len(type(made).model_fields)} of them, all with a default"


def gates(trial: CheckRun) -> str:
    """N numbers in [0, 1]; without their noise, those of the relaxed network are the same twice."""
    method = trial.fresh()
    method.train()
    assertions.check_gates(method.gates(), method.network)
    method.eval()
    first, second = method.gates(), method.gates()
    assertions.check_gates(first, method.network)
    if not torch.equal(first, second):
        _check_same_mask(method)  # which gates may be made of
        raise Failed("its gates in eval() mode differ from call to call; noise belongs to train() mode", "gates")
    return f"{method.network.n:,} numbers in [0, 1], the same twice in the relaxed network"


def gradients(trial: CheckRun) -> str:
    """The loss reaches every parameter, and the optimizer trains nothing else."""
    method = trial.fresh()
    optimizer = method.optimizer()
    if optimizer is None:
        raise Skipped("it takes no gradient steps")
    own = {id(parameter): name for name, parameter in method.named_parameters() if parameter.requires_grad}
    if any(id(parameter) not in own for group in optimizer.param_groups for parameter in group["params"]):
        raise Failed("its optimizer trains tensors that are no parameters of the method", "optimizer", "__init__")
    assertions.check_loss(trial.fresh())
    reached = assertions.parameters_with_gradients(method)
    for key, name in own.items():
        if key not in reached:
            assertions.check_layers(method.mask(), method.network)  # which would be why
            raise Failed(f"no gradient reaches its parameter '{name}'", "gates", "effective", "penalty")
    return f"they reach {', '.join(own.values())}"


def mask(trial: CheckRun) -> str:
    """Hard, a bit a weight, and the same when it is asked for again."""
    for made in (trial.fresh, lambda: trial.learned.method):
        method = made()
        first = method.mask()
        assertions.check_mask(first, method.network)
        _check_same_mask(method)
    assertions.check_layers(first, method.network)
    return f"{first.numel():,} bits, the same twice"


def _check_same_mask(method: Method) -> None:
    if not torch.equal(method.mask(), method.mask()):
        raise Failed("its mask differs from call to call", "mask")


def weights(trial: CheckRun) -> str:
    """The frozen network is what it was, to the last bit."""
    if trial.learned.network.weight_hash() != trial.learned.weight_hash:
        raise Failed(
            "the frozen weights were changed while it learned; what a method may change is a copy of its own, which "
            "changed_weights() gives to the ticket",
            assertions.who_writes(trial.subject.make, plant().network, stripes()),
        )
    return "untouched after a search, by their hash"


def sparsity(trial: CheckRun) -> str:
    """The mask is as sparse as was asked for, as its `sparsity_control` promises."""
    control = trial.subject.control
    if control == "none":
        raise Skipped("its settings decide the sparsity")
    found = {SPARSITY: assertions.counted(trial.learned.method.mask())}
    short = BUDGET.model_copy(update={"epochs": 1})
    for asked in (0.5, 0.98):
        found[asked] = assertions.counted(trial.learn(plant().network, stripes(), asked, short).method.mask())
    for asked, counted in found.items():
        assertions.check_sparsity(trial.learned.network, control, asked, counted)
    return ", ".join(f"{counted:.4f} where {asked:g} was asked" for asked, counted in sorted(found.items()))


def planted(trial: CheckRun) -> str:
    """A planted ticket is approached: the mask is accurate, and keeps the ticket's weights more often than others."""
    learned, data = trial.learned, stripes()
    if not learned.steps:
        raise Skipped("it learns nothing")
    kept = learned.method.mask()
    effective = learned.network.effective(kept.float(), learned.method.changed_weights())
    right = accuracy(lambda images: learned.network(images, effective), data.validation, data.info)
    inside, outside = (float(kept[part].double().mean()) for part in (trial.planted.mask, ~trial.planted.mask))
    words = (
        f"{100 * right:.0f}% of the images right (chance: {100 / CLASSES:.0f}%); "
        f"{100 * inside:.0f}% of the planted weights kept, {100 * outside:.0f}% of the others"
    )
    compares = trial.subject.kind.purity == "frozen" and not kept.all()
    if right < NEAR or (compares and inside < MORE_OFTEN * outside):
        raise Failed(
            f"it does not come near a ticket that is right about all images, in {learned.steps} steps: {words}",
            "gates", "effective", "Settings",
        )  # fmt: skip
    return words


def purity(trial: CheckRun) -> str:
    """It changes what its `purity` declares, and nothing else."""
    method, network = trial.learned.method, trial.learned.network
    changed = method.changed_weights()
    if method.purity == "frozen":
        if changed is not None:
            raise Failed("it says that it is 'frozen', and gives changed weights", "changed_weights", "purity")
        assertions.check_frozen(method, network)
        return "its effective weights are weights * gates, and nothing else"
    if changed is None:
        raise Failed(f"it says that it is '{method.purity}', and gives no changed weights", "changed_weights", "purity")
    kept = method.mask()
    for layer in network.layers:
        part = kept[layer.slice]
        assertions.check_changes(
            method.purity, changed[layer.slice][part], network.weights[layer.slice][part], layer.name
        )
    return f"it declares '{method.purity}', and its ticket carries what it changed"


def resume(trial: CheckRun) -> str:
    """A search that was stopped between two steps goes on from its state to the same mask."""
    steps = trial.learned.steps
    if not steps:
        raise Skipped("it takes no steps")
    with tempfile.TemporaryDirectory() as folder:
        keeper = assertions.StopOnce(Path(folder) / "checkpoint.safetensors", at=steps // 3)
        for _ in range(2):
            try:
                rest = trial.learn(plant().network, stripes(), SPARSITY, BUDGET, keeper)
            except assertions.StoppedError:
                continue
    assertions.check_same(trial.learned, rest, "after it was stopped and went on", "on_progress", "__init__")
    return f"stopped after {keeper.at} of {steps} steps, and the same mask in the end"


def seeds(trial: CheckRun) -> str:
    """The same seed gives the same mask."""
    assertions.check_same(trial.learned, trial.twin, "in a second search with the same seed", "__init__", "gates")
    return "the same mask in two searches"


def test_split(trial: CheckRun) -> str:
    """It does not look at the test split."""
    other, peeks = trial.sealed
    for peek in peeks:
        raise Failed(f"it peeks at the test split: it {peek.what} while it learns", stack=peek.stack)
    assert other
    same = torch.equal(trial.learned.method.mask(), trial.twin.method.mask())
    if same and not torch.equal(trial.learned.method.mask(), other.method.mask()):
        raise Failed("it peeks at the test split: with another one, its mask is another one", "mask", "__init__")
    return "nobody asks for it, and the mask does not depend on it"


def families(trial: CheckRun) -> str:
    """It works on every family of architectures."""
    control = trial.subject.control
    for name in FAMILIES:
        network, data = family(name)
        learned = trial.learn(network, data, SPARSITY, Budget(epochs=2, batch_size=4))
        found = learned.method.mask()
        assertions.check_mask(found, network)
        if network.weight_hash() != learned.weight_hash:
            culprit = assertions.who_writes(trial.subject.make, *family(name))
            raise Failed(f"it changes what is frozen in a {name} network", culprit)
        if control != "none":
            assertions.check_sparsity(network, control, SPARSITY, assertions.counted(found), f" on a {name} network")
    return ", ".join(FAMILIES)


def ticket(trial: CheckRun) -> str:
    """Its ticket, read back from disk, is the network that it found."""
    method, network, data = trial.learned.method, trial.learned.network, stripes()
    found, changed = method.mask(), method.changed_weights()
    written = Ticket(
        arch=network.arch, shape=network.shape, classes=network.classes, init=network.init, rescale=network.rescale,
        seed=network.seed, weight_hash=network.weight_hash(), purity=method.purity, sizes=tuple(network.sizes),
        mask=found, weights=changed,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ticket.slt"
        write_ticket(path, written)
        read, size = read_ticket(path), path.stat().st_size
    images = normalise(data.validation.images, data.info)
    logits = network(images, network.effective(read.mask.float(), read.weights))
    if not torch.equal(logits, network(images, network.effective(found.float(), changed))):
        raise Failed("the network of its ticket gives other outputs", "mask", "changed_weights")
    return f"{size:,} bytes"


CHECKS: dict[str, Check] = {
    "settings": settings,
    "gates": gates,
    "gradients": gradients,
    "mask": mask,
    "weights": weights,
    "sparsity": sparsity,
    "planted ticket": planted,
    "purity": purity,
    "same seed": seeds,
    "resume": resume,
    "test split": test_split,
    "families": families,
    "ticket": ticket,
}
FOLLOWS: dict[str, tuple[str, ...]] = {  # what fails here as well where one of those fails
    "gradients": ("gates",),
    "mask": ("gradients",),
    "sparsity": ("gates", "gradients", "mask"),
    "planted ticket": ("gates", "gradients", "mask", "weights"),
    "purity": ("gates", "mask"),
    "same seed": ("mask",),
    "resume": ("mask", "weights", "same seed"),
    "test split": ("mask", "same seed"),
    "families": ("gates", "gradients", "mask", "weights", "sparsity"),
    "ticket": ("gates", "mask", "purity"),
}
