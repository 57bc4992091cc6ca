"""`cancel`: end what was started or submitted."""

from pathlib import Path
from typing import Annotated

import typer

from slt_bench.cli.options import Results


def cancel(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks, as in results/; globs.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every benchmark.")] = False,
    results: Results = Path("results"),
) -> None:
    """End the runs of benchmarks: what was submitted to SLURM, and runs on this machine.

    Jobs that run are asked to stop, and write a checkpoint first; the same `run` goes on from there.
    """
    from slt_bench.execution.executors.slurm.cancel import cancel_run
    from slt_bench.jobs.parsing import choose
    from slt_bench.records.lookup import folders
    from slt_bench.records.runs import read_runs
    from slt_bench.utils.errors import UserError

    if bool(names) == everything:
        raise UserError("Name the benchmarks whose runs are to end, or say --all.")
    known = folders(results)
    chosen = list(known) if everything else choose("benchmark with results", ",".join(names or ()), known)
    nothing = True
    for name in chosen:
        for run in read_runs(known[name]):
            if run.open_units() or not (run.ended or run.executor == "slurm" or run.is_of_this_host()):
                nothing = False
                typer.echo(f"{name}: {cancel_run(known[name], run)}")
    if nothing:
        typer.echo("There is nothing to cancel.")
