"""Reports of a part of the records."""

import pytest

from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.report.build import ReportSource, build
from slt_bench.report.record_filter import RecordFilter
from slt_bench.utils.errors import UserError


@pytest.fixture
def jobs(standard):
    return [record.job for record in standard.records.values()]


def labels(found):
    return {record.job.label for record in found.records.values()}


def test_all_is_shown_where_nothing_is_left_out(jobs, standard):
    assert RecordFilter.choose(jobs).of(standard).records == standard.records


def test_labels_are_chosen_by_name_and_by_glob_and_references_stay(jobs, standard):
    found = RecordFilter.choose(jobs, methods="edge*,gates").of(standard)
    assert labels(found) == {"edgepopup", "gates", "dense"}
    assert found.problems == standard.problems


def test_references_are_shown_where_a_chosen_label_is(make_job):
    here, there = {"init": "uniform:0.1", "rescale": "none"}, {"init": "signed_constant", "rescale": "density"}
    jobs = [make_job(method="gates", **here), make_job(method="edgepopup", **there)]
    jobs += [make_job(method=method, **where) for method in ("dense", "random_mask") for where in (here, there)]
    part = RecordFilter.choose(jobs, methods="gates")
    assert {(job.method, job.init) for job in jobs if part.has(job)} == {
        (method, "uniform:0.1") for method in ("gates", "dense", "random_mask")
    }
    alone = RecordFilter.choose(jobs, methods="dense")
    assert {job.method for job in jobs if alone.has(job)} == {"dense", "random_mask"}


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("archs", ("conv2", "mlp8")),
        ("datasets", ("mnist", "cifar10")),
        ("inits", ("uniform:0.1", "signed_constant")),
    ],
)
def test_of_networks_that_are_not_chosen_nothing_is_shown(make_job, option, values):
    field, (kept, _) = option[:-1], values
    jobs = [make_job(method=method, **{field: value}) for method in ("gates", "dense") for value in values]
    part = RecordFilter.choose(jobs, **{option: kept})
    assert [job for job in jobs if part.has(job)] == [job for job in jobs if getattr(job, field) == kept]


def test_a_name_that_no_record_has_is_refused(jobs):
    with pytest.raises(UserError, match="edgepopop"):
        RecordFilter.choose(jobs, methods="edgepopop")


def test_claims_of_what_is_not_shown_are_left_out(jobs):
    accuracy = PaperClaim(who="w", where="x", method="gates", arch="lenet300", sparsity=0.9, accuracy=0.9)
    ratio = PaperClaim(who="w", where="x", method="gates", baseline="edgepopup", arch="lenet300", ratio=2.0)
    elsewhere = PaperClaim(who="w", where="x", method="gates", arch="conv2", sparsity=0.9, accuracy=0.9)
    part = RecordFilter.choose(jobs, methods="gates", archs="lenet300")
    assert [claim for claim in (accuracy, ratio, elsewhere) if part.tells_of(claim)] == [accuracy]


def test_a_claim_about_several_labels_is_left_out_unless_all_are_shown(make_job):
    jobs = [make_job(method="gates").model_copy(update={"label": label}) for label in ("gates_1", "gates_2", "other")]
    about = PaperClaim(who="w", where="x", method="gates_*", arch="lenet300", sparsity=0.9, accuracy=0.9)
    told = {
        text: RecordFilter.choose(jobs, methods=text).tells_of(about) for text in ("gates_1", "gates_*", "other", "")
    }
    assert told == {"gates_1": False, "gates_*": True, "other": False, "": True}


def test_the_report_shows_no_other_label(jobs, standard, tmp_path):
    page = build(
        ReportSource("tiny", RecordFilter.choose(jobs, methods="gates").of(standard)), tmp_path
    ).page.read_text()
    assert "edgepopup" not in page
