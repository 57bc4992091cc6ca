"""The executor of this machine: worker processes, which may die, fail, or be stopped."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slt_bench import records
from slt_bench.cli import main
from slt_bench.execution.executors import local
from slt_bench.execution.executors.inline import run_inline
from slt_bench.execution.executors.local import Slot, run_local
from slt_bench.execution.worker.log import LOG
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task_spec import Context, SilentListener, TaskSpec
from slt_bench.jobs.benchmark import Budget
from slt_bench.records.attempts import kept_fraction, read_attempts, read_progress
from slt_bench.records.lock import lock_job, read_claim, start_time
from slt_bench.registry import VARIABLE
from slt_bench.utils.errors import StorageError, UserError

PLUGIN = '''
"""Does by its seed: 0 dies always, 1 dies once after two checkpoints, 2 raises, others learn, slowly if asked to."""

import os
import signal
import time
from pathlib import Path

import torch

from slt_bench.method import Method, OptimizerSettings, keep_top

HERE = Path(__file__).parent
SCAR, SLOWLY = HERE / "died", HERE / "slowly"


class Mortal(Method):
    """One logit a weight."""

    name, version, paper = "mortal", 1, "a test"
    sparsity_control, purity = "exact", "frozen"
    Settings = OptimizerSettings
    checkpoints = set()

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.logits = torch.nn.Parameter(torch.zeros_like(network.weights))

    def gates(self):
        return torch.sigmoid(self.logits)

    def on_progress(self, fraction):
        if SLOWLY.exists():
            time.sleep(0.05)
        if self.network.seed == 1 and not SCAR.exists():
            time.sleep(0.01)
            self.checkpoints |= {file.stat().st_ino for file in HERE.parent.glob("local/*-seed1-*/checkpoint.*")}
            if len(self.checkpoints) > 1:
                SCAR.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    def mask(self):
        if self.network.seed == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.network.seed == 2:
            raise ValueError("no mask today")
        return keep_top(self.logits, round((1 - self.sparsity) * self.network.n))
'''


class Listener(SilentListener):
    """Remembers what it is told."""

    def __init__(self):
        self.running, self.most, self.begun, self.records, self.messages = set(), 0, [], [], []

    def started(self, job):
        self.begun.append(job.id)
        self.running.add(job.id)
        self.most = max(self.most, len(self.running))

    def ended(self, record):
        self.running.discard(record.id)
        self.records.append(record)

    def told(self, message):
        self.messages.append(message)


def run(jobs, folder, slots, plugins=(), checkpoint_seconds=180.0, listener=None, pack=1, threads=None, cores=None):
    context = Context(folder.parent / "no-data", "cpu", checkpoint_seconds=checkpoint_seconds)
    values = {"plugins": plugins, "executor": "local", "pack": pack, "threads": threads or {}}
    work = TaskSpec(jobs=tuple(jobs), folder=folder, context=context, **values)
    listener = listener or Listener()
    with Stopper() as stopper:
        run_local(work, listener, stopper, slots, cores)
    return listener


def here(jobs, folder):
    """The same jobs in this process."""
    work = TaskSpec(jobs=tuple(jobs), folder=folder, context=Context(folder.parent / "no-data", "cpu", threads=1))
    with Stopper() as stopper:
        run_inline(work, SilentListener(), stopper)
    return outcomes(folder)


def outcomes(folder):
    found = records.read(folder)
    assert found.problems == {}
    return {
        identity: (record.status, record.metrics, record.curve, record.mask_hash, record.weight_hash, record.layers)
        for identity, record in found.records.items()
    }


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A function that makes a folder with one plug-in, known to this process as `run` would make it."""

    def make(name, text):
        folder = tmp_path / "plugins"
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        monkeypatch.setenv(VARIABLE, str(folder))
        return folder

    return make


def test_processes_measure_what_this_process_would(make_job, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    jobs = [make_job(method=method) for method in ("edgepopup", "gates")] + [make_job(method="random_mask")]
    listener = run(jobs, tmp_path / "local", [Slot(1), Slot(1)])
    assert outcomes(tmp_path / "local") == here(jobs, tmp_path / "inline")
    assert len(outcomes(tmp_path / "local")) == 3, "more jobs than slots"
    assert listener.most == 2
    assert listener.begun == [job.id for job in jobs]
    assert sorted(record.id for record in listener.records) == sorted(job.id for job in jobs)
    assert {record.provenance["threads"] for record in listener.records} == {1}, "those of the slot"
    for job in jobs:
        (attempt,) = read_attempts(tmp_path / "local" / job.folder)
        assert (attempt.executor, attempt.outcome) == ("local", "done")
        assert attempt.pid != os.getpid()
        assert read_claim(tmp_path / "local" / job.folder) is None


def test_a_worker_lives_for_many_jobs(make_job, tmp_path):
    jobs = [make_job(method="random_mask", seed=seed) for seed in range(4)]
    run(jobs, tmp_path / "local", [Slot(1)])
    attempts = [read_attempts(tmp_path / "local" / job.folder) for job in jobs]
    assert len({attempt.pid for (attempt,) in attempts}) == 1


def test_workers_that_never_begin_a_job_end_the_run_with_a_word(make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "WORKER", "slt_bench.no_such_module")
    with pytest.raises(UserError, match="3 worker processes ended before they began a job"):
        run([make_job()], tmp_path / "local", [Slot(1), Slot(1)])
    assert children(os.getpid()) == {}


def test_jobs_that_run_at_once_share_the_cores_by_the_threads_that_each_has(make_job, tmp_path):
    class Counting(Listener):
        too_many = False

        def started(self, job):
            super().started(job)
            taken = sum(threads[identity] for identity in self.running)
            self.too_many |= taken > 2 and len(self.running) > 1

    jobs = [make_job(method="random_mask", seed=seed) for seed in range(5)]
    threads = {job.id: count for job, count in zip(jobs, (1, 2, 1, 1, 3), strict=True)}
    listener = run(jobs, tmp_path / "local", [Slot(1)] * 5, listener=Counting(), threads=threads, cores=2)
    assert not listener.too_many, "two of one thread, or the one of three on its own"
    if listener.most == 2:  # a busy machine may start its workers one by one
        first = [identity for identity in listener.begun if threads[identity] == 1]
        assert listener.begun[:2] == first[:2], "one that needs more than is free lets others go first"
    assert {record.id: record.provenance["threads"] for record in listener.records} == threads


def test_jobs_that_have_ended_are_not_started(make_job, tmp_path):
    here([make_job()], tmp_path / "local")
    before = outcomes(tmp_path / "local")
    assert run([make_job()], tmp_path / "local", [Slot(1)]).begun == []
    assert outcomes(tmp_path / "local") == before


def test_a_process_that_dies_is_started_again_and_stops_no_other(make_job, tmp_path, plugin):
    """In one pool: a job that dies always, one that dies once, one that raises."""
    folder = plugin("mortal", PLUGIN)
    budget = Budget(epochs=20, batch_size=64)
    doomed, hurt, raising = jobs = [make_job(method="mortal", seed=seed, budget=budget) for seed in range(3)]
    results = tmp_path / "local"
    listener = run(jobs, results, [Slot(1), Slot(1)], plugins=(folder,), checkpoint_seconds=0.0)
    found = records.read(results).records

    record = found[doomed.id]
    assert record.status == "failed"
    assert record.reason.startswith("Its process ended 3 times without a result; the last was killed by SIGKILL.")
    assert "--max-parallel" in record.reason, "memory may be why"
    attempts = read_attempts(results / doomed.folder)
    assert [attempt.ended for attempt in attempts] == ["", "", ""]
    assert listener.begun.count(doomed.id) == local.DEATHS == 3
    assert sum(doomed.folder in message for message in listener.messages) == 2
    assert f"The process of {doomed.folder} was killed by SIGKILL; it is started again." in listener.messages

    assert found[hurt.id].status == "done"
    first, second = read_attempts(results / hurt.folder)
    assert (first.outcome, second.outcome) == ("", "done")
    assert 0 < second.resumed < 1, "it went on from its checkpoint"
    assert found[hurt.id].provenance["attempts"] == 2

    assert found[raising.id].status == "failed"
    assert found[raising.id].reason == "ValueError: no mask today"
    assert "in mask" in found[raising.id].traceback
    assert listener.begun.count(raising.id) == 1, "a record ends a job"
    assert "no mask today" in (results / raising.folder / LOG).read_text()

    assert {record.id for record in listener.records} == {job.id for job in jobs}
    assert outcomes(results)[hurt.id] == here([hurt], tmp_path / "inline")[hurt.id]


def test_a_process_takes_the_steps_of_a_pack(make_job, tmp_path):
    jobs = [make_job(seed=seed) for seed in range(5)]
    listener = run(jobs, tmp_path / "local", [Slot(1), Slot(1)], pack=3)
    found = records.read(tmp_path / "local").records
    assert [found[job.id].status for job in jobs] == ["done"] * 5
    assert [found[job.id].provenance["packed"] for job in jobs] == [3, 3, 3, 2, 2]
    for pack in (jobs[:3], jobs[3:]):
        ids = [job.id for job in pack]
        assert [identity for identity in listener.begun if identity in ids] == ids
    assert {record.id for record in listener.records} == {job.id for job in jobs}
    for identity, (status, metrics, *_) in here(jobs, tmp_path / "inline").items():
        assert status == "done"
        assert found[identity].metrics["test_accuracy"] == pytest.approx(metrics["test_accuracy"], abs=0.02)


def test_a_pack_whose_process_dies_is_tried_again_one_by_one(make_job, tmp_path, plugin):
    folder = plugin("mortal", PLUGIN)
    doomed, other = jobs = [make_job(method="mortal", seed=seed) for seed in (0, 3)]
    run(jobs, tmp_path / "local", [Slot(1)], plugins=(folder,), pack=2)
    found = records.read(tmp_path / "local").records
    assert found[doomed.id].status == "failed"
    assert found[doomed.id].reason.startswith("Its process ended 3 times without a result")
    assert found[other.id].status == "done"
    assert found[other.id].provenance["packed"] == 1
    assert found[other.id].provenance["attempts"] == 2


SPY = """
import json
import os
import signal
from pathlib import Path

from slt_bench.method import Method
from slt_bench.utils.errors import StorageError, UserError

if os.getpid() != {parent}:
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MARK")
    text = json.dumps([os.environ.get(name) for name in names] + [os.getsid(0) == os.getpid()])
    (Path(__file__).parent / f"{{os.getpid()}}.json").write_text(text)
    {imported}


class Spy(Method):
    name, version, paper = "spy", 1, "a test"
    sparsity_control, purity = "exact", "frozen"

    def __init__(self, *what):
        raise StorageError("the disk is full")

    def gates(self):
        raise NotImplementedError

    mask = gates
"""


def test_a_process_sees_the_gpu_and_the_threads_of_its_slot(make_job, tmp_path, plugin, monkeypatch):
    """The plug-in writes down what it sees, and ends its process before a GPU is needed."""
    monkeypatch.setattr(local, "DEATHS", 1)
    monkeypatch.setenv("MARK", "handed on")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    folder = plugin("spy", SPY.format(parent=os.getpid(), imported="os.kill(os.getpid(), signal.SIGKILL)"))
    jobs = [make_job(method="spy", seed=seed) for seed in range(2)]
    listener = run(jobs, tmp_path / "local", [Slot(2, "7"), Slot(3)], plugins=(folder,))
    seen = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    assert sorted(seen) == [["", "3", "3", "handed on", True], ["7", "2", "2", "handed on", True]]
    assert [record.status for record in listener.records] == ["failed", "failed"]


def test_a_disk_that_is_full_ends_the_whole_pool_with_the_reason(make_job, tmp_path, plugin):
    folder = plugin("spy", SPY.format(parent=os.getpid(), imported=""))
    jobs = [make_job(method="spy", seed=0), make_job(seed=1)]
    with pytest.raises(StorageError, match="the disk is full"):
        run(jobs, tmp_path / "local", [Slot(1)], plugins=(folder,))
    assert outcomes(tmp_path / "local") == {}


def test_a_signal_that_comes_while_a_process_starts_ends_that_process_too(make_job, tmp_path):
    class Impatient(Listener):
        def started(self, _):
            signal.raise_signal(signal.SIGTERM)

    try:
        with pytest.raises(Stopped):
            run([make_job()], tmp_path / "local", [Slot(1)], listener=Impatient())
        assert children(os.getpid()) == {}
    finally:
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_job_that_somebody_else_runs_is_waited_for_and_taken_once_he_lets_go(make_job, tmp_path):
    class Patient(Listener):
        def waiting(self, jobs):
            self.messages.append([job.id for job in jobs])
            hold.close()

    job = make_job()
    folder = tmp_path / "local" / job.folder
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as hold:
        assert hold.enter_context(lock_job(folder))
        listener = run([job], tmp_path / "local", [Slot(1)], listener=Patient())
    assert listener.messages[0] == [job.id]
    assert [record.status for record in listener.records] == ["done"]
    assert len(read_attempts(folder)) == 1


CHOICE = ["--methods", "mortal", "--archs", "lenet300", "--datasets", "digits", "--no-references", "--name", "long"]
BUDGET = ["--sparsities", "0.5", "--seeds", "3-4", "--epochs", "20", "--batch-size", "64"]
OPTIONS = [*CHOICE, *BUDGET, "--executor", "local", "--max-parallel", "2", "--threads", "1"]


def children(parent):
    """The workers of a process, by id and start time."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        started = [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
        return {pid: start_time(pid) for pid in started if is_worker(pid)}
    return {}


def is_worker(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return local.WORKER.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


class Started:
    """A run in a process of its own, and the processes that it starts."""

    def __init__(self, folder):
        self.folder = folder
        command = [sys.executable, "-m", "slt_bench", "run", *OPTIONS]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.children = {}

    def look(self):
        """Remember the processes that were started so far, by their id and start time; how many."""
        self.children |= children(self.process.pid)
        return len(self.children)

    def wait_for(self, what):
        deadline = time.monotonic() + 120
        while not what():
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.process.stdout.read()
            time.sleep(0.02)

    def folders(self):
        return sorted((self.folder / "results" / "long").glob("mortal-*"))

    def search(self):
        """Wait until both jobs are well in their searches."""
        self.wait_for(lambda: sum((read_progress(folder) or 0) > 0 for folder in self.folders()) == 2)
        assert self.look() >= 2

    def living(self):
        return [pid for pid, started in self.children.items() if started and start_time(pid) == started]

    def ends_children(self, seconds=30.0):
        deadline = time.monotonic() + seconds
        while self.living() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.living()


@pytest.fixture
def start(tmp_path, plugin):
    """A function that starts a run of two slow jobs; afterwards nothing of it is left."""
    (plugin("mortal", PLUGIN) / "slowly").touch()
    begun = []

    def start():
        begun.append(Started(tmp_path))
        return begun[-1]

    yield start
    for one in begun:
        one.process.kill()
        one.process.communicate()
        for pid in one.living():
            os.kill(pid, signal.SIGKILL)


def test_a_run_that_is_asked_to_stop_keeps_its_searches_and_goes_on(start, tmp_path, monkeypatch):
    first = start()
    first.search()
    asked = time.monotonic()
    first.process.send_signal(signal.SIGTERM)
    output, _ = first.process.communicate(timeout=60)
    assert time.monotonic() - asked < 20
    assert first.process.returncode == 3
    assert "stopped by SIGTERM. What has ended is kept; the same command goes on from there." in output
    assert "Traceback" not in output
    assert first.living() == []
    kept = {folder.name: kept_fraction(folder) for folder in first.folders()}
    assert all(0 < fraction < 1 for fraction in kept.values())
    for folder in first.folders():
        assert [attempt.outcome for attempt in read_attempts(folder)] == ["stopped by SIGTERM"]
        assert read_claim(folder) is None

    (tmp_path / "plugins" / "slowly").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["slt_bench", "run", *OPTIONS])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    found = records.read(tmp_path / "results" / "long").records
    for record in found.values():
        assert read_attempts(tmp_path / "results" / "long" / record.job.folder)[1].resumed == kept[record.job.folder]
    jobs = [record.job for record in found.values()]
    assert len(jobs) == 2
    assert outcomes(tmp_path / "results" / "long") == here(jobs, tmp_path / "inline")


def test_a_run_that_is_killed_takes_its_processes_along(start):
    run = start()
    run.search()
    run.process.kill()
    assert run.ends_children()
    for folder in run.folders():
        assert 0 < (kept_fraction(folder) or 0) < 1, "they were asked, not killed, and had the time"
        assert [attempt.outcome for attempt in read_attempts(folder)] == ["stopped by SIGTERM"]
        assert not (folder / records.RECORD).exists()


def test_a_run_that_is_killed_while_its_processes_start_takes_them_along(start):
    run = start()
    run.wait_for(lambda: run.look() >= 2)
    run.process.kill()
    run.process.wait()
    assert run.ends_children(18.0), "each would go on for more than 20 s"
    for folder in run.folders():
        assert not (folder / records.RECORD).exists()
