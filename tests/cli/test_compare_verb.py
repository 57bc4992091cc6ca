"""`compare`, from the command line."""

import csv
import subprocess

import pytest

from slt_bench import records
from slt_bench.records import Record


@pytest.fixture
def kept(cwd, make_job):
    """A function that writes records of two labels into a results folder, with accuracies that are shifted."""

    def write(name, shift=0.0, version=1):
        for label in ("gates", "edgepopup"):
            for seed in range(4):
                job = make_job(label=label, method=label, seed=seed)
                accuracy = 0.8 + 0.01 * seed + (shift + 0.001 * seed * (shift != 0) if label == "gates" else 0.0)
                folder = cwd / "results" / name / job.folder
                folder.mkdir(parents=True, exist_ok=True)
                record = Record(
                    id=job.id, job=job, status="done", method_version=version, purity="frozen", settings={},
                    metrics={"test_accuracy": accuracy, "sparsity": 0.5},
                )  # fmt: skip
                records.write(folder, record)

    return write


def test_two_folders(end, kept, cwd):
    kept("before")
    kept("after", shift=-0.1)
    code, out, _ = end("compare", "before", "results/after", "--csv", "cells.csv")
    assert code == 1
    assert "Worse beyond noise: gates on lenet300 and digits, sparsity 0.5." in " ".join(out.split())
    rows = {row["label"]: row for row in csv.DictReader((cwd / "cells.csv").open())}
    assert (rows["gates"]["mark"], rows["edgepopup"]["mark"]) == ("worse", "=")
    code, out, _ = end("compare", "after", "before")
    assert code == 0
    assert "better" in out
    assert "Nothing is worse beyond noise." in out


def test_a_label_that_was_changed_between_the_two_is_one(end, kept, cwd):
    kept("before")
    kept("after", shift=-0.1)
    for path in (cwd / "results" / "before").glob("gates-*/record.json"):
        record = records.read_one(path.parent)
        records.write(path.parent, record.model_copy(update={"job": record.job.model_copy(update={"label": "old"})}))
    code, out, _ = end("compare", "before", "after")
    assert code == 1
    assert "Worse beyond noise: gates on lenet300 and digits, sparsity 0.5." in " ".join(out.split())
    assert "Only in" not in out


def test_what_fails_now_is_a_regression(end, kept, cwd):
    kept("before")
    kept("after")
    for path in (cwd / "results" / "after").glob("gates-*/record.json"):
        record = records.read_one(path.parent)
        records.write(path.parent, record.model_copy(update={"status": "failed"}))
    code, out, _ = end("compare", "before", "after")
    assert code == 1
    assert "Worse beyond noise: gates on lenet300 and digits" in " ".join(out.split())


def test_damaged_records_are_told(end, kept, cwd):
    kept("before")
    kept("after")
    next((cwd / "results" / "after").glob("*/record.json")).write_text("{}")
    assert "left out: " in end("compare", "before", "after")[2]


def test_two_methods(end, kept):
    kept("mine", shift=-0.1)
    assert end("compare", "edgepopup", "gates", "--in", "mine")[0] == 1
    assert end("compare", "gates", "edgepopup", "--in", "mine")[0] == 0


def test_worse_than_dense(end, kept, cwd, make_job):
    kept("mine")
    for seed in range(4):
        job = make_job(label="dense", method="dense", sparsity=None, seed=seed)
        metrics = {"test_accuracy": 0.95 + 0.01 * seed, "sparsity": 0.0}
        (cwd / "results" / "mine" / job.folder).mkdir()
        record = Record(
            id=job.id, job=job, status="done", method_version=1, purity="trained", settings={}, metrics=metrics
        )
        records.write(cwd / "results" / "mine" / job.folder, record)
    code, out, _ = end("compare", "dense", "gates", "--in", "mine")
    assert code == 1
    assert "dense keeps every weight; it is compared with every sparsity" in out
    assert "gates against dense on lenet300 and digits, sparsity 0.5" in " ".join(out.split())
    assert end("compare", "gates", "dense", "--in", "mine")[0] == 0


def test_what_cannot_be_paired_is_a_matter_of_usage(end, refused, kept, cwd):
    kept("one")
    kept("two")
    for path in (cwd / "results" / "two").glob("*/record.json"):
        record = records.read_one(path.parent)
        job = record.job.model_copy(update={"sparsity": 0.9})
        path.unlink()
        (path.parent.parent / job.folder).mkdir()
        records.write(path.parent.parent / job.folder, record.model_copy(update={"job": job, "id": job.id}))
    told = refused("compare", "one", "two")
    assert all(word in told for word in ("paired", "sparsity", "0.5", "0.9"))
    for path in (cwd / "results" / "one").glob("*/record.json"):
        record = records.read_one(path.parent)
        records.write(path.parent, record.model_copy(update={"status": "diverged"}))
    code, out, _ = end("compare", "one", "one")
    assert code == 2
    assert "no seed is done on both sides" in out


def test_a_commit(end, kept, cwd):
    kept("mine")
    assert end("merge", "results/mine", "--into", "results/mine")[0] == 0
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=cwd, check=True)
    kept("mine", shift=-0.1)
    for results in ("results", cwd / "results"):
        code, out, _ = end("compare", "HEAD:mine", "mine", "--results", results)
        assert code == 1
        assert "worse" in out


def test_what_cannot_be_compared_is_refused(refused, kept):
    kept("one")
    kept("two", version=2)
    assert "edgepopup on lenet300 and digits has another version of the method on each side: 1, and 2." in refused(
        "compare", "one", "two"
    )
    assert "Unknown benchmark with records 'onw'. Did you mean one" in refused("compare", "onw", "two")
    assert "Unknown label 'gate'. Did you mean gates?" in refused("compare", "gate", "edgepopup", "--in", "one")
    assert "Git has no records at" in refused("compare", "nowhere:one", "one")
