"""A search whose numbers are no longer finite: it ends at once, with where that began."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException

from slt_bench.execution.worker.run_job import run_job
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import Method, OptimizerSettings, keep_top, straight_through
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.training.divergence import FiniteSteps
from slt_bench.utils.errors import NotFiniteError

SCORES = [
    *("edgepopup", "global_edgepopup", "biprop", "iterand", "signed_supermask", "multicoated", "er_edgepopup"),
    "partial_freeze",
]
SETTINGS = {"arch": "mlp20", "budget": Budget(epochs=2, batch_size=64)}  # two epochs of 20 steps
SECOND = "3.weight"  # the last of mlp20's two layers


class Base(Method):
    """Learns nothing, and keeps everything."""

    version, paper = 1, "none"
    sparsity_control, purity = "exact", "frozen"

    def gates(self):
        return torch.ones_like(self.network.weights)

    def mask(self):
        return torch.ones_like(self.network.weights, dtype=torch.bool)


class Scored(Base):
    """Edge-popup in short, with a learning rate that moves little; a subclass spoils its scores."""

    Settings = OptimizerSettings

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.scores = nn.Parameter(torch.rand(network.n, generator=self.generator))

    def gates(self):
        return straight_through(self.mask(), self.scores)

    def mask(self):
        return self.scores.detach() > 0.5


@pytest.fixture
def record_of(make_job, context, tmp_path, monkeypatch):
    """A function that runs a job of a method's class, or of one that is known by its name."""

    def run(kind, **job):
        if isinstance(kind, str):
            return run_job(make_job(method=kind, **(SETTINGS | job)), tmp_path, context)
        registry = load_registry()
        kind.name = "spoilt"
        for module in ("run_job", "measure"):
            monkeypatch.setattr(f"slt_bench.execution.worker.{module}.load_registry", lambda: registry)
        monkeypatch.setitem(registry.methods, "spoilt", kind)
        return run_job(make_job(method="spoilt", **(SETTINGS | job)), tmp_path, context)

    return run


@pytest.mark.parametrize("name", SCORES)
def test_scores_that_overflow_have_diverged_at_once(record_of, name):
    record = record_of(name, sparsity=0.9, settings={"lr": 1e37})
    assert record.status == "diverged"
    parameter = "numbers" if name == "signed_supermask" else "scores"
    assert all(word in record.reason for word in (f"'{parameter}'", "1.weight", "step 2 of 40"))
    assert record.curve == []
    assert record.metrics == {}


class SpoilsALayer(Scored):
    """One score of the last layer becomes NaN in the second epoch, as its 31st step begins."""

    def on_progress(self, fraction):
        if fraction >= 0.75:
            with torch.no_grad():
                self.scores[self.network.layers[-1].start] = math.nan


def test_where_it_began_is_the_parameter_the_layer_and_the_step(record_of):
    record = record_of(SpoilsALayer)
    assert record.status == "diverged"
    assert all(word in record.reason for word in ("'scores'", SECOND, "step 31 of 40"))
    assert "1.weight" not in record.reason
    assert [row["epoch"] for row in record.curve] == [1.0]


class GatesOfNaN(Base):
    def gates(self):
        return torch.full_like(self.network.weights, math.nan)


class WeightsOfInfinity(Base):
    purity = "trained"

    def changed_weights(self):
        return self.network.weights / 0.0


class OutputsBeyondAnyFloat(Base):
    purity = "trained"

    def changed_weights(self):
        return self.network.weights * 1e30


class RanksNaN(Base):
    def mask(self):
        return keep_top(torch.full_like(self.network.weights, math.nan), self.network.n // 2)


class LossesOfNaN(Base):
    def prepare(self, loss, steps):  # noqa: ARG002
        for _ in range(3):
            loss(self.network.weights * math.nan)


class GradientsOfNaN(Base):
    def prepare(self, loss, steps):  # noqa: ARG002
        weights = self.network.weights.clone().requires_grad_()
        (loss(weights) * math.inf).backward()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (GatesOfNaN, "gates"),
        (WeightsOfInfinity, "weights"),
        (OutputsBeyondAnyFloat, "outputs"),
        (RanksNaN, "rank"),
        (LossesOfNaN, "losses before the first step"),
        (GradientsOfNaN, "gradient"),
    ],
)
def test_numbers_that_are_not_finite_are_no_ticket(record_of, tmp_path, kind, words):
    record = record_of(kind, settings={})
    assert (record.status, record.metrics) == ("diverged", {})
    assert words in record.reason
    assert not list(tmp_path.glob("*.slt"))


class SomeLossesOfNaN(Base):
    """As a search among masks has that meets a bad one."""

    def prepare(self, loss, steps):  # noqa: ARG002
        loss(self.network.weights * math.nan)
        loss(self.network.weights)


class Huge(Scored):
    """Scores whose sum overflows, though each is finite."""

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.unused = nn.Parameter(torch.full((10,), 3e38))

    def penalty(self):
        return 0 * self.unused[0]


@pytest.mark.parametrize("kind", [SomeLossesOfNaN, Huge])
def test_what_is_finite_where_it_counts_has_not_diverged(record_of, kind):
    assert record_of(kind).status == "done"


def steps_of(network, every):
    """The steps of a method with one parameter over the network's weights, and the parameter."""
    method = nn.Module()
    method.scores = nn.Parameter(torch.zeros_like(network.weights))
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    return FiniteSteps(method, network, optimizer, 20, every), method.scores


def test_where_reads_are_rare_the_note_tells_the_first_step():
    network = FrozenNetwork("mlp20", shape=(1, 8, 8), classes=10)
    finite, scores = steps_of(network, 5)
    loss = torch.zeros(())
    for step in (1, 2, 3, 4):
        if step == 3:
            with torch.no_grad():
                scores[network.layers[-1].start :] = math.inf
        finite.after(step, loss)
    with pytest.raises(NotFiniteError, match=rf"'scores' \({SECOND}\).* step 3 of 20"):
        finite.after(5, loss)
    finite, _ = steps_of(network, 5)
    finite.after(2, loss * math.nan)
    with pytest.raises(NotFiniteError, match=r"the loss .* step 2 of 20"):
        finite.read()


def test_on_a_gpu_no_step_waits_for_the_device():
    with FakeTensorMode(allow_non_fake_inputs=True):
        weights = torch.zeros(7, device="cuda")
        network = SimpleNamespace(weights=weights, device=weights.device, n=7)
        finite, _ = steps_of(network, None)
        loss = torch.zeros((), device="cuda")
        for step in range(1, finite.every):
            finite.after(step, loss)
        with pytest.raises(DataDependentOutputException):
            finite.after(finite.every, loss)
