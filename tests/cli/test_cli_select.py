"""Which jobs the options of `plan` and `run` mean."""

import pytest

from slt_bench.cli.options import Selection, select


def chosen(**options):
    return select(Selection(**options))


def test_methods_and_architectures_make_a_benchmark_with_ceiling_and_floor():
    selected = chosen(methods="gates,edgepopup", archs="wrn28_10")
    assert {job.label for job in selected.jobs} == {"gates", "edgepopup", "dense", "random_mask"}
    assert {job.dataset for job in selected.jobs} == {"cifar10"}
    assert {job.seed for job in selected.jobs} == {0, 1, 2}
    assert {job.budget.epochs for job in selected.jobs} == {100}
    assert len(selected.jobs) == 3 * (3 * 4 + 1)
    assert selected.folder.parts == ("results", "adhoc")


def test_references_can_be_left_out_and_come_once():
    assert {job.label for job in chosen(methods="gates", archs="conv2", references=False).jobs} == {"gates"}
    labels = [job.label for job in chosen(methods="dense,gates", archs="conv2", seeds="0").jobs]
    assert labels.count("dense") == 1


def test_the_ceiling_stands_beside_the_rescale_of_the_authors():
    selected = chosen(methods="edgepopup", archs="lenet300", rescale="authors", sparsities="0.9")
    rescales = {job.label: job.network_rescale for job in selected.jobs}
    assert rescales == {"edgepopup": "authors:0.9", "random_mask": "authors:0.9", "dense": "density"}


def test_globs_choose_everywhere():
    selected = chosen(methods="gates*", archs="conv[24],wrn16_2", datasets="cifar*", seeds="1", sparsities="0.5")
    assert {job.arch for job in selected.jobs} == {"conv2", "conv4", "wrn16_2"}
    assert {job.dataset for job in selected.jobs} == {"cifar10", "cifar100"}
    assert {"gates", "gates_structured"} <= {job.label for job in selected.jobs}


def test_options_replace_what_a_benchmark_says():
    selected = chosen(
        benchmark="lenet_mnist", methods="gates", sparsities="0.42", seeds="7-8", epochs=3, precision="bf16"
    )
    assert [(job.label, job.sparsity, job.seed) for job in selected.jobs] == [("gates", 0.42, 7), ("gates", 0.42, 8)]
    assert selected.jobs[0].budget.epochs == 3
    assert selected.jobs[0].budget.precision == "bf16"
    assert selected.folder.parts == ("results", "lenet_mnist")


def test_settings_reach_their_method_alone():
    selected = chosen(methods="gates,edgepopup", archs="lenet300", set_=["gates.sigma=0.25", "edgepopup.scope=global"])
    settings = {job.label: job.settings for job in selected.jobs}
    assert settings == {"gates": {"sigma": 0.25}, "edgepopup": {"scope": "global"}, "dense": {}, "random_mask": {}}


def test_published_gates_have_no_grid_of_sparsities():
    selected = chosen(methods="gates", archs="lenet300", set_=["gates.penalty=1e-6"], references=False)
    assert [job.sparsity for job in selected.jobs] == [None, None, None]


def test_smoke_is_one_cell_of_everything_unless_more_is_named():
    selected = chosen(benchmark="lenet_mnist", smoke=True)
    assert len(selected.jobs) == 4
    assert all(job.smoke for job in selected.jobs)
    assert len(chosen(methods="gates", archs="conv2", seeds="0-1", smoke=True, references=False).jobs) == 2 * 4


@pytest.mark.parametrize(
    "option", [{"epochs": 5}, {"rescale": "none"}, {"inits": "uniform:0.05"}, {"batch_size": 7}, {"precision": "bf16"}]
)
def test_what_decides_a_result_decides_the_id(option):
    plain = {job.id for job in chosen(methods="gates", archs="conv2").jobs}
    assert plain.isdisjoint({job.id for job in chosen(methods="gates", archs="conv2", **option).jobs})
