"""What `plan` and `run --dry-run` print."""

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from slt_bench.cli.options import Selected, left_out
from slt_bench.cli.screen import screen
from slt_bench.data import default_root, find
from slt_bench.execution.planning.arrays import Array
from slt_bench.execution.planning.options import ExecutionOptions
from slt_bench.execution.planning.plan import Plan, complete, make_plan, make_work, scripts
from slt_bench.jobs.benchmark import Job
from slt_bench.network.inspection import inspect
from slt_bench.records.status import ORDER, JobStatuses
from slt_bench.utils.text import duration, pluralize


def show_plan(selected: Selected, overview: JobStatuses, todo: Sequence[Job], options: ExecutionOptions) -> None:
    """What all jobs share; a row for each method and network, jobs by state; what is to be run, and its cost."""
    plan = complete(make_plan(todo, overview.found, options))
    console = screen()
    alike, cells = _cells(selected, overview)
    if alike:
        console.print(alike, markup=False, highlight=False)
    console.print(cells)
    for line in _unmasked(selected.jobs):
        console.print(line, markup=False, highlight=False)
    console.print(f"{selected.benchmark.name}: {len(selected.jobs)} jobs, {len(todo)} to run. {cost(plan)}")
    for state in ("failed", "stale"):
        if left := len([job for job in overview.in_state(selected.jobs, state) if job not in todo]):
            console.print(f"{left} {state}: run them again with --rerun {state}.")
    for note in (*overview.data_changes(selected.jobs), *left_out(selected.jobs), *plan.notes):
        console.print(note, markup=False)
    if todo:
        console.print(_where(plan))
    if plan.arrays:
        console.print(_arrays(plan.arrays))
        for text in scripts(plan, make_work(plan, plan.jobs, selected.folder, default_root())):
            console.rule("what sbatch would be given")
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def _unmasked(jobs: Sequence[Job]) -> list[str]:
    """A line for each network of which masks do not reach every weight."""
    networks = dict.fromkeys((job.arch, find(job.dataset).shape, find(job.dataset).classes) for job in jobs)
    return [line for arch, shape, classes in networks if (line := inspect(arch, shape, classes).about_unmasked(arch))]


def cost(plan: Plan) -> str:
    """What the plan's jobs will cost, in words."""
    total = plan.costs.total(plan.jobs)
    if not total.known:
        return "What they cost is not known before the first of their kind has run; --probe measures it." * bool(
            plan.jobs
        )
    hours = [
        f"{value:.2g} {unit}-hours" for value, unit in ((total.core_hours, "core"), (total.gpu_hours, "GPU")) if value
    ]
    places = [f"{duration(total.seconds / plan.places)} with {plan.places} at once"] if plan.places > 1 else []
    rest = f", and {total.unknown} jobs of kinds that have not run yet (--probe measures them)" if total.unknown else ""
    together = ", ".join([*hours, *places])
    return (
        f"About {duration(total.seconds)} for {total.known} of them one after another"
        f"{together and f' ({together})'}, "
        f"by {' and '.join(_source(name) for name in plan.costs.hardware)}{rest}."
    )


def _source(hardware: str) -> str:
    return hardware if hardware.startswith("a probe") else f"the records of {hardware}"


def _cells(selected: Selected, overview: JobStatuses) -> tuple[str, Table]:
    """What all jobs share, in words, and a row for each method and whatever else differs, with its jobs by state."""
    states = [state for state in ORDER if state in overview.counts()]
    cells: dict[tuple[str, str, str, str], list[str]] = {}
    for job in selected.jobs:
        cells.setdefault(job.cell, []).append(overview.states[job.id])
    names = ("method", "arch", "data set", "init")
    shown = [0, *(index for index in (1, 2, 3) if len({cell[index] for cell in cells}) > 1)]
    alike = ", ".join(f"{names[index]} {next(iter(cells))[index]}" for index in (1, 2, 3) if index not in shown)
    head = [names[index] for index in shown]
    table = Table(*head, "jobs", *states, box=box.SIMPLE_HEAD)
    for column in table.columns[: len(shown)]:
        column.overflow = "fold"
    for cell, found in cells.items():
        counts = [str(found.count(state) or "") for state in states]
        table.add_row(*(escape(cell[index]) for index in shown), str(len(found)), *counts)
    return alike, table


def _where(plan: Plan) -> str:
    if plan.executor == "slurm":
        tasks = sum(len(array.units) for array in plan.arrays)
        hint = "" if plan.device == "cuda" else " No GPU is asked for; --device cuda asks for one a task."
        return f"They would go to SLURM as {pluralize(len(plan.arrays), 'array')} of {pluralize(tasks, 'task')}.{hint}"
    if plan.executor == "local":
        gpus = {slot.gpu for slot in plan.slots} - {None}
        on = pluralize(len(gpus), "GPU") if gpus else "the CPU"
        return f"They would run {len(plan.slots)} at once on {on} of this machine{_threads(plan)}."
    how = f"{plan.options.pack} of a kind together" if plan.options.pack > 1 else "one after another"
    return f"They would run {how} in this process, on {plan.device}{_threads(plan)}."


def _threads(plan: Plan) -> str:
    """The CPU threads of the jobs in words, as in ", 1 to 4 threads each"; empty where torch decides."""
    asked = plan.options.asked_threads
    each = set(plan.threads.values()) or ({asked} if asked else {slot.threads for slot in plan.slots})
    if not each:
        return ""
    least, most = min(each), max(each)
    return f", {f'{least} to ' if least < most else ''}{pluralize(most, 'thread')} each"


def _arrays(arrays: Sequence[Array]) -> Table:
    table = Table(
        "array", "tasks", "at once", "jobs", "CPUs", "memory", "GPUs", "time limit", "first job", box=box.SIMPLE_HEAD
    )
    for number, array in enumerate(arrays, start=1):
        jobs = sum(len(unit) for unit in array.units)
        values = (number, len(array.units), array.parallel, jobs, array.needs.cpus)
        rest = (f"{array.needs.mem_gb} GiB", array.needs.gpus, f"{array.minutes} min", array.units[0][0].folder)
        table.add_row(*map(str, (*values, *rest)))
    return table
