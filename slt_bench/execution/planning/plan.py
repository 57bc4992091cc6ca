"""A plan: what would run where, in how many places or arrays, and what it will cost; and its execution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from slt_bench import records
from slt_bench.execution.executors.inline import run_inline
from slt_bench.execution.executors.local import Slot, make_slots, run_local
from slt_bench.execution.executors.slurm import queue
from slt_bench.execution.executors.slurm import submit as slurm
from slt_bench.execution.planning.arrays import Array, Needs, arrange, packs
from slt_bench.execution.planning.cost import Cost, Costs, JobKind, from_records, kind
from slt_bench.execution.planning.probe import probe
from slt_bench.execution.planning.resources import needs_of, threads_of, with_options
from slt_bench.execution.worker.signals import Stopper
from slt_bench.execution.worker.task_spec import Context, ProgressListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records import LoadedRecords, runs
from slt_bench.records.runs import Executor
from slt_bench.registry import plugin_folders
from slt_bench.utils.cores import check_threads, count_cores, threads_of_environment
from slt_bench.utils.device import check_device, pick_device
from slt_bench.utils.errors import UserError
from slt_bench.utils.machine import provenance

SLURM_PARALLEL = 64
Asked = Executor | Literal["auto"]
EXECUTORS: Mapping[str, Asked] = {"auto": "auto", "inline": "inline", "local": "local", "slurm": "slurm"}

PACK_ON_CPU = (
    "--pack is for GPUs: on a CPU it is slower as a rule. Leave it out to run jobs one by one or side by side."
)


@dataclass(frozen=True)
class ExecutionOptions:
    """How the user wants jobs to be run; as the options of `run`."""

    executor: Asked = "auto"
    max_parallel: int | None = None
    jobs_per_gpu: int = 1
    threads: int | None = None
    device: str = "auto"
    slurm: Mapping[str, object] = field(default_factory=dict)
    bundle_minutes: float = 20.0
    checkpoint_seconds: float = 180.0
    probe: bool = False
    pack: int = 1

    @property
    def asked_threads(self) -> int | None:
        """The CPU threads of each job that the user asks for: with --threads, else with OMP_NUM_THREADS."""
        if self.threads or self.executor == "slurm":
            return self.threads or threads_of_environment()
        threads = threads_of_environment()  # is meant for all programs: a machine may have fewer cores
        return threads and min(threads, count_cores())

    def check(self) -> None:
        """Find out what is wrong with it.

        Raises:
            UserError: Something.
        """
        if self.slurm and self.executor != "slurm":
            raise UserError(f"--slurm is for --executor slurm, not {self.executor}.")
        if self.max_parallel and self.executor == "inline" and self.max_parallel > 1:
            raise UserError(
                "--max-parallel is for --executor local or slurm; inline runs one job after another "
                "(or --pack N of a kind together)."
            )
        slurm.check_options(self.slurm)
        if self.executor == "slurm":
            cpus = self.slurm.get("cpus_per_task")
            if self.threads and cpus and self.threads > int(str(cpus)):
                raise UserError(
                    f"--threads {self.threads} is more than --slurm cpus_per_task={cpus}. Take 1 to {cpus}."
                )
            queue.check_available()
            if self.device.startswith("cuda:"):
                raise UserError(f"--device {self.device} names a device of one machine; on SLURM take --device cuda.")
        else:
            check_threads(self.threads)
            check_device(self.device)


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        wish: As asked for.
        executor: What the wish's executor means for these jobs.
        device: cpu or cuda, or a named one: where jobs will run.
        jobs: In their order.
        costs: What is known of them.
        threads: CPU threads of each job by id, on this machine's CPU; elsewhere nothing.
        slots: Of the local executor.
        cores: What all jobs share that the local executor runs; None where the slots alone limit how many run at once.
        arrays: Of SLURM's.
        notes: What a person should know.
    """

    wish: ExecutionOptions
    executor: Executor
    device: str
    jobs: tuple[Job, ...]
    costs: Costs
    threads: Mapping[str, int] = field(default_factory=dict)
    slots: tuple[Slot, ...] = ()
    cores: int | None = None
    arrays: tuple[Array, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def places(self) -> int:
        """How many jobs run at once, at most."""
        return len(self.slots) or sum(array.parallel for array in self.arrays) or 1


def make_plan(jobs: Sequence[Job], found: LoadedRecords, wish: ExecutionOptions) -> Plan:
    """How jobs would be run.

    Args:
        jobs: To be run.
        found: Past records.
        wish: As asked for.

    Raises:
        UserError: Something in the wish is wrong.
    """
    wish.check()
    plan = _on_this_machine(jobs, found, wish)
    if wish.pack > 1 and plan.device == "cpu":
        plan = replace(plan, notes=(PACK_ON_CPU,))
    if wish.probe:
        plan = _probed(plan)
    if plan.executor == "slurm" and jobs:
        plan = replace(plan, arrays=tuple(_arrays(plan)))
    return plan


def settled(wish: ExecutionOptions, jobs: Sequence[Job], found: LoadedRecords) -> ExecutionOptions:
    """Return the wish with the executor that `auto` means for jobs: local where several fit at once, else inline.

    On GPUs, several fit where there are several devices, or `jobs_per_gpu` is above 1: a process a job would load its
    data and CUDA anew each time.
    """
    return replace(wish, executor=_on_this_machine(jobs, found, wish).executor)


def stamps(jobs: Sequence[Job], folder: Path) -> dict[str, str]:
    """What tells the records that jobs have now from any later ones, by id; taken before anybody looks at states."""
    found = {job.id: records.checksum(folder / job.folder) for job in jobs}
    return {key: stamp for key, stamp in found.items() if stamp}


def make_work(
    plan: Plan, jobs: Sequence[Job], folder: Path, data_root: Path, superseded: Mapping[str, str]
) -> TaskSpec:
    """The plan's jobs, and those that wait or run elsewhere, as plain data.

    Args:
        plan: How jobs are run.
        jobs: Which.
        folder: `results/<benchmark>`.
        data_root: The folder of data sets.
        superseded: What tells records that are to be replaced, as from `stamps`; may name other jobs too.
    """
    context = Context(data_root.absolute(), plan.device, plan.wish.asked_threads, plan.wish.checkpoint_seconds)
    return TaskSpec(
        jobs=tuple(jobs),
        superseded={job.id: superseded[job.id] for job in jobs if job.id in superseded},
        folder=folder.absolute(),
        context=context,
        plugins=plugin_folders(),
        executor=plan.executor,
        pack=plan.wish.pack,
        threads={job.id: plan.threads[job.id] for job in jobs if job.id in plan.threads},
    )


def carry_out(plan: Plan, work: TaskSpec, jobs: Sequence[Job], watcher: ProgressListener, stopper: Stopper) -> None:
    """Do it, with this process or on this machine; returns when all is done.

    Args:
        plan: With executor inline or local.
        work: Of the plan.
        jobs: All that the selection meant.
        watcher: Told of each step.
        stopper: Knows whether this process is to stop.

    Raises:
        Stopped: That was asked for.
        StorageError: Files cannot be written.
    """
    if not work.jobs:
        return
    run = runs.begin(work.folder, plan.executor, jobs, [[job] for job in work.jobs], work.superseded)
    try:
        if plan.executor == "local":
            run_local(work, watcher, stopper, plan.slots, plan.cores)
        else:
            run_inline(work, watcher, stopper)
    finally:
        runs.end(work.folder, run)


def submit(plan: Plan, work: TaskSpec, jobs: Sequence[Job]) -> int:
    """Give SLURM what it does not have yet; how many tasks.

    Args:
        plan: With executor slurm.
        work: Of the plan, and of jobs that wait or run already.
        jobs: All that the selection meant.

    Raises:
        UserError: SLURM refuses.
        StorageError: The run cannot be noted.
    """
    if plan.arrays:
        slurm.submit(plan.arrays, work, jobs, plan.wish.slurm)
    return sum(len(array.units) for array in plan.arrays)


def scripts(plan: Plan, work: TaskSpec) -> list[str]:
    """What sbatch would be given, a text for each kind of machine that is needed."""
    first = {array.needs: array for array in reversed(plan.arrays)}
    return [slurm.script(array, work, work.folder / runs.RUNS / "RUN", plan.wish.slurm) for array in first.values()]


def _device(wish: ExecutionOptions) -> str:
    if wish.executor != "slurm":
        return pick_device(wish.device)
    return "cuda" if wish.device == "cuda" or wish.slurm.get("gpus_per_node") else "cpu"


def _needs(plan: Plan) -> Callable[[Job], Needs]:
    needs = needs_of(plan.costs, device=plan.device.partition(":")[0], threads=plan.wish.asked_threads)
    return with_options(needs, plan.wish.slurm)


def _on_this_machine(jobs: Sequence[Job], found: LoadedRecords, wish: ExecutionOptions) -> Plan:
    """The plan as far as it depends on this machine: the executor, and the threads and slots of jobs."""
    device = _device(wish)
    costs = from_records(found.records.values(), device.partition(":")[0])
    if wish.executor == "slurm":
        return Plan(wish, "slurm", device, tuple(jobs), costs)
    plan = Plan(wish, "inline", device, tuple(jobs), costs, _threads(jobs, wish) if device == "cpu" else {})
    if wish.executor == "inline" or not jobs:
        return plan
    slots = tuple(_slots(plan))
    if wish.executor == "auto" and (len(slots) == 1 or device.partition(":")[0] not in ("cpu", "cuda")):
        return plan
    shares = device == "cpu" and wish.max_parallel is None
    return replace(plan, executor="local", slots=slots, cores=count_cores() if shares else None)


def _threads(jobs: Sequence[Job], wish: ExecutionOptions) -> dict[str, int]:
    """The CPU threads of each job on this machine, by id; no more than its share of the cores with --max-parallel."""
    cores = count_cores()
    most = max(1, cores // (wish.max_parallel or 1))
    return {job.id: wish.asked_threads or min(most, threads_of(job, cores, wish.pack)) for job in jobs}


def _slots(plan: Plan) -> list[Slot]:
    wish, needs = plan.wish, _needs(plan)
    together = packs(plan.jobs, wish.pack)
    memory = max(needs(job).mem_gb for job in plan.jobs) * max(map(len, together))
    threads = [plan.threads.get(pack[0].id, 1) for pack in together]
    return make_slots(threads, wish.max_parallel, wish.jobs_per_gpu, wish.device, memory)


def _probed(plan: Plan) -> Plan:
    """The plan with the costs of unknown kinds, measured with the threads that their jobs will have."""
    here = plan.device if plan.device == "cpu" or torch.cuda.is_available() else "cpu"
    needs, before = _needs(plan), torch.get_num_threads()
    measured: dict[JobKind, Cost] = {}
    notes: list[str] = []
    for job in plan.costs.unknown_kinds(plan.jobs):
        here_or_there = needs(job).cpus if plan.executor == "slurm" else plan.wish.asked_threads or before
        torch.set_num_threads(plan.threads.get(job.id, here_or_there))
        try:
            measured[kind(job)] = probe(job, here)
        except Exception as error:  # noqa: BLE001 - a method may fail in any way; the others can be probed
            notes.append(f"The probe of {job.method} on {job.arch} failed: {type(error).__name__}: {error}")
    torch.set_num_threads(before)
    source = f"a probe on {provenance(torch.device(here))['hardware']}"
    costs = plan.costs.and_also(measured, source) if measured else plan.costs
    return replace(plan, costs=costs, notes=(*plan.notes, *notes))


def _arrays(plan: Plan) -> list[Array]:
    wish = plan.wish
    arrays = arrange(
        plan.jobs,
        _needs(plan),
        plan.costs.seconds,
        max_parallel=wish.max_parallel or SLURM_PARALLEL,
        bundle_minutes=wish.bundle_minutes,
        max_array=queue.max_array_size(),
        pack=wish.pack,
    )
    minutes = wish.slurm.get("timeout_min")
    return [replace(array, minutes=int(str(minutes))) for array in arrays] if minutes else arrays
