"""Claims in a benchmark's file."""

import math

import pytest

from slt_bench.jobs.benchmark import benchmark_files, load
from slt_bench.jobs.grid import jobs
from slt_bench.jobs.paper_claims import KINDS
from slt_bench.registry import load_registry
from slt_bench.utils.errors import UserError

HEAD = 'archs = ["lenet300", "conv2"]\n[methods]\ngates = {}\nedgepopup = { archs = "lenet300" }\n'
PUBLISHED = "published_[0-9]*"
CLAIM = '[[claims]]\nwho = "A"\nmethod = "gates"\narch = "lenet300"\n'


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "mine.toml").write_text(HEAD + text)
        return load(str(tmp_path / "mine.toml"))

    return write


def test_claims_are_read(written):
    (one,) = written(CLAIM + "sparsity = 0.9\naccuracy = 0.95\n").claims
    assert (one.kind, one.accuracy, one.relation, one.readout) == ("accuracy", 0.95, "at least", "hard")
    assert one.band == (0.95, math.inf)


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ('sparsity = 0.9\naccuracy = 0.95\nrelation = "about"\n', (0.94, 0.96)),
        ("sparsity = 0.9\nloss = 1.0\n", (-math.inf, 0.01)),
        ('sparsity = 0.9\nloss = 1.0\nrelation = "about"\ntolerance = 0.5\n', (0.005, 0.015)),
        ('ratio = 2.0\nbaseline = "edgepopup"\n', (2.0, math.inf)),
        ('ratio = 2.0\nbaseline = "edgepopup"\nrelation = "about"\n', (1.8, 2.2)),
        ('sparsity = 0.9\nbaseline_sparsity = 0.5\nbaseline = "edgepopup"\n', (-0.01, math.inf)),
        ('sparsity = 0.9\nbaseline_sparsity = 0.5\nbaseline = "edgepopup"\ndataset = "mnist"\n', (-0.005, math.inf)),
        ('sparsity = 0.9\nbaseline_sparsity = 0.5\nbaseline = "edgepopup"\nmargin = 2\n', (-0.02, math.inf)),
    ],
)
def test_a_claim_is_true_in_a_band(written, text, band):
    (one,) = written(CLAIM + text.replace("margin = 2\n", "margin = 2.0\n")).claims
    assert one.band == pytest.approx(band)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "sparsity = 0.9\n",
            "has one of accuracy, loss, baseline_sparsity, ratio; this one of 'gates' has none of",
        ),
        ("sparsity = 0.9\naccuracy = 0.9\nloss = 1.0\n", "has accuracy and loss"),
        ("accuracy = 0.9\n", "names its sparsity"),
        (
            'sparsity = 0.5\nratio = 2.0\nbaseline = "edgepopup"\n',
            "names no sparsity, unless it is the base",
        ),
        ('sparsity = 0\nratio = 2.0\nbaseline = "edgepopup"\nreference = "baseline"\n', "the baseline's, above 0"),
        ('sparsity = 0.5\nloss = 1.0\nreference = "baseline"\n', "only a claim of a ratio may have the baseline"),
        ("ratio = 2.0\n", "names its baseline"),
        ("sparsity = 0.9\nbaseline_sparsity = 0.5\n", "names its baseline"),
        ('baseline_sparsity = 0.5\nbaseline = "edgepopup"\n', "names its sparsity"),
        ("sparsity = 0.9\nloss = 1.0\nmargin = 0.5\n", "only a claim of a baseline_sparsity has a margin"),
        ("sparsity = 90\naccuracy = 0.9\n", "claims.0.sparsity"),
        ("sparsity = 0.9\naccuracy = 95.0\n", "claims.0.accuracy"),
        ("sparsity = 0.9\nacuracy = 0.9\n", "Unknown key 'acuracy'. Did you mean accuracy"),
        ('ratio = 2.0\nbaseline = "edgepop"\n', "Unknown method in a claim of A 'edgepop'. Did you mean edgepopup?"),
    ],
)
def test_a_wrong_claim_is_refused_with_what_would_be_right(written, text, told):
    with pytest.raises(UserError) as error:
        written(CLAIM + text)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_claim_on_a_network_that_is_not_run_is_refused(written):
    with pytest.raises(
        UserError, match=r"Unknown architecture of 'gates' in a claim of A 'lenet3000'. Did you mean lenet300\?$"
    ):
        written(CLAIM.replace("lenet300", "lenet3000") + "sparsity = 0.9\naccuracy = 0.95\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CLAIM.replace("lenet300", "conv2").replace("gates", "edgepopup"), "Unknown architecture of 'edgepopup'"),
        (CLAIM + 'dataset = "mnst"\n', "Unknown data set in a claim of A 'mnst'. Did you mean mnist?"),
        (CLAIM + 'dataset = "cifar10"\n', "Unknown data set in a claim of A 'cifar10'. Known: mnist."),
    ],
)
def test_a_claim_that_no_job_can_measure_is_refused(written, text, told):
    with pytest.raises(UserError) as error:
        written(text + "sparsity = 0.9\naccuracy = 0.95\n")
    assert told in str(error.value)


def test_a_claim_may_be_about_several_labels(written):
    (one,) = written((CLAIM + "sparsity = 0.9\naccuracy = 0.95\n").replace('"gates"', '"g*"')).claims
    assert one.labels(["gates", "edgepopup", "gates_uniform"]) == ["gates", "gates_uniform"]
    with pytest.raises(UserError, match=r"Unknown method in a claim of A 'published_\*'"):
        written((CLAIM + "sparsity = 0.9\naccuracy = 0.95\n").replace('"gates"', '"published_*"'))


def test_a_method_runs_only_on_its_own_architectures(written):
    found = {(job.label, job.arch) for job in jobs(written(""), load_registry())}
    assert found == {("gates", "lenet300"), ("gates", "conv2"), ("edgepopup", "lenet300")}


def test_a_method_on_a_network_that_is_not_run_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_text(HEAD.replace('archs = "lenet300" }', 'archs = "resnet18" }'))
    with pytest.raises(UserError, match="Unknown architecture of 'edgepopup' 'resnet18'"):
        load(str(tmp_path / "mine.toml"))


def test_a_selection_without_jobs_is_told(written):
    benchmark = written("").model_copy(update={"archs": ("conv2",)})
    only = benchmark.model_copy(update={"methods": {"edgepopup": benchmark.methods["edgepopup"]}})
    with pytest.raises(UserError, match="No method of mine is meant for conv2"):
        jobs(only, load_registry())


def test_every_claim_of_the_suites_benchmarks_lies_within_what_they_run():
    for name in benchmark_files():
        benchmark = load(name)
        for claim in benchmark.claims:
            about = [claim.baseline] if claim.ratio else claim.labels(benchmark.methods)
            for label in about:
                grid = benchmark.methods[label].sparsities or benchmark.sparsities
                assert claim.sparsity is None or min(grid) <= claim.sparsity <= max(grid)


def test_the_papers_benchmark_asks_each_claim_of_each_of_its_networks():
    claims = load("paper").claims
    named = {"lenet300", "resnet50", "wrn50_2", "vit_base", "swin_t"}
    asked = {(claim.kind, claim.method) for claim in claims}
    for kind, method in asked & {(kind, method) for kind in KINDS for method in ("gates", "gates_uniform", PUBLISHED)}:
        assert {claim.arch for claim in claims if (claim.kind, claim.method) == (kind, method)} == named
    assert asked >= {(kind, "gates") for kind in KINDS}
    assert asked >= {("baseline_sparsity", "gates_uniform"), ("accuracy", PUBLISHED), ("loss", PUBLISHED)}
    published = [claim for claim in claims if claim.accuracy and claim.who == "Tsayag and Lindenbaum"]
    hard, relaxed = (
        {
            (claim.arch, claim.method, claim.sparsity, claim.accuracy)
            for claim in published
            if claim.readout == readout and claim.method != PUBLISHED
        }
        for readout in ("hard", "relaxed")
    )
    assert hard == relaxed
    assert {arch for arch, *_ in hard} == named
