"""Claims on jobs."""

import json
import os
import subprocess
import sys
import time

import pytest

from slt_bench import claims
from slt_bench.claims import CLAIM, Claim, claimed, is_alive, read_claim


@pytest.fixture
def dead_pid():
    """The id and the start time of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = claims._start_time(process.pid)
    process.communicate(b"\n")
    return process.pid, started


def write(folder, **changes):
    own = Claim.of_this_process()
    values = {"host": own.host, "pid": own.pid, "started": own.started, "token": "t"} | changes
    (folder / CLAIM).write_text(json.dumps(values))
    return Claim(**values)


def test_a_claim_is_held_once_and_gone_afterwards(tmp_path):
    with claimed(tmp_path) as first:
        assert first
        with claimed(tmp_path) as second:
            assert not second
        assert is_alive(tmp_path, read_claim(tmp_path))
    assert read_claim(tmp_path) is None


def test_a_claim_is_let_go_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), claimed(tmp_path):
        raise RuntimeError
    assert read_claim(tmp_path) is None


def test_the_claim_of_a_dead_process_is_taken_over(tmp_path, dead_pid):
    pid, started = dead_pid
    claim = write(tmp_path, pid=pid, started=started)
    assert not is_alive(tmp_path, claim)
    with claimed(tmp_path) as mine:
        assert mine


def test_another_process_with_the_same_number_is_not_the_claimant(tmp_path):
    claim = write(tmp_path, started="1")
    assert not is_alive(tmp_path, claim)


def test_another_host_lives_as_long_as_its_heart_beats(tmp_path):
    claim = write(tmp_path, host="another-host")
    assert is_alive(tmp_path, claim)
    old = time.time() - claims.DEAD_AFTER - 10
    os.utime(tmp_path / CLAIM, (old, old))
    assert not is_alive(tmp_path, claim)
    with claimed(tmp_path) as mine:
        assert mine


def test_an_unreadable_claim_is_taken_over_once_its_heart_has_stopped(tmp_path):
    (tmp_path / CLAIM).write_text("{")
    with claimed(tmp_path) as mine:
        assert not mine
    os.utime(tmp_path / CLAIM, (1, 1))
    with claimed(tmp_path) as mine:
        assert mine


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.01)
    with claimed(tmp_path):
        os.utime(tmp_path / CLAIM, (1, 1))
        deadline = time.monotonic() + 30
        while (tmp_path / CLAIM).stat().st_mtime == 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / CLAIM).stat().st_mtime > 1


def test_many_processes_never_hold_a_claim_together(tmp_path):
    script = """
import sys, time
from pathlib import Path
from slt_bench.claims import claimed
folder = Path(sys.argv[1])
for _ in range(30):
    with claimed(folder) as mine:
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
