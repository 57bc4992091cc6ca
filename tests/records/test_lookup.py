"""The jobs that a results folder knows of, and finding one of them."""

from itertools import count

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from slt_bench import records
from slt_bench.records import JOB, LINES, Record
from slt_bench.records.lookup import find_job, folders, known_jobs
from slt_bench.records.runs import begin
from slt_bench.utils.errors import UserError
from slt_bench.utils.files import add_checksum


def record_of(job):
    return Record(id=job.id, job=job, status="done", method_version=1, purity="frozen", settings={})


def put_folder(folder, job):
    """What a job that was begun leaves."""
    place = folder / job.folder
    place.mkdir(parents=True)
    (place / JOB).write_text(job.model_dump_json())
    return place


def put_record(folder, job):
    place = put_folder(folder, job)
    records.write(place, record_of(job))
    return place


def put_line(folder, job):
    """A record as git keeps it, without a folder of the job."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LINES).open("a") as file:
        file.write(add_checksum(record_of(job).model_dump_json()) + "\n")


def known(folder):
    return known_jobs(folder, records.read(folder))


def test_a_benchmarks_folder_has_runs_or_records_or_jobs(tmp_path, make_job):
    begin(tmp_path / "asked", "local", [make_job()], [])
    put_line(tmp_path / "kept", make_job())
    put_folder(tmp_path / "begun", make_job())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").mkdir()
    (tmp_path / "file").write_text("no folder")
    assert folders(tmp_path) == {name: tmp_path / name for name in ("asked", "begun", "kept")}
    assert list(folders(tmp_path)) == ["asked", "begun", "kept"]


def test_a_folder_of_results_that_is_none_has_no_benchmarks(tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert folders(tmp_path / "nothing") == {}
    assert folders(tmp_path / "file") == {}


def test_jobs_are_known_from_runs_records_lines_and_their_folders(tmp_path, make_job):
    asked, recorded, kept, begun = (make_job(seed=seed) for seed in range(4))
    begin(tmp_path, "local", [asked], [])
    put_record(tmp_path, recorded)
    put_line(tmp_path, kept)
    put_folder(tmp_path, begun)
    found = known(tmp_path)
    assert found[0] == asked
    assert sorted(job.seed for job in found) == [0, 1, 2, 3]


def test_jobs_of_a_run_stand_in_its_order_and_once(tmp_path, make_job):
    jobs = [make_job(seed=seed) for seed in (5, 1, 3)]
    begin(tmp_path, "local", jobs, [])
    for job in jobs:
        put_record(tmp_path, job)
        put_line(tmp_path, job)
    assert known(tmp_path) == jobs


def test_a_job_folder_that_lies_or_is_damaged_is_none(tmp_path, make_job):
    place = put_folder(tmp_path, make_job(seed=0))
    place.rename(tmp_path / "another-name")
    (put_folder(tmp_path, make_job(seed=1)) / JOB).write_text("{")
    (put_folder(tmp_path, make_job(seed=2)) / JOB).write_bytes(b"\xff")
    assert known(tmp_path) == []


def test_nothing_is_known_of_an_empty_folder(tmp_path):
    assert known(tmp_path / "nothing") == []


@pytest.fixture
def results(tmp_path, make_job):
    """Two benchmarks: one with three begun jobs, the other with two that only a record or a run tells of."""
    for seed in range(3):
        put_folder(tmp_path / "first", make_job(seed=seed))
    put_line(tmp_path / "second", make_job(seed=3))
    begin(tmp_path / "second", "local", [make_job(seed=4)], [])
    return tmp_path


@pytest.mark.parametrize(("seed", "benchmark"), [(0, "first"), (2, "first"), (3, "second"), (4, "second")])
def test_a_job_is_found_by_id_beginning_of_it_name_path_and_glob(results, make_job, seed, benchmark):
    job = make_job(seed=seed)
    expected = (job, results / benchmark)
    assert find_job(results, job.id) == expected
    assert find_job(results, job.id[:6]) == expected
    assert find_job(results, job.folder) == expected
    assert find_job(results, f"{results}/{benchmark}/{job.folder}/") == expected
    assert find_job(results, f"{job.folder}/") == expected
    assert find_job(results, f"*-seed{seed}-*") == expected


@pytest.mark.parametrize("text", ["zzz", "0123456789abc", "edgepopup", "seed0", ".", "/", "no/such/path", "*-seed9-*"])
def test_what_is_no_job_is_told(results, text):
    with pytest.raises(UserError) as error:
        find_job(results, text)
    assert str(error.value) == f"There is no job '{text}'. `status` lists jobs by name; an id is the end of a name."


def test_what_may_be_several_jobs_is_told_with_their_names(results, make_job):
    with pytest.raises(UserError) as error:
        find_job(results, "*-seed[12]-*")
    names = sorted(f"first/{make_job(seed=seed).folder}" for seed in (1, 2))
    assert str(error.value) == f"'*-seed[12]-*' may be 2 jobs: {', '.join(names)}."


def test_of_many_jobs_some_are_named(results, make_job):
    for seed in range(10, 20):
        put_folder(results / "first", make_job(seed=seed))
    with pytest.raises(UserError, match=r"^'edgepopup\*' may be 15 jobs: (first/edgepopup-[\w.-]+, ){5}\.\.\.\.$"):
        find_job(results, "edgepopup*")


def test_the_same_job_in_two_benchmarks_is_ambiguous(results, make_job):
    put_folder(results / "second", make_job(seed=0))
    with pytest.raises(UserError, match="may be 2 jobs"):
        find_job(results, make_job(seed=0).id)


def test_the_beginning_of_two_ids_is_ambiguous_whatever_is_there_of_their_jobs(tmp_path, make_job):
    """The one has been begun; of the other there is only the wish."""
    first = make_job(seed=0)
    other = next(job for job in (make_job(seed=seed) for seed in count(1)) if job.id[0] == first.id[0])
    put_folder(tmp_path / "tiny", first)
    begin(tmp_path / "tiny", "local", [first, other], [])
    assert find_job(tmp_path, first.id)[0] == first
    assert find_job(tmp_path, other.id)[0] == other
    with pytest.raises(UserError, match="may be 2 jobs"):
        find_job(tmp_path, first.id[0])


def test_without_results_there_is_no_job(tmp_path):
    with pytest.raises(UserError, match="There is no job 'abc'"):
        find_job(tmp_path / "nothing", "abc")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=12) | st.text("*?[]!-/.\\ae0", max_size=8))
@example("**")
@example("a**")
@example("")
@example("/")
@example("..")
@example("[")
@example("\0")
def test_finding_raises_nothing_but_user_errors(results, text):
    try:
        job, folder = find_job(results, text)
    except UserError:
        pass
    else:
        assert (job.folder, folder.name) in {
            (one.folder, name) for name in ("first", "second") for one in known(results / name)
        }
