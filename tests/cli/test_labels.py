"""A label that was changed in a benchmark's file: its records go on under the new one."""

import csv
import json

import pytest

from slt_bench import records
from slt_bench.jobs.benchmark import load
from slt_bench.jobs.grid import jobs
from slt_bench.records import Record
from slt_bench.registry import load_registry

BENCHMARK = """
title = "Mine"
archs = ["lenet300"]
datasets = ["digits"]
sparsities = [0.5]
seeds = "0-3"
[methods]
edgepopup = {{}}
{label} = {{ method = "gates", settings = {{ lr = 0.02 }} }}
[[claims]]
who = "me"
method = "{label}"
arch = "lenet300"
sparsity = 0.5
accuracy = 0.8
"""


@pytest.fixture
def renamed(cwd):
    """A benchmark whose label "slow" is "slower" now; two of its seeds have been run since."""
    file = cwd / "mine.toml"
    made = {}
    for label in ("slow", "slower"):
        file.write_text(BENCHMARK.format(label=label))
        made[label] = jobs(load(str(file)), load_registry())
    for old, new in zip(made["slow"], made["slower"], strict=True):
        job = old if old.seed < 2 else new
        folder = cwd / "results" / "mine" / job.folder
        folder.mkdir(parents=True)
        kind = load_registry().find(job.method)
        metrics = {"test_accuracy": 0.8 + 0.01 * job.seed - 0.1 * (job.label == "edgepopup"), "sparsity": 0.5}
        record = Record(
            id=job.id,
            job=job,
            status="done",
            method_version=kind.version,
            purity="frozen",
            settings={},
            metrics=metrics,
        )
        records.write(folder, record)
    return file


def rows_of(folder):
    """The rows of a report's tables of accuracies, by label."""
    (path,) = (folder / "tables").glob("accuracy-*.csv")
    return {row["label"]: row for row in csv.DictReader(path.open())}


@pytest.mark.parametrize("command", [("report", "mine.toml"), ("run", "--benchmark", "mine.toml")])
def test_a_report_shows_the_new_label_alone(end, renamed, cwd, command):
    """Also that which `run` draws, which has nothing else to do."""
    assert end(*command)[0] == 0
    rows = rows_of(cwd / "reports" / "mine")
    assert set(rows) == {"edgepopup", "slower"}
    assert rows["slower"]["n"] == "4"
    assert float(rows["slower"]["mean"]) == pytest.approx(0.815)
    assert ",0.815," in (cwd / "reports" / "mine" / "tables" / "claims.csv").read_text()


def test_it_can_be_chosen_by_its_new_name_alone(end, refused, renamed, cwd):
    assert end("report", "mine.toml", "--methods", "slower", "--out", "reports/part")[0] == 0
    assert rows_of(cwd / "reports" / "part")["slower"]["n"] == "4"
    assert "Unknown label 'slow'" in refused("report", "mine.toml", "--methods", "slow")


def test_records_of_definitions_that_are_gone_keep_their_label(end, renamed, cwd):
    renamed.write_text(BENCHMARK.format(label="slower").replace("lr = 0.02", "lr = 0.01"))
    assert end("report", "mine.toml")[0] == 0
    assert set(rows_of(cwd / "reports" / "mine")) == {"edgepopup", "slow", "slower"}


def test_records_stay_as_they_were(end, renamed, cwd):
    assert end("report", "mine.toml")[0] == 0
    written = [json.loads(path.read_text()) for path in (cwd / "results" / "mine").glob("gates-*/record.json")]
    assert sorted(record["job"]["label"] for record in written) == ["slow", "slow", "slower", "slower"]
