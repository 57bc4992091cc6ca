"""Attempts at a job: stopped, killed, refused by the disk, and made again, they end in the record of one long run."""

import contextlib
import errno
import gc
import json
import math
import os
import random
import shutil
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from slt_bench import records
from slt_bench.execution.executors import inline
from slt_bench.execution.executors.inline import run_inline
from slt_bench.execution.worker import checkpoint_writer, measure
from slt_bench.execution.worker.attempt import FRUITLESS_STARTS, attempt_all
from slt_bench.execution.worker.log import LOG
from slt_bench.execution.worker.signals import SIGNALS, Stopped, Stopper
from slt_bench.execution.worker.task_spec import Context, SilentListener, TaskSpec
from slt_bench.method import Method, OptimizerSettings, straight_through
from slt_bench.records import attempts
from slt_bench.records.attempts import ATTEMPTS, CHECKPOINT, PROGRESS, kept_fraction, read_attempts, start_attempt
from slt_bench.records.lock import CLAIM, lock_job, read_claim
from slt_bench.records.superseded import set_aside, superseded
from slt_bench.registry import load_registry
from slt_bench.tickets.ticket import read_ticket
from slt_bench.utils import tensor_file
from slt_bench.utils.errors import StorageError
from slt_bench.utils.files import TEMPORARY

NOWHERE = Path("no-data")  # digits come with scikit-learn
STEPS = 40  # of the jobs here: two epochs of 20
MEASURED = ("status", "reason", "n", "metrics", "flags", "layers", "weight_hash", "mask_hash", "curve", "settings")


class Killed(BaseException):
    """What ends an attempt as if its process had been killed, but for the claim."""


class Interrupting(SilentListener):
    """Sends signals to this process when the search comes to given steps, one each; or raises an error."""

    def __init__(self, *steps, how=signal.SIGTERM):
        self.steps = list(steps)
        self.how = how
        self.seen = []

    def progressed(self, _, fraction):
        step = round(fraction * STEPS)
        self.seen.append(step)
        while self.steps and step >= self.steps[0]:
            self.steps.pop(0)
            if not isinstance(self.how, signal.Signals):
                raise self.how
            signal.raise_signal(self.how)


class Place:
    """A benchmark's folder with one job in it."""

    def __init__(self, job, root, **context):
        self.job = job
        self.work = TaskSpec(jobs=(job,), folder=root, context=Context(NOWHERE, "cpu", **context))
        self.folder = root / job.folder

    def attempt(self, watcher=None, **options):
        with Stopper() as stopper:
            return not attempt_all([self.job], self.work, watcher or SilentListener(), stopper, **options)

    def stop(self, *steps, how=signal.SIGTERM):
        """An attempt that is stopped at those steps."""
        with pytest.raises(Stopped if isinstance(how, signal.Signals) else type(how)):
            self.attempt(Interrupting(*steps, how=how))

    def rerun(self):
        """Set the job's record aside, as a command does that runs it again."""
        set_aside(self.folder, self.record)

    @property
    def record(self):
        return records.read_one(self.folder)

    @property
    def log(self):
        return (self.folder / LOG).read_text()

    def files(self):
        """The files that are more than traces of an attempt."""
        own = (ATTEMPTS, LOG, records.JOB, f".{CLAIM}-lock")
        return {path.name for path in self.folder.iterdir()} - {*own, *(path.name for path in superseded(self.folder))}


@pytest.fixture(autouse=True)
def _quick():
    """Every job collects garbage; it need not look through all of torch each time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _heard():
    """No signal is ignored, as it would be under nohup."""
    ignored = [signum for signum in SIGNALS if signal.getsignal(signum) is signal.SIG_IGN]
    for signum in ignored:
        signal.signal(signum, signal.SIG_DFL)
    yield
    for signum in ignored:
        signal.signal(signum, signal.SIG_IGN)


@pytest.fixture
def place(make_job, tmp_path):
    """A function that gives a folder with one job of 40 steps, edge-popup unless told otherwise."""
    return lambda job=None, **context: Place(job or make_job(), tmp_path, **context)


@pytest.fixture
def every_step(monkeypatch):
    """What makes a job write a checkpoint before every step."""
    monkeypatch.setattr(checkpoint_writer, "MOST_TIME", math.inf)
    return {"checkpoint_seconds": 0.0}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A function that gives the record of a job that nobody disturbs."""
    known = {}

    def give(job):
        if job.id not in known:
            quiet = Place(job, tmp_path_factory.mktemp("undisturbed"))
            assert quiet.attempt()
            known[job.id] = quiet.record
        return known[job.id]

    return give


@pytest.fixture
def use(monkeypatch):
    """A function that puts a method into the registry for one test."""
    return lambda method: monkeypatch.setitem(load_registry().methods, method.name, method)


def measured(record):
    return {name: getattr(record, name) for name in MEASURED}


def full_disk(monkeypatch, name):
    """Refuse tensor files of that name, half of which is written."""
    save = tensor_file.save_file

    def refuse(tensors, path, metadata):
        save(tensors, path, metadata)
        if path.name.endswith(name):
            path.write_bytes(path.read_bytes()[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tensor_file, "save_file", refuse)


@contextlib.contextmanager
def plain_streams():
    """Python's streams write to the descriptors 1 and 2, as outside of pytest."""
    with contextlib.ExitStack() as stack:
        out, err = (stack.enter_context(open(number, "w", closefd=False)) for number in (1, 2))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        yield


def reseed(seed):
    """Every global generator is somewhere else."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


class Learning(Method):
    """Trains one score a weight; what the plug-ins below are derived from."""

    name, version, paper = "learning", 1, "a test"
    sparsity_control, purity = "none", "frozen"
    Settings = OptimizerSettings

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.scores = torch.nn.Parameter(torch.empty_like(network.weights).normal_(generator=self.generator))

    def gates(self):
        return straight_through(self.mask(), self.scores)

    def mask(self):
        return self.scores.detach() > 0


class TestStopped:
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP])
    def test_a_signal_leaves_a_checkpoint_and_nothing_that_is_half_done(self, place, how):
        here = place()
        here.stop(12, how=how)
        assert here.files() == {CHECKPOINT}
        assert kept_fraction(here.folder) == 13 / STEPS
        assert not here.work.has_ended(here.job)
        assert read_claim(here.folder) is None
        (only,) = read_attempts(here.folder)
        assert (only.number, only.outcome, only.resumed) == (1, f"stopped by {how.name}", None)
        assert only.ended >= only.started > ""
        assert f"attempt 1: stopped by {how.name}" in here.log

    @pytest.mark.parametrize("step", [0, 12, 18, 19, 20, 38])  # 19 and 39 are the last of their epochs
    @pytest.mark.parametrize("method", ["edgepopup", "gates"])
    def test_the_next_attempt_ends_in_the_record_of_one_run(self, place, undisturbed, make_job, method, step):
        here = place(make_job(method=method))
        here.stop(step)
        watcher = Interrupting()
        assert here.attempt(watcher)
        assert watcher.seen == list(range(step + 1, STEPS))
        assert f"goes on from a checkpoint at {100 * (step + 1) / STEPS:.1f}%" in here.log
        assert measured(here.record) == measured(undisturbed(here.job))
        assert here.record.provenance["attempts"] == 2
        assert read_ticket(here.folder / records.TICKET).mask_hash == here.record.mask_hash
        assert here.files() == {records.RECORD, records.TICKET, records.CURVE}
        _, second = read_attempts(here.folder)
        assert (second.number, second.outcome, second.resumed) == (2, "done", (step + 1) / STEPS)

    def test_a_job_that_is_stopped_again_and_again_ends_in_the_record_of_one_run(self, place, undisturbed):
        here = place()
        for step in (3, 3, 11, 19, 20, 31):
            with pytest.raises(Stopped), Stopper() as stopper:
                run_inline(here.work, Interrupting(step), stopper)
        with Stopper() as stopper:
            run_inline(here.work, SilentListener(), stopper)
        assert measured(here.record) == measured(undisturbed(here.job))
        assert here.record.provenance["attempts"] == 7
        kept = [round(attempt.resumed * STEPS) for attempt in read_attempts(here.folder)[1:]]
        assert kept == [4, 5, 12, 20, 21, 32]

    def test_a_second_signal_stops_at_once_and_what_was_kept_before_stays(self, place, undisturbed, monkeypatch):
        monkeypatch.setattr("slt_bench.execution.worker.signals.SAME_SECONDS", 0.0)
        here = place()
        here.stop(7)
        here.stop(20, 20)
        assert kept_fraction(here.folder) == 8 / STEPS
        here.attempt()
        assert measured(here.record) == measured(undisturbed(here.job))

    def test_a_killed_attempt_leaves_its_last_checkpoint(self, place, undisturbed, every_step):
        here = place(**every_step)
        here.stop(25, how=Killed())
        assert kept_fraction(here.folder) == 25 / STEPS
        assert read_attempts(here.folder)[0].outcome == "ended by Killed"
        here.attempt()
        assert "goes on from a checkpoint" in here.log
        assert measured(here.record) == measured(undisturbed(here.job))

    def test_a_signal_before_the_search_stops_at_once(self, place, use, undisturbed, make_job):
        class Slow(Learning):
            """Takes its time to be made."""

            name = "slow"
            waits = True

            def __init__(self, *what):
                if self.waits:
                    signal.raise_signal(signal.SIGTERM)
                super().__init__(*what)

        use(Slow)
        here = place(make_job(method="slow", sparsity=None))
        with pytest.raises(Stopped):
            here.attempt()
        assert here.files() == set()
        assert read_claim(here.folder) is None
        assert read_attempts(here.folder)[0].outcome == "stopped by SIGTERM"
        Slow.waits = False
        here.attempt()
        assert measured(here.record) == measured(undisturbed(here.job))

    def test_a_plug_in_that_catches_every_exception_holds_nothing_up(self, place, use, make_job):
        class Catching(Learning):
            """Sees errors nowhere."""

            name = "catching"

            def on_progress(self, _):
                with contextlib.suppress(Exception):
                    signal.raise_signal(signal.SIGTERM)

        use(Catching)
        here = place(make_job(method="catching", sparsity=None))
        with pytest.raises(Stopped):
            here.attempt()
        assert kept_fraction(here.folder) in (None, 1 / STEPS)


class TestScoring:
    @pytest.fixture
    def scoring(self, monkeypatch):
        """The signal comes while the first ticket is scored."""
        sanity, left = measure.sanity, [signal.SIGTERM]

        def interrupted(*what):
            if left:
                signal.raise_signal(left.pop())
            return sanity(*what)

        monkeypatch.setattr(measure, "sanity", interrupted)

    @pytest.mark.usefixtures("scoring")
    def test_a_search_that_was_kept_is_not_made_again(self, place, undisturbed, monkeypatch):
        here = place()
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_writer, "WORTH_SECONDS", 0.0)
            with pytest.raises(Stopped):
                here.attempt()
        assert kept_fraction(here.folder) == 1.0
        assert not (here.folder / records.RECORD).exists()
        assert not (here.folder / records.TICKET).exists()
        watcher = Interrupting()
        here.attempt(watcher)
        assert watcher.seen == []
        assert measured(here.record) == measured(undisturbed(here.job))
        assert here.files() == {records.RECORD, records.TICKET, records.CURVE}

    @pytest.mark.usefixtures("scoring")
    def test_a_short_one_is_made_again(self, place, undisturbed):
        here = place()
        with pytest.raises(Stopped):
            here.attempt()
        assert kept_fraction(here.folder) is None
        watcher = Interrupting()
        here.attempt(watcher)
        assert watcher.seen == list(range(STEPS))
        assert measured(here.record) == measured(undisturbed(here.job))
        assert here.files() == {records.RECORD, records.TICKET, records.CURVE}

    def test_a_signal_in_the_last_step_keeps_a_search_that_is_worth_it(self, place, undisturbed, monkeypatch):
        monkeypatch.setattr(checkpoint_writer, "WORTH_SECONDS", 0.0)
        here = place()
        here.stop(STEPS - 1)
        assert kept_fraction(here.folder) == 1.0
        here.attempt()
        assert measured(here.record) == measured(undisturbed(here.job))


class TestFailing:
    @pytest.fixture
    def fragile(self, use, place, make_job, every_step):
        class Fragile(Learning):
            """Fails in the middle, until it is mended."""

            name = "fragile"
            broken = True

            def on_progress(self, fraction):
                if fraction >= 0.5 and self.broken:
                    raise MemoryError("no more")

        use(Fragile)
        return place(make_job(method="fragile", sparsity=None), **every_step)

    def test_a_failure_keeps_its_checkpoint(self, fragile, undisturbed):
        fragile.attempt()
        assert fragile.record.status == "failed"
        assert fragile.record.reason == "MemoryError: no more"
        assert kept_fraction(fragile.folder) == 0.5
        assert not (fragile.folder / records.TICKET).exists()
        load_registry().find("fragile").broken = False
        fragile.rerun()
        fragile.attempt()
        assert "goes on from a checkpoint" in fragile.log
        assert measured(fragile.record) == measured(undisturbed(fragile.job))
        assert not (fragile.folder / CHECKPOINT).exists()

    def test_a_divergence_leaves_none(self, place, make_job, every_step):
        settings = {"lr": 1e30, "optimizer": "sgd"}
        here = place(make_job(method="dense", sparsity=None, settings=settings), **every_step)
        here.attempt()
        assert here.record.status == "diverged"
        assert here.files() == {records.RECORD}

    def test_a_state_that_no_file_can_hold_costs_the_checkpoints_and_not_the_job(
        self, place, use, make_job, every_step
    ):
        class Sparse(Learning):
            """Holds a tensor that no checkpoint takes."""

            name = "sparse"

            def __init__(self, *what):
                super().__init__(*what)
                self.few = torch.eye(3).to_sparse()

        use(Sparse)
        here = place(make_job(method="sparse", sparsity=None), **every_step)
        here.attempt()
        assert here.record.status == "done", here.record.reason
        assert "No checkpoints of this job" in here.log

    def test_what_a_constructor_draws_is_the_same_in_every_attempt(self, place, use, make_job, undisturbed):
        class Lucky(Learning):
            """Draws its start from the generators that everybody shares, and keeps some of it to itself."""

            name = "lucky"

            def __init__(self, *what):
                super().__init__(*what)
                draws = torch.rand_like(self.scores), np.random.random(self.scores.numel())  # noqa: NPY002
                self.scores.data = (draws[0] + torch.from_numpy(draws[1]).float() - 0.5 - random.random()).contiguous()
                self.start = frozenset([random.random()])  # which no checkpoint keeps

            def gates(self):
                return super().gates() * max(self.start)

        use(Lucky)
        here = place(make_job(method="lucky", sparsity=None))
        here.stop(12)
        reseed(99)
        here.attempt()
        reseed(98)
        assert measured(here.record) == measured(undisturbed(here.job))


class TestUnusable:
    @pytest.mark.parametrize("how", ["truncated", "flipped", "noise", "empty"])
    def test_a_damaged_checkpoint_is_set_aside_and_the_job_starts_over(self, place, undisturbed, how):
        here = place()
        here.stop(12)
        path = here.folder / CHECKPOINT
        whole = path.read_bytes()
        middle = len(whole) // 2
        damaged = {
            "truncated": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :],
            "noise": random.Random(0).randbytes(5000),
            "empty": b"",
        }[how]
        path.write_bytes(damaged)
        watcher = Interrupting()
        here.attempt(watcher)
        assert watcher.seen == list(range(STEPS))
        assert (here.folder / f"{CHECKPOINT}.unusable").read_bytes() == damaged
        assert f"It is kept as {CHECKPOINT}.unusable; the job starts over." in here.log
        assert "goes on from" not in here.log
        assert measured(here.record) == measured(undisturbed(here.job))
        assert not path.exists()

    @pytest.mark.parametrize("what", ["version", "code"])
    def test_one_of_another_method_is_set_aside(self, place, undisturbed, monkeypatch, what):
        here = place()
        expected = measured(undisturbed(here.job))
        here.stop(12)
        if what == "version":
            monkeypatch.setattr(load_registry().find("edgepopup"), "version", 2)
            said = "of another version: 1, where it should be 2"
        else:
            monkeypatch.setitem(load_registry().codes, "edgepopup", "changed")
            said = ", where it should be changed"
        here.attempt()
        assert said in here.log
        assert (here.folder / f"{CHECKPOINT}.unusable").exists()
        assert measured(here.record) == expected

    def test_one_of_another_job_is_set_aside(self, place, make_job, undisturbed):
        here, other = place(), place(make_job(seed=1))
        other.stop(12)
        here.folder.mkdir()
        shutil.copy(other.folder / CHECKPOINT, here.folder)
        here.attempt()
        assert f"of another job: {other.job.id}, where it should be {here.job.id}" in here.log
        assert measured(here.record) == measured(undisturbed(here.job))

    def test_one_that_cannot_be_loaded_fails_the_attempt_and_not_the_next(self, place, undisturbed, monkeypatch):
        here = place()
        here.stop(15)
        with monkeypatch.context() as patch:
            patch.setattr("slt_bench.training.search.load_method_state", lambda *_: int("no number"))
            here.attempt()
        assert here.record.reason.startswith("ValueError")
        assert f"{CHECKPOINT}.unusable" in here.log
        here.rerun()
        here.attempt()
        assert measured(here.record) == measured(undisturbed(here.job))


class TestStorage:
    def test_a_disk_that_takes_no_checkpoint_costs_the_checkpoint_and_not_the_search(
        self, place, undisturbed, monkeypatch, every_step
    ):
        full_disk(monkeypatch, CHECKPOINT)
        here = place(**every_step)
        here.attempt()
        assert "No space left on device" in here.log
        assert "The search goes on without a new checkpoint." in here.log
        assert measured(here.record) == measured(undisturbed(here.job))
        assert here.files() == {records.RECORD, records.TICKET, records.CURVE}

    def test_the_former_checkpoint_outlives_a_disk_that_takes_no_other(self, place, undisturbed, monkeypatch):
        here = place()
        here.stop(12)
        with monkeypatch.context() as patch:
            full_disk(patch, CHECKPOINT)
            here.stop(30)
        assert kept_fraction(here.folder) == 13 / STEPS
        here.attempt()
        assert measured(here.record) == measured(undisturbed(here.job))

    def test_a_disk_that_takes_no_ticket_leaves_no_record_and_the_job_works_the_next_time(
        self, place, undisturbed, monkeypatch
    ):
        monkeypatch.setattr(checkpoint_writer, "WORTH_SECONDS", 0.0)
        here = place()
        with monkeypatch.context() as patch:
            full_disk(patch, records.TICKET)
            with pytest.raises(StorageError, match="No space left on device"):
                here.attempt()
        assert here.files() == {CHECKPOINT}
        assert read_claim(here.folder) is None
        assert "could not be written" in read_attempts(here.folder)[0].outcome
        here.attempt()
        assert "goes on from a checkpoint at 100.0%" in here.log
        assert measured(here.record) == measured(undisturbed(here.job))

    def test_a_disk_that_takes_no_record_leaves_none_and_the_job_works_the_next_time(
        self, place, undisturbed, monkeypatch
    ):
        here = place()

        def refuse(path, text):
            raise StorageError(f"{path} could not be written")

        with monkeypatch.context() as patch:
            patch.setattr("slt_bench.records.folder.write_text", refuse)
            with pytest.raises(StorageError):
                here.attempt()
        assert not here.work.has_ended(here.job)
        here.attempt()
        assert measured(here.record) == measured(undisturbed(here.job))

    def test_a_folder_that_goes_away_is_a_matter_of_storage(self, place):
        here = place()

        class Removing(SilentListener):
            """Removes the job's folder under its feet."""

            def progressed(self, *_):
                shutil.rmtree(here.folder, ignore_errors=True)

        with pytest.raises(StorageError, match="could not be written"):
            here.attempt(Removing())

    def test_a_folder_that_cannot_be_made_is_a_matter_of_storage(self, place):
        here = place()
        here.work.folder.rmdir()
        here.work.folder.write_text("a file where a folder should be")
        with pytest.raises(StorageError, match="could not be written"):
            here.attempt()


class TestLog:
    @pytest.fixture
    def loud(self, place, use, make_job):
        class Loud(Learning):
            """Tells the world."""

            name = "loud"

            def on_progress(self, fraction):
                if fraction == 0.5:
                    os.write(1, b"written to descriptor 1\n")
                    os.write(2, b"written to descriptor 2\n")
                    print("printed")
                    print("printed as an error", file=sys.stderr)
                    warnings.warn("a warning", stacklevel=1)

        use(Loud)
        return place(make_job(method="loud", sparsity=None))

    SAID = ("written to descriptor 1", "written to descriptor 2", "printed\n", "printed as an error", "a warning")

    def test_everything_that_a_job_prints_stands_in_its_log(self, loud, capfd):
        with plain_streams():
            loud.attempt(captures=True)
        assert [text for text in self.SAID if text not in loud.log] == []
        assert "epoch 2" in loud.log
        captured = capfd.readouterr()
        assert (captured.out, captured.err) == ("", "")

    @pytest.mark.parametrize("how", [None, signal.SIGTERM, Killed()], ids=["ended", "stopped", "killed"])
    def test_the_descriptors_are_those_that_they_were_afterwards(self, loud, capfd, how):
        before = [os.fstat(number)[:3] for number in (1, 2)]
        opened = len(list(Path("/proc/self/fd").iterdir()))
        with plain_streams(), contextlib.suppress(Stopped, Killed):
            loud.attempt(Interrupting(*([30] if how else []), how=how), captures=True)
        assert [os.fstat(number)[:3] for number in (1, 2)] == before
        assert len(list(Path("/proc/self/fd").iterdir())) == opened
        print("after the job", flush=True)
        assert capfd.readouterr().out == "after the job\n"
        assert "after the job" not in loud.log

    def test_without_capturing_the_prints_go_where_they_went(self, loud, capfd):
        with plain_streams():
            loud.attempt()
        captured = capfd.readouterr()
        assert "printed\n" in captured.out
        assert "printed as an error" in captured.err
        assert "printed" not in loud.log
        assert "a warning" in loud.log

    def test_a_log_that_is_echoed_is_also_shown(self, place, capfd):
        here = place()
        with plain_streams():
            here.attempt(echoes=True)
        assert "attempt 1: done" in capfd.readouterr().err
        assert "attempt 1: done" in here.log


class TestAttemptsFile:
    def test_half_a_line_at_its_end_is_left_out_and_the_next_begins_anew(self, tmp_path):
        first = start_attempt(tmp_path, "inline")
        attempts.end_attempt(tmp_path, first, "stopped by SIGTERM")
        path = tmp_path / ATTEMPTS
        path.write_bytes(path.read_bytes() + b'{"number": 2, "host": "s\xc3')
        assert [attempt.number for attempt in read_attempts(tmp_path)] == [1]
        second = start_attempt(tmp_path, "local")
        attempts.end_attempt(tmp_path, second, "done")
        found = read_attempts(tmp_path)
        assert [(attempt.number, attempt.executor, attempt.outcome) for attempt in found] == [
            (1, "inline", "stopped by SIGTERM"),
            (2, "local", "done"),
        ]
        assert len(path.read_bytes().splitlines()) == 5

    @pytest.mark.parametrize("line", ["", "[]", "1", '"text"', '{"number": []}', '{"number": null}', "{}", "\0\0\0"])
    def test_a_line_that_says_nothing_is_left_out(self, tmp_path, line):
        start_attempt(tmp_path, "inline")
        with (tmp_path / ATTEMPTS).open("a") as file:
            file.write(f"{line}\n")
        assert start_attempt(tmp_path, "inline") == 2
        assert [attempt.number for attempt in read_attempts(tmp_path)] == [1, 2]

    def test_a_killed_attempt_has_a_start_and_no_end(self, tmp_path):
        start_attempt(tmp_path, "inline")
        (only,) = read_attempts(tmp_path)
        assert (only.ended, only.outcome, only.pid) == ("", "", os.getpid())

    def test_there_are_none_where_there_is_no_folder(self, tmp_path):
        assert read_attempts(tmp_path / "none") == []

    def test_it_cannot_be_written_where_there_is_no_folder(self, tmp_path):
        with pytest.raises(StorageError, match=ATTEMPTS):
            start_attempt(tmp_path / "none", "inline")

    def test_slurms_name_of_the_task_is_the_one_that_squeue_prints(self):
        assert attempts.task_id({}) == ""
        assert attempts.task_id({"SLURM_JOB_ID": "77"}) == "77"
        array = {"SLURM_JOB_ID": "79", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "2"}
        assert attempts.task_id(array) == "77_2"


class TestSuperseded:
    def test_a_job_with_a_record_is_not_run_again_unless_asked(self, place):
        here = place()
        here.attempt()
        before = (here.folder / records.RECORD).read_bytes()
        watcher = Interrupting()
        assert here.attempt(watcher)
        assert watcher.seen == []
        assert (here.folder / records.RECORD).read_bytes() == before
        assert len(read_attempts(here.folder)) == 1

    def test_the_old_record_is_kept_and_counts_no_more(self, place):
        here = place()
        here.attempt()
        names = (records.RECORD, records.TICKET, records.CURVE)
        before = (here.folder / records.RECORD).read_bytes()
        first = here.record
        here.rerun()
        assert not here.work.has_ended(here.job)
        here.stop(30)
        assert not here.work.has_ended(here.job)
        assert records.read(here.folder.parent).records == {}
        assert here.attempt()
        assert here.work.has_ended(here.job)
        assert [path.read_bytes() for path in superseded(here.folder)] == [before]
        assert (here.folder / records.RECORD).read_bytes() != before
        assert measured(here.record) == measured(first)
        assert here.files() == set(names)
        watcher = Interrupting()
        assert here.attempt(watcher)  # once is enough
        assert watcher.seen == []

    def test_a_rerun_that_fails_takes_the_old_ticket_with_it(self, place, monkeypatch):
        here = place()
        here.attempt()
        here.rerun()
        monkeypatch.setattr(load_registry().find("edgepopup"), "gates", None)
        here.attempt()
        assert here.record.status == "failed"
        assert not (here.folder / records.TICKET).exists()


class TestOthers:
    def test_a_job_that_a_living_process_runs_is_left_to_it(self, place):
        here = place()
        here.folder.mkdir()
        with lock_job(here.folder):
            assert not here.attempt()
        assert read_attempts(here.folder) == []
        assert here.attempt()

    def test_run_inline_waits_for_it(self, place, monkeypatch):
        monkeypatch.setattr(inline, "WAIT_SECONDS", 0.01)
        here = place()
        here.folder.mkdir()
        claim = contextlib.ExitStack()
        claim.enter_context(lock_job(here.folder))

        class Patient(SilentListener):
            """Lets go of the claim when asked to wait for the second time."""

            waits = 0

            def waiting(self, _):
                self.waits += 1
                if self.waits == 2:
                    claim.close()

        watcher = Patient()
        with Stopper() as stopper:
            run_inline(here.work, watcher, stopper)
        assert watcher.waits == 2
        assert here.record.status == "done"

    def test_what_a_killed_process_had_begun_to_write_is_cleared(self, place):
        here = place()
        here.folder.mkdir()
        (here.folder / f"{TEMPORARY}123-{CHECKPOINT}").write_text("half")
        (here.folder / PROGRESS).write_text('{"fraction": 0.5}')
        here.attempt()
        assert here.files() == {records.RECORD, records.TICKET, records.CURVE}

    def test_the_job_stands_beside_its_record(self, place):
        here = place()
        here.stop(0)
        assert type(here.job).model_validate_json((here.folder / records.JOB).read_text()) == here.job


class TestSlurm:
    @pytest.fixture
    def task(self, monkeypatch):
        """A function that makes this process a start of a task."""

        def start(task, restarts=0):
            monkeypatch.setenv("SLURM_JOB_ID", task)
            monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))

        return start

    @pytest.fixture
    def place(self, place):
        """A job that SLURM runs."""

        def make(*arguments, **options):
            here = place(*arguments, **options)
            here.work = here.work.model_copy(update={"executor": "slurm"})
            return here

        return make

    def test_stops_of_other_executors_in_an_allocation_count_for_nothing(self, place, task):
        here = place()
        here.work = here.work.model_copy(update={"executor": "inline"})
        self.fruitless(here, task)
        here.attempt()
        assert here.record.status == "done"

    def fruitless(self, here, task, name="77", starts=FRUITLESS_STARTS):
        for number in range(starts):
            task(name, number)
            here.stop(1, how=Killed())
        task(name, starts)

    def test_starts_that_get_nowhere_end_in_a_failure_that_says_what_to_do(self, place, task):
        here = place()
        self.fruitless(here, task)
        watcher = Interrupting()
        assert here.attempt(watcher)
        assert watcher.seen == []
        assert here.record.status == "failed"
        for text in (
            "3 starts of SLURM's task 77",
            "0% of it (ended by Killed)",
            "timeout_min",
            "--checkpoint-seconds",
        ):
            assert text in here.record.reason
        assert [attempt.task for attempt in read_attempts(here.folder)] == ["77"] * 4
        assert read_attempts(here.folder)[-1].outcome == "failed"

    def test_so_do_those_that_end_at_the_same_checkpoint_and_it_is_kept(self, place, task, undisturbed):
        here = place()
        here.stop(19)
        for number in range(FRUITLESS_STARTS):
            task("77", number)
            start_attempt(here.folder, "slurm")  # and is killed without a word
        task("77", FRUITLESS_STARTS)
        here.attempt()
        assert here.record.status == "failed"
        assert "at 50% of it (killed without a word)" in here.record.reason
        assert kept_fraction(here.folder) == 20 / STEPS
        here.rerun()
        task("78")
        here.attempt()
        assert measured(here.record) == measured(undisturbed(here.job))

    @pytest.mark.parametrize(("starts", "name"), [(FRUITLESS_STARTS - 1, "77"), (FRUITLESS_STARTS, "78")])
    def test_one_start_less_or_another_task_is_no_failure(self, place, task, starts, name):
        here = place()
        self.fruitless(here, task, starts=starts)
        task(name, starts)
        here.attempt()
        assert here.record.status == "done"

    def test_starts_that_get_further_do_not_count(self, place, task, undisturbed):
        here = place()
        for number in range(2 * FRUITLESS_STARTS):
            task("77", number)
            here.stop(0 if number == 0 else number)
        here.attempt()
        assert measured(here.record) == measured(undisturbed(here.job))

    def test_outside_of_slurm_no_number_of_starts_is_too_many(self, place, monkeypatch):
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
        here = place()
        for _ in range(FRUITLESS_STARTS + 2):
            here.stop(1, how=Killed())
        here.attempt()
        assert here.record.status == "done"


def test_the_progress_of_a_running_job_can_be_read(place, monkeypatch):
    monkeypatch.setattr("slt_bench.execution.worker.attempt.PROGRESS_SECONDS", 0.0)
    here, seen = place(), []

    class Looking(SilentListener):
        """Reads what the job itself says."""

        def progressed(self, _, fraction):
            seen.append((fraction, attempts.read_progress(here.folder)))

    here.attempt(Looking())
    assert [said for _, said in seen[1:]] == [pytest.approx(fraction) for fraction, _ in seen[:-1]]
    assert attempts.read_progress(here.folder) is None


def test_what_an_attempt_writes_is_plain_json(place):
    here = place()
    here.stop(12)
    lines = [json.loads(line) for line in (here.folder / ATTEMPTS).read_text().splitlines()]
    assert [line["number"] for line in lines] == [1, 1]
