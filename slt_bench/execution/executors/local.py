"""The executor of this machine: worker processes that each take the next free job, until none is left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from slt_bench import records
from slt_bench.execution.worker.run_job import failed_record
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task_spec import ProgressListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records.attempts import read_progress
from slt_bench.records.lock import lock_job
from slt_bench.utils.cores import count_cores
from slt_bench.utils.errors import StorageError, UserError

WORKER = "slt_bench.execution.executors.local_worker"
LOOK_SECONDS = 0.1
DEATHS = 3  # of workers at a job, after which it has failed; or of workers before their first job
PATIENCE_SECONDS = 120.0  # for workers that were asked to stop and write their checkpoints


@dataclass(frozen=True)
class Slot:
    """Where a worker runs.

    Attributes:
        threads: CPU threads of its jobs, where a job has no number of its own.
        gpu: The CUDA device that it sees, as CUDA_VISIBLE_DEVICES names it; None hides them all.
    """

    threads: int
    gpu: str | None = None

    def environment(self) -> dict[str, str]:
        """The environment of its worker, which finds modules where this process does."""
        threads = str(self.threads)
        return os.environ | {
            "CUDA_VISIBLE_DEVICES": self.gpu or "",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        }


@dataclass
class _WorkerProcess:
    """A worker as its run sees it.

    Attributes:
        slot: Where it runs.
        process: Its process, in a session of its own: Ctrl-C is for the run, which passes it on.
        jobs: At which it is, by id.
        error: Why it ended, if it could say so.
        rest: Of its events, a line that is not whole yet.
    """

    slot: Slot
    process: subprocess.Popen[bytes]
    jobs: dict[str, Job] = field(default_factory=dict)
    error: str = ""
    rest: bytes = b""

    def events(self) -> list[list[str]]:
        """What it has said since it was asked last."""
        assert self.process.stdout
        *lines, self.rest = (self.rest + (self.process.stdout.read() or b"")).split(b"\n")
        return [json.loads(line) for line in lines]

    def exit_code(self) -> int | None:
        """Return how it has ended, None while it runs. It stays a zombie until `close`."""
        found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found and (found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)

    def close(self) -> None:
        """Let go of it after its end."""
        with self.process:
            return


def run_local(
    work: TaskSpec, watcher: ProgressListener, stopper: Stopper, slots: Sequence[Slot], cores: int | None = None
) -> None:
    """Run every open job in one of several worker processes.

    Jobs start in their order, except that one that needs more cores than are free lets later ones go first. A worker
    that dies is started again, and its job goes on from its checkpoint; a job whose workers died `DEATHS` times has
    failed.

    Args:
        work: The jobs; their device is that of the slots.
        watcher: Is informed of each step.
        stopper: Knows whether this process is to stop.
        slots: One for each worker; at least one.
        cores: How many threads all running jobs may have together; a job that has more runs alone. None: any number.

    Raises:
        Stopped: That was asked for; the workers have been asked too, and have ended.
        StorageError: Files cannot be written; the workers have ended.
        UserError: Workers cannot be started, or end before they begin a job.
    """
    with tempfile.TemporaryFile() as shared:
        shared.write(work.model_dump_json().encode())
        shared.flush()
        _Pool(work, watcher, stopper, cores, shared.fileno()).run(slots)


class _Pool:
    def __init__(
        self, work: TaskSpec, watcher: ProgressListener, stopper: Stopper, cores: int | None, shared: int
    ) -> None:
        self.work, self.watcher, self.stopper, self.cores, self.shared = work, watcher, stopper, cores, shared
        self.jobs = {job.id: job for job in work.jobs}
        self.workers: list[_WorkerProcess] = []
        self.deaths: Counter[str] = Counter()
        self.idle_deaths = 0  # since a worker has begun a job

    def run(self, slots: Sequence[Slot]) -> None:
        with self._ended_with_us():
            for slot in slots if self._left() else ():
                self._start(slot)
            while self.workers:
                for worker in list(self.workers):
                    self._look_after(worker)
                time.sleep(LOOK_SECONDS)

    def _start(self, slot: Slot) -> None:
        device = self.work.context.device if slot.gpu is None else "cuda"
        words = map(str, (self.shared, device, slot.threads, self.cores or 0))
        with self.stopper.deferred():  # no worker may be started and not be known
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", WORKER, *words],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=slot.environment(),
                    pass_fds=(self.shared,),
                    start_new_session=True,
                )
            except OSError as error:
                raise UserError(f"No worker process can be started ({error}). Try fewer (--max-parallel).") from error
            assert process.stdout
            os.set_blocking(process.stdout.fileno(), False)
            self.workers.append(_WorkerProcess(slot, process))

    def _look_after(self, worker: _WorkerProcess) -> None:
        code = worker.exit_code()
        for event in worker.events():
            self._take(worker, *event)
        if code is not None:
            self._bury(worker, code)
            return
        for job in worker.jobs.values():
            fraction = read_progress(self.work.folder / job.folder)
            if fraction is not None:
                self.watcher.progressed(job, fraction)

    def _take(self, worker: _WorkerProcess, event: str, text: str = "") -> None:
        if event == "started":
            self.idle_deaths = 0
            worker.jobs[text] = self.jobs[text]
            self.watcher.started(self.jobs[text])
        elif event == "ended":
            self._end(worker.jobs.pop(text))
        elif event == "error":
            worker.error = text
        elif not any(one.jobs for one in self.workers):
            self.watcher.waiting(self._left())

    def _left(self) -> list[Job]:
        return [job for job in self.work.jobs if not self.work.has_ended(job)]

    def _end(self, job: Job) -> None:
        self.watcher.ended(records.read_one(self.work.folder / job.folder))

    def _bury(self, worker: _WorkerProcess, code: int) -> None:
        """Decide what becomes of the jobs of a worker that has ended, then start another unless all is done."""
        if code == StorageError.exit_code and worker.error:
            raise StorageError(worker.error)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        for job in worker.jobs.values():
            self.deaths[job.id] += 1
            if self.work.has_ended(job):
                self._end(job)
            elif worker.error:
                self._fail(job, worker.error)
            elif self.deaths[job.id] == DEATHS:
                memory = " Perhaps memory ran out: try fewer jobs at once (--max-parallel)." * (code == -signal.SIGKILL)
                self._fail(job, f"Its process ended {DEATHS} times without a result; the last {how}.{memory}")
            else:
                self.watcher.told(f"The process of {job.folder} {how}; it is started again.")
        self.workers.remove(worker)
        worker.close()
        self.idle_deaths += bool(code and not worker.jobs)
        if self.idle_deaths == DEATHS:
            raise UserError(f"{DEATHS} worker processes ended before they began a job; the last {how}. {worker.error}")
        if code and self._left():
            self._start(worker.slot)

    def _fail(self, job: Job, reason: str) -> None:
        """Record that a job has failed whose process could not say so, unless another run is at it by now."""
        with lock_job(self.work.folder / job.folder) as mine:
            if mine:
                records.write(self.work.folder / job.folder, failed_record(job, reason))
                self._end(job)

    @contextlib.contextmanager
    def _ended_with_us(self) -> Iterator[None]:
        """Whatever ends this pool, its workers are asked to stop, and waited for; a second Ctrl-C kills them."""
        try:
            yield
        except BaseException:
            deadline = time.monotonic() + PATIENCE_SECONDS
            try:
                for worker in self.workers:
                    worker.process.terminate()
                for worker in self.workers:
                    worker.process.wait(max(0.0, deadline - time.monotonic()))
            except (Stopped, subprocess.TimeoutExpired):
                for worker in self.workers:
                    worker.process.kill()
            raise
        finally:
            for worker in self.workers:
                worker.close()


def make_slots(
    threads: Sequence[int], max_parallel: int | None, jobs_per_gpu: int, device: str, mem_gb: float
) -> list[Slot]:
    """Return the slots of this machine.

    Args:
        threads: Of each job that is to run; no more slots are made than there are jobs.
        max_parallel: How many; None for what fits: on CUDA `jobs_per_gpu` a device, else as many jobs as the cores have
            threads for, as far as the memory goes.
        jobs_per_gpu: How many jobs share a device.
        device: cpu, cuda, cuda:1, or auto.
        mem_gb: What a job needs in memory, at most, in GiB.
    """
    cores = count_cores()
    gpus = _gpus(device)
    if gpus:
        places: list[str | None] = [gpu for _ in range(jobs_per_gpu) for gpu in gpus]
        places = places[:max_parallel]
    else:
        side_by_side = bisect_right(list(accumulate(sorted(threads))), cores)
        fit = int(_free_gb() * 0.8 / mem_gb)
        places = [None] * (max_parallel or max(1, min(side_by_side, fit)))
    places = places[: max(1, len(threads))]
    each = max(1, cores // len(places))
    return [Slot(each, gpu) for gpu in places]


def _gpus(device: str) -> list[str]:
    """The CUDA devices that may be used, as CUDA_VISIBLE_DEVICES names them."""
    import torch  # noqa: PLC0415 - planning needs none

    if not device.startswith(("cuda", "auto")) or not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    return [names[int(device.partition(":")[2])]] if ":" in device else names


def _free_gb() -> float:
    """The memory that is available, in GiB; plenty where the system does not say."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) / 2**20
    return 1024.0
