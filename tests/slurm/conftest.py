"""Fixtures for tests on a real SLURM: `.ci/run` starts one; elsewhere any cluster that `sinfo` knows will do."""

import os
import signal
import subprocess

import pytest
from cluster import Sweep, slurm

from slt_bench.records.lock import read_claim

SAME = ("status", "metrics", "curve", "layers", "flags", "mask_hash", "weight_hash", "settings", "method_version")


@pytest.fixture(scope="session")
def cluster():
    """Skips where there is no SLURM."""
    try:
        slurm("sinfo", "--noheader")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no SLURM cluster: {error}")


@pytest.fixture
def sweep(cluster, tmp_path):
    """A function that makes a sweep in this test's folder; whatever it leaves in the queue is cancelled."""
    made = []

    def make(*options):
        made.append(Sweep(tmp_path, *options))
        return made[-1]

    yield make
    for one in made:
        if tasks := one.tasks():
            subprocess.run(["scancel", *tasks], check=False, capture_output=True)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A function that gives the records of the same options run inline, by id; each asked for once."""
    known = {}

    def run(*options):
        if options not in known:
            room = tmp_path_factory.mktemp("undisturbed")
            one = Sweep(room, *options)
            code, output = one.call("run", *options, "--threads", "1", "--no-report")
            assert code == 0, output
            known[options] = one.records()
        return known[options]

    return run


@pytest.fixture
def same_as():
    """A function that asserts that two sets of records measured the same, record for record."""

    def check(found, expected):
        assert set(found) == set(expected)
        for key, record in found.items():
            assert {name: getattr(record, name) for name in SAME} == {
                name: getattr(expected[key], name) for name in SAME
            }

    return check


@pytest.fixture
def kill():
    """A function that kills the process at a job, as a lack of memory does."""
    return lambda folder: os.kill(read_claim(folder).pid, signal.SIGKILL)
