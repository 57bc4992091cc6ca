"""The executor of this machine: a fresh process a job, as many at once as there are slots."""

import contextlib
import os
import signal
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from slt_bench import records
from slt_bench.execution.executors import local_child
from slt_bench.execution.worker.log import LOG
from slt_bench.execution.worker.run_job import failed_record
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task_spec import ProgressListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records.attempts import read_progress
from slt_bench.records.lock import is_locked, lock_job
from slt_bench.utils.cores import count_cores
from slt_bench.utils.errors import StorageError, UserError
from slt_bench.utils.files import make_folder, storage_error

LOOK_SECONDS = 0.1
BUSY_SECONDS = 1.0  # before we look again at a job that somebody else is at
DEATHS = 3  # of a job's processes, after which it has failed
PATIENCE_SECONDS = 120.0  # for processes that were asked to stop and write their checkpoints


@dataclass(frozen=True)
class Slot:
    """A place for one job at a time.

    Attributes:
        threads: CPU threads of its process, where the job has no number of its own.
        gpu: The CUDA device that its process sees, as CUDA_VISIBLE_DEVICES names it; None hides them all.
    """

    threads: int
    gpu: str | None = None

    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        threads = str(self.threads)
        return os.environ | {
            "CUDA_VISIBLE_DEVICES": self.gpu or "",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "PYTHONUNBUFFERED": "1",
        }


@dataclass
class _Child:
    jobs: tuple[Job, ...]
    slot: Slot
    threads: int
    process: ForkServerProcess
    log: Path


def run_local(
    work: TaskSpec, watcher: ProgressListener, stopper: Stopper, slots: Sequence[Slot], cores: int | None = None
) -> None:
    """Run every open job in a process of its own.

    Jobs start in their order, except that one that needs more cores than are free lets later ones go first.

    A process that dies without a record is started again, and goes on from its checkpoint; one that dies `DEATHS` times
    has failed.

    Args:
        work: The jobs; their device is that of the slots.
        watcher: Told of each step.
        stopper: Knows whether this process is to stop.
        slots: Where jobs run; at least one.
        cores: How many threads all running jobs may have together; a job that has more runs alone. None: any number.

    Raises:
        Stopped: That was asked for; the processes have been asked too, and have ended.
        StorageError: Files cannot be written; the processes have ended.
    """
    _Pool(work, watcher, stopper, slots, cores).run()


class _Pool:
    def __init__(
        self, work: TaskSpec, watcher: ProgressListener, stopper: Stopper, slots: Sequence[Slot], cores: int | None
    ) -> None:
        self.work, self.watcher, self.stopper, self.cores = work, watcher, stopper, cores
        self.free = deque(slots)
        self.open = deque(work.packs(work.jobs))
        self.children: list[_Child] = []
        self.deaths: Counter[str] = Counter()
        self.not_before: dict[str, float] = {}

    def run(self) -> None:
        with self._ended_with_us():
            while self.open or self.children:
                self._start_some()
                self._look_after_children()
                left = [job for pack in self.open for job in pack]
                if left and all(map(self._is_put_off, left)) and not self.children:
                    self.watcher.waiting(left)
                time.sleep(LOOK_SECONDS)

    def _start_some(self) -> None:
        for _ in range(len(self.open)):
            if not self.free:
                return
            whole = self.open.popleft()
            if not self._has_room(whole[0]):
                self.open.append(whole)
                continue
            pack = [job for job in whole if not self.work.has_ended(job)]
            later = [job for job in pack if self._is_put_off(job) or self._is_elsewhere(job)]
            self.open.extend((job,) for job in later)
            if now := tuple(job for job in pack if job not in later):
                with self.stopper.deferred():  # no process may be started and not be known
                    self._start(now, self.free.popleft())

    def _threads(self, job: Job, slot: Slot) -> int:
        return self.work.context_of(job).threads or slot.threads

    def _has_room(self, job: Job) -> bool:
        taken = sum(one.threads for one in self.children)
        return not taken or self.cores is None or taken + self._threads(job, self.free[0]) <= self.cores

    def _is_elsewhere(self, job: Job) -> bool:
        """Whether another living process is at the job; then we look again only after a while."""
        if not is_locked(self.work.folder / job.folder):
            return False
        self.not_before[job.id] = time.monotonic() + BUSY_SECONDS
        return True

    def _is_put_off(self, job: Job) -> bool:
        return self.not_before.get(job.id, 0.0) > time.monotonic()

    def _start(self, jobs: tuple[Job, ...], slot: Slot) -> None:
        threads = self._threads(jobs[0], slot)
        device = self.work.context.device if slot.gpu is None else "cuda"
        context = replace(self.work.context, device=device, threads=threads)
        one = self.work.only(jobs).model_copy(update={"context": context, "threads": {}})
        folder = self.work.folder / jobs[0].folder
        make_folder(folder)
        _check_appendable(folder / LOG)
        try:
            process = local_child.start(one, folder / LOG, replace(slot, threads=threads).environment())
        except (OSError, EOFError) as error:
            self.free.append(slot)
            for job in jobs:
                self._after_death(job, f"could not be started ({error})")
            return
        self.children.append(_Child(jobs, slot, threads, process, folder / LOG))
        for job in jobs:
            self.watcher.started(job)

    def _look_after_children(self) -> None:
        for one in list(self.children):
            code = one.process.exitcode
            if code is None:
                for job in one.jobs:
                    self._tell_progress(job)
                continue
            self.children.remove(one)
            self.free.append(one.slot)
            for job in one.jobs:
                self._take(job, code, one.log)

    def _take(self, job: Job, code: int, log: Path) -> None:
        """What becomes of a job whose process has ended; one of a pack that was no success is tried alone."""
        if self.work.has_ended(job):
            self.watcher.ended(records.read_one(self.work.folder / job.folder))
        elif code == local_child.BUSY:
            self.not_before[job.id] = time.monotonic() + BUSY_SECONDS
            self.open.append((job,))
        elif code == StorageError.exit_code:
            raise StorageError(_last_line(log))
        elif code == UserError.exit_code:
            self._fail(job, _last_line(log))
        else:
            self._after_death(job, _how_it_ended(code))

    def _after_death(self, job: Job, how: str) -> None:
        self.deaths[job.id] += 1
        if self.deaths[job.id] < DEATHS:
            self.watcher.told(f"The process of {job.folder} {how}; it is started again.")
            self.open.append((job,))
            return
        memory = (
            " Perhaps memory ran out: try fewer jobs at once (--max-parallel)."
            if how == _how_it_ended(-signal.SIGKILL)
            else ""
        )
        self._fail(job, f"Its process ended {DEATHS} times without a result; the last {how}.{memory}")

    def _fail(self, job: Job, reason: str) -> None:
        """Record that a job has failed whose process could not say so."""
        record = failed_record(job, reason)
        with lock_job(self.work.folder / job.folder) as mine:
            if mine:
                records.write(self.work.folder / job.folder, record)
                self.watcher.ended(record)
            else:
                self.open.append((job,))

    def _tell_progress(self, job: Job) -> None:
        fraction = read_progress(self.work.folder / job.folder)
        if fraction is not None:
            self.watcher.progressed(job, fraction)

    @contextlib.contextmanager
    def _ended_with_us(self) -> Iterator[None]:
        """Whatever ends this pool, its processes are asked to stop, and waited for; a second Ctrl-C kills them."""
        try:
            yield
        except BaseException:
            try:
                self._stop_children()
            except Stopped:
                for one in self.children:
                    one.process.kill()
            raise

    def _stop_children(self) -> None:
        for one in self.children:
            one.process.terminate()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for one in self.children:
            one.process.join(max(0.0, deadline - time.monotonic()))
            if one.process.exitcode is None:
                one.process.kill()


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


def _how_it_ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _check_appendable(path: Path) -> None:
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise storage_error(path, error) from error


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("slt_bench: ") if lines else f"Files in {path.parent} could not be written."
