"""A network of which masks do not reach every weight: refused, or told wherever its sparsity is."""

from pathlib import Path

import pytest

from slt_bench.network.inspection import UNMASKED_LIMIT, inspect
from slt_bench.records import Record, read
from slt_bench.tickets.ticket import read_ticket

ARCH = "timm:test_nfnet"  # standardises its weights after the mask
OPTIONS = ("--no-references", "--archs", ARCH, "--datasets", "digits", "--sparsities", "0.5", "--seeds", "0")
CHOSEN = ("--methods", "random_mask", *OPTIONS, "--epochs", "1", "--name", "odd")
WORDS = "A mask does not decide"


@pytest.fixture
def slt_bench(end):
    """Runs a command: its exit code, and all that it printed, on one line."""

    def call(*arguments):
        code, output, errors = end(*arguments)
        return code, " ".join((output + errors).split())

    return call


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_is_refused_before_anything_runs(slt_bench, verb):
    code, output = slt_bench(verb, *CHOSEN)
    assert code == 2
    assert WORDS in output
    assert "--unmasked allow" in output
    assert not Path("results").exists()


def test_stands_in_the_plan_where_it_is_allowed(slt_bench):
    code, output = slt_bench("plan", *CHOSEN, "--unmasked", "allow")
    assert code == 0
    assert f"{WORDS} {100 * inspect(ARCH, (1, 8, 8), 10).unmasked_share:.3g}%" in output


def test_of_other_networks_nothing_is_said(slt_bench):
    code, output = slt_bench("plan", *(one.replace(ARCH, "lenet300") for one in CHOSEN))
    assert code == 0
    assert WORDS not in output


def test_stands_in_record_ticket_and_report(slt_bench):
    code, output = slt_bench("run", *CHOSEN, "--unmasked", "allow")
    assert code == 0, output
    share = inspect(ARCH, (1, 8, 8), 10).unmasked_share
    assert share > UNMASKED_LIMIT
    [record] = read(Path("results/odd")).records.values()
    assert record.unmasked == share
    assert any("does not decide" in flag for flag in record.flags)
    [file] = Path("results/odd").rglob("ticket.slt")
    assert read_ticket(file).provenance["unmasked"] == share
    code, output = slt_bench("ticket", "show", str(file))
    assert code == 0
    assert WORDS in output
    assert "does not decide" in Path("reports/odd/index.html").read_text()


def test_is_allowed_by_a_benchmark_file(slt_bench):
    text = f'archs = ["{ARCH}"]\ndatasets = ["digits"]\n[methods]\nrandom_mask = {{}}\n'
    Path("odd.toml").write_text(text)
    assert slt_bench("plan", "--benchmark", "odd.toml")[0] == 2
    Path("odd.toml").write_text('unmasked = "allow"\n' + text)
    assert slt_bench("plan", "--benchmark", "odd.toml")[0] == 0
    assert slt_bench("plan", "--benchmark", "odd.toml", "--unmasked", "refuse")[0] == 2


def test_records_from_before_say_nothing_of_it(make_job):
    job = make_job()
    old = Record(id=job.id, job=job, status="done", method_version=1, purity="frozen", settings={})
    assert Record.model_validate(old.model_dump(exclude={"unmasked"})).unmasked is None
