"""A search that was stopped and goes on from its checkpoint ends as one that was left alone, bit for bit."""

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from slt_bench import data
from slt_bench.data.dataset import Dataset, Split, load
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import Method, OptimizerSettings, straight_through
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.records.attempts import CHECKPOINT
from slt_bench.registry import load_registry
from slt_bench.training import rng_state
from slt_bench.training.checkpoint import read_checkpoint, write_checkpoint
from slt_bench.training.loop import search
from slt_bench.training.method_state import method_state

IDENTITY = {"job": "a test"}
EPOCHS, STEPS = 2, 6  # three steps an epoch
MOMENTS = pytest.mark.parametrize("moment", range(STEPS + 1))  # before each step, and after the last one
CASES = {  # settings under which a method learns in another way
    "dense": [{}, {"optimizer": "sgd"}],
    "edgepopup": [{}, {"scope": "global"}, {"optimizer": "adam"}],
    "gates": [{}, {"penalty": 1e-4}],
    "gates_rounds": [{}, {"rounds": 3, "reset": 0.5}],
    "gates_structured": [{}, {"penalty": 1e-2}],
}
REGISTRY = load_registry()


class Interrupted(BaseException):
    """What ends a search in these tests."""


class Keeper:
    """Writes checkpoints to a file before the steps `keeps`, and ends the search before the step `dies`.

    The number of all steps stands for the end of the search.
    """

    def __init__(self, folder, keeps=(), dies=None):
        self.path = folder / CHECKPOINT
        self.keeps = keeps
        self.dies = dies
        self.states = {}

    def find(self):
        return read_checkpoint(self.path, IDENTITY)

    def between_steps(self, take):
        checkpoint = take()
        step = round(checkpoint.fraction * STEPS)
        if step in self.keeps:
            write_checkpoint(self.path, IDENTITY, checkpoint)
        if step == self.dies:
            raise Interrupted
        if step == STEPS:
            checkpoint.state.pop("data order")  # no epoch is left that it decides
        checkpoint.state["search"].pop("seconds")
        self.states[step] = copied(checkpoint.state)

    after_search = between_steps


def copied(tree):
    """The tree as it is now, whatever is written to its tensors later."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(copied(item) for item in tree)
    return tree.detach().clone() if isinstance(tree, torch.Tensor) else tree


@cache
def images(dataset):
    """A few real digits; or a few images of noise that look like CIFAR-10, so that they are cropped and mirrored."""
    if dataset == "digits":
        return load("digits", Path("nowhere")).first(3 * 32, 40)
    info = data.find(dataset)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (14, *info.shape), dtype=torch.uint8, generator=generator)
    split = Split(pixels, torch.randint(info.classes, (14,), generator=generator))
    return Dataset(info, split, split.first(6), lambda: split.first(1))


def new(kind, settings=None, arch="lenet300", dataset="digits"):
    """A fresh network and a fresh method."""
    info = data.find(dataset)
    network = FrozenNetwork(arch, shape=info.shape, classes=info.classes, seed=3)
    values = kind.settings_class(**(settings or {}))
    return kind(network, values, None if kind.control(values) == "none" else 0.6)


def run(method, keeper=None, told=lambda _: None, **budget):
    """A search, and everything that it ends in."""
    convolves = method.network.arch != "lenet300"
    budget = Budget(epochs=EPOCHS, batch_size=4 if convolves else 32, **budget)
    shown = images("cifar10" if convolves else "digits")
    rng_state.seed_all(5)
    found = search(method, method.network, shown, budget, 7, told, keeper)
    assert found.steps == STEPS
    return {
        "curve": found.curve,
        "mask": method.mask(),
        "effective": method.eval().effective().detach(),
        "statistics": method.network.statistics(),
        "draw": method.train().gates().detach(),
        "global draws": (torch.rand(3), np.random.normal(size=3).tolist(), random.gauss(0, 1)),  # noqa: NPY002
    }


def interrupt(method, folder, moment, dies=None, **budget):
    """A search that leaves a checkpoint of one moment, and is ended then or at a later one."""
    with pytest.raises(Interrupted):
        run(method, Keeper(folder, {moment}, moment if dies is None else dies), **budget)


def assert_same(one, other, place="result"):
    """Equal, bit for bit, and of the same types."""
    assert type(one) is type(other), place
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key, value in one.items():
            assert_same(value, other[key], f"{place}[{key!r}]")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{place}[{number}]")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, place
        assert torch.equal(one, other), place
    else:
        assert one == other, place


def learners():
    """Every method of the registry that learns, in each of its cases, on an architecture."""
    found = []
    for name, kind in sorted(REGISTRY.methods.items()):
        for settings in CASES.get(name, [{}]):
            if new(kind, settings).optimizer() is not None:
                label = "-".join([name, *(f"{key}={value}" for key, value in settings.items())])
                found.append(pytest.param(kind, settings, "lenet300", "digits", id=label))
    convolving = ("edgepopup", "gates")
    return found + [
        pytest.param(REGISTRY.find(name), {}, "resnet20", "cifar10", id=f"{name}-resnet20") for name in convolving
    ]


@pytest.fixture(scope="class")
def undisturbed():
    """A function that gives the end of a search that nobody interrupts, and its state before each step."""
    known = {}

    def give(*what):
        if str(what) not in known:
            keeper = Keeper(Path("nowhere"))
            known[str(what)] = run(new(*what), keeper), keeper.states
        return known[str(what)]

    return give


@pytest.mark.parametrize(("kind", "settings", "arch", "dataset"), learners())
class TestEveryMethod:
    @MOMENTS
    def test_ends_in_the_same_wherever_it_was_stopped(
        self, kind, settings, arch, dataset, moment, tmp_path, undisturbed
    ):
        interrupt(new(kind, settings, arch, dataset), tmp_path, moment)
        keeper = Keeper(tmp_path)
        ended = run(new(kind, settings, arch, dataset), keeper)
        result, states = undisturbed(kind, settings, arch, dataset)
        assert_same(ended, result)
        assert list(keeper.states) == list(range(moment, STEPS + 1))
        assert_same(keeper.states, {step: states[step] for step in keeper.states}, "states")

    def test_is_not_disturbed_by_checkpoints(self, kind, settings, arch, dataset, tmp_path, undisturbed):
        kept = run(new(kind, settings, arch, dataset), Keeper(tmp_path, range(STEPS + 1)))
        assert_same(kept, undisturbed(kind, settings, arch, dataset)[0])
        assert_same(run(new(kind, settings, arch, dataset)), kept)

    def test_the_two_epochs_differ(self, kind, settings, arch, dataset, undisturbed):
        states = undisturbed(kind, settings, arch, dataset)[1]
        orders = [states[step]["data order"][0] for step in (0, STEPS // EPOCHS)]
        assert not torch.equal(*orders)


class TestAttempts:
    @pytest.mark.parametrize("first", [0, 2, 3])
    def test_two_interruptions_are_as_good_as_none(self, first, tmp_path):
        kind = REGISTRY.find("gates")
        result = run(new(kind))
        for second in (first, first + 1, STEPS):
            folder = tmp_path / str(second)
            folder.mkdir()
            interrupt(new(kind), folder, first)
            interrupt(new(kind), folder, second)
            assert_same(run(new(kind), Keeper(folder)), result, f"after {first} and {second}")

    @pytest.mark.parametrize("moment", range(STEPS))
    def test_steps_after_the_last_checkpoint_are_taken_again(self, moment, tmp_path):
        kind = REGISTRY.find("edgepopup")
        interrupt(new(kind), tmp_path, moment, dies=STEPS)
        assert_same(run(new(kind), Keeper(tmp_path)), run(new(kind)))

    @pytest.mark.parametrize(("moment", "told"), [(4, [4 / STEPS, 5 / STEPS]), (STEPS, [])])
    def test_no_step_is_taken_that_the_checkpoint_holds(self, tmp_path, moment, told):
        kind, fractions = REGISTRY.find("edgepopup"), []
        interrupt(new(kind), tmp_path, moment)
        run(new(kind), Keeper(tmp_path), fractions.append)
        assert fractions == told

    def test_the_time_of_every_attempt_counts(self, tmp_path):
        kind = REGISTRY.find("edgepopup")
        interrupt(new(kind), tmp_path, 3)
        checkpoint = read_checkpoint(tmp_path / CHECKPOINT, IDENTITY)
        checkpoint.state["search"]["seconds"] = dict.fromkeys(("batches", "steps", "validation", "search"), 1e3)
        write_checkpoint(tmp_path / CHECKPOINT, IDENTITY, checkpoint)
        method = new(kind)
        budget = Budget(epochs=EPOCHS, batch_size=32)
        found = search(method, method.network, images("digits"), budget, 7, lambda _: None, Keeper(tmp_path))
        assert all(1e3 < seconds < 1.1e3 for seconds in found.seconds.values())

    @pytest.mark.parametrize("budget", [{"precision": "bf16"}, {"schedule": "constant"}, {"augment": False}])
    def test_every_budget_can_be_interrupted(self, budget, tmp_path):
        kind = REGISTRY.find("gates")
        interrupt(new(kind), tmp_path, 4, **budget)
        assert_same(run(new(kind), Keeper(tmp_path), **budget), run(new(kind), **budget))


class Plugin(Method):
    """Scores with a random walk; what the plug-ins below are derived from."""

    name, version, paper = "plugin", 1, "a test"
    sparsity_control, purity = "none", "frozen"
    Settings = OptimizerSettings

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.scores = nn.Parameter(torch.empty_like(network.weights).normal_(generator=self.generator))
        self.set_up()

    def set_up(self):
        """What a plug-in keeps beside its scores."""

    def drift(self):
        """A number or (N,) that the plug-in's past decides."""
        return 0.0

    def gates(self):
        size = self.scores + self.drift()
        return straight_through(size > 0, size)

    def mask(self):
        return (self.scores + self.drift()).detach() > 0


class Global(Plugin):
    """Draws from torch's, NumPy's and Python's own generators."""

    def set_up(self):
        self.moved = 0.0

    def on_progress(self, _):
        self.moved += 0.3 * float(torch.randn(())) + 0.3 * np.random.normal() + random.gauss(0, 0.3)  # noqa: NPY002

    def drift(self):
        return self.moved


class Counting(Plugin):
    """Keeps a number, a tensor that is no buffer, a list, and a tree of them."""

    def set_up(self):
        self.count = 0
        self.mean = torch.zeros_like(self.network.weights)
        self.history = []
        self.best = {"mask": None, 0: ("none", False)}

    def on_progress(self, fraction):
        self.count += 1
        self.mean = 0.5 * self.mean + 0.5 * self.scores.detach()
        self.history.append(self.count / 10)
        self.best = {"mask": self.mask(), self.count: (str(fraction), fraction > 0.5)}

    def drift(self):
        seen = 0.0 if self.best["mask"] is None else self.best["mask"].float() * len(str(self.best))
        return self.mean * self.count - sum(self.history) + 1e-3 * seen


class Private(Plugin):
    """Keeps a number under a private name."""

    def set_up(self):
        self._count = 0

    def on_progress(self, _):
        self._count += 1

    def drift(self):
        return self._count / 10


class Late(Plugin):
    """Makes a generator of its own only when it needs one."""

    def set_up(self):
        self.noise = None
        self.moved = 0.0

    def on_progress(self, _):
        if self.noise is None:
            self.noise = torch.Generator().manual_seed(11)
        self.moved += float(torch.randn((), generator=self.noise))

    def drift(self):
        return self.moved


class Unregistered(Plugin):
    """Trains a tensor that is no parameter, with an optimiser of its own."""

    def set_up(self):
        self.shift = torch.zeros_like(self.network.weights).requires_grad_()

    def optimizer(self):
        return torch.optim.SGD([self.scores, self.shift], lr=100.0, momentum=0.9)

    def drift(self):
        return self.shift


class Buffered(Plugin):
    """Keeps a buffer that changes, and one that is kept out of the state dictionary."""

    def set_up(self):
        self.register_buffer("seen", torch.zeros_like(self.network.weights))
        self.register_buffer("aside", torch.zeros(()), persistent=False)

    def on_progress(self, _):
        self.seen += self.mask()
        self.aside += 0.2

    def drift(self):
        return 0.1 * self.seen - self.aside


class Remembering(Plugin):
    """Begins with views of its scores and of the frozen weights, in whose place it later puts tensors of its own."""

    def set_up(self):
        self.former = self.scores.detach()
        self.scale = self.network.weights

    def on_progress(self, _):
        self.former = 0.5 * self.former + 0.5 * self.scores.detach() + 0.1
        self.scale = self.scale * 1.5

    def drift(self):
        return 0.3 * self.former + self.scale


class Retyping(Plugin):
    """Puts truth values where numbers were, and a tensor of its own where an expanded one was."""

    def set_up(self):
        self.open = torch.zeros_like(self.network.weights)
        self.level = torch.zeros(1).expand(7)

    def on_progress(self, fraction):
        self.open = self.scores.detach() > fraction
        self.level = self.level + fraction

    def drift(self):
        closed = ~self.open if self.open.dtype == torch.bool else self.open
        return 0.4 * closed - self.level.sum() / 7


PLUGINS = (Global, Counting, Private, Late, Unregistered, Buffered, Remembering, Retyping)


@pytest.mark.parametrize("kind", PLUGINS, ids=lambda kind: kind.__name__.lower())
class TestPlugins:
    def test_goes_on_as_if_nothing_had_happened(self, kind, tmp_path, undisturbed):
        result = undisturbed(kind)[0]
        for moment in range(STEPS + 1):
            folder = tmp_path / str(moment)
            folder.mkdir()
            interrupt(new(kind), folder, moment)
            assert_same(run(new(kind), Keeper(folder)), result, f"stopped before step {moment}")

    def test_its_past_decides_how_it_goes_on(self, kind, undisturbed):
        assert not torch.equal(undisturbed(kind)[0]["mask"], undisturbed(Plugin)[0]["mask"])


class Holding(Plugin):
    """Holds what no file can keep."""

    def set_up(self):
        self.stream = Path("/dev/null").open()  # noqa: SIM115 - it is to stay open
        self.mixed = [1, self.stream]
        self.count = 0

    def on_progress(self, _):
        self.count += 1

    def drift(self):
        return self.count / 10


def test_what_cannot_be_kept_stays_as_the_constructor_made_it(tmp_path):
    result = run(new(Holding))
    first, second = new(Holding), new(Holding)
    assert method_state(first)["attributes"] == {"count": 0}
    interrupt(first, tmp_path, 4)
    stream, mixed = second.stream, second.mixed
    assert_same(run(second, Keeper(tmp_path)), result)
    assert second.stream is stream
    assert second.mixed is mixed
    assert second.count == STEPS + 1  # once more at the end
