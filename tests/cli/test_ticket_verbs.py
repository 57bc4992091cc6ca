"""`ticket`, as typed."""

import re
import shutil

import pytest

from slt_bench import records

OPTIONS = ["--archs", "lenet300", "--datasets", "digits", "--seeds", "0", "--sparsities", "0.9", "--epochs", "2"]


@pytest.fixture
def ran(end, cwd):
    """The results of two methods and dense, and the command line."""
    code, out, err = end("run", "--methods", "edgepopup,dense", "--no-references", "--no-report", *OPTIONS)
    assert code == 0, out + err
    return end


def folder_of(cwd, method):
    (found,) = (cwd / "results" / "adhoc").glob(f"{method}-*")
    return found


def test_show_tells_sizes_and_dead_units(ran, cwd):
    folder = folder_of(cwd, "edgepopup")
    code, out, _ = ran("ticket", "show", folder)
    assert code == 0
    size = (folder / records.TICKET).stat().st_size
    assert f"{size:,} bytes; the dense network in float32 has 200,800, {200_800 / size:.1f} times as many" in out
    coded, bound = re.search(r"mask +([\d,]+) bytes; the entropy of its layer densities is ([\d,]+)", out).groups()
    assert int(bound.replace(",", "")) <= int(coded.replace(",", "")) < size
    assert len(re.findall(r"\n  \d\.weight .* of (?:300|100|10)", out)) == 3


def test_verify_is_right_and_wrong(ran, cwd):
    code, out, _ = ran("ticket", "verify", "results", "--score")
    assert code == 0
    assert out.count("right  ") == 2
    assert out.count("% again") == 2
    edge, dense = (folder_of(cwd, name) / records.TICKET for name in ("edgepopup", "dense"))
    shutil.copy(dense, edge)
    code, out, _ = ran("ticket", "verify", "results")
    assert code == 1
    assert f"WRONG  {edge.relative_to(cwd)}: its mask" in out
    assert "1 of 2 tickets are wrong." in out


def test_eval_scores_any_split(ran, cwd):
    record = records.read_one(folder_of(cwd, "edgepopup"))
    code, out, _ = ran("ticket", "eval", folder_of(cwd, "edgepopup"))
    assert code == 0
    assert f"{100 * record.metrics['test_accuracy']:.2f}% of the 360 test images of digits" in out
    assert "of the 1,293 train images" in ran("ticket", "eval", folder_of(cwd, "dense"), "--split", "train")[1]


def test_export_writes_what_runs_elsewhere(ran, cwd):
    pytest.importorskip("onnxruntime", reason="no onnxruntime")
    code, out, _ = ran("ticket", "export", folder_of(cwd, "edgepopup"), "out")
    assert code == 0
    assert {path.name for path in (cwd / "out").iterdir()} == {"network.py", "network.safetensors", "network.onnx"}
    assert "run and compared" in out
    code, out, _ = ran("ticket", "export", folder_of(cwd, "edgepopup"), "plain", "--no-onnx")
    assert len(list((cwd / "plain").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "nowhere.slt"], "There is no ticket at nowhere.slt."),
        (["verify", "."], "There is no ticket.slt in"),
        (["eval", "nowhere.slt"], "There is no ticket at nowhere.slt."),
        (["export", "nowhere.slt", "out"], "There is no ticket at nowhere.slt."),
    ],
    ids=str,
)
def test_no_ticket_is_told(refused, arguments, told):
    assert told in refused("ticket", *arguments)


def test_a_device_that_cannot_be_used_is_told(ran, cwd):
    code, _, err = ran("ticket", "eval", folder_of(cwd, "edgepopup"), "--device", "banana")
    assert code == 2
    assert "The device 'banana' cannot be used here: it is no device's name. Take auto" in err


def test_an_unknown_data_set_is_told(ran, cwd):
    code, _, err = ran("ticket", "eval", folder_of(cwd, "edgepopup"), "--dataset", "digit")
    assert code == 2
    assert "Did you mean digits?" in err
