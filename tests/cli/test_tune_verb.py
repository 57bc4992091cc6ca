"""`tune`, as typed."""

import tomllib

import pytest

from slt_bench import records

BENCHMARK = """
archs = "lenet300"
datasets = "digits"
sparsities = [0.5, 0.9]

[budget]
epochs = 1

[tune]
trials = 3
epochs = 2
sparsities = [0.9]

# chosen with care
[methods]
gates = {}  # of the paper
random_mask = {}

[methods.edgepopup]
settings = { momentum = 0.8 }
"""


@pytest.fixture
def mine(cwd):
    """The benchmark's file."""
    file = cwd / "mine.toml"
    file.write_text(BENCHMARK, encoding="utf-8")
    return file


def read_all(cwd):
    return list(records.read(cwd / "results" / "mine-tune").records.values())


def test_winners_are_those_of_the_records_and_stand_in_the_file(end, cwd, mine):
    code, out, err = end("tune", "mine.toml")
    assert code == 0, out + err
    found = read_all(cwd)
    assert len(found) == 6
    assert all(record.job.sparsity == 0.9 and record.metrics["test_accuracy"] is None for record in found)
    written = tomllib.loads(mine.read_text(encoding="utf-8"))["methods"]
    for label in ("gates", "edgepopup"):
        scores = {record.metrics["validation_accuracy"] for record in found if record.job.method == label}
        assert f"{100 * max(scores):.2f}" in out
        tuned = written[label]["tuned"]
        (winner,) = (
            record
            for record in found
            if record.job.method == label
            and record.job.label.endswith("-0") == (not tuned)
            and all(record.settings[name] == value for name, value in tuned.items())
        )
        assert winner.metrics["validation_accuracy"] == max(scores)
    assert written["edgepopup"]["settings"] == {"momentum": 0.8}
    assert "tuned" not in written["random_mask"]
    lines = mine.read_text(encoding="utf-8").splitlines()
    assert lines[: lines.index("[methods]")] == BENCHMARK.splitlines()[: lines.index("[methods]")]
    assert any(line.startswith("gates = { tuned = { lr") and line.endswith("# of the paper") for line in lines)


def test_it_goes_on_where_it_was_and_writes_the_same(end, cwd, mine):
    end("tune", "mine.toml", "--methods", "gates")
    assert len(read_all(cwd)) == 3
    code, out, _ = end("tune", "mine.toml")
    assert code == 0
    assert "3 of 6 jobs to run" in out
    before = mine.read_text(encoding="utf-8")
    assert "0 of 6 jobs to run" in end("tune", "mine.toml")[1]
    assert mine.read_text(encoding="utf-8") == before


def test_with_no_write_the_file_stays(end, mine):
    code, out, _ = end("tune", "mine.toml", "--methods", "gates", "--no-write")
    assert code == 0
    assert "validation accuracy" in out
    assert mine.read_text(encoding="utf-8") == BENCHMARK


def test_what_is_set_by_hand_beats_what_was_tuned(end, cwd, mine):
    mine.write_text(BENCHMARK.replace("gates = {}", "gates = { tuned = { lr = 0.2, sigma_end = 0.1 } }"))
    options = ["--benchmark", "mine.toml", "--methods", "gates", "--no-references", "--sparsities", "0.5"]
    code, out, err = end("run", *options, "--seeds", "0", "--set", "gates.lr=0.05")
    assert code == 0, out + err
    (record,) = records.read(cwd / "results" / "mine").records.values()
    assert (record.settings["lr"], record.settings["sigma_end"]) == (0.05, 0.1)


def test_names_are_checked(end, mine):
    assert "gate" in end("tune", "mine.toml", "--methods", "gate")[2]
    assert "no benchmark file" in end("tune", "other.toml")[2]
