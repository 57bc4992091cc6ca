"""A report's accuracies on a terminal of any width."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from slt_bench.cli.screen import WIDTH, screen
from slt_bench.cli.show_accuracies import accuracies
from slt_bench.report.tables.table import Table

SPARSITIES = ("0.5", "0.8", "0.9", "0.95", "0.98", "own sparsity")
LABELS = st.lists(st.text("abc_[]-", min_size=1, max_size=24), min_size=1, max_size=8, unique=True)


def _content(labels: list[str]) -> Table:
    """A table whose accuracies are all different; the first label has no interval and no seed at its own sparsity."""
    rows = [
        [f"{label} ({'trained' if row == 1 else 'frozen'})"]
        + [f"{10 * row + column}.{row}{column} ± 1.{column}0" for column in range(len(SPARSITIES))]
        for row, label in enumerate(labels, 1)
    ]
    rows[0][-1] = ""
    return Table(["method (purity), n=3", *SPARSITIES], rows, frozenset({(0, 1)}))


def _printed(content: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    for table in accuracies("lenet300 on mnist", content, console):
        console.print(table)
    return console.file.getvalue()


@given(labels=LABELS, width=st.integers(45, 250))
def test_no_accuracy_is_cut_off_and_no_line_is_too_long(labels, width):
    content = _content(labels)
    shown = _printed(content, width)
    assert "…" not in shown
    assert all(len(line) <= width for line in shown.splitlines())
    means = [cell.partition(" ")[0] for row in content.rows for cell in row[1:] if cell]
    assert all(shown.count(mean) >= 1 for mean in means)


def test_intervals_are_shown_where_they_fit_and_sparsities_are_split_where_means_do_not():
    content = _content(["gates", "dense", "a_method_of_a_long_name", "another_method"])
    assert "± 1.00" in _printed(content, 120)
    means = _printed(content, 80)
    assert "±" not in means
    assert means.count("another_method") == 1
    assert "gates (trained)" in means
    assert "(frozen)" not in means
    several = _printed(content, 50)
    assert several.count("another_method") > 1
    assert several.count("lenet300 on mnist") == several.count("Means, of frozen") == 1


def test_a_method_without_a_record_at_some_sparsities_has_no_line_there():
    content = _content(["penalised", "gates"])
    content.rows[0][1:6] = [""] * 5
    content.rows[0][6] = "91.00 ± 1.00 at 0.961"
    shown = _printed(content, 40)
    assert shown.count("penalised") == 1
    assert "91.00*" in shown


@pytest.mark.parametrize(("columns", "width"), [("", WIDTH), ("wide", WIDTH), ("80", 80), ("201", 201)])
def test_what_is_printed_into_a_pipe_has_lines_of_120_unless_told_otherwise(monkeypatch, columns, width):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in many a CI
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setitem(os.environ, "COLUMNS", columns)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert screen().width == width
