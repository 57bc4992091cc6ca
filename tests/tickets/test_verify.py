"""Tickets that are verified: as their records say, or wrong with a reason."""

import json
import subprocess
import sys

import pytest
import second_decoder
from safetensors import safe_open
from tickets import make_ticket

from slt_bench import records
from slt_bench.execution.worker.run_job import run_job
from slt_bench.jobs.benchmark import Budget
from slt_bench.tickets.ticket import read_ticket, write_ticket
from slt_bench.tickets.verify import score_ticket, verify_ticket
from slt_bench.utils.errors import UserError
from slt_bench.utils.files import add_checksum

METHODS = ("gates", "gates_structured", "edgepopup", "random_mask")


@pytest.fixture(scope="module")
def results(make_job, tmp_path_factory):
    """A folder a method, each with the ticket and the record of a short search at 0.9, and the folder of all."""
    from slt_bench.execution.worker.task_spec import Context

    room = tmp_path_factory.mktemp("results")
    for method in (*METHODS, "dense"):
        folder = room / method
        folder.mkdir()
        job = make_job(method=method, sparsity=None if method == "dense" else 0.9, budget=Budget(epochs=3))
        assert run_job(job, folder, Context(room)).status == "done"
    return room


@pytest.mark.parametrize("method", METHODS)
def test_a_second_decoder_finds_the_mask_of_every_method(results, method):
    path = results / method / records.TICKET
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["ticket"])
        bits = second_decoder.decode(file.get_tensor("mask").numpy().tobytes(), header["layers"])
    assert bits == read_ticket(path).mask.int().tolist()


def test_every_ticket_scores_what_its_record_says_in_a_fresh_process(results):
    command = [sys.executable, "-m", "slt_bench", "ticket", "verify", str(results), "--score"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(METHODS) + 1
    for line in lines:
        assert line.startswith("right ")
        assert line.endswith("% again")


def copy(results, method, folder):
    folder.mkdir()
    for name in (records.TICKET, records.RECORD):
        (folder / name).write_bytes((results / method / name).read_bytes())
    return folder / records.TICKET


def rewrite(path, **changes):
    """The record at `path` with other fields, and a right checksum."""
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(add_checksum(json.dumps(content | changes)) + "\n")


def test_a_ticket_of_another_job_is_told(results, tmp_path):
    path = copy(results, "gates", tmp_path / "job")
    path.write_bytes((results / "edgepopup" / records.TICKET).read_bytes())
    with pytest.raises(UserError, match="its mask and that of the record beside it"):
        verify_ticket(path)


def test_a_record_that_was_made_better_is_told(results, tmp_path):
    path = copy(results, "gates", tmp_path / "job")
    record = records.read_one(path.parent)
    rewrite(path.with_name(records.RECORD), metrics=record.metrics | {"test_accuracy": 0.99})
    assert "as its record says" in verify_ticket(path)
    with pytest.raises(UserError, match=r"it scores 0\.\d+ on the test split, and its record says 0\.99"):
        verify_ticket(path, (results, "cpu"))


@pytest.mark.parametrize("field", ["sparsity", "density"])
def test_other_densities_are_told(results, tmp_path, field):
    path = copy(results, "gates", tmp_path / "job")
    record = records.read_one(path.parent)
    if field == "sparsity":
        rewrite(path.with_name(records.RECORD), metrics=record.metrics | {"sparsity": 0.91})
    else:
        layers = [layer.model_dump(mode="json") | {"density": 0.5} for layer in record.layers]
        rewrite(path.with_name(records.RECORD), layers=layers)
    with pytest.raises(UserError, match="are not the same"):
        verify_ticket(path)


def test_a_ticket_alone_is_verified_by_itself(results, tmp_path):
    path = tmp_path / "alone.slt"
    path.write_bytes((results / "gates" / records.TICKET).read_bytes())
    assert verify_ticket(path) == "lenet300, sparsity 0.9000, purity frozen; no record beside it"
    with pytest.raises(UserError, match="no record beside it"):
        verify_ticket(path, (tmp_path, "cpu"))


def test_a_ticket_of_no_network_is_told(tmp_path):
    write_ticket(tmp_path / "t.slt", make_ticket("lenet300", (1, 8, 8), weight_hash="0" * 64))
    with pytest.raises(UserError, match="not those that the ticket was found in"):
        verify_ticket(tmp_path / "t.slt")


def test_a_score_counts_images(results, tmp_path):
    ticket = read_ticket(results / "edgepopup" / records.TICKET)
    record = records.read_one(results / "edgepopup")
    right, images = score_ticket(ticket, "digits", "test", tmp_path, "cpu")
    assert (right / images, images) == (record.metrics["test_accuracy"], 360)
    right, images = score_ticket(ticket, "digits", "validation", tmp_path, "cpu")
    assert (right / images, images) == (record.metrics["validation_accuracy"], 144)
    assert score_ticket(ticket, "digits", "train", tmp_path, "cpu")[1] == 1293


def test_a_score_on_other_images_is_refused(results, data_root):
    ticket = read_ticket(results / "edgepopup" / records.TICKET)
    with pytest.raises(UserError, match="for 1x8x8 images of 10 classes; mnist has 1x28x28 images"):
        score_ticket(ticket, "mnist", "test", data_root, "cpu")
