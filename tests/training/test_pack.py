"""Searches side by side: each ends as it would alone."""

import logging
import signal

import pytest
import torch

from slt_bench import records
from slt_bench.data import find
from slt_bench.data.dataset import Dataset, noise_split
from slt_bench.data.dataset import load as load_data
from slt_bench.execution.worker.attempt import attempt_all
from slt_bench.execution.worker.log import LOG
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task_spec import SilentListener, TaskSpec
from slt_bench.jobs.benchmark import Budget
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.records.attempts import CHECKPOINT, read_attempts, start_attempt
from slt_bench.registry import VARIABLE, load_registry
from slt_bench.training.loop import search, train
from slt_bench.training.pack import PackedNetworks
from slt_bench.training.search import Search

NEAR = {"rtol": 2e-4, "atol": 2e-4}


@pytest.fixture
def work(tmp_path, context):
    """A function that makes work of jobs, packed or not, in a folder of its own."""

    def make(jobs, pack=1, name="tiny"):
        return TaskSpec(jobs=tuple(jobs), folder=tmp_path / name, context=context, pack=pack)

    return make


def make(name, seed, sparsity=0.8, arch="lenet300", shape=(1, 8, 8), **settings):
    network = FrozenNetwork(arch, shape=shape, classes=10, seed=seed)
    kind = load_registry().find(name)
    return kind(network, kind.settings_class(**settings), sparsity), network


def pack(members, data, budget):
    searches = [Search(method, network, data, budget, network.seed) for method, network in members]
    train(searches)
    return searches


SHAPES = {"lenet300": (1, 8, 8), **dict.fromkeys(("conv2", "resnet20", "vit_tiny", "swin_micro"), (3, 16, 16))}


@pytest.mark.parametrize(("arch", "shape"), SHAPES.items(), ids=SHAPES)
def test_networks_run_together_give_what_each_gives(arch, shape):
    networks = [FrozenNetwork(arch, shape=shape, classes=10, seed=seed).train() for seed in range(3)]
    twins = [FrozenNetwork(arch, shape=shape, classes=10, seed=seed).train() for seed in range(3)]
    images = torch.randn(3, 4, *shape, generator=torch.Generator().manual_seed(0))
    effective = torch.stack([network.weights for network in networks]).requires_grad_()
    alone = [twin.weights.clone().requires_grad_() for twin in twins]
    together = PackedNetworks(networks)(images, effective)
    together.square().sum().backward()
    for place, (twin, weights) in enumerate(zip(twins, alone, strict=True)):
        logits = twin(images[place], weights)
        logits.square().sum().backward()
        assert torch.allclose(together[place], logits, **NEAR)
        scale = float(weights.grad.abs().max())
        assert torch.allclose(effective.grad[place], weights.grad, rtol=1e-3, atol=1e-4 * scale)
        for name, numbers in twin.statistics().items():
            assert torch.allclose(networks[place].statistics()[name], numbers, **NEAR)


@pytest.mark.parametrize("own_loss", [False, True])
def test_methods_sparsities_and_seeds_go_together(own_loss, tmp_path):
    data, budget = load_data("digits", tmp_path), Budget(epochs=2, batch_size=64)
    cells = [("gates", 0, 0.9), ("gates", 1, 0.5), ("edgepopup", 0, 0.9), ("supermask", 2, 0.8), ("dense", 0, None)]
    if own_loss:
        cells.append(("gates_distilled", 1, 0.9))
    alone = [make(*cell) for cell in cells]
    packed = [make(*cell) for cell in cells]
    expected = [search(method, network, data, budget, network.seed) for method, network in alone]
    found = pack(packed, data, budget)
    for one, other, (method, _), (twin, _) in zip(found, expected, packed, alone, strict=True):
        assert one.steps == other.steps
        for row, twin_row in zip(one.curve, other.curve, strict=True):
            assert row == pytest.approx(twin_row, abs=0.02)
        assert float((method.mask() != twin.mask()).float().mean()) < 0.005
        assert 0 < one.seconds["steps"] <= one.seconds["search"]


@pytest.mark.parametrize("name", ["edgepopup", "gates_distilled"])  # the latter runs another network beside its own
def test_normalisation_statistics_are_those_of_each(name, tmp_path):
    info = find("digits")
    data = Dataset(info, noise_split(info, 64, torch.device("cpu")), noise_split(info, 16, torch.device("cpu")), None)
    budget = Budget(epochs=1, batch_size=16)
    alone, packed = ([make(name, seed, arch="wrn10_1") for seed in (0, 1)] for _ in range(2))
    for method, network in alone:
        search(method, network, data, budget, network.seed)
    pack(packed, data, budget)
    for (_, one), (_, other) in zip(packed, alone, strict=True):
        assert one.statistics().keys() == other.statistics().keys()
        for key, numbers in other.statistics().items():
            assert torch.allclose(one.statistics()[key], numbers, rtol=0.02, atol=0.02)


def test_other_architectures_go_beside_them(tmp_path):
    data, budget = load_data("digits", tmp_path), Budget(epochs=1, batch_size=64)
    members = [make("edgepopup", 0), make("edgepopup", 0, arch="conv2"), make("edgepopup", 1)]
    assert [one.steps for one in pack(members, data, budget)] == [20, 20, 20]


def test_jobs_in_a_pack_leave_the_records_of_jobs_alone(make_job, work):
    jobs = [make_job(method=name, seed=seed) for name in ("gates", "edgepopup", "random_mask") for seed in (0, 1)]
    assert attempt_all(jobs, work(jobs, 4, "packed"), SilentListener(), Stopper()) == []
    for job in jobs:
        assert attempt_all([job], work([job], name="alone"), SilentListener(), Stopper()) == []
    packed, alone = (records.read(work([], name=name).folder).records for name in ("packed", "alone"))
    assert packed.keys() == alone.keys() == {job.id for job in jobs}
    for key, one in packed.items():
        other = alone[key]
        assert (one.status, one.weight_hash, one.settings) == (other.status, other.weight_hash, other.settings)
        assert one.metrics["test_accuracy"] == pytest.approx(other.metrics["test_accuracy"], abs=0.02)
        assert one.metrics["sparsity"] == other.metrics["sparsity"]
        assert len(one.curve) == len(other.curve)
        assert (one.provenance["packed"] in (4, 2), other.provenance["packed"]) == (True, 1)
        assert one.seconds["total"] > 0


def test_each_job_has_its_own_log(make_job, work):
    jobs = [make_job(seed=seed) for seed in (0, 1, 2)]
    one = work(jobs, 3)
    attempt_all(jobs, one, SilentListener(), Stopper())
    for job in jobs:
        log = (one.folder / job.folder / LOG).read_text(encoding="utf-8")
        assert log.count("attempt 1 at") == 1
        assert job.folder in log
        assert log.count("epoch 1,") == log.count("epoch 2,") == 1
        assert log.count("attempt 1: done") == 1


FAILS = '''
"""Fails at its third step."""
import torch
from torch import nn
from slt_bench.method import Method, OptimizerSettings, keep_top, straight_through


class Fails(Method):
    """Fails at its third step."""

    name, version, paper = "fails", 1, "a test"
    sparsity_control, purity = "exact", "frozen"
    Settings = OptimizerSettings

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.scores = nn.Parameter(torch.rand_like(network.weights))
        self.draws = 0

    def gates(self):
        self.look("gates")
        return straight_through(self.mask(), self.scores)

    def objective(self, images, logits, labels):
        self.look("objective")
        return super().objective(images, logits, labels)

    def look(self, where):
        self.draws += self.training and where == "WHERE"
        if self.draws == 3:
            raise ValueError("no third step")

    def mask(self):
        return keep_top(self.scores, self.scores.numel() // 2)
'''


@pytest.fixture(params=["gates", "objective"])
def fails(request, tmp_path, monkeypatch):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "fails.py").write_text(FAILS.replace("WHERE", request.param))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "plugins"))


@pytest.mark.usefixtures("fails")
def test_a_job_that_fails_fails_alone(make_job, work, tmp_path):
    jobs = [make_job(seed=0), make_job(method="fails"), make_job(seed=1)]
    one = work(jobs, 3).model_copy(update={"plugins": (tmp_path / "plugins",)})
    assert attempt_all(jobs, one, SilentListener(), Stopper()) == []
    found = records.read(one.folder).records
    assert [found[job.id].status for job in jobs] == ["done", "failed", "done"]
    failed = found[jobs[1].id]
    assert failed.reason == "ValueError: no third step"
    assert 'raise ValueError("no third step")' in failed.traceback


def test_a_job_that_diverges_ends_alone(make_job, work):
    jobs = [make_job(seed=0), make_job(method="dense", sparsity=None, settings={"lr": 1e30})]
    one = work(jobs, 2)
    attempt_all(jobs, one, SilentListener(), Stopper())
    found = records.read(one.folder).records
    assert [found[job.id].status for job in jobs] == ["done", "diverged"]


class StopsAfter(SilentListener):
    """Asks for a stop after some steps, as a signal does."""

    def __init__(self, steps, stopper):
        self.left, self.stopper = steps, stopper

    def progressed(self, job, fraction):  # noqa: ARG002 - as watchers have it
        self.left -= 1
        if self.left == 0:
            self.stopper.requested = signal.SIGTERM


def test_a_pack_that_is_stopped_goes_on_from_every_checkpoint(make_job, work):
    jobs = [make_job(seed=seed, budget=Budget(epochs=3, batch_size=64)) for seed in (0, 1, 2)]
    stopped, whole = work(jobs, 3, "stopped"), work(jobs, 3, "whole")
    stopper = Stopper()
    with pytest.raises(Stopped):
        attempt_all(jobs, stopped, StopsAfter(100, stopper), stopper)
    for job in jobs:
        folder = stopped.folder / job.folder
        assert (folder / CHECKPOINT).exists()
        assert read_attempts(folder)[-1].outcome == "stopped by SIGTERM"
    attempt_all(jobs, stopped, SilentListener(), Stopper())
    attempt_all(jobs, whole, SilentListener(), Stopper())
    found, expected = records.read(stopped.folder).records, records.read(whole.folder).records
    for key, record in found.items():
        assert read_attempts(stopped.folder / record.job.folder)[-1].resumed > 0
        assert (record.mask_hash, record.metrics) == (expected[key].mask_hash, expected[key].metrics)


def test_what_died_without_a_word_goes_alone(make_job, work):
    jobs = [make_job(seed=seed) for seed in (0, 1, 2)]
    one = work(jobs, 3)
    (one.folder / jobs[1].folder).mkdir(parents=True)
    start_attempt(one.folder / jobs[1].folder, "local")
    attempt_all(jobs, one, SilentListener(), Stopper())
    found = records.read(one.folder).records
    assert [found[job.id].provenance["packed"] for job in jobs] == [2, 1, 2]


def test_packs_hold_jobs_of_one_kind(make_job, work):
    jobs = [
        make_job(seed=0), make_job(arch="conv2"), make_job(seed=1), make_job(seed=2), make_job(seed=3, sparsity=0.9),
        make_job(seed=4, budget=Budget(epochs=3, batch_size=64)),
    ]  # fmt: skip
    packed = work(jobs, 3).packs(jobs)
    assert sorted(len(one) for one in packed) == [1, 1, 1, 3]
    assert sorted(job.id for one in packed for job in one) == sorted(job.id for job in jobs)
    assert all(len({(job.arch, job.budget) for job in one}) == 1 for one in packed)
    assert work(jobs).packs(jobs) == [(job,) for job in jobs]


@pytest.fixture(autouse=True)
def _quiet():
    yield
    assert not logging.getLogger("slt_bench.job").handlers, "logs are let go"
