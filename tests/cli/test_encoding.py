"""Standard output that takes few signs, as in a container without a locale: everything is printed all the same."""

import io
import sys

import pytest

from slt_bench.execution.worker.log import LOG, job_log

BENCHMARK = """
archs = "mlp20"
datasets = "digits"
sparsities = [0.5]
seeds = "0-1"
budget = { epochs = 1 }
[methods]
edgepopup = {}
"門 é" = { method = "edgepopup", settings = { lr = 0.2 } }
dense = {}
"""


def plain(monkeypatch, encoding="ascii"):
    """Standard output that refuses what its encoding has not."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding, errors="strict", write_through=True))
    return out


@pytest.fixture
def printed(end, monkeypatch):
    """Runs a command, and gives back its exit code and what it printed."""

    def printed(*arguments, encoding="ascii"):
        out = plain(monkeypatch, encoding)
        code, _, err = end(*arguments)
        assert "Traceback" not in err
        return code, out.getvalue().decode("utf-8", errors="replace")

    return printed


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_every_verb_prints_with_few_signs(printed, cwd, encoding):
    (cwd / "mine.toml").write_text(BENCHMARK, encoding="utf-8")
    code, out = printed("run", "--benchmark", "mine.toml", encoding=encoding)
    assert code == 0
    assert "+-" in out or encoding == "latin-1"
    assert "6 done" in out
    (ticket, *_) = cwd.glob("results/mine/edgepopup*/ticket.slt")
    for command in (
        ("list",),
        ("plan", "--benchmark", "mine.toml"),
        ("status", "--full"),
        ("show", ticket.parent.name, "--log"),
        ("report", "mine.toml"),
        ("compare", "edgepopup", "門 é", "--in", "mine"),
        ("ticket", "show", ticket),
        ("ticket", "verify", "results/mine"),
        ("tune", "mine.toml", "--methods", "門*", "--dry-run"),
    ):
        code, out = printed(*command, encoding=encoding)
        assert code in (0, 1 if command[0] == "compare" else 0), command
        assert out


def test_a_job_may_print_what_it_likes(tmp_path, monkeypatch):
    plain(monkeypatch)
    with job_log(tmp_path, captures=True):
        print("±門")
    assert (tmp_path / LOG).exists()
