"""A sweep survives what machines and people do to it, and ends in the same records, each job once."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slt_bench import records
from slt_bench.records.attempts import read_attempts
from slt_bench.records.lock import is_locked

pytestmark = pytest.mark.slow

SAME = ("status", "metrics", "curve", "layers", "flags", "mask_hash", "weight_hash", "settings", "method_version")
KILLS = int(os.environ.get("SLT_BENCH_KILLS", "4"))  # 50 where execution itself has changed
PATIENT = Path(__file__).parents[1] / "patient"  # a method whose steps pause while a run is to be disturbed
PAUSE = "0.03"
SWEEP = ["--no-references", "--archs", "lenet300", "--datasets", "digits"]
LONG = [*SWEEP, "--methods", "patient", "--plugins", str(PATIENT), "--sparsities", "0.5,0.8,0.9", "--seeds", "0-1"]
LONG += ["--epochs", str(20 + 2 * KILLS)]  # 6 jobs of some seconds
SHORT = [*SWEEP, "--methods", "gates,edgepopup", "--sparsities", "0.5", "--seeds", "0-3", "--epochs", "3"]  # 8 jobs


@pytest.fixture(autouse=True)
def _ctrl_c():
    """Programs that are started in the background ignore Ctrl-C, and so do theirs; not here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(room, *options, prefix=(), pause=PAUSE):
    """Begin a run in a room of its own, to be disturbed."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "slt_bench", "run", *options, "--threads", "1", "--no-report"],
        cwd=room,
        env=os.environ | {"OMP_NUM_THREADS": "1", "SLT_BENCH_TEST_PAUSE": pause},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(room, *options, prefix=()):
    """A run from start to end: exit code and output."""
    process = start(room, *options, prefix=prefix, pause="0")
    output = process.communicate(timeout=600)[0]
    return process.returncode, output


def status(room, *options):
    done = subprocess.run(
        [sys.executable, "-m", "slt_bench", "status", *options], cwd=room, capture_output=True, text=True, check=False
    )
    return done.stdout


def measured(room):
    """What was measured in a room's jobs, by id."""
    found = records.read(room / "results" / "adhoc")
    assert found.problems == {}
    return {key: {name: getattr(record, name) for name in SAME} for key, record in found.records.items()}


def job_folders(room):
    return [path.parent for path in sorted((room / "results" / "adhoc").glob("*/job.json"))]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What undisturbed runs of the same options measure."""
    known = {}

    def make(options):
        key = tuple(options)
        if key not in known:
            room = tmp_path_factory.mktemp("undisturbed")
            code, output = run(room, *options)
            assert code == 0, output
            known[key] = measured(room)
        return known[key]

    return make


def descendants(pid):
    """The ids of the processes that a process has started, and of those that they have."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found[1:]


def wait_for_a_job(room, process):
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if any(is_locked(folder) for folder in job_folders(room)):
            return
        time.sleep(0.02)


def test_kills_at_random_moments_change_nothing(tmp_path, undisturbed):
    chance = random.Random(8)
    kills = 0
    while kills < KILLS:
        executor = chance.choice(["inline", "local"])
        more = ["--executor", executor, *(["--max-parallel", "2"] if executor == "local" else [])]
        process = start(tmp_path, *LONG, "--checkpoint-seconds", "0.3", *more)
        if kills % 2:  # half of them while a job runs, on however slow a machine
            wait_for_a_job(tmp_path, process)
            time.sleep(chance.uniform(0.0, 1.0))
        else:
            time.sleep(chance.uniform(0.5, 5.0))
        victims = [process.pid, *(descendants(process.pid) if chance.random() < 0.5 else [])]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"the sweep was over after {kills} kills: make it longer"
        kills += 1
    code, output = run(tmp_path, *LONG)
    assert code == 0, output
    assert measured(tmp_path) == undisturbed(LONG)
    assert len(job_folders(tmp_path)) == 6
    attempts = [read_attempts(folder) for folder in job_folders(tmp_path)]
    assert all([one.outcome for one in tries].count("done") == 1 for tries in attempts), "each job was done once"
    assert sum(len(tries) for tries in attempts) > 6, "kills hit running jobs"
    resumed = [attempt.resumed for tries in attempts for attempt in tries if attempt.resumed]
    assert resumed, "jobs went on from checkpoints"


def test_several_runs_share_a_folder(tmp_path, undisturbed):
    processes = [start(tmp_path, *SHORT, "--executor", executor) for executor in ("inline", "local", "inline")]
    for process in processes:
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 0, output
    assert measured(tmp_path) == undisturbed(SHORT)
    assert [len(read_attempts(folder)) for folder in job_folders(tmp_path)] == [1] * 8


def test_ctrl_c_keeps_what_was_done(tmp_path, undisturbed):
    some = [*LONG, "--filter", "*seed0*"]
    process = start(tmp_path, *some, "--executor", "inline")
    for line in process.stdout:
        if line.startswith("done"):
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 3
    assert output.strip() == "slt_bench: stopped. What has ended is kept; the same command goes on from there."
    told = status(tmp_path)
    assert "1 done, 1 stopped, 1 missing" in told
    assert "stopped by SIGINT" in told
    code, output = run(tmp_path, *some, "--executor", "local")
    assert code == 0, output
    assert measured(tmp_path) == undisturbed(some)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MiB, mounted for one test."""
    room = tmp_path / "small"
    room.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", room], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
    yield room
    subprocess.run(["umount", room], check=True)


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_full_disk_stops_the_sweep_with_a_word(small_disk, undisturbed, executor):
    assert run(small_disk, *SHORT, "--filter", "*seed0*")[0] == 0
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(small_disk).free - 60_000)))
    before = set(measured(small_disk))
    code, output = run(small_disk, *SHORT, "--executor", executor)
    assert code == 3, output
    assert "No space left on device" in output
    assert "the same command goes on" in output
    assert "Traceback" not in output
    assert before <= set(measured(small_disk))
    filler.unlink()
    code, output = run(small_disk, *SHORT)
    assert code == 0, output
    assert measured(small_disk) == undisturbed(SHORT)


def test_a_read_only_folder_is_told_at_once(small_disk, undisturbed):
    assert run(small_disk, *SHORT, "--filter", "*seed0*")[0] == 0
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    try:
        code, output = run(small_disk, *SHORT)
        assert code == 2
        assert "is not writable: Read-only file system" in output
        assert "2 done, 6 missing" in status(small_disk, *SHORT), "looking needs no writing"
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    code, output = run(small_disk, *SHORT)
    assert code == 0, output
    assert measured(small_disk) == undisturbed(SHORT)


def flip(path, where):
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 4
    path.write_bytes(content)


def cut(path, where):
    path.write_bytes(path.read_bytes()[: int(where * path.stat().st_size)])


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_record_is_not_counted_and_made_again(tmp_path, undisturbed, damage):
    assert run(tmp_path, *SHORT)[0] == 0
    for number, folder in enumerate(job_folders(tmp_path)[:4]):
        damage(folder / "record.json", (number + 1) / 6)
    told = status(tmp_path)
    assert "4 done" in told
    assert told.count("unreadable") == 4
    code, output = run(tmp_path, *SHORT)
    assert code == 0, output
    assert output.startswith("4 of 8 jobs to run")
    assert measured(tmp_path) == undisturbed(SHORT)


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_ticket_is_refused(tmp_path, damage):
    assert run(tmp_path, *SHORT, "--filter", "gates*seed0*")[0] == 0
    ticket = job_folders(tmp_path)[0] / "ticket.slt"
    damage(ticket, 0.7)
    done = subprocess.run(
        [sys.executable, "-m", "slt_bench", "ticket", "show", ticket], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "damaged" in done.stderr


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_checkpoint_costs_its_job_a_new_start_and_nothing_else(tmp_path, undisturbed, damage):
    one = [*LONG, "--filter", "*-s0.5-seed0*"]
    process = start(tmp_path, *one, "--checkpoint-seconds", "0.3")
    folder = None
    while folder is None or not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.05)
        folder = next(iter(job_folders(tmp_path)), None)
    process.kill()
    process.communicate()
    damage(folder / "checkpoint.safetensors", 0.6)
    code, output = run(tmp_path, *one)
    assert code == 0, output
    log = (folder / "log.txt").read_text()
    assert "checkpoint.safetensors.unusable; the job starts over" in log
    assert measured(tmp_path) == undisturbed(one)


def test_a_clock_that_was_set_back_misleads_nobody(tmp_path, undisturbed):
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    process = start(tmp_path, *SHORT, "--checkpoint-seconds", "0.1")
    for line in process.stdout:
        if line.startswith("done"):
            break
    process.kill()
    process.communicate()
    tomorrow = time.time() + 86_400
    for path in (tmp_path / "results").rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    code, output = run(tmp_path, *SHORT, prefix=("faketime", "-f", "-2d"))
    assert code == 0, output
    assert measured(tmp_path) == undisturbed(SHORT)
    assert "8 done" in status(tmp_path)
