"""One job, from its description to its record."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from slt_bench import records
from slt_bench.data.dataset import load as load_data
from slt_bench.execution.worker.run_job import run_job
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import Method
from slt_bench.registry import load_registry
from slt_bench.tickets.evaluate import accuracy
from slt_bench.tickets.ticket import read_ticket


@pytest.fixture
def use(monkeypatch):
    """A function that puts a method into the registry for one test."""

    def put(method):
        registry = load_registry()
        monkeypatch.setitem(registry.methods, method.name, method)

    return put


class Plain(Method):
    """Keeps everything; what the tests below derive their misbehaviour from."""

    name, version, paper = "plain", 1, "a test"
    sparsity_control, purity = "exact", "frozen"

    def gates(self):
        return torch.ones_like(self.network.weights)

    def mask(self):
        return torch.ones_like(self.network.weights, dtype=torch.bool)


def test_the_reported_accuracy_is_that_of_the_ticket_on_disk(make_job, context, tmp_path):
    record = run_job(make_job(sparsity=0.8), tmp_path, context)
    ticket = read_ticket(tmp_path / records.TICKET)
    data = load_data("digits", context.data_root)
    assert record.status == "done"
    assert record.metrics["test_accuracy"] == accuracy(ticket.rebuild(), data.test, data.info)
    assert record.metrics["sparsity"] == ticket.sparsity == pytest.approx(0.8, abs=1e-3)
    assert record.mask_hash == ticket.mask_hash
    assert record.metrics["test_accuracy"] > 0.5
    assert records.read(tmp_path.parent).records[record.id] == record


def test_the_rescale_of_the_authors_reaches_the_ticket_and_the_record(make_job, context, tmp_path):
    record = run_job(make_job(sparsity=0.8, rescale="authors"), tmp_path, context)
    ticket, data = read_ticket(tmp_path / records.TICKET), load_data("digits", context.data_root)
    subnetwork = ticket.rebuild()
    assert (record.status, record.job.rescale, ticket.rescale) == ("done", "authors", "authors:0.8")
    assert torch.allclose(subnetwork.effective, subnetwork.network.weights * ticket.mask / 0.8**0.5, rtol=1e-6)
    assert record.metrics["test_accuracy"] == accuracy(subnetwork, data.test, data.info) > 0.5
    assert records.read(tmp_path.parent).records[record.id] == record


def test_nothing_is_learned_from_shuffled_labels(make_job, context, tmp_path):
    budget = Budget(epochs=6, batch_size=64, labels="shuffled")
    (tmp_path / "told").mkdir()
    truth = budget.model_copy(update={"labels": "true"})
    told = run_job(make_job(sparsity=0.5, budget=truth), tmp_path / "told", context)
    lied = run_job(make_job(sparsity=0.5, budget=budget), tmp_path, context)
    assert told.metrics["test_accuracy"] > 0.5
    assert lied.metrics["test_accuracy"] < 0.3
    assert lied.job.id != told.job.id
    assert lied.job.budget.text() == "6 epochs, batches of 64, labels shuffled"


def test_sanity_checks_and_dead_units_are_recorded(make_job, context, tmp_path):
    record = run_job(make_job(sparsity=0.98), tmp_path, context)
    assert {"shuffled_accuracy", "redrawn_accuracy", "inverted_accuracy"} <= set(record.metrics)
    parts = read_ticket(tmp_path / records.TICKET).mask.split([64 * 300, 300 * 100, 100 * 10])
    dead = [int((part.view(rows, -1).sum(1) == 0).sum()) for part, rows in zip(parts, (300, 100, 10), strict=True)]
    assert [layer.dead_units for layer in record.layers] == dead
    assert sum(dead) > 0


def test_the_record_tells_everything_about_the_run(make_job, context, tmp_path):
    record = run_job(make_job(method="gates", sparsity=0.9), tmp_path, context)
    assert record.settings["sigma"] == 0.5
    assert [row["epoch"] for row in record.curve] == [1.0, 2.0]
    assert record.n == 64 * 300 + 300 * 100 + 100 * 10
    assert sum(record.gate_histogram) == record.n
    assert len(record.gate_histogram) == records.GATE_BINS
    kept = sum(layer.density * torch.Size(layer.shape).numel() for layer in record.layers)
    assert kept == pytest.approx(record.n * record.metrics["density"])
    assert {"search", "evaluation", "total"} <= set(record.seconds)
    assert record.peak_memory_mb > 0
    assert {"torch", "hardware", "commit", "threads", "ended"} <= set(record.provenance)
    gap = record.metrics["relaxed_accuracy"] - record.metrics["validation_accuracy"]
    assert record.metrics["binarisation_gap"] == pytest.approx(gap)
    assert (tmp_path / records.CURVE).read_text().startswith("epoch,loss")


def test_a_job_gives_the_same_result_twice(make_job, context, tmp_path):
    first, second = (tmp_path / name for name in ("first", "second"))
    first.mkdir()
    second.mkdir()
    job = make_job(method="gates", sparsity=0.7)
    a, b = run_job(job, first, context), run_job(job, second, context)
    assert (a.mask_hash, a.metrics, a.curve) == (b.mask_hash, b.metrics, b.curve)
    assert (first / records.TICKET).read_bytes() == (second / records.TICKET).read_bytes()


def test_methods_are_paired_by_seed_on_the_same_weights(make_job, context, tmp_path):
    hashes = {}
    for method in ("edgepopup", "gates", "random_mask"):
        for seed in (0, 1):
            folder = tmp_path / f"{method}{seed}"
            folder.mkdir()
            hashes[method, seed] = run_job(make_job(method=method, seed=seed), folder, context).weight_hash
    assert hashes["edgepopup", 0] == hashes["gates", 0] == hashes["random_mask", 0]
    assert hashes["edgepopup", 0] != hashes["edgepopup", 1]


def test_an_untrained_random_mask_is_near_chance_and_dense_is_not(make_job, context, tmp_path):
    floor = run_job(make_job(method="random_mask"), tmp_path, context)
    assert floor.metrics["test_accuracy"] < 0.3
    assert floor.curve == []
    dense = run_job(make_job(method="dense", sparsity=None, budget=Budget(epochs=6, batch_size=32)), tmp_path, context)
    assert dense.metrics["test_accuracy"] > 0.9
    assert dense.purity == "trained"
    assert dense.metrics.get("shuffled_accuracy") is None


def test_a_layer_without_weights_is_noted(make_job, context, tmp_path, use):
    class Collapsing(Plain):
        """Closes the last layer."""

        name = "collapsing"

        def mask(self):
            mask = super().mask()
            mask[self.network.layers[-1].slice] = False
            return mask

    use(Collapsing)
    record = run_job(make_job(method="collapsing"), tmp_path, context)
    assert record.status == "done"
    assert "no weight is left in 5.weight" in record.flags
    assert record.images == 360
    assert record.chance == 0.125


def test_a_loss_that_is_no_number_is_a_status(make_job, context, tmp_path):
    settings = {"lr": 1e30, "optimizer": "sgd"}
    record = run_job(make_job(method="dense", sparsity=None, settings=settings), tmp_path, context)
    assert record.status == "diverged"
    assert "the loss" in record.reason
    assert "step 2 of 40" in record.reason
    assert record.metrics == {}


class Raising(Plain):
    """Fails."""

    def mask(self):
        raise ValueError("no mask today")


class Peeking(Plain):
    """Looks at the answers."""

    def mask(self):
        load_data("digits", Path("no-data")).test  # noqa: B018
        return super().mask()


class Training(Plain):
    """Trains the weights a little."""

    def on_progress(self, _):
        self.network.weights.mul_(1.001)


class Soft(Plain):
    """Gives numbers where a mask should be."""

    def mask(self):
        return torch.full_like(self.network.weights, 0.5)


class Swapping(Plain):
    """Says frozen, and hands over other weights."""

    def changed_weights(self):
        return 2 * self.network.weights


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Raising, "ValueError: no mask today"),
        (Peeking, "SplitLockedError: the test split of digits was asked for while peeking learns"),
        (Training, "training changed the frozen weights"),
        (Soft, "a mask is bool"),
        (Swapping, "says that it is 'frozen'"),
    ],
)
def test_a_method_that_raises_or_cheats_leaves_a_record_with_the_reason(
    make_job, context, tmp_path, monkeypatch, use, kind, reason
):
    monkeypatch.setattr(kind, "name", kind.__name__.lower(), raising=False)
    use(kind)
    record = run_job(make_job(method=kind.name), tmp_path, context)
    assert record.status == "failed"
    assert reason in record.reason
    assert ("in mask" in record.traceback) == (kind in (Raising, Peeking))
    assert not (tmp_path / records.TICKET).exists()


@pytest.mark.parametrize("method", ["gates", "edgepopup", "random_mask"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.95])
def test_the_counted_sparsity_is_the_asked_one(make_job, context, tmp_path, method, sparsity):
    record = run_job(make_job(method=method, sparsity=sparsity), tmp_path, context)
    assert record.metrics["sparsity"] == pytest.approx(sparsity, abs=1e-3)


def test_smoke_runs_use_few_images_and_say_so(make_job, context, tmp_path):
    record = run_job(make_job(smoke=True, budget=Budget(epochs=1, batch_size=4)), tmp_path, context)
    assert record.status == "done"
    assert record.job.smoke
    assert record.job.folder.startswith("smoke-")


def test_published_gates_take_their_sparsity_from_the_penalty(make_job, context, tmp_path):
    def sparsity(penalty):
        job = make_job(
            method="gates", sparsity=None, settings={"penalty": penalty}, budget=Budget(epochs=10, batch_size=64)
        )
        return run_job(job, tmp_path, context).metrics["sparsity"]

    assert sparsity(1e-3) > sparsity(1e-6) + 0.1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc's allocator")
def test_shares_of_closed_open_and_fractional_gates_are_recorded(make_job, context, tmp_path):
    metrics = run_job(make_job(method="gates", sparsity=0.9), tmp_path, context).metrics
    assert metrics["closed"] + metrics["open"] + metrics["fractional"] == pytest.approx(1)
    assert metrics["closed"] < 0.9 < metrics["closed"] + metrics["fractional"]
    metrics = run_job(make_job(sparsity=0.9), tmp_path, context).metrics
    assert (metrics["closed"], metrics["fractional"]) == (pytest.approx(0.9, abs=1e-3), 0)


def test_freed_memory_is_kept_for_the_next_step():
    code = """
from pathlib import Path
import torch
from slt_bench.utils.machine import keep_freed_memory
def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
def given_back():
    parts = [torch.ones(2_000_000) for _ in range(10)]
    before = held()
    del parts
    return before - held()
before = given_back()
assert keep_freed_memory()
print(before, given_back())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, found.stdout.split())
    assert before > 40_000_000
    assert after < 1_000_000
