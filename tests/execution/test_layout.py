"""How jobs become job arrays."""

import math
from itertools import groupby

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slt_bench.execution.planning.arrays import LEAST_MINUTES, MARGIN, UNKNOWN_MINUTES, Needs, arrange
from slt_bench.jobs.benchmark import Budget, Job

HOUR = 3600.0
SMALL, LARGE, GPU = Needs(1, 2), Needs(4, 16), Needs(4, 8, gpus=1)
quick = settings(deadline=None, max_examples=200)


class Sheet:
    """Jobs with what each needs and takes, as a table of (needs, seconds)."""

    def __init__(self, rows):
        self.jobs = [self.job(seed) for seed in range(len(rows))]
        self.rows = {job.id: row for job, row in zip(self.jobs, rows, strict=True)}

    def __repr__(self):
        return f"Sheet({list(self.rows.values())})"

    @staticmethod
    def job(seed):
        values = {"method": "gates", "label": "gates", "settings": {}, "arch": "lenet300", "dataset": "digits"}
        rest = {"init": "uniform", "rescale": "none", "sparsity": 0.5, "budget": Budget(epochs=1)}
        return Job(benchmark="tiny", seed=seed, **values, **rest)

    def needs(self, job):
        return self.rows[job.id][0]

    def seconds(self, job):
        return self.rows[job.id][1]

    def length(self, unit):
        return sum(self.seconds(job) for job in unit)

    def arrange(self, *, max_parallel=64, bundle_minutes=20.0, max_array=1000):
        limits = {"max_parallel": max_parallel, "bundle_minutes": bundle_minutes, "max_array": max_array}
        return arrange(self.jobs, self.needs, self.seconds, **limits)

    def units(self, **limits):
        """The numbers of the jobs of each unit of each array."""
        return [[[job.seed for job in unit] for unit in array.units] for array in self.arrange(**limits)]


def uniform(count, seconds, needs=SMALL):
    return Sheet([(needs, seconds)] * count)


TIMES = st.none() | st.sampled_from([0.0, 60.0, 600.0]) | st.floats(0.01, 50 * HOUR)
SHEETS = st.lists(st.tuples(st.sampled_from([SMALL, LARGE, GPU]), TIMES), max_size=40).map(Sheet)
LIMITS = st.fixed_dictionaries(
    {"max_parallel": st.integers(1, 50), "bundle_minutes": st.floats(0, 300), "max_array": st.integers(1, 45)}
)


@quick
@given(SHEETS, LIMITS)
def test_every_job_stands_once_in_the_order_of_its_group(sheet, limits):
    arrays = sheet.arrange(**limits)
    assert all(array.units and all(array.units) for array in arrays), "no task is empty"
    for needs in (SMALL, LARGE, GPU):
        placed = [job for array in arrays if array.needs == needs for unit in array.units for job in unit]
        assert placed == [job for job in sheet.jobs if sheet.needs(job) == needs]


@quick
@given(SHEETS, LIMITS)
def test_no_array_is_longer_than_the_cluster_takes(sheet, limits):
    arrays = sheet.arrange(**limits)
    assert all(len(array.units) <= limits["max_array"] for array in arrays)
    for _, group in groupby(arrays, key=lambda array: array.needs):  # all but the last of a group are full
        assert all(len(array.units) == limits["max_array"] for array in list(group)[:-1])


@quick
@given(SHEETS, LIMITS)
def test_a_unit_of_several_jobs_is_of_known_cost_and_stays_within_the_bundle_time(sheet, limits):
    for array in sheet.arrange(**limits):
        for unit in (unit for unit in array.units if len(unit) > 1):
            assert all(sheet.seconds(job) is not None for job in unit)
            assert sheet.length(unit) <= 60 * limits["bundle_minutes"] * (1 + 1e-9)


@quick
@given(SHEETS, LIMITS)
@example(uniform(4, 60.0), {"max_parallel": 3, "bundle_minutes": 20.0, "max_array": 9})
def test_no_place_that_may_run_stays_without_a_task(sheet, limits):
    arrays = sheet.arrange(**limits)
    for needs in {array.needs for array in arrays}:
        own = [array for array in arrays if array.needs == needs]
        jobs = sum(len(unit) for array in own for unit in array.units)
        assert sum(len(array.units) for array in own) >= min(limits["max_parallel"], jobs)


@quick
@given(SHEETS, LIMITS)
def test_every_array_runs_and_together_they_keep_to_the_limit(sheet, limits):
    arrays = sheet.arrange(**limits)
    assert all(1 <= array.parallel <= len(array.units) for array in arrays)
    assert sum(array.parallel for array in arrays) <= limits["max_parallel"] + len(arrays)


@quick
@given(SHEETS, LIMITS)
@example(Sheet([(SMALL, None), (SMALL, 40 * HOUR)]), {"max_parallel": 2, "bundle_minutes": 20.0, "max_array": 9})
def test_the_time_limit_covers_the_longest_unit_with_a_margin(sheet, limits):
    for array in sheet.arrange(**limits):
        assert array.minutes >= LEAST_MINUTES
        times = [[sheet.seconds(job) for job in unit] for unit in array.units]
        if any(time is None for unit in times for time in unit):
            assert array.minutes >= UNKNOWN_MINUTES
        known = [sum(unit) for unit in times if None not in unit]
        assert 60 * array.minutes * (1 + 1e-9) >= MARGIN * max(known, default=0.0)


def test_nothing_becomes_no_array():
    assert Sheet([]).arrange() == []


@pytest.mark.parametrize(
    ("count", "seconds", "limits", "units"),
    [
        (6, 60.0, {"max_parallel": 2}, [[0, 1, 2], [3, 4, 5]]),  # short jobs share a task ...
        (4, 1.0, {"max_parallel": 4}, [[0], [1], [2], [3]]),  # ... while there are more of them than places
        (4, 1.0, {"max_parallel": 64}, [[0], [1], [2], [3]]),
        (6, 600.0, {"max_parallel": 1, "bundle_minutes": 20}, [[0, 1], [2, 3], [4, 5]]),  # a bundle ends at its time
        (2, HOUR, {"max_parallel": 1, "bundle_minutes": 20}, [[0], [1]]),  # a longer job is a task
    ],
)
def test_bundles(count, seconds, limits, units):
    assert uniform(count, seconds).units(**limits) == [units]


def test_unknown_jobs_split_the_bundles_around_them():
    sheet = Sheet([(SMALL, 1.0), (SMALL, 1.0), (SMALL, None), (SMALL, 1.0), (SMALL, 1.0)])
    assert sheet.units(max_parallel=1) == [[[0, 1], [2], [3, 4]]]


def test_jobs_of_other_needs_go_to_other_arrays():
    sheet = Sheet([(SMALL, 1.0), (GPU, 1.0), (SMALL, 1.0), (LARGE, 1.0)])
    assert sheet.units() == [[[0], [2]], [[1]], [[3]]]
    assert [array.needs for array in sheet.arrange()] == [SMALL, GPU, LARGE]


def test_packs_are_tasks_of_one_kind_with_memory_for_all():
    sheet = uniform(8, 60.0)
    sheet.jobs[1::2] = [job.model_copy(update={"arch": "conv2"}) for job in sheet.jobs[1::2]]
    sheet.rows = {job.id: (SMALL, 60.0) for job in sheet.jobs}
    (array,) = arrange(
        sheet.jobs, sheet.needs, sheet.seconds, max_parallel=9, bundle_minutes=20, max_array=1000, pack=3
    )
    assert [[job.seed for job in unit] for unit in array.units] == [[0, 2, 4], [6], [1, 3, 5], [7]]
    assert array.needs == Needs(SMALL.cpus, 3 * SMALL.mem_gb)


def test_a_long_array_is_cut():
    assert [len(array) for array in uniform(7, HOUR).units(max_array=3)] == [3, 3, 1]


@pytest.mark.parametrize(("places", "parallel"), [(1, 1), (3, 3), (5, 5), (64, 5)])
def test_one_array_has_all_the_places_that_it_can_use(places, parallel):
    (array,) = uniform(5, HOUR).arrange(max_parallel=places)
    assert array.parallel == parallel


def test_arrays_share_the_places_by_their_tasks():
    sheet = Sheet([(SMALL, HOUR)] * 30 + [(LARGE, HOUR)] * 10)
    assert [array.parallel for array in sheet.arrange(max_parallel=8)] == [6, 2]


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [(0.0, LEAST_MINUTES), (60.0, LEAST_MINUTES), (HOUR, 60 * MARGIN), (10 * HOUR, 600 * MARGIN)],
)
def test_a_time_limit_is_twice_the_estimate_and_at_least_half_an_hour(seconds, minutes):
    (array,) = uniform(1, seconds).arrange()
    assert array.minutes == minutes
    assert isinstance(array.minutes, int)


def test_a_time_limit_is_that_of_the_longest_task():
    sheet = Sheet([(SMALL, HOUR), (SMALL, 3 * HOUR), (SMALL, 2 * HOUR)])
    assert [array.minutes for array in sheet.arrange()] == [math.ceil(180 * MARGIN)]


def test_an_array_of_unknown_jobs_gets_some_hours():
    assert [array.minutes for array in uniform(3, None).arrange()] == [UNKNOWN_MINUTES]
