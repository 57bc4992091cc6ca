"""A plan: what would run where, in how many places or arrays, and what it will cost; and its execution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from slt_bench.execution.executors.inline import run_inline
from slt_bench.execution.executors.local import Slot, make_slots, run_local
from slt_bench.execution.executors.slurm import queue
from slt_bench.execution.executors.slurm import submit as slurm
from slt_bench.execution.planning.arrays import Array, Needs, arrange, packs
from slt_bench.execution.planning.cost import Cost, Costs, JobKind, from_records, kind
from slt_bench.execution.planning.options import ExecutionOptions
from slt_bench.execution.planning.probe import probe
from slt_bench.execution.planning.resources import needs_of, threads_of, with_options
from slt_bench.execution.worker.signals import Stopper
from slt_bench.execution.worker.task_spec import Context, ProgressListener, TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records import LoadedRecords, runs
from slt_bench.records.runs import Executor
from slt_bench.registry import plugin_folders
from slt_bench.utils.cores import count_cores
from slt_bench.utils.device import pick_device
from slt_bench.utils.machine import provenance

SLURM_PARALLEL = 64
PACK_ON_CPU = (
    "--pack is for GPUs: on a CPU it is slower as a rule. Leave it out to run jobs one by one or side by side."
)


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        options: As asked for.
        executor: What the executor of the options means for these jobs.
        device: cpu or cuda, or a named one: where jobs will run.
        jobs: In their order.
        costs: What is known of them.
        threads: CPU threads of each job by id, on this machine's CPU; elsewhere nothing.
        slots: Of the local executor.
        cores: What all jobs share that the local executor runs; None where the slots alone limit how many run at once.
        arrays: Of SLURM's.
        notes: What a person should know.
    """

    options: ExecutionOptions
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


def make_plan(jobs: Sequence[Job], found: LoadedRecords, options: ExecutionOptions) -> Plan:
    """Return how jobs would be run. SLURM's arrays are not made yet, and nothing is measured: `complete` does both.

    `auto` means local where several jobs fit at once, else inline. On GPUs, several fit where there are several
    devices, or `jobs_per_gpu` is above 1.

    Args:
        jobs: To be run.
        found: Past records, which tell what jobs cost.
        options: As asked for.

    Raises:
        UserError: One of the options cannot be used here.
    """
    options.check()
    device = _device(options)
    costs = from_records(found.records.values(), device.partition(":")[0])
    if options.executor == "slurm":
        return Plan(options, "slurm", device, tuple(jobs), costs)
    plan = Plan(options, "inline", device, tuple(jobs), costs)
    if device == "cpu":
        notes = (PACK_ON_CPU,) if options.pack > 1 else ()
        plan = replace(plan, threads=_threads(jobs, options), notes=notes)
    if options.executor == "inline" or not jobs:
        return plan
    slots = tuple(_slots(plan))
    if options.executor == "auto" and (len(slots) == 1 or device.partition(":")[0] not in ("cpu", "cuda")):
        return plan
    shares = device == "cpu" and options.max_parallel is None
    return replace(plan, executor="local", slots=slots, cores=count_cores() if shares else None)


def complete(plan: Plan) -> Plan:
    """Return the plan with SLURM's arrays and, where `probe` asks for them, measured costs; may take minutes."""
    if plan.options.probe:
        plan = _probed(plan)
    return replace(plan, arrays=tuple(_arrays(plan))) if plan.executor == "slurm" and plan.jobs else plan


def make_work(plan: Plan, jobs: Sequence[Job], folder: Path, data_root: Path) -> TaskSpec:
    """The plan's jobs, and those that wait or run elsewhere, as plain data.

    Args:
        plan: How jobs are run.
        jobs: Which.
        folder: `results/<benchmark>`.
        data_root: The folder of data sets.
    """
    context = Context(data_root.absolute(), plan.device, plan.options.asked_threads, plan.options.checkpoint_seconds)
    return TaskSpec(
        jobs=tuple(jobs),
        folder=folder.absolute(),
        context=context,
        plugins=plugin_folders(),
        executor=plan.executor,
        pack=plan.options.pack,
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
    run = runs.begin(work.folder, plan.executor, jobs, [[job] for job in work.jobs])
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
        slurm.submit(plan.arrays, work, jobs, plan.options.slurm_options)
    return sum(len(array.units) for array in plan.arrays)


def scripts(plan: Plan, work: TaskSpec) -> list[str]:
    """What sbatch would be given, a text for each kind of machine that is needed."""
    first = {array.needs: array for array in reversed(plan.arrays)}
    return [
        slurm.script(array, work, work.folder / runs.RUNS / "RUN", plan.options.slurm_options)
        for array in first.values()
    ]


def _device(options: ExecutionOptions) -> str:
    if options.executor != "slurm":
        return pick_device(options.device)
    return "cuda" if options.device == "cuda" or options.slurm_options.get("gpus_per_node") else "cpu"


def _needs(plan: Plan) -> Callable[[Job], Needs]:
    needs = needs_of(plan.costs, device=plan.device.partition(":")[0], threads=plan.options.asked_threads)
    return with_options(needs, plan.options.slurm_options)


def _threads(jobs: Sequence[Job], options: ExecutionOptions) -> dict[str, int]:
    """The CPU threads of each job on this machine, by id; no more than its share of the cores with --max-parallel."""
    cores = count_cores()
    most = max(1, cores // (options.max_parallel or 1))
    return {job.id: options.asked_threads or min(most, threads_of(job, cores, options.pack)) for job in jobs}


def _slots(plan: Plan) -> list[Slot]:
    options, needs = plan.options, _needs(plan)
    together = packs(plan.jobs, options.pack)
    memory = max(needs(job).mem_gb for job in plan.jobs) * max(map(len, together))
    threads = [plan.threads.get(pack[0].id, 1) for pack in together]
    return make_slots(threads, options.max_parallel, options.jobs_per_gpu, options.device, memory)


def _probed(plan: Plan) -> Plan:
    """The plan with the costs of unknown kinds, measured with the threads that their jobs will have."""
    here = plan.device if plan.device == "cpu" or torch.cuda.is_available() else "cpu"
    needs, before = _needs(plan), torch.get_num_threads()
    measured: dict[JobKind, Cost] = {}
    notes: list[str] = []
    for job in plan.costs.unknown_kinds(plan.jobs):
        here_or_there = needs(job).cpus if plan.executor == "slurm" else plan.options.asked_threads or before
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
    options = plan.options
    arrays = arrange(
        plan.jobs,
        _needs(plan),
        plan.costs.seconds,
        max_parallel=options.max_parallel or SLURM_PARALLEL,
        bundle_minutes=options.bundle_minutes,
        max_array=queue.max_array_size(),
        pack=options.pack,
    )
    minutes = options.slurm_options.get("timeout_min")
    return [replace(array, minutes=int(str(minutes))) for array in arrays] if minutes else arrays
