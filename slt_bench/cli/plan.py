"""`plan`: what a run would do."""

from slt_bench.cli.options import Selection, check_shapes, select, takes_selection


@takes_selection
def plan(selection: Selection) -> None:
    """Show what `run` with the same options would do, and what it will cost, without doing it."""
    from slt_bench.cli.show_plan import show_plan
    from slt_bench.plugins import load
    from slt_bench.states import look

    selected = select(selection)
    check_shapes(selected.jobs)
    overview = look(selected.jobs, selected.folder, load())
    show_plan(selected, overview, overview.in_state(selected.jobs, "missing", "dead"))
