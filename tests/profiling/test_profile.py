"""Profiles: what is timed adds up."""

import gc
import os
import re
import shutil
import subprocess
import sys
import time
import weakref
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

import slt_bench.profiling.profile as profiles
from slt_bench.profiling import timing
from slt_bench.profiling.memory import peak_memory
from slt_bench.profiling.profile import profile
from slt_bench.profiling.subject import PARTS, ProfiledMethod, ProfileOptions
from slt_bench.profiling.timing import WARM, Times, time_steps
from slt_bench.utils.errors import UserError
from slt_bench.utils.machine import provenance


def test_a_round_times_every_subject_and_the_parts_add_up():
    subjects = [ProfiledMethod.build(name, "lenet300", ProfileOptions(32)) for name in ("dense", "gates")]
    found = time_steps(subjects, seconds=0.2)
    assert len(found) == 2
    assert len(found[0].wall) == len(found[1].wall) >= 2
    for times in found:
        assert times.parts.shape == (len(times.wall), len(PARTS))
        assert (times.parts > 0).all()
        assert np.allclose(times.parts.sum(1), times.wall)
        assert (times.cpu > 0).all()


def test_what_a_method_does_every_fourth_step_is_counted():
    class Subject:
        device = torch.device("cpu")
        count = 0

        def step(self, _, lap):
            self.count += 1
            time.sleep(0.02 * (self.count % 4 == 0))
            for part in PARTS:
                lap(part)

    (times,) = time_steps([Subject()], seconds=0)
    assert (times.wall >= 0.005).all()


def test_rows_of_each_number_of_threads_are_beside_dense_training_on_as_many(monkeypatch):
    before, seen = torch.get_num_threads(), []
    timed = profiles.time_steps
    monkeypatch.setattr(profiles, "time_steps", lambda *given: seen.append(torch.get_num_threads()) or timed(*given))
    monkeypatch.setattr(profiles, "peak_memory", lambda *_: float(torch.get_num_threads()))
    rows = list(profile(["gates"], ["lenet300"], ProfileOptions(16), seconds=0.0, threads=[1, 2]))
    assert seen == [1, 2]
    assert torch.get_num_threads() == before
    assert [(row.threads, row.method) for row in rows] == [(1, "dense"), (1, "gates"), (2, "dense"), (2, "gates")]
    assert [row.provenance["threads"] for row in rows] == [1, 1, 2, 2]
    assert [row.ratio for row in rows if row.method == "dense"] == [1.0, 1.0]
    assert [row.memory_mb for row in rows] == [None, None, 2.0, 2.0]


def test_the_first_steps_are_not_timed(monkeypatch):
    now = 0.0
    monkeypatch.setattr(timing, "perf_counter", lambda: now)

    class Subject:
        device = torch.device("cpu")
        count = 0

        def step(self, _, lap):
            nonlocal now
            self.count += 1
            now += 60.0 if self.count <= 2 else 1.0  # made, and made again
            for part in PARTS:
                lap(part)

    subject = Subject()
    (times,) = time_steps([subject], seconds=0)
    assert times.wall.tolist() == [1.0, 1.0]
    assert subject.count == WARM + 2 * 4


def test_a_ratio_is_of_the_same_round():
    busy = np.array([1.0, 10.0, 1.0, 100.0, 1.0])
    one, other = (Times(factor * busy, busy, busy) for factor in (3.0, 2.0))
    assert one.ratio(other) == (1.5, 1.5, 1.5)


def test_steps_are_those_of_a_search():
    subject = ProfiledMethod.build("edgepopup", "lenet300", ProfileOptions(64))
    before = subject.method.scores.detach().clone()
    laps = []
    subject.step(0.0, laps.append)
    assert laps == list(PARTS)
    assert not torch.equal(before, subject.method.scores)
    assert float(subject.method.mask().double().mean()) == pytest.approx(0.1, abs=1e-3)


def test_rows_hold_dense_training_with_every_optimiser():
    rows = list(profile(["gates", "edgepopup"], ["lenet300"], ProfileOptions(16), seconds=0.1, memory=False))
    assert [(row.method, row.optimizer) for row in rows] == [
        ("dense", "adam"), ("dense", "sgd"), ("gates", "adam"), ("edgepopup", "sgd"),
    ]  # fmt: skip
    assert [row.ratio for row in rows[:2]] == [1.0, 1.0]
    assert all(row.ms_low <= row.ms <= row.ms_high for row in rows)
    assert all(row.images_per_second == pytest.approx(16_000 / row.ms) for row in rows)
    assert all(row.memory_mb is None for row in rows)


def test_nothing_that_was_timed_is_alive_when_memory_is_measured(monkeypatch):
    built, alive = [], []
    make = ProfiledMethod.build

    def build(*given):
        subject = make(*given)
        built.extend(map(weakref.ref, (subject, subject.method, subject.network, subject.optimizer, subject.split)))
        built.extend(map(weakref.ref, subject.method.parameters()))
        return subject

    def peak_memory(*given):
        alive.append([one() for one in built if one() is not None])
        return 2.0 if given[0] == "gates" else 1.0

    monkeypatch.setattr(profiles.ProfiledMethod, "build", build)
    monkeypatch.setattr(profiles, "peak_memory", peak_memory)
    gc.disable()  # nothing may hang on when Python happens to look
    try:
        rows = list(profile(["gates"], ["lenet300", "mlp30_10"], ProfileOptions(8), seconds=0.0))
    finally:
        gc.enable()
    assert len(built) > 4 * 5
    assert alive == [[], [], [], []]
    assert [row.memory_ratio for row in rows] == [1.0, 2.0, 1.0, 2.0]


def test_rows_tell_where_they_come_from():
    (row,) = profile(["dense"], ["mlp30_10"], ProfileOptions(8), seconds=0.0, memory=False)
    plain, here = row.plain(), provenance(torch.device("cpu"))
    assert plain["seconds"] == 0.0
    told = plain["provenance"]
    assert {name: told[name] for name in ("commit", "hardware", "torch", "threads")} == {
        name: here[name] for name in ("commit", "hardware", "torch", "threads")
    }
    assert (datetime.fromisoformat(here["ended"]) - datetime.fromisoformat(told["ended"])).total_seconds() < 60


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="torch.compile needs a C++ compiler")
def test_compiled_steps_do_the_same():
    losses = []
    for yes in (False, True):
        torch.manual_seed(0)
        subject = ProfiledMethod.build("gates", "lenet300", ProfileOptions(16, compiled=yes))
        losses.append([float(subject.step(0.5)) for _ in range(4)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    rows = [
        list(profile(["gates"], ["lenet300"], ProfileOptions(16, compiled=yes), seconds=0.1, memory=False))
        for yes in (False, True)
    ]
    assert [row.compiled for row in rows[1]] == [True, True]


def test_what_learns_nothing_is_refused_before_anything_is_measured():
    told = []
    with pytest.raises(UserError, match="random_mask takes no gradient steps"):
        next(profile(["gates", "random_mask"], ["lenet300"], ProfileOptions(), tell=told.append))
    assert told == []


@pytest.mark.slow
def test_the_memory_of_a_search_is_near_that_of_dense_training():
    wish = ProfileOptions(64)
    dense, gates = (peak_memory(name, "resnet18", wish) for name in ("dense", "gates"))
    assert 4 * 6 * 11 < dense < 4_000  # weights, gradient, two moments and the step's own, of 11 million each
    assert gates / dense < 1.3


@pytest.mark.gpu
def test_on_cuda():
    (dense, gates) = profile(["gates"], ["resnet20"], ProfileOptions(64, "bf16", device="cuda"), seconds=1.0)
    assert gates.device == "cuda"
    assert 0.5 < gates.ratio < 5
    assert dense.memory_mb > 1
    assert sum(gates.parts.values()) == pytest.approx(gates.ms, rel=0.3)


def test_the_yardstick_compares_a_plain_loop_with_a_dense_step():
    script = Path(__file__).parents[2] / "scripts" / "yardstick.py"
    command = [sys.executable, str(script), "--arch", "lenet300", "--batch-size", "16", "--rounds", "2"]
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.fullmatch(
        r"lenet300, batches of 16, float32, \w+: plain ([\d.]+) ms a step \(\d+ images a second\), "
        r"slt_bench ([\d.]+) ms, ratio ([\d.]+) \(([\d.]+) to ([\d.]+)\)\n",
        line,
    )
    plain, ours, ratio, low, high = map(float, found.groups())
    assert min(plain, ours) > 0
    assert 0 < low <= ratio <= high
