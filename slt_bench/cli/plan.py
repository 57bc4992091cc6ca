"""`plan`: what a run would do."""

from slt_bench.cli.options import DataRoot, Execution, Selection, check_networks, select, takes, wish_of


@takes(Selection, Execution)
def plan(selection: Selection, execution: Execution, data_root: DataRoot = None) -> None:
    """Show what `run` with the same options would do, and what it will cost, without doing it."""
    wish = wish_of(execution)
    from slt_bench.cli.show_plan import show_plan
    from slt_bench.execution.executors.slurm.follow import refresh
    from slt_bench.execution.planning.select import select_jobs
    from slt_bench.records.status import job_status

    selected = select(selection, data_root)
    check_networks(selected.jobs, selected.benchmark.unmasked)
    refresh(selected.folder)
    overview = job_status(selected.jobs, selected.folder)
    show_plan(selected, overview, select_jobs(selected.jobs, overview, executor=wish.executor).todo, wish)
