"""Runs, as files that tell what somebody asked for."""

import contextlib
import os
import signal
import socket
import string
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slt_bench.jobs.benchmark import Budget, Job
from slt_bench.records import runs
from slt_bench.records.lock import start_time, this_place
from slt_bench.records.runs import RUNS, Run, Unit, begin, close_units, end, forget, read_runs, stop_process, write
from slt_bench.utils.errors import StorageError

quick = settings(deadline=None, max_examples=100)


def alter(folder, run, **changes):
    """The run as another process would have noted it."""
    altered = run.model_copy(update=changes)
    write(folder, altered)
    return altered


def files(folder):
    return sorted(path.name for path in (folder / RUNS).iterdir())


def units(run):
    return [unit.jobs for unit in run.open_units()]


@pytest.fixture
def jobs(make_job):
    return [make_job(seed=seed) for seed in range(4)]


def test_a_run_is_read_back_as_it_was_begun(tmp_path, jobs):
    before = datetime.now(UTC) - timedelta(seconds=1)
    run = begin(tmp_path, "local", jobs, [[jobs[1]], [jobs[2], jobs[3]]])
    assert read_runs(tmp_path) == [run]
    assert run.jobs == tuple(jobs)
    assert [unit.jobs for unit in run.units] == [(jobs[1].id,), (jobs[2].id, jobs[3].id)]
    assert (run.executor, run.host, run.pid) == ("local", socket.gethostname(), os.getpid())
    assert before <= datetime.fromisoformat(run.started) <= datetime.now(UTC)
    assert run.ended == ""
    assert files(tmp_path) == [f"{run.id}.json"], "and nothing beside it"


def test_two_runs_of_one_moment_have_two_files(tmp_path, jobs):
    begin(tmp_path, "local", jobs[:1], [jobs[:1]])
    begin(tmp_path, "local", jobs[1:], [jobs[1:]])
    assert len(read_runs(tmp_path)) == 2


def test_runs_are_read_the_oldest_first(tmp_path, jobs):
    run = begin(tmp_path, "local", jobs, [])
    forget(tmp_path, run)
    for day in ("20260103", "20260101", "20260102"):
        alter(tmp_path, run, id=f"{day}-120000-abcdef")
    assert [one.id[:8] for one in read_runs(tmp_path)] == ["20260101", "20260102", "20260103"]


def test_a_run_of_this_process_is_open_until_it_ends(tmp_path, jobs):
    run = begin(tmp_path, "inline", jobs, [[job] for job in jobs])
    assert run.runs_here()
    assert units(run) == [(job.id,) for job in jobs]
    end(tmp_path, run)
    (ended,) = read_runs(tmp_path)
    assert ended.open_units() == []
    assert datetime.fromisoformat(ended.ended) >= datetime.fromisoformat(ended.started)
    assert ended.model_copy(update={"ended": ""}) == run


def test_a_run_that_is_forgotten_leaves_no_file(tmp_path, jobs):
    run = begin(tmp_path, "inline", jobs, [])
    forget(tmp_path, run)
    forget(tmp_path, run)
    assert files(tmp_path) == []


@pytest.mark.parametrize("changes", [{"executor": "inline"}, {"executor": "local"}, {"host": "another-host"}])
def test_nothing_is_open_of_a_process_that_is_dead_or_elsewhere(tmp_path, jobs, dead_pid, changes):
    pid, started = dead_pid
    run = alter(tmp_path, begin(tmp_path, "local", jobs, [jobs]), pid=pid, process=started, **changes)
    assert not run.runs_here()
    assert run.open_units() == []


@pytest.mark.parametrize("executor", ["inline", "local"])
@pytest.mark.parametrize("changes", [{"process": "1"}, {"place": "another boot pid:[1]"}])
def test_a_later_process_of_the_same_number_is_another(tmp_path, jobs, executor, changes):
    assert this_place(), "else this test says nothing"
    run = alter(tmp_path, begin(tmp_path, executor, jobs, [jobs]), **changes)
    assert not run.runs_here()
    assert run.open_units() == []


def test_what_slurm_was_never_given_is_over_with_the_process_that_was_to_submit_it(tmp_path, jobs, dead_pid):
    pid, started = dead_pid
    begun = begin(tmp_path, "slurm", jobs[:2], [[job] for job in jobs[:2]])
    assert len(begun.open_units()) == 2, "it is being submitted"
    units = (begun.units[0].model_copy(update={"task": "7_0"}), begun.units[1])
    run = alter(tmp_path, begun, units=units, pid=pid, process=started)
    assert run.open_units() == [units[0]]


def test_what_was_submitted_is_open_whoever_lives_until_each_task_is_over(tmp_path, jobs, dead_pid):
    pid, started = dead_pid
    begun = begin(tmp_path, "slurm", jobs[:3], [[job] for job in jobs[:3]])
    tasks = [unit.model_copy(update={"task": f"7_{number}"}) for number, unit in enumerate(begun.units)]
    run = alter(tmp_path, begun, units=tuple(tasks), pid=pid, process=started)
    assert units(run) == [(job.id,) for job in jobs[:3]]

    run = close_units(tmp_path, run, {"7_1": "cancelled", "8_1": "of another run"})
    assert units(run) == [(jobs[0].id,), (jobs[2].id,)]
    assert [unit.over for unit in run.units] == ["", "cancelled", ""]
    assert read_runs(tmp_path) == [run]
    assert run.ended == ""

    run = close_units(tmp_path, run, {"7_0": "done", "7_1": "told later", "7_2": "timeout"})
    assert run.open_units() == []
    (written,) = read_runs(tmp_path)
    assert [unit.over for unit in written.units] == ["done", "cancelled", "timeout"], "the first reason stays"
    assert written.ended


def test_closing_nothing_writes_nothing(tmp_path, jobs):
    run = begin(tmp_path, "slurm", jobs, [jobs])
    before = (tmp_path / RUNS / f"{run.id}.json").stat()
    assert close_units(tmp_path, run, {"1": "over"}) == run
    after = (tmp_path / RUNS / f"{run.id}.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_run_that_is_over_and_asked_for_nothing_else_is_forgotten(tmp_path, jobs):
    old = begin(tmp_path, "local", jobs[:2], [jobs[:2]])
    end(tmp_path, old)
    new = begin(tmp_path, "local", jobs[:3], [jobs[:3]])
    assert read_runs(tmp_path) == [new]


def test_a_killed_run_is_forgotten_too(tmp_path, jobs, dead_pid):
    pid, started = dead_pid
    alter(tmp_path, begin(tmp_path, "local", jobs, [jobs]), pid=pid, process=started)
    new = begin(tmp_path, "inline", jobs, [])
    assert read_runs(tmp_path) == [new]


@pytest.mark.parametrize(("is_over", "first"), [(True, 1), (False, 0)])
def test_a_run_that_asked_for_something_else_or_is_not_over_is_kept(tmp_path, jobs, is_over, first):
    old = begin(tmp_path, "local", jobs[:2], [jobs[:2]])
    if is_over:
        end(tmp_path, old)
    new = begin(tmp_path, "local", jobs[first:], [jobs[first:]])
    assert {run.id for run in read_runs(tmp_path)} == {old.id, new.id}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b'"pid":', b'"pid":1'),
        lambda text: text.replace(b"local", b"inline"),
        lambda _: b"",
        lambda _: b"\xff\xfe\x00",
        lambda _: b"[]",
    ],
)
def test_a_damaged_file_is_left_out_and_hides_no_other(tmp_path, jobs, damage):
    bad = begin(tmp_path, "local", jobs[:2], [jobs[:2]])
    good = begin(tmp_path, "local", jobs[2:], [jobs[2:]])
    path = tmp_path / RUNS / f"{bad.id}.json"
    path.write_bytes(damage(path.read_bytes()))
    (tmp_path / RUNS / "folder.json").mkdir()
    assert read_runs(tmp_path) == [good]


def test_an_executor_that_does_not_exist_is_no_run(tmp_path, jobs):
    alter(tmp_path, begin(tmp_path, "local", jobs, [jobs]), executor="abacus")
    assert read_runs(tmp_path) == []


def test_where_nothing_ever_ran_there_are_no_runs(tmp_path):
    assert read_runs(tmp_path / "nothing") == []


def test_a_run_that_cannot_be_noted_is_told(tmp_path, jobs):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(StorageError, match="could not be written"):
        begin(tmp_path / "file", "local", jobs, [jobs])


def test_a_process_on_this_host_is_asked_to_stop(tmp_path, jobs):
    process = subprocess.Popen(["sleep", "600"])
    try:
        begun = begin(tmp_path, "local", jobs, [jobs])
        run = alter(tmp_path, begun, pid=process.pid, process=start_time(process.pid))
        elsewhere = run.model_copy(update={"host": "another-host"})
        assert not stop_process(elsewhere), "its number means nothing here"
        assert process.poll() is None
        assert stop_process(run)
        assert process.wait(timeout=30) == -signal.SIGTERM
        assert not stop_process(run)
    finally:
        process.kill()
        process.wait()


WORDS = st.text(max_size=20)
NAMES = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=30)


@st.composite
def a_job(draw):
    return Job(
        benchmark=draw(NAMES),
        label=draw(WORDS),
        method=draw(WORDS),
        settings=draw(st.dictionaries(WORDS, st.booleans() | st.integers(-9, 9) | WORDS, max_size=2)),
        arch=draw(WORDS),
        dataset=draw(WORDS),
        init=draw(WORDS),
        rescale=draw(st.sampled_from(["none", "density", "authors"])),
        sparsity=draw(st.none() | st.floats(0, 1, exclude_max=True)),
        seed=draw(st.integers(0, 10**9)),
        budget=Budget(epochs=draw(st.none() | st.integers(1, 500))),
        smoke=draw(st.booleans()),
    )


UNITS = st.builds(Unit, jobs=st.lists(WORDS, max_size=3).map(tuple), task=WORDS, over=WORDS)
RUN = st.builds(
    Run,
    id=NAMES,
    executor=st.sampled_from(["inline", "local", "slurm"]),
    started=WORDS,
    host=WORDS,
    pid=st.integers(1, 2**22),
    process=WORDS,
    place=WORDS,
    jobs=st.lists(a_job(), max_size=3).map(tuple),
    units=st.lists(UNITS, max_size=3).map(tuple),
    ended=WORDS,
)


@quick
@given(RUN)
def test_any_run_round_trips(run):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / RUNS).mkdir()
        write(folder, run)
        assert read_runs(folder) == [run]
        assert [job.id for job in read_runs(folder)[0].jobs] == [job.id for job in run.jobs]


@quick
@given(RUN, st.dictionaries(WORDS, WORDS, max_size=4))
def test_closing_changes_only_what_was_open_and_is_named(run, over):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / RUNS).mkdir()
        write(folder, run)
        closed = close_units(folder, run, over)
        for before, after in zip(run.units, closed.units, strict=True):
            assert after.jobs == before.jobs
            assert after.over == (before.over or over.get(before.task, ""))


@quick
@given(st.binary(max_size=300))
def test_reading_never_raises_whatever_is_there(content):
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name)
        (folder / RUNS).mkdir()
        (folder / RUNS / "x.json").write_bytes(content)
        assert runs.read_runs(folder) == []
