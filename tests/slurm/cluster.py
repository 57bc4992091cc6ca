"""A sweep on a real SLURM, as a user types it, and what a test asks of the cluster."""

import os
import subprocess
import sys
import time
from pathlib import Path

from slt_bench import records
from slt_bench.records.lock import is_alive, read_claim
from slt_bench.records.runs import read_runs

PATIENCE = 240.0
PATIENT = Path(__file__).parents[1] / "patient"  # a method whose searches last as long as the environment says
STEPS = 400  # about those of a search of `patient` over the tests' 40 epochs


def slurm(*command):
    """What a command of SLURM's prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def wait_until(happens, what, patience=PATIENCE):
    """Wait for a condition; its value."""
    end = time.monotonic() + patience
    while not (value := happens()):
        assert time.monotonic() < end, f"waited {patience:.0f} s for {what}"
        time.sleep(0.2)
    return value


class Sweep:
    """`slt_bench run` with the same options in one results folder, again and again."""

    def __init__(self, room: Path, *options: str) -> None:
        self.room, self.options = room, options
        self.environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    def command(self, verb, *more):
        return [sys.executable, "-m", "slt_bench", verb, *more]

    def start(self, *more, prefix=(), pause=10):
        """Begin a run on the cluster, to be disturbed: a search of `patient` pauses for so many seconds in all."""
        command = self.command("run", *self.options, "--executor", "slurm", "--threads", "1", "--no-report", *more)
        return subprocess.Popen(
            [*prefix, *command],
            cwd=self.room,
            env=self.environment | {"SLT_BENCH_TEST_PAUSE": str(pause / STEPS)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def finish(self, process):
        """The exit code of a run that was begun, and all that it printed."""
        output = process.communicate(timeout=PATIENCE)[0]
        return process.returncode, output

    def run(self, *more):
        """A run on the cluster from start to end: exit code and output."""
        return self.finish(self.start(*more, pause=0))

    def call(self, verb, *more):
        """Another verb: exit code and output."""
        done = subprocess.run(
            self.command(verb, *more),
            cwd=self.room,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def folder(self):
        return self.room / "results" / "adhoc"

    def tasks(self):
        """SLURM's ids of all tasks that were submitted, in their order."""
        runs = read_runs(self.folder) if self.folder.is_dir() else []
        return [unit.task for run in runs for unit in run.units if unit.task]

    def running(self):
        """The folders of jobs that a living process is at and whose search has begun to keep checkpoints."""
        found = [path.parent for path in self.folder.glob("*/checkpoint.safetensors")]
        return [path for path in found if (claim := read_claim(path)) and is_alive(path, claim)]

    def wait_for_running(self, count=1):
        """Wait until so many jobs run; their folders."""
        return wait_until(lambda: found if len(found := self.running()) >= count else None, f"{count} running jobs")

    def records(self):
        return records.read(self.folder).records

    def log(self):
        """Everything that any job logged."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*/log.txt")))
