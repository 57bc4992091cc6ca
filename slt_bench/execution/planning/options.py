"""The options of `plan`, `run` and `tune` that say where and how jobs run; loads no torch before they are checked."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import typer

from slt_bench.jobs.parsing import parse_options
from slt_bench.records.runs import Executor
from slt_bench.utils.cores import check_threads, count_cores, threads_of_environment
from slt_bench.utils.errors import UserError, unknown

EXECUTORS: tuple[Executor | Literal["auto"], ...] = ("auto", "inline", "local", "slurm")


@dataclass(frozen=True)
class ExecutionOptions:
    """Where and how the user wants jobs to be run; each field is an option of the command line."""

    executor: Annotated[
        str,
        typer.Option(
            help="inline (this process), local (worker processes), slurm, or auto: local where several jobs fit."
        ),
    ] = "auto"
    max_parallel: Annotated[
        int | None, typer.Option(help="Jobs (slurm: tasks) at once [default: what fits; slurm: 64].", min=1)
    ] = None
    jobs_per_gpu: Annotated[int, typer.Option(help="Jobs that share a GPU on this machine.", min=1)] = 1
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads of a job; other numbers may give other masks, so each record says how many it had "
            "[default: OMP_NUM_THREADS, else by the size of the job's step].",
            min=1,
        ),
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1; on SLURM, cuda asks for a GPU a task.")] = (
        "auto"
    )
    slurm: Annotated[
        list[str] | None, typer.Option(help="As partition=gpu,mem_gb=16,timeout_min=240; may be repeated.")
    ] = None
    bundle_minutes: Annotated[float, typer.Option(help="Short jobs share a SLURM task of about that length.")] = 20.0
    checkpoint_seconds: Annotated[float, typer.Option(help="Time between two checkpoints of a job.", min=0)] = 180.0
    pack: Annotated[
        int,
        typer.Option(
            help="For GPUs: how many jobs of one architecture, data set and budget take their steps together; slower "
            "on a CPU.",
            min=1,
        ),
    ] = 1
    probe: Annotated[bool, typer.Option(help="Measure a few steps of each kind of job whose cost no record tells.")] = (
        False
    )

    @cached_property
    def slurm_options(self) -> dict[str, object]:
        """What --slurm says, by name.

        Raises:
            UserError: An item is not NAME=VALUE.
        """
        return parse_options(self.slurm or ())

    @property
    def asked_threads(self) -> int | None:
        """The CPU threads of each job that the user asks for: with --threads, else with OMP_NUM_THREADS."""
        if self.threads or self.executor == "slurm":
            return self.threads or threads_of_environment()
        threads = threads_of_environment()  # is meant for all programs: a machine may have fewer cores
        return threads and min(threads, count_cores())

    def check(self) -> None:
        """Find out whether these options can be used here.

        Raises:
            UserError: One of them cannot.
        """
        from slt_bench.execution.executors.slurm import queue, submit  # noqa: PLC0415 - loads torch
        from slt_bench.utils.device import check_device  # noqa: PLC0415 - loads torch

        if self.executor not in EXECUTORS:
            raise unknown("executor", self.executor, EXECUTORS)
        if self.slurm_options and self.executor != "slurm":
            raise UserError(f"--slurm is for --executor slurm, not {self.executor}.")
        if self.max_parallel and self.executor == "inline" and self.max_parallel > 1:
            raise UserError(
                "--max-parallel is for --executor local or slurm; inline runs one job after another "
                "(or --pack N of a kind together)."
            )
        submit.check_options(self.slurm_options)
        if self.executor == "slurm":
            cpus = self.slurm_options.get("cpus_per_task")
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
