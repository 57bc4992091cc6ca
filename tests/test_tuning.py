"""Trials of settings: as many for every method, all known at the start, the best on validation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slt_bench import plugins
from slt_bench.benchmark import Benchmark, Budget, jobs
from slt_bench.errors import UserError
from slt_bench.method import Range
from slt_bench.records import Record
from slt_bench.tuning import Trial, trials, tuning_benchmark, winners

registry = plugins.load()


def benchmark(**changes):
    values = {"name": "mine", "archs": "lenet300", "datasets": "digits", "methods": {"gates": {}, "dense": {}}}
    return Benchmark.model_validate(values | changes)


@given(low=st.floats(1e-6, 1.0), factor=st.floats(1.5, 1e6), part=st.floats(0, 1), log=st.booleans())
def test_a_range_holds_what_it_gives(low, factor, part, log):
    found = Range(low, low * factor, log=log)
    assert low * 0.995 <= found.at(part) <= low * factor * 1.005  # three digits
    assert found.at(0.0) == pytest.approx(low, rel=5e-3)
    assert found.at(1.0) == pytest.approx(low * factor, rel=5e-3)


def test_the_middle_of_a_range_is_that_of_its_scale():
    assert Range(0.001, 0.1, log=True).at(0.5) == 0.01
    assert Range(0.2, 0.8).at(0.5) == 0.5


@pytest.mark.parametrize("number", [2, 7, 20])
def test_every_method_has_as_many_trials_none_twice(number):
    everything = benchmark(methods={name: {} for name in registry.methods}, tune={"trials": number})
    found = trials(everything, registry)
    tunable = [name for name, method in registry.methods.items() if method.settings_class.search]
    counts = {name: sum(trial.label == name for trial in found) for name in registry.methods}
    assert counts == {name: number if name in tunable else 0 for name in registry.methods}
    jobs(tuning_benchmark(everything, found), registry)  # which refuses two jobs that are the same


def test_trials_start_with_the_untuned_settings_and_do_not_change_once_a_winner_is_written():
    methods = {"gates": {"settings": {"sigma": 0.3}}}
    before = trials(benchmark(methods=methods), registry)
    methods["gates"]["tuned"] = {"lr": 0.123}
    assert trials(benchmark(methods=methods), registry) == before
    assert before[0].tried == {}
    entry = tuning_benchmark(benchmark(methods=methods), before).methods["gates-0"]
    assert entry.all_settings == {"sigma": 0.3}


def test_trials_stay_the_first_of_more_trials():
    few, more = (trials(benchmark(tune={"trials": number}), registry) for number in (4, 9))
    assert {trial.name for trial in few} < {trial.name for trial in more}
    assert all(trial in more for trial in few)


def test_trials_have_their_own_budget_grid_and_seeds_and_never_the_test_split():
    base = benchmark(budget={"epochs": 9}, tune={"epochs": 2, "sparsities": [0.7], "seeds": "5-6", "trials": 3})
    tried = tuning_benchmark(base, trials(base, registry))
    assert (tried.name, tried.sparsities, tried.seeds) == ("mine-tune", (0.7,), (5, 6))
    assert (tried.budget.epochs, tried.budget.scores) == (2, "validation")
    assert len(jobs(tried, registry)) == 2 * 3 * 2
    assert base.tune.seeds != base.seeds


def test_what_declares_nothing_cannot_be_tuned():
    with pytest.raises(UserError, match="No method of mine declares what could be tuned"):
        trials(benchmark(methods={"random_mask": {}}), registry)


def records_of(make_job, *scores):
    """A record a score; None is a job that diverged."""
    job = make_job(budget=Budget(epochs=2, scores="validation"))
    made = {"id": job.id, "job": job, "method_version": 1, "purity": "frozen", "settings": {}}
    return [
        Record(status="diverged", **made)
        if score is None
        else Record(status="done", metrics={"validation_accuracy": score}, seconds={"total": 2.0}, **made)
        for score in scores
    ]


def test_the_best_mean_wins_the_first_of_equals_and_what_diverged_counts_as_nothing(make_job):
    found = [Trial("a", 0, {}), Trial("a", 1, {"lr": 1}), Trial("a", 2, {"lr": 2}), Trial("b", 0, {})]
    scores = {"a-0": (0.5, 0.6), "a-1": (0.9, 0.7), "a-2": (0.7, 0.9), "b-0": (0.4, None)}
    best = winners(found, {name: records_of(make_job, *values) for name, values in scores.items()})
    assert (best["a"].trial, best["a"].trials) == (found[1], 3)
    assert best["a"].score == pytest.approx(0.8)
    assert best["a"].first == pytest.approx(0.55)
    assert best["a"].seconds == pytest.approx(12.0)
    assert best["b"].score == pytest.approx(0.2)
