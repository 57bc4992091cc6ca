"""The verbs, as typed."""

import sys
from pathlib import Path

import pytest

from slt_bench import records
from slt_bench.cli import main

OPTIONS = [
    "--methods",
    "random_mask",
    "--no-references",
    "--archs",
    "lenet300",
    "--datasets",
    "digits",
    "--name",
    "tiny",
]


@pytest.fixture
def slt_bench(monkeypatch, tmp_path, capsys):
    """A function that types a command in an empty folder; gives its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("SLT_BENCH_PLUGINS", "")  # what --plugins changes is put back

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["slt_bench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        return stop.value.code or 0, output.out + output.err

    return call


@pytest.fixture
def ran(slt_bench):
    """The same, after a run of six quick jobs."""
    code, output = slt_bench("run", *OPTIONS, "--sparsities", "0.5,0.9", "--no-report")
    assert code == 0, output
    assert not Path("reports").exists()
    return slt_bench


def test_a_run_prints_its_table_and_where_the_report_lies(slt_bench, tmp_path):
    code, output = slt_bench("run", *OPTIONS, "--sparsities", "0.5,0.9")
    assert code == 0
    assert "6 of 6 jobs to run" in output
    assert "lenet300 on digits" in output
    assert "report: reports/tiny/index.html" in output
    assert (tmp_path / "reports" / "tiny" / "index.html").is_file()


def test_plan_and_dry_run_tell_what_is_left_and_write_nothing(ran, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, output = ran("plan", *OPTIONS, "--sparsities", "0.5,0.9,0.98")
    assert code == 0
    assert "9 jobs, 3 to run. About" in output
    assert "dry" not in output
    assert ran("run", *OPTIONS, "--sparsities", "0.5,0.9,0.98", "--dry-run")[1] == output
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plan_without_records_says_that_the_cost_is_unknown(slt_bench):
    assert "not known" in slt_bench("plan", *OPTIONS)[1]


def test_status_has_an_exit_code_for_done_and_for_unfinished(ran):
    assert ran("status", *OPTIONS, "--sparsities", "0.5,0.9") == (0, "tiny: 6 jobs: 6 done\n")
    code, output = ran("status", *OPTIONS, "--sparsities", "0.5,0.9,0.98")
    assert code == 3
    assert "6 done, 3 missing" in output


def test_all_jobs_can_be_run_again(ran):
    assert "0 of 6 jobs to run" in ran("run", *OPTIONS, "--sparsities", "0.5,0.9")[1]
    assert "6 of 6 jobs to run" in ran("run", *OPTIONS, "--sparsities", "0.5,0.9", "--rerun", "all")[1]


def test_records_alone_are_enough_for_a_report(ran, tmp_path):
    assert ran("merge", "results/tiny", "--into", "kept/tiny")[0] == 0
    code, output = ran("report", "tiny", "--results", "kept", "--out", "drawn")
    assert code == 0
    assert "report: drawn/index.html" in output
    assert "python -m slt_bench report tiny --results kept --out drawn" in (tmp_path / "drawn/index.html").read_text()
    assert len(records.read(tmp_path / "kept" / "tiny").records) == 6


def test_a_report_shows_the_part_that_is_asked_for_and_its_command_says_so(ran, tmp_path):
    code, _ = ran("report", "tiny", "--methods", "random*", "--inits", "signed_constant", "--out", "drawn")
    assert code == 0
    page = (tmp_path / "drawn/index.html").read_text()
    assert "report tiny --methods &#39;random*&#39; --inits signed_constant --out drawn" in page
    code, output = ran("report", "tiny", "--archs", "lenet30", "--out", "drawn")
    assert code == 2
    assert "Did you mean lenet300?" in output


def test_a_report_of_nothing_offers_what_there_is(ran):
    code, output = ran("report", "tiyn")
    assert code == 2
    assert "Did you mean tiny?" in output


def test_ticket_show_tells_what_a_ticket_holds(ran, tmp_path):
    folder = next((tmp_path / "results" / "tiny").glob("*s0.9-seed1*"))
    code, output = ran("ticket", "show", str(folder))
    assert code == 0
    assert "50,200 weights, 5,020 kept" in output
    assert "their hash is right" in output
    assert output == ran("ticket", "show", str(folder / records.TICKET))[1]


def test_ticket_show_refuses_what_is_no_ticket(slt_bench, tmp_path):
    (tmp_path / "file").write_text("not a ticket")
    assert slt_bench("ticket", "show", "file")[0] == 2
    assert slt_bench("ticket", "show", "nothing")[0] == 2


def test_smoke_runs_are_not_reported(slt_bench, tmp_path):
    code, output = slt_bench("run", *OPTIONS, "--smoke")
    assert code == 0
    assert "(smoke)" in output
    assert not (tmp_path / "reports").exists()
    assert slt_bench("report", "tiny")[0] == 2


def test_list_shows_everything_there_is(slt_bench):
    output = slt_bench("list")[1]
    for name in ("gates_structured", "frozen", "wrn28_10", "timm:", "fashion_mnist", "lenet_mnist", "signed_constant"):
        assert name in output
    assert "wrn28_10" not in slt_bench("list", "methods")[1]


def test_a_method_of_ones_own_is_one_file(slt_bench, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    readme = Path(__file__).parents[2] / "README.md"
    code = readme.read_text().split("```python\n")[1].split("```")[0]
    (folder / "sigmoid_gates.py").write_text(code)
    options = ["--archs", "lenet300", "--datasets", "digits", "--seeds", "0", "--sparsities", "0.9", "--no-references"]
    exit_code, output = slt_bench("run", "--methods", "sigmoid_gates", "--plugins", "mine", *options)
    assert exit_code == 0, output
    assert "1 done" in output
    assert "sigmoid_gates" in slt_bench("list", "methods", "--plugins", "mine")[1]


def test_where_every_job_fails_the_failures_are_told(slt_bench, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    body = (
        "from slt_bench.method import Method\nclass Quits(Method):\n    name, version, paper = 'quits', 1, 'a test'\n"
    )
    body += "    sparsity_control, purity = 'exact', 'frozen'\n    def gates(self): raise SystemExit('no licence')\n"
    (folder / "quits.py").write_text(body + "    mask = gates\n")
    options = [
        "--methods",
        "quits",
        "--plugins",
        "mine",
        "--archs",
        "lenet300",
        "--datasets",
        "digits",
        "--seeds",
        "0-1",
        "--sparsities",
        "0.9",
    ]
    options.append("--no-references")
    code, output = slt_bench("run", *options)
    assert code == 1
    assert "2 failed" in output
    assert "no licence" in output
    code, output = slt_bench("run", *options, "--rerun", "failed", "--dry-run")
    assert "2 jobs, 2 to run" in output


def test_a_report_takes_a_folder_name_as_the_shell_completes_it(ran):
    assert ran("report", "tiny/")[0] == 0
    assert ran("report", ".")[0] == 2


def test_a_ticket_lends_its_densities_and_must_stay_the_same(ran, tmp_path):
    ticket = next((tmp_path / "results" / "tiny").glob("*s0.9-seed0*")) / records.TICKET
    options = ["--archs", "lenet300", "--datasets", "digits", "--seeds", "3", "--no-references", "--name", "like"]
    lends = f"random_mask.layers={ticket}"
    code, output = ran("run", "--methods", "random_mask", "--set", lends, *options)
    assert code == 0
    assert "at sparsity 0.9000" in output
    code, output = ran("run", "--methods", "random_mask", "--set", f"{lends}#123456789abc", *options)
    assert code == 2
    assert "has changed" in output
    code, output = ran("run", "--methods", "random_mask", "--set", "random_mask.layers=nothing.slt", *options)
    assert code == 2
    assert "nor the path of a ticket" in output
