"""What a report holds: every figure and table, their sources, and nothing that a hostile record could do."""

import json
import re
import shutil
import subprocess

import pytest
from material import add_record

from slt_bench.records import LoadedRecords, read
from slt_bench.report.build import ReportSource, build
from slt_bench.report.tables.table import Table
from slt_bench.utils.errors import UserError
from slt_bench.utils.files import add_checksum

KINDS = {"accuracy", "comparable", "layers", "gap", "gates", "learning", "sanity", "cost-1"}
NAMES = ["$x^2$", "_hidden", "a\nb", "%&#{}~\\", "|pipe|", "méthode ☃", "x" * 300, "</svg><b>", "[bold]", "../../up"]


def kinds(folder):
    return {path.stem.partition("-lenet300")[0] for path in folder.iterdir()}


def test_fonts_are_embedded_in_every_pdf(drawn):
    pdfs = list((drawn.page.parent / "figures").glob("*.pdf"))
    assert len(pdfs) == len(KINDS)
    assert all(b"/FontFile2" in pdf.read_bytes() for pdf in pdfs)


def test_every_kind_of_figure_and_table_is_there_with_its_source(drawn):
    report, tmp_path = drawn, drawn.page.parent
    assert kinds(tmp_path / "figures") == KINDS
    tables = {"accuracy", "comparable", "ratios", "dead", "cost", "improvement"}
    assert kinds(tmp_path / "tables") == tables
    sources = re.findall(r'<div class="source">.*', report.page.read_text())
    assert len(sources) == len(KINDS) + len(tables)
    for line in sources:
        assert "python -m slt_bench report tiny" in line
        assert re.search(r"\d+ records", line)
        assert "torch 2.15.0" in line
        assert "a processor, 1 thread" in line


def test_a_record_without_what_a_figure_needs_only_lacks_that_figure(found, tmp_path):
    bare = {"gate_histogram": [], "layers": [], "curve": [], "peak_memory_mb": None, "seconds": {}, "provenance": {}}
    for key, record in found.records.items():
        metrics = {name: record.metrics[name] for name in ("test_accuracy", "sparsity")}
        found.records[key] = record.model_copy(update={**bare, "metrics": metrics})
    build(ReportSource("tiny", found), tmp_path)
    assert kinds(tmp_path / "figures") == {"accuracy", "comparable"}


def test_bold_only_where_a_method_is_better_beyond_noise(make_job, tmp_path):
    clear = LoadedRecords()
    for seed in range(4):
        for label, accuracy in {"gates": 0.9, "edgepopup": 0.8}.items():
            job = make_job(label=label, method=label, sparsity=0.5, seed=seed)
            add_record(clear, job, "done", accuracy + 0.01 * seed)
            job = make_job(label=label, method=label, sparsity=0.9, seed=seed)
            add_record(clear, job, "done", accuracy - 0.3 * (seed % 2) * (label == "gates"))
    (table,) = build(ReportSource("tiny", clear), tmp_path).tables.values()
    bold = [cell for row in table.cells() for cell, stands_out in row if stands_out]
    assert bold == ["91.50 ± 2.05"]
    (written,) = (tmp_path / "tables").glob("accuracy*.md")
    assert "**91.50 ± 2.05**" in written.read_text()
    assert r"\textbf{91.50 $\pm$ 2.05}" in written.with_suffix(".tex").read_text()
    assert "<b>91.50 ± 2.05</b>" in (tmp_path / "index.html").read_text()


def test_times_of_two_machines_have_columns_and_figures_of_their_own(found, tmp_path):
    for key, record in found.records.items():
        if record.job.seed:
            found.records[key] = record.model_copy(update={"provenance": record.provenance | {"hardware": "another"}})
    build(ReportSource("tiny", found), tmp_path)
    assert len(list((tmp_path / "figures").glob("cost-*.svg"))) == 2
    (table,) = (tmp_path / "tables").glob("cost-*.md")
    header, _, *rows = table.read_text().splitlines()
    assert header.count("search: a processor, 1 thread") == header.count("search: another, 1 thread") == 1
    (gates,) = (row.strip("| ").split(" | ") for row in rows if row.startswith("| gates "))
    assert [cell for cell in gates if cell.endswith(" s")] == ["3.0 s", "4.0 s", "4.5 s", "5.5 s"]


def test_networks_of_one_shape_are_drawn_over_their_width(make_job, tmp_path):
    result = LoadedRecords()
    for arch, accuracy in {"mlp30_10": 0.8, "mlp150_50": 0.9, "lenet300": 0.95, "mlp300_300": 0.9}.items():
        for seed in range(2):
            job = make_job(label="gates", method="gates", arch=arch, seed=seed)
            add_record(result, job, "done", accuracy)
    page = build(ReportSource("tiny", result), tmp_path).page.read_text(encoding="utf-8")
    assert page.count("Over the width of the network</h") == 1
    files = {path.stem for path in (tmp_path / "figures").glob("width-*")}
    assert files == {"width-lenet300-digits-signed_constant-density"}
    assert page.count("Accuracy over sparsity</h") == 4
    assert page.count("Learning curves</h") == 2, "of lenet300, and of mlp300_300, which is no wider or narrower one"
    assert page.count("A narrower version of a network that has a section of its own") == 2
    assert "--archs mlp30_10 draws them of this one" in page


def test_several_networks_are_shown_side_by_side(make_job, tmp_path):
    result = LoadedRecords()
    for arch in ("lenet300", "conv2", "mlp30_10"):
        for seed in range(2):
            dense = make_job(label="dense", method="dense", arch=arch, sparsity=None, seed=seed)
            add_record(result, dense, "done", 0.95)
            for label, falls in {"gates": 0.12, "edgepopup": 0.15}.items():
                for sparsity in (0.5, 0.9):
                    job = make_job(label=label, method=label, arch=arch, sparsity=sparsity, seed=seed)
                    add_record(result, job, "done", 1 - falls * sparsity)
    page = build(ReportSource("tiny", result), tmp_path).page.read_text(encoding="utf-8")
    assert page.index("Every network</h") < page.index("Sparsity at the accuracy of edgepopup</h")
    header, _, *rows = (tmp_path / "tables" / "sparsest.md").read_text().splitlines()
    assert header == "| method (purity) | lenet300 on digits | conv2 on digits |"
    assert rows == ["| edgepopup (frozen) | never | never |", "| gates (frozen) | 0.500 ± 0.000 | 0.500 ± 0.000 |"]
    assert {"networks", "against"} <= {path.stem for path in (tmp_path / "figures").iterdir()}


def test_jobs_without_a_record_are_shown(drawn):
    text = drawn.page.read_text()
    assert "gates-&lt;i&gt;x" in text
    assert "running: attempt 1 &amp; more" in text


def test_an_unknown_baseline_is_refused(found, tmp_path):
    with pytest.raises(UserError, match="Did you mean edgepopup"):
        build(ReportSource("tiny", found, baseline="edgepop"), tmp_path)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_the_latex_tables_compile(drawn, tmp_path):
    compile_latex(drawn.page.parent, tmp_path)


def compile_latex(folder, room):
    """Every table of a report in one document."""
    bodies = [path.read_text() for path in sorted((folder / "tables").glob("*.tex"))]
    assert all("\\toprule" in body for body in bodies)
    body = "\n\n".join(bodies)
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (room / "doc.tex").write_text(document)
    done = subprocess.run(["pdflatex", "-halt-on-error", "doc.tex"], cwd=room, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-800:]


def test_no_name_breaks_a_report(make_job, tmp_path):
    named = LoadedRecords()
    for label in NAMES:
        for seed in range(2):
            for sparsity in (0.5, 0.9):
                changes = {"label": label, "method": "gates", "settings": {"x": label}, "init": "".join(NAMES)}
                add_record(named, make_job(**changes, seed=seed, sparsity=sparsity), "done", 0.9)
    report = build(ReportSource("tiny", named, title="<title>", about="</p><b>"), tmp_path / "out")
    text = report.page.read_text()
    assert "</svg><b>" not in text
    assert "</p><b>" not in text
    (table,) = report.tables.values()
    assert len(table.rows) == len(NAMES)
    assert len(list((tmp_path / "out" / "figures").glob("*.pdf"))) == len(KINDS)
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing is written elsewhere"


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_latex_takes_every_ascii_name(make_job, tmp_path):
    (tmp_path / "tables").mkdir()
    rows = [[name, name] for name in NAMES if name.isascii()]
    (tmp_path / "tables" / "names.tex").write_text(Table(["[x]", "y"], rows).latex())
    compile_latex(tmp_path, tmp_path)


def test_damaged_records_are_listed_and_break_nothing(found, tmp_path):
    good = json.loads(next(iter(found.records.values())).model_dump_json())
    texts = {
        "lacking": add_checksum(json.dumps({name: value for name, value in good.items() if name != "status"})),
        "nan": add_checksum(json.dumps(good | {"metrics": {"test_accuracy": float("nan")}})),
        "foreign": add_checksum(json.dumps(good | {"schema_version": 99})),
        "<img src=x onerror=alert(1)>": "no json",
    }
    for name, text in texts.items():
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "record.json").write_text(text)
    damaged = read(tmp_path / "results")
    assert len(damaged.problems) == 4
    found.problems |= damaged.problems
    text = build(ReportSource("tiny", found), tmp_path / "out").page.read_text()
    assert "<img" not in text
    assert "&lt;img src=x" in text
    for name in ("lacking", "nan", "foreign"):
        assert f"{name}/record.json" in text
