"""The results folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slt_bench import records
from slt_bench.jobs.benchmark import Budget, Job
from slt_bench.records import LoadedRecords, Record
from slt_bench.utils.errors import StorageError, UserError
from slt_bench.utils.files import TEMPORARY, add_checksum, atomic_write, remove_checksum


def record_of(job, **changes):
    values = {
        "id": job.id,
        "job": job,
        "status": "done",
        "method_version": 1,
        "purity": "frozen",
        "settings": {"lr": 0.1},
        "metrics": {"test_accuracy": 0.9, "sparsity": 0.5},
        "curve": [{"epoch": 1.0, "loss": 0.5}],
        "mask_hash": "m",
    }
    return Record(**(values | changes))


def put(folder, record):
    (folder / record.job.folder).mkdir(parents=True, exist_ok=True)
    records.write(folder / record.job.folder, record)


@st.composite
def some_records(draw):
    job = Job(
        benchmark=draw(st.text(max_size=8)),
        label=draw(st.text(max_size=12)),
        method=draw(st.sampled_from(["gates", "edgepopup"])),
        settings=draw(
            st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False) | st.text())
        ),
        arch=draw(st.sampled_from(["lenet300", "timm:x/y"])),
        dataset="digits",
        init="uniform:0.1",
        rescale="none",
        sparsity=draw(st.none() | st.floats(0, 0.999)),
        seed=draw(st.integers(0, 10**6)),
        budget=Budget(epochs=draw(st.integers(1, 100))),
    )
    metrics = draw(st.dictionaries(st.text(max_size=9), st.none() | st.floats(0, 1)))
    return record_of(job, metrics=metrics, reason=draw(st.text()))


@given(record=some_records())
def test_a_record_comes_back_as_it_was(record):
    assert Record.model_validate_json(record.model_dump_json()) == record
    assert "/" not in record.job.folder


def test_records_may_go_under_the_names_of_other_jobs_of_the_same_definition(make_job):
    old, new = (make_job(label=label, benchmark=label) for label in ("old", "new"))
    other = make_job(seed=1)
    found = LoadedRecords({job.id: record_of(job) for job in (old, other)}, {"a place": "damaged"})
    named = found.under([new])
    assert named.records == {old.id: record_of(new), other.id: record_of(other)}
    assert named.problems == found.problems
    assert found.records[old.id].job.label == "old"


def test_labels_may_have_changed_places(make_job):
    one, two = make_job(label="one", seed=1), make_job(label="two", seed=2)
    found = LoadedRecords({job.id: record_of(job) for job in (one, two)})
    named = found.under([one.model_copy(update={"label": "two"}), two.model_copy(update={"label": "one"})])
    assert {record.job.seed: record.job.label for record in named.records.values()} == {1: "two", 2: "one"}


def test_a_folder_and_lines_are_read_alike(tmp_path, make_job):
    jobs = [make_job(seed=seed) for seed in range(3)]
    for job in jobs:
        put(tmp_path / "a", record_of(job))
    merged = records.merge([tmp_path / "a"], tmp_path / "b")
    assert len(merged.added) == 3
    assert records.read(tmp_path / "a").records == records.read(tmp_path / "b").records


def test_a_job_folder_wins_over_the_lines(tmp_path, make_job):
    old = record_of(make_job())
    put(tmp_path / "a", old)
    records.merge([tmp_path / "a"], tmp_path / "a")
    put(tmp_path / "a", record_of(make_job(), metrics={"test_accuracy": 0.1}))
    assert records.read(tmp_path / "a").records[old.id].metrics["test_accuracy"] == 0.1


def resealed(text, old, new):
    """A record in which somebody changed something, and made the checksum right again."""
    return add_checksum(remove_checksum(text).replace(old, new))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "cut off"),
        (lambda text: text[:-20], "checksum is wrong"),
        (lambda text: text.replace("0.9", "0.8"), "checksum is wrong"),
        (remove_checksum, "no checksum"),
        (lambda text: resealed(text, '"schema_version": 1', '"schema_version": 9'), "schema_version"),
        (lambda text: resealed(text, '"status": "done"', '"status": "splendid"'), "status"),
        (lambda text: resealed(text, '"seed": 0', '"seed": 1'), "its id"),
        (lambda text: resealed(text, "0.9", "NaN"), "not finite"),
        (lambda text: resealed(text, '"purity": "frozen",', ""), "purity"),
        (lambda _: "", "cut off"),
    ],
)
def test_what_is_not_whole_is_told_and_not_counted(tmp_path, make_job, damage, reason):
    good, bad = record_of(make_job(seed=5)), record_of(make_job())
    put(tmp_path, good)
    put(tmp_path, bad)
    path = tmp_path / bad.job.folder / records.RECORD
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    found = records.read(tmp_path)
    assert set(found.records) == {good.id}
    assert reason in found.problems[str(path)]


def test_merge_keeps_what_is_there_and_tells_what_differs(tmp_path, make_job):
    same, other = make_job(seed=1), make_job(seed=2)
    put(tmp_path / "a", record_of(same))
    put(tmp_path / "a", record_of(other))
    records.merge([tmp_path / "a"], tmp_path / "kept")
    put(tmp_path / "b", record_of(same, seconds={"total": 99.0}))
    put(tmp_path / "b", record_of(other, mask_hash="another"))
    put(tmp_path / "b", record_of(make_job(seed=3)))
    put(tmp_path / "b", record_of(make_job(seed=4, smoke=True)))
    merged = records.merge([tmp_path / "b"], tmp_path / "kept")
    assert (merged.same, merged.conflicts) == ([same.id], [other.id])
    assert len(merged.added) == 1
    kept = records.read(tmp_path / "kept").records
    assert len(kept) == 3
    assert kept[other.id].mask_hash == "m"
    assert not any(record.job.smoke for record in kept.values())


LAYER = {"name": "1.weight", "shape": (4, 25), "density": 0.5}


@pytest.mark.parametrize(
    "more",
    [
        {"gate_histogram": [3, *[0] * (records.GATE_BINS - 2), 5]},
        {"metrics": {"test_accuracy": 0.9, "inverted_accuracy": 0.1}},
        {"layers": [records.LayerDensity(**LAYER, dead_units=1)]},
    ],
    ids=lambda more: next(iter(more)),
)
def test_merge_takes_a_record_of_the_same_outcome_that_tells_more(tmp_path, make_job, more):
    record = record_of(make_job(), metrics={"test_accuracy": 0.9}, layers=[LAYER])
    telling = record.model_copy(update=more)
    for name, one in (("plain", record), ("telling", telling)):
        put(tmp_path / name, one)
    assert records.merge([tmp_path / "plain"], tmp_path / "kept").added == [record.id]
    assert records.merge([tmp_path / "telling"], tmp_path / "kept").replaced == [record.id]
    assert records.merge([tmp_path / "plain"], tmp_path / "kept").same == [record.id]
    assert records.read(tmp_path / "kept").records[record.id] == telling


def test_merge_does_not_give_one_measurement_for_another(tmp_path, make_job):
    first = record_of(make_job(), metrics={"test_accuracy": 0.9, "inverted_accuracy": 0.1})
    second = first.model_copy(update={"metrics": {"test_accuracy": 0.9}, "gate_histogram": [1] * records.GATE_BINS})
    for name, one in (("first", first), ("second", second)):
        put(tmp_path / name, one)
    records.merge([tmp_path / "first"], tmp_path / "kept")
    assert records.merge([tmp_path / "second"], tmp_path / "kept").same == [first.id]


def test_merge_refuses_a_folder_without_records(tmp_path):
    with pytest.raises(UserError, match="no records"):
        records.merge([tmp_path / "nothing"], tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_merge_leaves_a_damaged_file_of_lines_alone(tmp_path, make_job):
    put(tmp_path / "a", record_of(make_job()))
    (tmp_path / "kept").mkdir()
    lines = tmp_path / "kept" / records.LINES
    lines.write_text("{broken\n")
    with pytest.raises(UserError, match="cannot be read"):
        records.merge([tmp_path / "a"], tmp_path / "kept")
    assert lines.read_text() == "{broken\n"


def test_nothing_half_written_is_ever_at_the_name(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(StorageError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert not list(tmp_path.glob(f"{TEMPORARY}*"))


def test_curves_are_csv(make_job):
    text = records.curve_csv(record_of(make_job()).curve)
    assert text == "epoch,loss\n1.0,0.5\n"


def test_merge_lets_a_failure_and_an_older_version_give_way(tmp_path, make_job):
    failed, old = make_job(seed=1), make_job(seed=2)
    put(tmp_path / "a", record_of(failed, status="failed"))
    put(tmp_path / "a", record_of(old, mask_hash="old"))
    records.merge([tmp_path / "a"], tmp_path / "kept")
    put(tmp_path / "b", record_of(failed))
    put(tmp_path / "b", record_of(old, mask_hash="new", method_version=2))
    assert sorted(records.merge([tmp_path / "b"], tmp_path / "kept").replaced) == sorted([failed.id, old.id])
    kept = records.read(tmp_path / "kept").records
    assert (kept[failed.id].status, kept[old.id].mask_hash) == ("done", "new")
    assert len(records.merge([tmp_path / "a"], tmp_path / "kept").conflicts) == 2
