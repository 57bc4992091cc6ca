"""Trials of settings: as many for every method, all known at the start, the best on validation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slt_bench.analysis.winners import Winner, at_an_end, winners
from slt_bench.jobs.benchmark import Benchmark, Budget, Entry, Tuning
from slt_bench.jobs.grid import jobs
from slt_bench.jobs.tuning import Trial, trials, tuning_benchmark
from slt_bench.method import Choice, Range
from slt_bench.records import Record
from slt_bench.registry import load_registry
from slt_bench.utils.errors import UserError

registry = load_registry()


def trials_of(found):
    return trials(found, found.methods, registry)


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


@given(low=st.integers(0, 50), width=st.integers(1, 100), part=st.floats(0, 1))
def test_a_whole_range_holds_whole_numbers(low, width, part):
    found = Range(low, low + width, whole=True).at(part)
    assert isinstance(found, int)
    assert low <= found <= low + width


def test_choices_have_equal_shares():
    found = Choice(("a", "b", "c"))
    assert [found.at(part) for part in (0.0, 0.3, 0.34, 0.6, 0.67, 1.0)] == ["a", "a", "b", "b", "c", "c"]


def test_too_few_different_settings_are_told(monkeypatch):
    ranges = {"optimizer": Choice(("adam", "sgd"))}
    monkeypatch.setattr(registry.find("dense").settings_class, "search_ranges", lambda: ranges)
    methods = {"dense": {}}
    assert [trial.tried for trial in trials_of(benchmark(methods=methods, tune={"trials": 2}))] == [
        {},
        {"optimizer": "sgd"},
    ]
    with pytest.raises(UserError, match="What 'dense' may try makes 2 trials, not 3"):
        trials_of(benchmark(methods=methods, tune={"trials": 3}))


@pytest.mark.parametrize("number", [2, 7, 20])
def test_every_method_has_as_many_trials_none_twice(number):
    everything = benchmark(methods={name: {} for name in registry.methods}, tune={"trials": number})
    found = trials_of(everything)
    tunable = [name for name, method in registry.methods.items() if method.settings_class.search_ranges()]
    counts = {name: sum(trial.label == name for trial in found) for name in registry.methods}
    assert counts == {name: number if name in tunable else 0 for name in registry.methods}
    jobs(tuning_benchmark(everything, found), registry)  # which refuses two jobs that are the same


def test_trials_start_with_the_untuned_settings_and_do_not_change_once_a_winner_is_written():
    methods = {"gates": {"settings": {"sigma": 0.3}}}
    before = trials_of(benchmark(methods=methods))
    methods["gates"]["tuned"] = [{"sparsity": 0.9, "settings": {"lr": 0.123}}]
    assert trials_of(benchmark(methods=methods)) == before
    assert before[0].tried == {}
    defaults = registry.find("gates").settings_class()
    searched = {"lr": defaults.lr, "ramp_until": defaults.ramp_until}
    assert before[0].values.items() >= searched.items()
    entry = tuning_benchmark(benchmark(methods=methods), before).methods["gates-0"]
    assert entry.settings_at(0.9) == {"sigma": 0.3}


def test_trials_stay_the_first_of_more_trials():
    few, more = (trials_of(benchmark(tune={"trials": number})) for number in (4, 9))
    assert {trial.name for trial in few} < {trial.name for trial in more}
    assert all(trial in more for trial in few)


def test_trials_have_their_own_budget_grid_and_seeds_and_never_the_test_split():
    base = benchmark(budget={"epochs": 9}, tune={"epochs": 2, "sparsities": [0.7], "seeds": "5-6", "trials": 3})
    tried = tuning_benchmark(base, trials_of(base))
    assert (tried.name, tried.sparsities, tried.seeds) == ("mine-tune", (0.7,), (5, 6))
    assert (tried.budget.epochs, tried.budget.scores) == (2, "validation")
    assert len(jobs(tried, registry)) == 2 * 3 * 2
    assert base.tune.seeds != base.seeds


SPARSITIES = st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98]), min_size=1, unique=True)


@given(own=SPARSITIES, tried=SPARSITIES)
def test_a_label_is_tried_where_its_own_sparsities_would_use_what_is_found_and_nowhere_else(own, tried):
    methods = {"gates": {"sparsities": own}}
    base = benchmark(methods=methods, tune={"sparsities": tried, "trials": 2})
    where = tuning_benchmark(base, trials_of(base)).methods["gates-1"].sparsities

    def tuned(sparsities):
        found = [{"sparsity": sparsity, "settings": {"lr": 1 + sparsity}} for sparsity in sparsities]
        return benchmark(methods={"gates": {"sparsities": own, "tuned": found}}).methods["gates"]

    have = [tuned(tried).settings_at(sparsity) for sparsity in own]
    assert have == [tuned(where).settings_at(sparsity) for sparsity in own]
    assert sorted({settings["lr"] for settings in have}) == sorted(1 + sparsity for sparsity in where)
    assert len(where) == len(set(where))


def test_a_label_is_tried_at_its_own_sparsities_where_nothing_else_is_asked_for():
    base = benchmark(methods={"gates": {"sparsities": [0.6, 0.7]}, "edgepopup": {}}, tune={"trials": 2})
    tried = tuning_benchmark(base, trials_of(base))
    found = {(job.method, job.sparsity) for job in jobs(tried, registry)}
    assert found == {("gates", 0.6), ("gates", 0.7)} | {("edgepopup", sparsity) for sparsity in base.sparsities}


def test_finalists_have_other_seeds_than_trials():
    with pytest.raises(ValueError, match="both have 1000"):
        Tuning(final_seeds=(1000, 1001))


def test_what_declares_nothing_cannot_be_tuned():
    with pytest.raises(UserError, match="No method that was chosen of mine declares what could be tuned"):
        trials_of(benchmark(methods={"random_mask": {}}))


@given(low=st.floats(1e-6, 1.0), factor=st.floats(1.5, 1e6), number=st.integers(2, 12))
def test_a_benchmark_chooses_what_is_tried_and_between_which_ends(low, factor, number):
    methods = {"gates": {"search": {"lr": [low, low * factor]}}}
    untuned, *others = trials_of(benchmark(methods=methods, tune={"trials": number}))
    assert untuned.tried == {}
    assert len(others) == number - 1
    for trial in others:
        assert list(trial.tried) == ["lr"]
        assert low * 0.99 <= trial.tried["lr"] <= low * factor * 1.01


@given(st.sets(st.floats(1e-4, 1e4), min_size=3, max_size=8), st.data())
def test_what_wins_at_an_end_of_what_was_tried_is_told(rates, data):
    tried = [{"lr": lr, "reach": "pi"} for lr in rates]
    found = [Trial("a", number, values if number else {}, values) for number, values in enumerate(tried)]
    found += [Trial("b", number, {"lr": lr}, {"lr": lr}) for number, lr in enumerate((1e-6, 1e6))]
    best = data.draw(st.sampled_from(found[: len(rates)]))  # the untuned settings are one of them
    told = at_an_end(Winner(best, 0.9, 0.5, 0.4, len(rates) + 1), found)
    lowest, highest = min(rates), max(rates)
    assert told == {lowest: {"lr": "lowest"}, highest: {"lr": "highest"}}.get(best.values["lr"], {})


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"lr": [0.1, 0.1]}, "gates: `tune` cannot try lr from 0.1 to 0.1: give two rising numbers above 0"),
        ({"lr": [0, 0.1]}, "gates: `tune` cannot try lr from 0 to 0.1"),
        ({"ramp_until": [0.9, 0.2]}, "ramp_until from 0.9 to 0.2: give two rising numbers.$"),
        ({"lrr": [0.1, 0.2]}, "lr"),
    ],
)
def test_ranges_that_make_no_sense_are_told(search, told):
    with pytest.raises(UserError, match=told):
        trials_of(benchmark(methods={"gates": {"search": search}}))


@pytest.fixture
def records_of(make_job):
    """Records of a trial, one a score; None is a job that diverged."""

    def make(trial, *scores, sparsity=0.5, counted=0.5):
        job = make_job(label=trial, sparsity=sparsity, budget=Budget(epochs=2, scores="validation"))
        made = {"id": job.id, "job": job, "method_version": 1, "purity": "frozen", "settings": {}}
        return [
            Record(status="diverged", **made)
            if score is None
            else Record(
                status="done",
                metrics={"validation_accuracy": score, "sparsity": counted},
                **made,
            )
            for score in scores
        ]

    return make


def test_the_best_mean_wins_the_first_of_equals_and_what_diverged_counts_as_nothing(records_of):
    found = [Trial("a", 0, {}, {}), *(Trial("a", lr, {"lr": lr}, {"lr": lr}) for lr in (1, 2)), Trial("b", 0, {}, {})]
    scores = {"b-0": (0.4, None), "a-2": (0.7, 0.9), "a-1": (0.9, 0.7), "a-0": (0.5, 0.6)}
    a, b = winners(found, [record for name, values in scores.items() for record in records_of(name, *values)])
    assert (a.trial, a.sparsity, a.trials) == (found[1], 0.5, 3)
    assert a.score == pytest.approx(0.8)
    assert a.first == pytest.approx(0.55)
    assert (b.trial, b.score) == (found[3], pytest.approx(0.2))


def test_every_sparsity_has_its_winner(records_of):
    found = [Trial("a", 0, {}, {}), Trial("a", 1, {"lr": 1}, {"lr": 1})]
    runs = [
        *records_of("a-0", 0.9, sparsity=0.5),
        *records_of("a-1", 0.8, sparsity=0.5),
        *records_of("a-0", 0.6, sparsity=0.9, counted=0.9),
        *records_of("a-1", 0.7, sparsity=0.9, counted=0.9),
    ]
    assert [(best.sparsity, best.trial.number) for best in winners(found, runs)] == [(0.5, 0), (0.9, 1)]


@pytest.mark.parametrize(("counted", "counts"), [(0.49, False), (0.496, True), (0.7, True)])
def test_no_trial_wins_by_keeping_more_weights(records_of, counted, counts):
    found = [Trial("a", 0, {}, {}), Trial("a", 1, {"lr": 1}, {"lr": 1})]
    (best,) = winners(found, [*records_of("a-0", 0.5), *records_of("a-1", 0.9, counted=counted)])
    assert best.trial.number == counts


@pytest.mark.parametrize(
    ("asked", "lr"),
    [(0.5, 0.1), (0.9, 0.1), (0.95, 0.1), (0.96, 0.2), (0.98, 0.2), (0.999, 0.2), (None, 9)],
)
def test_the_settings_of_the_nearest_density_hold(asked, lr):
    tuned = [{"sparsity": 0.9, "settings": {"lr": 0.1}}, {"sparsity": 0.98, "settings": {"lr": 0.2}}]
    entry = Entry.model_validate({"settings": {"lr": 9, "sigma": 1.0}, "tuned": tuned})
    assert entry.settings_at(asked) == {"lr": lr, "sigma": 1.0}


def test_what_was_tuned_without_a_sparsity_holds_without_one():
    entry = Entry.model_validate({"tuned": [{"settings": {"lr": 0.1}}]})
    assert entry.settings_at(None) == {"lr": 0.1}
    assert entry.settings_at(0.9) == {}
