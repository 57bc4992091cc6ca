"""`plan`: what a run would do."""

from slt_bench.cli.options import DataRoot, Selection, check_execution, check_networks, select, takes
from slt_bench.execution.planning.options import ExecutionOptions


@takes(Selection, ExecutionOptions)
def plan(selection: Selection, options: ExecutionOptions, data_root: DataRoot = None) -> None:
    """Show what `run` with the same options would do, and what it will cost, without doing it."""
    check_execution(options)
    from slt_bench.cli.show_plan import show_plan
    from slt_bench.execution.executors.slurm.follow import refresh
    from slt_bench.execution.planning.select import select_jobs
    from slt_bench.records.status import job_status

    selected = select(selection, data_root)
    check_networks(selected.jobs, selected.benchmark.unmasked)
    refresh(selected.folder)
    overview = job_status(selected.jobs, selected.folder)
    show_plan(selected, overview, select_jobs(selected.jobs, overview, executor=options.executor).todo, options)
