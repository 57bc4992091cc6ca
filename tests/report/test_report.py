"""A report drawn from records."""

import html.parser

import pytest
from material import PENDING, add_record

from slt_bench.jobs.benchmark import Budget
from slt_bench.records import LoadedRecords
from slt_bench.report.build import ReportSource, build
from slt_bench.report.style import assign_styles
from slt_bench.report.tables.table import Table
from slt_bench.utils.errors import UserError


class Page(html.parser.HTMLParser):
    """Notes the elements and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))


def test_a_report_has_a_page_figures_and_tables(drawn):
    report, tmp_path = drawn, drawn.page.parent
    names = {path.suffix for path in (tmp_path / "figures").iterdir()}
    assert names == {".pdf", ".svg", ".png"}
    assert {path.suffix for path in (tmp_path / "tables").iterdir()} == {".md", ".tex", ".csv"}
    text = report.page.read_text()
    assert "A title &amp; more" in text
    assert "<svg" in text
    assert "a processor" in text
    assert len(report.left_out) == 2


def test_a_page_reaches_nothing_outside_and_runs_nothing(drawn):
    page = Page(drawn.page.read_text())
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "iframe", "object", "img")]
    values = [value or "" for _, attrs in page.elements for name, value in attrs.items() if name in ("src", "href")]
    outside = [value for value in values if "//" in value]
    assert outside == []


def test_markup_in_names_is_escaped(drawn):
    text = drawn.page.read_text()
    assert "<script>" not in text
    assert "<b>wrong" not in text
    assert "&lt;script&gt;" in text


def test_the_table_holds_means_intervals_and_losses(drawn):
    (table,) = drawn.tables.values()
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.header == ["method (purity), n=3", "0.5", "0.9", "0.98", "own sparsity"]
    assert rows["gates (frozen)"][0] == "91.50 ± 2.48"
    assert rows["edgepopup (frozen)"][2] == "84.60 ± 6.35 (n=2) [1 diverged]"
    assert rows["dense (trained)"] == ["", "", "", "97.00 ± 0.00 at 0.000"]


def test_the_same_records_give_the_same_files(found, drawn, tmp_path):
    first = drawn.page
    second = build(ReportSource("tiny", found, title="A title & more", pending=PENDING), tmp_path).page
    for path in sorted(first.parent.rglob("*.*")):
        if path.suffix in (".svg", ".html", ".tex", ".md", ".csv", ".pdf"):
            assert path.read_bytes() == (second.parent / path.relative_to(first.parent)).read_bytes(), path.name


def test_without_records_to_compare_the_reason_is_told(tmp_path, make_job):
    only_smoke = LoadedRecords()
    add_record(only_smoke, make_job(smoke=True), "done", 0.5)
    with pytest.raises(UserError, match="smoke"):
        build(ReportSource("tiny", only_smoke), tmp_path)
    with pytest.raises(UserError, match="there are none"):
        build(ReportSource("tiny", LoadedRecords()), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_method_keeps_its_look_whatever_is_beside_it():
    assert assign_styles(["gates"])["gates"] == assign_styles(["gates", "another", "edgepopup"])["gates"]
    many = assign_styles([f"method{i}" for i in range(10)])
    assert len(set(many.values())) == 10


def test_other_budgets_and_settings_are_never_taken_for_seeds(make_job, tmp_path):
    mixed = LoadedRecords()
    add_record(mixed, make_job(label="gates", method="gates", budget=Budget(epochs=1)), "done", 0.5)
    add_record(mixed, make_job(label="gates", method="gates", budget=Budget(epochs=10)), "done", 0.9)
    add_record(
        mixed, make_job(label="gates", method="gates", budget=Budget(epochs=10), settings={"lr": 0.5}), "done", 0.7
    )
    tables = build(ReportSource("tiny", mixed), tmp_path).tables
    short, long = sorted(tables, key=lambda title: "10 epochs" in title)
    assert tables[short].rows == [["gates [defaults] (frozen)", "50.00"]]
    assert {row[0]: row[1] for row in tables[long].rows} == {
        "gates [defaults] (frozen)": "90.00",
        "gates [lr=0.5] (frozen)": "70.00",
    }
    assert len(list((tmp_path / "figures").glob("accuracy-*.svg"))) == 2


def test_stale_records_are_left_out(found, tmp_path):
    stale = [key for key, record in found.records.items() if record.job.label == "edgepopup"]
    report = build(ReportSource("tiny", found, stale=frozenset(stale)), tmp_path)
    assert not any(row[0].startswith("edgepopup") for table in report.tables.values() for row in table.rows)
    assert sum(reason.startswith("stale") for reason in report.left_out.values()) == len(stale)


def test_a_counted_sparsity_far_from_the_asked_one_is_told(make_job, tmp_path):
    off = LoadedRecords()
    job = make_job(label="gates", method="gates", sparsity=0.9)
    add_record(off, job, "done", 0.9)
    off.records[job.id].metrics["sparsity"] = 0.5
    (table,) = build(ReportSource("tiny", off), tmp_path).tables.values()
    assert table.rows == [["gates (frozen)", "90.00 at 0.500"]]


def test_every_sign_that_latex_knows_is_escaped():
    text = Table(["a_b", "{x}^2"], [["~\\ 5% & #1", "±$"]]).latex()
    assert r"a\_b & \{x\}\textasciicircum{}2" in text
    assert r"\textasciitilde{}\textbackslash{} 5\% \& \#1 & $\pm$\$" in text


def test_where_only_validation_is_scored_the_report_says_so(make_job, tmp_path):
    """As of the trials of `tune`, which never read the test split."""
    found = LoadedRecords()
    for seed in range(2):
        add_record(found, make_job(seed=seed, budget=Budget(epochs=2, scores="validation")), "done", 0.75)
    for record in found.records.values():
        record.metrics["test_accuracy"] = None
    page = build(ReportSource("tiny", found), tmp_path).page.read_text(encoding="utf-8")
    assert "Mean validation accuracy (%) of the hard masks" in page
    assert "75.00" in page
    assert "test accuracy" not in page.lower()


def test_settings_may_change_from_one_sparsity_to_the_next(make_job, tmp_path):
    """As those that were tuned do."""
    found = LoadedRecords()
    for sparsity, rate in ((0.5, 0.1), (0.9, 0.3)):
        add_record(found, make_job(sparsity=sparsity, settings={"lr": rate}), "done", sparsity)
    (table,) = build(ReportSource("tiny", found), tmp_path).tables.values()
    assert table.rows == [["edgepopup (frozen)", "50.00", "90.00"]]
