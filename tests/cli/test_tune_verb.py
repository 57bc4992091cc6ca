"""`tune`, as typed."""

import tomllib

import pytest

from slt_bench import records
from slt_bench.registry import load_registry

BENCHMARK = """
archs = "lenet300"
datasets = "digits"
sparsities = [0.5, 0.9]

[budget]
epochs = 1

[tune]
trials = 3
finalists = 0
epochs = 2
sparsities = [0.9]

# chosen with care
[methods]
gates = {}  # of the paper
random_mask = {}

[methods.edgepopup]
settings = { momentum = 0.8 }

# the ceiling
[methods.dense]
"""


TUNED = "gates = { tuned = [{ sparsity = 0.9, settings = { lr = 0.2, sigma_end = 0.1 } }] }"


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
    assert len(found) == 9
    assert all(record.metrics["test_accuracy"] is None for record in found)
    assert {(record.job.method, record.job.sparsity) for record in found} == {
        ("gates", 0.9),
        ("edgepopup", 0.9),
        ("dense", None),
    }
    written = tomllib.loads(mine.read_text(encoding="utf-8"))["methods"]
    for label in ("gates", "edgepopup"):
        scores = {record.accuracy for record in found if record.job.method == label}
        assert f"{100 * max(scores):.2f}" in out
        (tuned,) = written[label]["tuned"]
        assert tuned["sparsity"] == 0.9
        (winner,) = (
            record
            for record in found
            if record.job.method == label
            and record.job.label.endswith("-0") == (not tuned["settings"])
            and all(record.settings[name] == value for name, value in tuned["settings"].items())
        )
        assert winner.accuracy == max(scores)
    assert written["edgepopup"]["settings"] == {"momentum": 0.8}
    assert "tuned" not in written["random_mask"]
    lines = mine.read_text(encoding="utf-8").splitlines()
    assert lines[: lines.index("[methods]")] == BENCHMARK.splitlines()[: lines.index("[methods]")]
    assert "gates = { tuned = [" in lines
    assert "] }  # of the paper" in lines
    assert lines[lines.index("# the ceiling") - 2 :][:4] == ["]", "", "# the ceiling", "[methods.dense]"]
    assert "sparsity" not in written["dense"]["tuned"][0]
    assert end("plan", "--benchmark", "mine.toml")[0] == 0


def test_the_best_few_are_tried_with_more_seeds_and_the_best_mean_wins(end, cwd, mine):
    mine.write_text(BENCHMARK.replace("finalists = 0", 'methods = "gates"\nfinalists = 2\nfinal_seeds = [7, 8]'))
    code, out, err = end("tune", "mine.toml")
    assert code == 0, out + err
    found = read_all(cwd)
    seeds = {}
    for record in found:
        seeds.setdefault(record.job.label, {})[record.job.seed] = record.accuracy
    assert sorted(map(len, seeds.values())) == [1, 3, 3]
    first = {label: by_seed[1000] for label, by_seed in seeds.items()}
    finalists = {label: by_seed for label, by_seed in seeds.items() if set(by_seed) == {1000, 7, 8}}
    assert min(first[label] for label in finalists) >= min(first.values())
    means = {label: sum(by_seed.values()) / 3 for label, by_seed in finalists.items()}
    assert f"{100 * max(means.values()):.2f}" in out
    assert end("tune", "mine.toml", "--dry-run")[1].count("0 to run") == 1
    assert len(read_all(cwd)) == len(found)  # nothing is run twice


def test_it_goes_on_where_it_was_and_writes_the_same(end, cwd, mine):
    end("tune", "mine.toml", "--methods", "gates")
    assert len(read_all(cwd)) == 3
    code, out, _ = end("tune", "mine.toml")
    assert code == 0
    assert "6 of 9 jobs to run" in out
    before = mine.read_text(encoding="utf-8")
    assert "0 of 9 jobs to run" in end("tune", "mine.toml")[1]
    assert mine.read_text(encoding="utf-8") == before


def test_a_trial_with_other_defaults_is_run_again(end, cwd, mine):
    end("tune", "mine.toml", "--methods", "gates")
    (place,) = (path.parent for path in cwd.glob("results/mine-tune/*/record.json") if "gates-0" in path.read_text())
    record = records.read_one(place)
    older = {"settings": record.settings | {"lr": 123.0}, "provenance": record.provenance | {"method_code": "older"}}
    records.write(place, record.model_copy(update=older))
    assert "1 of 3 jobs to run" in end("tune", "mine.toml", "--methods", "gates")[1]
    assert records.read_one(place).settings == record.settings


TWINS = """
archs = "lenet300"
datasets = "digits"
sparsities = [0.5]
[budget]
epochs = 1
[tune]
trials = 3
finalists = 0
[methods]
edgepopup = {}
"no decay" = { method = "edgepopup", settings = { weight_decay = 0.0 } }
"""


def test_labels_share_the_trials_that_are_the_same(end, cwd, mine):
    mine.write_text(TWINS, encoding="utf-8")
    searched = load_registry().find("edgepopup").settings_class.search_ranges()
    assert "weight_decay" in searched, "the trials override what tells the labels apart"
    code, out, err = end("tune", "mine.toml")
    assert code == 0, out + err
    found = {record.id: record for record in read_all(cwd)}
    assert len(found) == 4, "two untuned ones, two points that both labels try"
    untuned = {record.job.label: record for record in found.values() if record.job.label.endswith("-0")}
    assert set(untuned) == {"edgepopup-0", "no decay-0"}
    shared = max(record.accuracy for record in found.values() if not record.job.label.endswith("-0"))
    for label in ("edgepopup", "no decay"):
        (line,) = (line for line in out.splitlines() if line.strip().startswith(f"{label} "))
        assert f"{100 * max(shared, untuned[f'{label}-0'].accuracy):.2f}" in line
    assert set(tomllib.loads(mine.read_text(encoding="utf-8"))["methods"]["no decay"]) == {
        "method",
        "settings",
        "tuned",
    }


def test_labels_that_end_as_the_same_method_are_told(end, mine):
    mine.write_text(TWINS.replace(", settings = { weight_decay = 0.0 }", ""), encoding="utf-8")
    code, out, err = end("tune", "mine.toml")
    assert code == 0, out + err
    assert "3 of 3 jobs to run" in out
    assert "`run` will refuse" in err
    assert "'edgepopup' and 'no decay'" in err
    assert end("plan", "--benchmark", "mine.toml")[0] == 2


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_a_file_keeps_its_line_ends_and_its_mark(end, mine, line_end, mark):
    mine.write_bytes((mark + BENCHMARK.replace("\n", line_end)).encode())
    code, out, err = end("tune", "mine.toml", "--methods", "gates,edgepopup")
    assert code == 0, out + err
    text = mine.read_bytes().decode()
    assert text.count("\ufeff") == len(mark)
    assert text.startswith(mark + line_end)
    assert text.count("tuned") == 2
    assert text.count("\n") == text.count(line_end) > BENCHMARK.count("\n")
    before = mine.read_bytes()
    end("tune", "mine.toml", "--methods", "gates,edgepopup")
    assert mine.read_bytes() == before


def test_with_no_write_the_file_stays(end, mine):
    code, out, _ = end("tune", "mine.toml", "--methods", "gates", "--no-write")
    assert code == 0
    assert "validation accuracy" in out
    assert mine.read_text(encoding="utf-8") == BENCHMARK


def test_what_is_set_by_hand_beats_what_was_tuned(end, cwd, mine):
    mine.write_text(BENCHMARK.replace("gates = {}", TUNED))
    options = ["--benchmark", "mine.toml", "--methods", "gates", "--no-references", "--sparsities", "0.5"]
    code, out, err = end("run", *options, "--seeds", "0", "--set", "gates.lr=0.05", "--no-report")
    assert code == 0, out + err
    (record,) = records.read(cwd / "results" / "mine").records.values()
    assert (record.settings["lr"], record.settings["sigma_end"]) == (0.05, 0.1)


def test_a_dry_run_shows_the_trials_and_runs_none(end, cwd, mine):
    code, out, _ = end("tune", "mine.toml", "--dry-run")
    assert code == 0
    assert "9 jobs, 9 to run" in out
    assert "edgepopup-2" in out
    assert not (cwd / "results").exists()
    assert mine.read_text(encoding="utf-8") == BENCHMARK


def test_the_file_may_choose_the_labels(end, mine):
    mine.write_text(BENCHMARK.replace("trials = 3", 'trials = 3\nmethods = ["edge*"]'), encoding="utf-8")
    assert "3 jobs, 3 to run" in end("tune", "mine.toml", "--dry-run")[1]
    assert "9 jobs, 9 to run" in end("tune", "mine.toml", "--dry-run", "--methods", "*")[1]


def test_names_are_checked(end, mine):
    assert "gate" in end("tune", "mine.toml", "--methods", "gate")[2]
    assert "no benchmark file" in end("tune", "other.toml")[2]
