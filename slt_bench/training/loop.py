"""The loop that trains searches: one, as a rule; several side by side with --pack. Nothing else takes a training step.

Searches of one architecture take their steps as one computation (`slt_bench.training.pack`); in all else each goes its
own way, and what fails in one ends only that one.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

from slt_bench.data.dataset import Dataset
from slt_bench.jobs.benchmark import Budget
from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.training.pack import Pack
from slt_bench.training.search import CheckpointWriter, OnStep, Search


def search(
    method: Method,
    network: FrozenNetwork,
    data: Dataset,
    budget: Budget,
    seed: int,
    on_step: OnStep = lambda _: None,
    keeper: CheckpointWriter | None = None,
) -> Search:
    """Train one method; the arguments are those of `Search`.

    Raises:
        Diverged: A loss, a parameter or a gate became infinite or NaN.
    """
    one = Search(method, network, data, budget, seed, on_step, keeper)
    train([one])
    return one


def train(searches: Sequence[Search]) -> None:
    """Train each search to its end, or until it fails or is stopped."""
    pack = Pack()
    _each(searches, Search.start)
    while left := [one for one in searches if not one.over]:
        train_epoch(left, pack)
        _each(left, Search.finish)


def train_epoch(searches: Sequence[Search], pack: Pack) -> None:
    """Train each search for an epoch.

    An epoch is: all training images in a random order, a batch a step, then a row of the curve. One that goes on from
    a checkpoint takes the steps that are left of its epoch; the others wait for it at the end of theirs.
    """
    _each(searches, Search.begin_epoch)
    while stepping := [one for one in searches if one.steps_left and not one.over]:
        _each(stepping, Search.keep_state)
        _each(stepping, Search.get_ready)
        take_steps([one for one in stepping if not one.over], pack)
        _each(stepping, Search.count_step)
    _each(searches, Search.end_epoch)


def take_steps(searches: Sequence[Search], pack: Pack) -> None:
    """Take the step that each search is ready for; searches of one kind take theirs together."""
    kinds: dict[object, list[Search]] = {}
    for one in searches:
        step = one.step
        kind = (step.network.arch, step.network.classes, step.images.shape, step.precision, step.images.device)
        kinds.setdefault(kind, []).append(one)
    for alike in kinds.values():
        if len(alike) > 1:
            pack.take_steps(alike)
        else:
            alike[0].turn(Search.take_step)


def _each(searches: Sequence[Search], act: Callable[[Search], None]) -> None:
    """Have each search that is not over do something, in its turn and on its clock."""
    for one in searches:
        if not one.over:
            start = perf_counter()
            one.turn(act)
            one.seconds["search"] += perf_counter() - start
