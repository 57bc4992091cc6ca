"""Claims on jobs."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from slt_bench.records import lock
from slt_bench.records.lock import CLAIM, JobLock, is_alive, lock_job, read_claim
from slt_bench.utils.errors import StorageError


def write(folder, **changes):
    own = JobLock.of_this_process()
    values = {"host": own.host, "pid": own.pid, "started": own.started, "token": "t"} | changes
    (folder / CLAIM).write_text(json.dumps(values))
    return JobLock(**values)


def beat(folder, seconds):
    """Let the heart have beaten some seconds from now."""
    now = time.time()
    os.utime(folder / CLAIM, (now + seconds, now + seconds))


def taken(folder):
    """Whether this process gets the claim."""
    with lock_job(folder) as mine:
        return mine


@pytest.fixture
def task(monkeypatch):
    """A function that makes this process a start of a SLURM task."""

    def start(task, restarts=None):
        monkeypatch.setenv("SLURM_JOB_ID", task)
        monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
        if restarts is not None:
            monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))

    return start


def test_a_claim_is_held_once_and_gone_afterwards(tmp_path):
    with lock_job(tmp_path) as first:
        assert first
        with lock_job(tmp_path) as second:
            assert not second
        assert is_alive(tmp_path, read_claim(tmp_path))
    assert read_claim(tmp_path) is None


def test_a_claim_is_let_go_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), lock_job(tmp_path):
        raise RuntimeError
    assert read_claim(tmp_path) is None


def test_another_process_with_the_same_number_is_not_the_claimant(tmp_path):
    claim = write(tmp_path, started="1")
    assert not is_alive(tmp_path, claim)


def test_an_unreadable_claim_is_taken_over_once_its_heart_has_stopped(tmp_path):
    (tmp_path / CLAIM).write_text("{")
    with lock_job(tmp_path) as mine:
        assert not mine
    os.utime(tmp_path / CLAIM, (1, 1))
    with lock_job(tmp_path) as mine:
        assert mine


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.01)
    with lock_job(tmp_path):
        os.utime(tmp_path / CLAIM, (1, 1))
        deadline = time.monotonic() + 30
        while (tmp_path / CLAIM).stat().st_mtime == 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / CLAIM).stat().st_mtime > 1


def test_many_processes_never_hold_a_claim_together(tmp_path):
    script = """
import sys, time
from pathlib import Path
from slt_bench.records.lock import lock_job
folder = Path(sys.argv[1])
for _ in range(30):
    with lock_job(folder) as mine:
        if mine:
            inside = folder / "inside"
            inside.touch(exist_ok=False)
            inside.unlink()
            with (folder / "count").open("a") as file:
                file.write("x")
"""
    workers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0, 0, 0, 0]
    assert len((tmp_path / "count").read_text()) >= 4


class TestPlace:
    def test_a_claim_says_where_its_process_is(self, tmp_path):
        with lock_job(tmp_path):
            claim = read_claim(tmp_path)
        assert (claim.pid, claim.started) == (os.getpid(), lock.start_time(os.getpid()))
        assert claim.place == lock.this_place() != ""

    @pytest.mark.parametrize("place", ["another-boot pid:[1]", "{boot} pid:[1]", "another-boot {space}", ""])
    def test_a_process_of_another_boot_container_or_host_is_judged_by_its_heart(self, tmp_path, place, dead_pid):
        boot, _, space = lock.this_place().partition(" ")
        elsewhere = {"place": place.format(boot=boot, space=space)} if place else {"host": "another-host"}
        for pid, started in (dead_pid, (os.getpid(), lock.start_time(os.getpid()))):  # numbers mean nothing there
            claim = write(tmp_path, pid=pid, started=started, **elsewhere)
            assert is_alive(tmp_path, claim)
            assert not taken(tmp_path)
            beat(tmp_path, -lock.DEAD_AFTER - 10)
            assert not is_alive(tmp_path, claim)
            assert taken(tmp_path)

    @pytest.mark.parametrize("seconds", [-1e6, -lock.DEAD_AFTER - 10, 0, 1e6])
    def test_here_no_clock_matters(self, tmp_path, dead_pid, seconds):
        for place in ("", lock.this_place()):
            living = write(tmp_path, place=place)
            beat(tmp_path, seconds)
            assert is_alive(tmp_path, living)
            assert not taken(tmp_path)
            dead = write(tmp_path, place=place, pid=dead_pid[0], started=dead_pid[1])
            beat(tmp_path, seconds)
            assert not is_alive(tmp_path, dead)
            assert taken(tmp_path)

    @pytest.mark.parametrize("seconds", [10, 1e4, 1e9])
    def test_a_heart_that_beats_in_the_future_is_alive(self, tmp_path, seconds):
        claim = write(tmp_path, host="another-host")
        beat(tmp_path, seconds)
        assert is_alive(tmp_path, claim)
        assert [path.name for path in tmp_path.iterdir()] == [CLAIM], "looking leaves nothing behind"
        assert not taken(tmp_path)

    def test_a_claim_of_an_older_version_is_read(self, tmp_path):
        own = JobLock.of_this_process()
        text = {"host": own.host, "pid": own.pid, "started": own.started, "token": "t"}
        (tmp_path / CLAIM).write_text(json.dumps(text))
        assert read_claim(tmp_path) == JobLock(**text)
        assert (read_claim(tmp_path).place, read_claim(tmp_path).task, read_claim(tmp_path).restarts) == ("", "", 0)


class TestTask:
    def test_a_claim_says_which_start_of_which_task_holds_it(self, tmp_path, task):
        task("77", 2)
        with lock_job(tmp_path):
            claim = read_claim(tmp_path)
        assert (claim.task, claim.restarts) == ("77", 2)

    @pytest.mark.parametrize(("first", "second"), [(None, 1), (0, 1), (1, 3)])
    def test_a_later_start_of_the_same_task_takes_over_at_once(self, tmp_path, task, first, second):
        task("77", first)
        claim = write(tmp_path, host="another-host", task="77", restarts=first or 0)
        task("77", second)
        assert is_alive(tmp_path, claim)
        assert taken(tmp_path)

    @pytest.mark.parametrize(("name", "restarts"), [("78", 2), ("77", 1), ("77", 0), ("77", None), ("77", "none")])
    def test_no_other_start_does(self, tmp_path, task, name, restarts):
        write(tmp_path, host="another-host", task="77", restarts=1)
        task(name, restarts)
        assert not taken(tmp_path)

    def test_nor_does_a_process_outside_of_slurm(self, tmp_path, monkeypatch):
        write(tmp_path, host="another-host", task="77")
        write(tmp_path, host="another-host", task="")
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "5")
        assert not taken(tmp_path)

    def test_the_former_start_does_not_let_go_of_what_it_lost(self, tmp_path, task):
        task("77", 0)
        with lock_job(tmp_path) as first:
            task("77", 1)
            with lock_job(tmp_path) as second:
                assert first
                assert second
                assert read_claim(tmp_path).restarts == 1
            assert read_claim(tmp_path) is None
        task("77", 0)
        with lock_job(tmp_path):
            newer = write(tmp_path, task="77", restarts=1)
        assert read_claim(tmp_path) == newer


class TestFolder:
    @pytest.mark.parametrize("name", ["none", "file"])
    def test_one_that_is_not_there_or_is_a_file_is_a_matter_of_storage(self, tmp_path, name):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="claim could not be written"), lock_job(tmp_path / name):
            pass

    @pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
    @pytest.mark.parametrize("what", ["open", "write_text", "replace"])
    def test_so_is_one_that_cannot_be_written(self, tmp_path, monkeypatch, code, what):
        def refuse(*_, **__):
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(Path, what, refuse)
            with pytest.raises(StorageError, match=os.strerror(code)), lock_job(tmp_path):
                pass
        assert read_claim(tmp_path) is None
        assert [path.name for path in tmp_path.iterdir() if path.name != f".{CLAIM}-lock"] == []
        assert taken(tmp_path)

    def test_so_is_one_without_locks(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(lock.fcntl, "flock", refuse)
        with pytest.raises(StorageError, match="No locks available"), lock_job(tmp_path):
            pass

    def test_one_that_is_gone_at_the_end_hides_no_other_error(self, tmp_path):
        folder = tmp_path / "job"
        folder.mkdir()

        def fail():
            shutil.rmtree(folder)
            raise RuntimeError("its own")

        with pytest.raises(RuntimeError, match="its own"), lock_job(folder):
            fail()
        folder.mkdir()
        with suppress(StorageError), lock_job(folder):
            shutil.rmtree(folder)

    def test_the_heart_stops_with_the_block(self, tmp_path):
        before = threading.active_count()
        with lock_job(tmp_path):
            assert threading.active_count() == before + 1
        assert threading.active_count() == before
