"""Every method on every family of networks under CUDA's rules: no two devices in an operation, no wait in a step."""

import signal

import pytest
import torch
from families import FAMILIES, FEW, REGISTRY, make, network, noise
from rehearsal import DeviceMixError, HostWaitError, rehearsal

from slt_bench.data.pipeline import normalise
from slt_bench.execution.worker.run_job import run_job
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task_spec import Context
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import Method
from slt_bench.profiling.subject import ProfiledMethod, ProfileOptions
from slt_bench.tickets.evaluate import accuracy, measure_statistics
from slt_bench.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from slt_bench.training.loop import search, train
from slt_bench.training.search import CheckpointWriter, Search

METHODS = sorted(REGISTRY.methods)
STEPS = 4
VARIANTS = {
    "gates": [{"reach": "pi"}, {"reach": "lagrangian"}, {"penalty": 0.01}, {"leak": 0.5}, {"optimizer": "sgd"}],
    "gates_structured": [{"reach": "pi"}, {"penalty": 0.01}],
    "edgepopup": [{"scope": "global"}, {"optimizer": "adam"}],
    "biprop": [{"scope": "global"}],
    "dense_magnitude": [{"scope": "global"}, {"retrain": False}],
    "signed_supermask": [{"threshold": 0.4}],
    "random_mask": [{"layers": "erk"}],
    **{name: [{"penalty": 0.01}] for name in ("supermask", "aslp", "hard_concrete", "continuous_sparsification")},
}


@pytest.fixture
def device():
    with rehearsal() as device:
        yield device


class InterruptedHere(Exception):  # noqa: N818 - as `Stopped`
    """Ends an attempt."""


class Attempts(CheckpointWriter):
    """Keeps a checkpoint of the middle of a search, and ends its first attempt there."""

    def __init__(self, path, device):
        self.path, self.device, self.found = path, device, None

    def find(self):
        self.device.strict = False
        self.found = read_checkpoint(self.path, {})
        return self.found

    def discard(self):
        """What cannot be loaded raises, too."""

    def between_steps(self, take):
        self.device.strict = False  # what is done between steps may wait
        state: Checkpoint = take()
        if state.fraction == 0.5 and not self.found:
            write_checkpoint(self.path, {}, state)
            raise InterruptedHere

    def after_search(self, take):
        take()

    def on_step(self, fraction):
        """From here to the next step nothing may wait, but for the last one, with which the epoch ends."""
        self.device.strict = fraction < 1 - 1 / STEPS


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of attention on processors, which a GPU batches
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", METHODS)
def test_searches_evaluates_and_resumes(name, family, device, tmp_path):
    """In float32 to the middle; from a checkpoint on in bf16, and two networks at a time."""
    data = noise(family)
    networks = [network(family, "cuda", seed) for seed in (0, 1)]
    normalise(data.train.images, data.info)  # sends the means and deviations, once a process
    batch = len(data.train) // STEPS
    attempts = Attempts(tmp_path / "checkpoint", device)
    method = make(name, networks[0])
    try:
        search(method, networks[0], data, Budget(epochs=1, batch_size=batch), 0, attempts.on_step, attempts)
    except InterruptedHere:
        again = Budget(epochs=1, batch_size=batch, precision="bf16")
        keepers = [Attempts(tmp_path / "checkpoint", device) for _ in networks]
        methods = [make(name, network) for network in networks]
        both = zip(methods, networks, keepers, strict=True)
        train([Search(one, own, data, again, 0, keeper.on_step, keeper) for one, own, keeper in both])
        method = methods[0]
    method.eval()
    mask, weights, gates = method.mask(), method.changed_weights(), method.gates()
    assert mask.is_cuda
    assert gates.is_cuda
    assert weights is None or weights.is_cuda
    with torch.no_grad():
        measure_statistics(networks[0], method.effective(), data.train, data.info)
        effective = networks[0].effective(mask.float(), weights)
        measure_statistics(networks[0], effective, data.train, data.info)
        assert 0 <= accuracy(lambda images: networks[0](images, effective), data.validation, data.info) <= 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, FEW.get(name, {})) for name in METHODS), *((n, one) for n, found in VARIANTS.items() for one in found)],
    ids=str,
)
def test_a_whole_job_runs_and_goes_on_after_a_stop(name, settings, device, make_job, tmp_path):
    control = REGISTRY.find(name).control(REGISTRY.find(name).settings_class(**settings))
    budget = Budget(epochs=1, batch_size=2, precision="bf16" if len(settings) else "float32")
    job = make_job(
        method=name, settings=settings, arch="mlp16_16", sparsity=None if control == "none" else 0.6, budget=budget,
        smoke=True,
    )  # fmt: skip
    stopper = Stopper()
    place, context = tmp_path / "job", Context(tmp_path, "cuda")
    place.mkdir()

    def on_step(fraction):
        device.strict = fraction == 0.5
        if fraction == 0.25:
            stopper.requested = signal.SIGTERM

    try:
        record = run_job(job, place, context, on_step, stopper)
    except Stopped:
        record = run_job(job, place, context, on_step)
    assert record.status == "done", record.traceback
    assert record.provenance["device"] == "cuda"


@pytest.mark.parametrize("name", METHODS)
def test_gives_what_the_processor_gives(name):
    """The branches for CUDA, by their numbers: masks of many equal scores, relaxed gates, effective weights."""

    def answers(device):
        own = network("ResNet", device)
        method = make(name, own).eval()
        with torch.no_grad():
            for parameter in method.parameters():
                parameter.clamp_(-0.02, 0.51)
            for fraction in (0.0, 0.3):
                method.on_progress(fraction)
            return method.mask(), method.gates(), method.effective(), method.changed_weights()

    with rehearsal():
        there = answers("cuda")
    here = answers("cpu")
    assert torch.equal(there[0], here[0])
    for one, other in zip(there[1:], here[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=1e-7)


def test_biprop_scales_a_layer_that_keeps_nothing_as_on_the_processor():
    def weights(device):
        own = network("ResNet", device)
        method = make("biprop", own, sparsity=0.6, scope="global")
        with torch.no_grad():
            method.scores[own.layers[1].slice] = 0
        return method.mask()[own.layers[1].slice], method.changed_weights()

    with rehearsal():
        there = weights("cuda")
    here = weights("cpu")
    assert not here[0].any()
    assert not there[0].any()
    torch.testing.assert_close(there[1], here[1], rtol=2e-6, atol=0)


def test_a_profiled_step_waits_for_nothing(device):
    subject = ProfiledMethod.build("edgepopup", "lenet300", ProfileOptions(batch_size=2, device="cuda"))
    subject.step(0.0)
    with device.no_waiting():
        subject.step(0.5)


class Waits(Method):
    """Looks at a number in every step, and mixes devices in another."""

    name, version, paper = "waits", 1, "a test"
    sparsity_control, purity = "exact", "frozen"

    def gates(self):
        return self.network.weights * float(self.network.weights.sum())

    def mask(self):
        return self.network.weights > torch.zeros(self.network.n)


def test_what_waits_or_mixes_is_seen(device):
    method = Waits(network("ResNet", "cuda"), Method.settings_class(), 0.5)
    with device.no_waiting(), pytest.raises(HostWaitError):
        method.gates()
    with pytest.raises(DeviceMixError):
        method.mask()
