"""A worker of the local executor: a process that takes the next free job, until none is left.

    python -m slt_bench.execution.executors.local_worker SHARED DEVICE THREADS CORES

SHARED is the descriptor of a file that all workers of a run inherit: a `TaskSpec` as JSON. Whoever locks its byte 0
chooses a job next; bytes 1 to CORES are locked by those who use these cores. The kernel frees the locks of a worker
that dies. Whether a job is free, its own lock says.

A worker tells its run on standard output, a line each, at which jobs it is. When its standard input ends, its run has
ended, and the worker stops as if it were asked to.
"""
# ruff: noqa: E402 - torch is loaded first, without looking for garbage

from slt_bench.utils.import_torch import OPTIMISERS, load_torch

load_torch(OPTIMISERS)

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from slt_bench.execution.worker.attempt import attempt_all, died
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task_spec import SilentListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records import Record
from slt_bench.records.lock import is_alive, read_claim
from slt_bench.registry import VARIABLE
from slt_bench.utils.errors import UserError

WAIT_SECONDS = 0.1


class Worker(SilentListener):
    """Runs jobs that nobody else runs.

    Args:
        work: All jobs of the run, and where this worker runs them.
        shared: The descriptor of the workers' file.
        cores: That all workers share; 0 for any number.
        events: Where to say at which jobs this worker is.
    """

    def __init__(self, work: TaskSpec, shared: int, cores: int, events: TextIO) -> None:
        self.work, self.shared, self.cores, self.events = work, shared, cores, events

    def run(self, stopper: Stopper) -> None:
        """Run jobs until each has a record; those that killed their last process come last.

        Raises:
            Stopped: That was asked for.
            StorageError: Files cannot be written.
        """
        left = sorted(self.work.jobs, key=lambda job: self._is_free(job) and died(self._folder(job)))
        while left:
            later = [job for pack in self.work.packs(left) for job in self._try(pack, stopper)]
            if len(later) == len(left):
                self.tell("waiting")
                time.sleep(WAIT_SECONDS)
            left = later

    def started(self, job: Job) -> None:
        """The job is locked: the next worker may choose."""
        fcntl.lockf(self.shared, fcntl.LOCK_UN, 1, 0)
        self.tell("started", job.id)

    def ended(self, record: Record) -> None:
        """Say so."""
        self.tell("ended", record.id)

    def _try(self, pack: Sequence[Job], stopper: Stopper) -> Sequence[Job]:
        """Run jobs together if they and enough cores are free. Returns those that are left."""
        pack = [job for job in pack if not self.work.has_ended(job)]
        if not pack or not all(map(self._is_free, pack)):
            return pack
        fcntl.lockf(self.shared, fcntl.LOCK_EX, 1, 0)
        try:
            if not all(map(self._is_free, pack)) or not self._take_cores(self.work.context_of(pack[0]).threads or 1):
                return pack
            return attempt_all(pack, self.work, self, stopper, captures=True)
        finally:
            fcntl.lockf(self.shared, fcntl.LOCK_UN)  # of all bytes

    def _take_cores(self, threads: int) -> bool:
        """Lock a byte for each core that a job needs; one that needs more than there are takes all."""
        left = min(threads, self.cores)
        for core in range(1, self.cores + 1):
            if left:
                with contextlib.suppress(BlockingIOError, PermissionError):
                    fcntl.lockf(self.shared, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, core)
                    left -= 1
        return left == 0

    def _is_free(self, job: Job) -> bool:
        """Whether nobody is at a job, and the run knows of the death of a worker that was."""
        claim = read_claim(self._folder(job))
        return claim is None or not (is_alive(self._folder(job), claim) or _is_dead_sibling(claim.pid))

    def _folder(self, job: Job) -> Path:
        return self.work.folder / job.folder

    def tell(self, *words: str) -> None:
        """Say something to the run."""
        with contextlib.suppress(OSError):  # the run has ended, and we are about to be told
            print(json.dumps(words), file=self.events, flush=True)


def _is_dead_sibling(pid: int) -> bool:
    """Whether the process is a zombie: our run counts the deaths of a job's workers before it lets them go."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[:2] == ["Z", str(os.getppid())]


def main(shared: int, device: str, threads: int, cores: int) -> int:
    """Run the work in the shared file; the exit code."""
    lifeline, events = os.dup(0), os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)  # jobs neither read from the run
    os.dup2(2, 1)  # nor write to it
    work = TaskSpec.model_validate_json(os.pread(shared, os.fstat(shared).st_size, 0))
    context = replace(work.context, device=device, threads=work.context.threads or threads)
    worker = Worker(work.model_copy(update={"context": context}), shared, cores, events)
    os.environ[VARIABLE] = os.pathsep.join(map(str, work.plugins))
    try:
        with Stopper() as stopper:
            threading.Thread(target=_stop_with_run, args=(lifeline,), daemon=True).start()
            worker.run(stopper)
    except Stopped as stopped:
        return 128 + stopped.signum
    except UserError as error:
        worker.tell("error", str(error))
        return error.exit_code
    return 0


def _stop_with_run(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever sent
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
