"""Records that a rerun replaces: set aside, never lost, put back where nothing takes their place."""

import json

import pytest

from slt_bench import records
from slt_bench.records import LINES, Record, runs
from slt_bench.records.lock import CLAIM, lock_job
from slt_bench.records.superseded import put_back, set_aside, superseded, superseding


@pytest.fixture
def job(make_job):
    return make_job()


@pytest.fixture
def place(job, tmp_path):
    folder = tmp_path / job.folder
    folder.mkdir()
    return folder


@pytest.fixture
def write(job, place):
    """A function that writes a record of the job that took so many seconds, and gives it back."""

    def write(seconds):
        values = {"status": "done", "method_version": 1, "purity": "frozen", "settings": {}}
        records.write(place, Record(id=job.id, job=job, seconds={"total": seconds}, **values))
        return records.read_one(place)

    return write


def files(folder):
    return sorted(path.name for path in folder.glob("record*"))


def test_records_are_kept_under_a_number_each(place, write):
    texts = []
    for number in range(11):
        judged = write(number)
        texts.append((place / records.RECORD).read_text())
        set_aside(place, judged)
    assert [path.read_text() for path in superseded(place)] == texts
    assert not (place / records.RECORD).exists()
    put_back(place)
    assert (place / records.RECORD).read_text() == texts[-1]
    assert len(superseded(place)) == 10


def test_no_record_that_was_set_aside_is_overwritten(place, write):
    for number in range(3):
        set_aside(place, write(number))
    (place / "record.superseded-1.json").unlink()
    set_aside(place, write(3))
    assert files(place) == [f"record.superseded-{number}.json" for number in (2, 3, 4)]


def test_of_two_reruns_at_once_the_slower_one_leaves_the_new_record_alone(place, write):
    judged = write(1)
    set_aside(place, judged)
    new = write(2)
    set_aside(place, judged)  # by a command that looked before
    assert records.read_one(place) == new
    assert len(superseded(place)) == 1


def test_a_record_of_a_job_that_somebody_is_at_is_left_alone(place, write):
    judged = write(1)
    with lock_job(place):
        claim = json.loads((place / CLAIM).read_text())
        (place / CLAIM).write_text(json.dumps(claim | {"host": "another-host"}))
        set_aside(place, judged)
        assert files(place) == [records.RECORD]
        (place / records.RECORD).rename(place / "record.superseded-1.json")
        put_back(place)
        assert files(place) == ["record.superseded-1.json"]


def test_a_damaged_record_is_set_aside_too(place, write):
    write(1)
    (place / records.RECORD).write_text("half a rec")
    set_aside(place, None)
    assert files(place) == ["record.superseded-1.json"]


def test_a_record_that_was_set_aside_does_not_count_though_git_keeps_its_line(place, write, job, tmp_path):
    judged = write(1)
    records.merge([tmp_path], tmp_path)
    assert (tmp_path / LINES).exists()
    set_aside(place, judged)
    assert records.read(tmp_path).records == {}
    new = write(2)
    assert records.read(tmp_path).records == {job.id: new}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_whatever_ends_a_rerun_the_old_record_is_put_back_without_a_new_one(place, write, job, tmp_path, error):
    old = write(1)

    def rerun():
        with superseding(tmp_path, [job], records.read(tmp_path)) as again:
            assert again
            assert files(place) == ["record.superseded-1.json"]
            raise error

    with pytest.raises(error):
        rerun()
    assert files(place) == [records.RECORD]
    assert records.read_one(place) == old


def test_a_new_record_stays(place, write, job, tmp_path):
    write(1)
    with superseding(tmp_path, [job], records.read(tmp_path)):
        new = write(2)
    assert records.read_one(place) == new
    assert len(superseded(place)) == 1


def test_what_a_run_is_still_to_make_stays_aside(place, write, job, tmp_path):
    """As after `run --rerun all --executor slurm --no-wait`."""
    write(1)
    with superseding(tmp_path, [job], records.read(tmp_path)):
        runs.begin(tmp_path, "slurm", [job], [[job]])
    assert files(place) == ["record.superseded-1.json"]


def test_there_is_nothing_to_replace_where_no_job_has_a_record(job, tmp_path):
    with superseding(tmp_path, [job], records.read(tmp_path)) as again:
        assert not again
    assert list(tmp_path.iterdir()) == []
