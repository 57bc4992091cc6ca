"""What tests of locks and runs share."""

import subprocess
import sys

import pytest

from slt_bench.records.lock import start_time


@pytest.fixture
def dead_pid():
    """The id and the start time of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_time(process.pid)
    process.communicate(b"\n")
    return process.pid, started
