"""SLURM through submitit: jobs as arrays of tasks, each task plain data for the same worker as everywhere.

All that a task needs stands in the text that it is given; nothing of a plug-in is pickled. A task that is asked to stop
keeps its search first; where SLURM asks before a time limit or a preemption, it is put back into the queue.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import DelayedSubmission, clean_env
from submitit.slurm.slurm import SlurmExecutor

from slt_bench.execution.executors.slurm import queue
from slt_bench.execution.planning.arrays import Array
from slt_bench.execution.worker.signals import Stopped, Stopper
from slt_bench.execution.worker.task import run_unit
from slt_bench.execution.worker.task_spec import TaskSpec
from slt_bench.jobs.benchmark import Job
from slt_bench.records import runs
from slt_bench.records.attempts import task_id
from slt_bench.records.lock import BEAT_SECONDS, DEAD_AFTER
from slt_bench.records.runs import Run
from slt_bench.utils.errors import UserError, unknown
from slt_bench.utils.files import make_folder

RESTARTS = 1000  # time-outs after which submitit gives a task up; ours gives up earlier where nothing is gained
GENERIC = (
    "timeout_min",
    "mem_gb",
    "cpus_per_task",
    "gpus_per_node",
    "name",
)  # submitit's words; the others are SLURM's
LISTS = ("setup", "teardown", "srun_args")
INSTEAD = {  # options that are ours to decide
    "time": "use timeout_min=MINUTES",
    "mem": "use mem_gb=GIB",
    "job_name": "use name=NAME",
    "array_parallelism": "use --max-parallel",
    "nodes": "",
    "ntasks_per_node": "",
    "tasks_per_node": "",
    "additional_parameters": "name each option itself",
    "num_gpus": "use gpus_per_node=N",
}


class SlurmTask:
    """What submitit calls in a task; its only content is a text.

    Args:
        work: A `TaskSpec` as JSON.
    """

    def __init__(self, work: str) -> None:
        self.work = work

    def __call__(self) -> None:
        """Run the jobs; what they measure is in their records."""
        try:
            with Stopper() as stopper:
                run_unit(TaskSpec.model_validate_json(self.work), stopper, patience=DEAD_AFTER + 2 * BEAT_SECONDS)
        except Stopped as stopped:
            # Clusters that send no USR2 at a preemption send TERM, and put back only what has not ended by itself.
            if stopped.signum == signal.SIGUSR2 or queue.is_being_preempted(task_id()):
                signal.raise_signal(signal.SIGUSR2)  # submitit's own handler is back: it requeues the task, and exits
            sys.exit(128 + stopped.signum)

    def checkpoint(self) -> DelayedSubmission:
        """What a requeued task does: the same, since each job's state is in its own folder."""
        return DelayedSubmission(self)


def check_options(options: Mapping[str, object]) -> None:
    """Find out whether submitit and SLURM know what `--slurm` says.

    Raises:
        UserError: A name is unknown, or ours to decide.
    """
    known = sorted({*GENERIC, *SlurmExecutor._valid_parameters()} - INSTEAD.keys())  # noqa: SLF001 - its only list
    for name, value in options.items():
        if name in INSTEAD:
            raise UserError(f"--slurm {name}=... is not taken; {INSTEAD[name] or 'a job is one process on one node'}.")
        if name not in known:
            raise unknown("option of --slurm", name, known)
        if name in ("timeout_min", "cpus_per_task", "gpus_per_node") and type(value) is not int:
            raise UserError(f"--slurm {name}={value} is no whole number.")
        if name == "mem_gb" and type(value) not in (int, float):
            raise UserError(f"--slurm mem_gb={value} is no number.")
        if name in ("timeout_min", "cpus_per_task", "mem_gb") and float(str(value)) <= 0:
            raise UserError(f"--slurm {name}={value} is not above 0.")


def script(array: Array, work: TaskSpec, folder: Path, options: Mapping[str, object]) -> str:
    """The text that sbatch would be given for an array."""
    executor = _executor(array, work, folder, options)
    slurm: Any = executor._executor  # noqa: SLF001 - submitit shows its script to nobody
    if len(array.units) > 1:
        slurm.parameters["map_count"] = len(array.units)
    return str(slurm._make_submission_file_text(slurm._submitit_command_str, "0"))  # noqa: SLF001


def submit(arrays: Sequence[Array], work: TaskSpec, jobs: Sequence[Job], options: Mapping[str, object]) -> Run:
    """Submit arrays, and note each as soon as SLURM has it.

    Args:
        arrays: What to submit.
        work: All of their jobs, and where they run.
        jobs: All that the selection meant, for who asks later.
        options: Of `--slurm`.

    Raises:
        UserError: SLURM refuses; what was submitted before stays.
        StorageError: The run cannot be noted.
    """
    units = [unit for array in arrays for unit in array.units]
    run = runs.begin(work.folder, "slurm", jobs, units)
    tasks: list[str] = []
    for array in arrays:
        try:
            tasks += _submit_array(array, work, work.folder / runs.RUNS / run.id, options)
        except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError, OSError) as error:
            _give_up(work.folder, run, tasks)
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            raise UserError(
                f"SLURM refused an array of {len(array.units)} tasks: {reason} ({len(tasks)} tasks were submitted "
                "before, and go on.)"
            ) from error
        except BaseException:
            _give_up(work.folder, run, tasks)
            raise
        run = _note(work.folder, run, tasks)
    return run


def _submit_array(array: Array, work: TaskSpec, folder: Path, options: Mapping[str, object]) -> list[str]:
    """SLURM's ids of the array's tasks."""
    make_folder(folder)
    context = replace(work.context, threads=work.context.threads or array.needs.cpus)
    texts = [work.only(unit).model_copy(update={"context": context}).model_dump_json() for unit in array.units]
    with _outside_any_allocation():
        submitted = _executor(array, work, folder, options).submit_array([SlurmTask(text) for text in texts])
    return [job.job_id for job in submitted]


@contextlib.contextmanager
def _outside_any_allocation() -> Iterator[None]:
    """No variable of a SLURM job that this process may be in; only where SLURM is, and what a site wishes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("SLURM_CONF", "SLURM_CLUSTERS") or name.startswith("SBATCH_")
    }
    with clean_env():
        os.environ.update(kept)
        yield


def _executor(array: Array, work: TaskSpec, folder: Path, options: Mapping[str, object]) -> submitit.AutoExecutor:
    values: dict[str, Any] = {
        "name": f"slt_bench-{work.folder.name}",
        "timeout_min": array.minutes,
        "cpus_per_task": array.needs.cpus,
        "mem_gb": array.needs.mem_gb,
        "gpus_per_node": array.needs.gpus or None,
        "stderr_to_stdout": True,
        "slurm_array_parallelism": array.parallel,
        "slurm_srun_args": ["--export=ALL"],  # some sites set SBATCH_EXPORT=NONE, which srun would pass on
    }
    if "gres" in options or "gpus_per_task" in options:
        values["gpus_per_node"] = None
    if options.keys() & {"mem_per_cpu", "mem_per_gpu"}:
        values["mem_gb"] = None
    for name, value in options.items():
        if name == "gpus_per_node" and not value:
            continue
        values[name if name in GENERIC else f"slurm_{name}"] = [value] if name in LISTS else value
    executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=RESTARTS)
    executor.update_parameters(**values)
    return executor


def _note(folder: Path, run: Run, tasks: Sequence[str]) -> Run:
    """The run with the ids of the tasks that were submitted so far."""
    named = [unit.model_copy(update={"task": task}) for unit, task in zip(run.units, tasks, strict=False)]
    noted = run.model_copy(update={"units": (*named, *run.units[len(named) :])})
    runs.write(folder, noted)
    return noted


def _give_up(folder: Path, run: Run, tasks: Sequence[str]) -> None:
    """Forget what SLURM did not take."""
    if tasks:
        noted = _note(folder, run, tasks)
        runs.write(folder, noted.model_copy(update={"units": noted.units[: len(tasks)]}))
        return
    runs.forget(folder, run)
