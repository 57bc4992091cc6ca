"""What the command line says to what is wrong: exit code 2, plain sentences, no traceback, and nothing written."""

import gzip
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slt_bench.data import DATASETS, root

DIGITS = ("run", "--methods", "random_mask", "--archs", "lenet300", "--datasets", "digits", "--epochs", "1")
MNIST = ("run", "--methods", "random_mask", "--archs", "lenet300", "--datasets", "mnist")
BENCHMARK = """
archs = "lenet300"
datasets = "digits"
[methods]
gates = {}
"""


@pytest.fixture
def usage(end, cwd):
    """Runs a command that the parser of options refuses; gives back its words on one line."""

    def usage(*arguments):
        code, out, err = end(*arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert list(cwd.iterdir()) == []
        return re.sub(r"[\s│]+", " ", err)

    return usage


@pytest.mark.parametrize("verb", ["run", "plan", "status"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--methods", "gats", "--archs", "lenet300"], "Unknown method 'gats'. Did you mean gates"),
        (["--methods", "gates,", "--archs", "lenet30"], "Unknown architecture 'lenet30'. Did you mean lenet300"),
        (["--methods", "zz*", "--archs", "lenet300"], "No method matches 'zz*'."),
        (["--methods", "gates", "--archs", "zz*"], "No architecture matches 'zz*'."),
        (["--methods", "gates", "--archs", "wrn11_2"], "'wrn11_2' has depth 11"),
        (["--methods", "gates", "--archs", "wrn28-10"], "Did you mean wrn28_10"),
        (["--methods", "gates", "--archs", "lenet300", "--datasets", "mnst"], "Unknown data set 'mnst'. Did you mean"),
        (["--methods", "gates", "--archs", "lenet300", "--inits", "uniformm"], "Did you mean uniform"),
        (["--methods", "gates", "--archs", "lenet300", "--inits", "uniform:-1"], "positive number"),
        (["--methods", "gates", "--archs", "lenet300", "--inits", ","], "The list of inits is empty: ','."),
        (["--methods", "gates", "--archs", "lenet300", "--rescale", "densty"], "Did you mean density?"),
        (["--methods", "gates", "--archs", "lenet300", "--name", "../up"], "The name '../up' is not made of"),
        (["--benchmark", "quickstrat"], "Unknown benchmark 'quickstrat'. Did you mean quickstart?"),
        (["--benchmark", "none.toml"], "There is no benchmark file at none.toml."),
        (["--benchmark", "quickstart", "--methods", "gats"], "Unknown method of the benchmark 'gats'. Did you mean"),
        (["--benchmark", "quickstart", "--name", "x"], "--name"),
        (["--benchmark", "quickstart", "--sparsities", "1.0"], "Sparsity 1 is outside [0, 1)."),
        (["--benchmark", "quickstart", "--sparsities", "-0.1"], "Sparsity -0.1 is outside [0, 1)."),
        (["--benchmark", "quickstart", "--sparsities", "0.5,nan"], "Sparsity nan is outside [0, 1)."),
        (["--benchmark", "quickstart", "--sparsities", "half"], "Sparsity 'half' is no number."),
        (["--benchmark", "quickstart", "--sparsities", ""], "The list of sparsities is empty."),
        (["--benchmark", "quickstart", "--seeds", "3-1"], "The range '3-1' in seeds '3-1' falls. Write it as 1-3."),
        (["--benchmark", "quickstart", "--seeds", "a"], "'a' in seeds 'a' is neither a number nor a range."),
        (["--benchmark", "quickstart", "--seeds", ""], "The list of seeds is empty."),
        (["--benchmark", "quickstart", "--set", "gates.sigm=1"], "Unknown setting of gates 'sigm'. Did you mean sigma"),
        (["--benchmark", "quickstart", "--set", "gates.sigma=-1"], "A setting of gates is not right at 'sigma'"),
        (["--benchmark", "quickstart", "--set", "gates.sigma=much"], "A setting of gates is not right at 'sigma'"),
        (["--benchmark", "quickstart", "--set", "gats.sigma=1"], "Unknown method in --set 'gats'. Did you mean gates"),
        (["--benchmark", "quickstart", "--set", "sigma=1"], "'sigma=1' is no setting. Write METHOD.FIELD=VALUE"),
        (["--methods", "gates"], "Name what to run: --benchmark NAME, or --methods and --archs."),
        (["--benchmark", "quickstart", "--plugins", "nowhere"], "nowhere' does not exist."),
    ],
)
def test_a_wrong_selection_is_refused(refused, verb, options, told):
    assert told in refused(verb, *options)


@pytest.mark.parametrize(
    ("verb", "told"),
    [("run", "Name what to run"), ("plan", "Name what to run"), ("status", "There are no results in results.")],
)
def test_nothing_at_all_is_refused(refused, verb, told):
    assert told in refused(verb)


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sparsitys = [0.5]" + BENCHMARK, "Unknown key 'sparsitys'. Did you mean sparsities"),
        ("seeds = 1.5" + BENCHMARK, "is not right at 'seeds'"),
        ('sparsities = ["half"]' + BENCHMARK, "is not right at 'sparsities.0'"),
        ("sparsities = []" + BENCHMARK, "is not right at 'sparsities'"),
        ("sparsities = [1.0]" + BENCHMARK, "Sparsity 1 is outside [0, 1)."),
        (BENCHMARK + "gats = {}", "Unknown method 'gats'. Did you mean gates"),
        (BENCHMARK + "twin = {method = 'gates'}", "'gates' and 'twin' of mine are the same"),
        (BENCHMARK.replace('"digits"', '"digit"') + "[budget]\nepochs = 1", "Unknown data set 'digit'. Did you mean"),
        ("archs = ", "cannot be read"),
    ],
)
def test_a_wrong_benchmark_is_refused(refused, tmp_path, verb, text, told):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert told in refused(verb, "--benchmark", path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "quickstart"], r"\(quickstart\)\. .*commas.* --benchmark NAME"),
        (["run", "--methods", "gates", "edgepopup"], r"\(edgepopup\)\. .* commas and no blanks"),
        (["profile", "edgepopup"], r"\(edgepopup\)\. .* commas and no blanks"),
        (["list", "method"], "Invalid value for 'what': 'method' is not one of"),
        (["rnu"], "Did you mean 'run'"),
        (["run", "--seed", "0"], "--seeds"),
    ],
    ids=str,
)
def test_a_command_that_cannot_be_read_is_told_what_would_be_right(usage, arguments, told):
    assert re.search(told, usage(*arguments))


@pytest.mark.parametrize(
    ("option", "name", "told"),
    [
        ("--archs", "LENET300", "Did you mean lenet300"),
        ("--archs", "densenet121", "timm:"),
        ("--archs", "timm:nope", "Unknown timm model 'nope'."),
        ("--archs", "timm:resnet_18", "resnet18"),
        ("--datasets", "MNIST", "Did you mean mnist"),
        ("--datasets", "imagenet", "folder:PATH"),
        ("--methods", "./mine.py", "--plugins"),
        ("--methods", "EdgePopup", "Did you mean edgepopup"),
    ],
)
def test_a_name_that_is_nearly_right_or_lies_elsewhere_is_told(refused, option, name, told):
    options = {"--methods": "gates", "--archs": "lenet300"} | {option: name}
    assert told in refused("run", *(word for pair in options.items() for word in pair))


@pytest.mark.parametrize("arguments", [["-h"], ["run", "-h"], ["--version"], ["ticket", "show", "-h"]], ids=str)
def test_what_is_typed_at_any_command_is_answered(end, arguments):
    code, out, err = end(*arguments)
    assert (code, err) == (0, "")
    assert re.search(r"slt_bench \d+\.\d+" if arguments == ["--version"] else "Usage", out)


LONG = "x" * 300


@pytest.mark.parametrize(
    "command",
    [
        (*DIGITS, "--name", LONG),
        (*DIGITS, "--results", LONG),
        (*DIGITS, "--plugins", LONG),
        (*MNIST, "--data-root", LONG),
        ("run", "--methods", "gates", "--archs", "lenet300", "--datasets", f"folder:{LONG}"),
        ("compare", LONG, LONG),
        ("check", f"{LONG}.py"),
        ("new-method", LONG),
        ("ticket", "show", LONG),
        ("ticket", "verify", LONG),
        ("tune", f"{LONG}.toml"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_name_that_no_file_system_takes_is_refused(refused, command):
    assert re.search("too long|characters", refused(*command))


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_batches_of_one_image_are_refused_where_they_are_normalised(refused, verb):
    one = ("--datasets", "digits", "--batch-size", "1")
    told = refused(verb, "--methods", "gates", "--archs", "wrn10_1", *one)
    assert all(words in told for words in ("'wrn10_1'", "batch normalisation", "--batch-size 2"))
    assert "wrn10_1" in refused("profile", "--archs", "wrn10_1", "--batch-size", "1")


def test_batches_of_one_image_are_right_without_batch_normalisation(end):
    for arch in ("lenet300", "vit_micro"):
        shown = ("--methods", "gates", "--archs", arch, "--datasets", "digits", "--batch-size", "1")
        code, _, err = end("plan", *shown)
        assert code == 0, err


def test_an_architecture_that_cannot_take_the_images_is_refused(refused):
    told = refused("run", "--methods", "gates", "--archs", "conv8", "--datasets", "digits")
    assert "conv8" in told
    assert "8x8" in told


def test_missing_data_is_refused_with_the_cure(refused, tmp_path):
    told = refused(*MNIST)
    assert str(tmp_path / "no data" / "MNIST" / "raw") in told
    assert "data get mnist" in told
    assert str(tmp_path / "elsewhere") in refused(*MNIST, "--data-root", tmp_path / "elsewhere")


@pytest.fixture
def mnist_files(tmp_path):
    """A folder with files of the right names and other contents."""
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in DATASETS["mnist"].md5:
        (folder / f"{name}.gz").write_bytes(gzip.compress(bytes(range(256)) * 10))
    return folder


def test_altered_data_is_refused(refused, mnist_files, tmp_path):
    told = refused(*MNIST, "--data-root", tmp_path / "data")
    assert f"{mnist_files / 'train-images-idx3-ubyte.gz'} is truncated or altered" in told


def test_truncated_data_is_refused(refused, mnist_files, tmp_path):
    path = mnist_files / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert f"The data file {path} cannot be read" in refused(*MNIST, "--data-root", tmp_path / "data")


def test_incomplete_data_is_refused(refused, mnist_files, tmp_path):
    (mnist_files / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "lacks t10k-labels-idx1-ubyte" in refused(*MNIST, "--data-root", tmp_path / "data")


@pytest.mark.data
@pytest.mark.parametrize("damage", [lambda content: content[:-1000], lambda content: content[:-1] + b"x"])
def test_a_damaged_copy_of_real_mnist_is_refused(monkeypatch, request, tmp_path, damage):
    named = os.environ.get(root.VARIABLE)
    if not named or not root.is_present(DATASETS["mnist"], Path(named)):
        pytest.skip(f"mnist is not in {root.VARIABLE}")
    refused = request.getfixturevalue("refused")  # which hides the real data from the command
    folder = tmp_path / "copy" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    place = root.locate(DATASETS["mnist"], Path(named))
    for name in place.md5:
        source = place.path(name)
        (folder / source.name).write_bytes(source.read_bytes())
    (path,) = folder.glob("t10k-images-idx3-ubyte*")
    path.write_bytes(damage(path.read_bytes()))
    assert str(path) in refused(*MNIST, "--data-root", tmp_path / "copy")


@pytest.mark.parametrize("below", ["", "folder", "folder/folder"])
def test_results_below_a_file_are_refused(refused, tmp_path, below):
    file = tmp_path / "file"
    file.write_text("precious")
    assert f"The results folder {file}" in refused(*DIGITS, "--results", file / below)
    assert file.read_text() == "precious"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_results_where_nothing_can_be_written_are_refused(refused):
    assert "is not writable" in refused(*DIGITS, "--results", "/proc/results")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "tpu:x", "", "meta"])
def test_an_unknown_device_is_refused(refused, device):
    told = refused(*DIGITS, "--device", device)
    assert f"The device '{device}' cannot be used here: " in told
    assert "Take auto" in told


def test_nonsense_to_rerun_is_refused(refused):
    for more in ([], ["--dry-run"]):
        told = refused(*DIGITS, "--rerun", "failed,everything", *more)
        assert told == "--rerun takes failed, stale or all, not 'everything'."


def test_a_report_of_nothing_is_refused(refused):
    assert "Unknown benchmark with records 'nope'." in refused("report", "nope")


def test_a_merge_of_nothing_is_refused(refused, tmp_path):
    assert "There are no records in" in refused("merge", tmp_path / "nope", "--into", tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_ticket_that_is_none_is_refused(refused, tmp_path):
    assert str(tmp_path / "none.slt") in refused("ticket", "show", tmp_path / "none.slt")
    (tmp_path / "bad.slt").write_bytes(b"no ticket")
    assert str(tmp_path / "bad.slt") in refused("ticket", "show", tmp_path / "bad.slt")


@pytest.mark.parametrize("verb", ["get", "verify"])
def test_unknown_data_is_refused(refused, verb):
    assert "Unknown data set 'mnst'. Did you mean mnist" in refused("data", verb, "mnst")


def test_verifying_missing_data_is_refused(refused):
    assert "'mnist' is not on this machine" in refused("data", "verify", "mnist")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rn"], "No such command 'rn'"),
        (["run", "--metods", "gates"], "--methods"),  # offered for it
        (["run", "--benchmark"], "requires an argument"),
        ([*DIGITS, "--threads", "0"], "'--threads'"),
        ([*DIGITS, "--epochs", "none"], "'--epochs'"),
        ([*DIGITS, "--batch-size", "0"], "'--batch-size'"),
        ([*DIGITS, "--precision", "bf61"], "'bf61' is not one of"),
        (["list", "everything"], "'everything' is not one of"),
        (["merge"], "Missing argument"),
        (["compare"], "Missing argument"),
    ],
)
def test_what_the_parser_refuses(usage, arguments, told):
    assert told in usage(*arguments)


def test_an_interrupted_run_says_how_to_go_on(end, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which nohup and "&" have ignored

    def interrupt(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("slt_bench.execution.planning.plan.run_inline", interrupt)
    code, _, err = end(*DIGITS)
    signal.signal(signal.SIGINT, before)
    assert code == 3
    assert err == "slt_bench: stopped. What has ended is kept; the same command goes on from there.\n"


HEAVY = {"torch", "torchvision", "timm", "submitit", "pandas", "matplotlib", "seaborn", "scipy", "sklearn"}


@pytest.mark.parametrize(
    "code",
    [
        "import slt_bench",
        "import slt_bench.cli",
        "sys.argv = ['slt_bench', '--help']; from slt_bench.cli import main; main()",
        "sys.argv = ['slt_bench', 'run', '--help']; from slt_bench.cli import main; main()",
    ],
)
def test_nothing_heavy_loads_before_it_is_needed(tmp_path, code):
    script = f"""
import atexit, sys
atexit.register(lambda: print("LOADED", *sorted({sorted(HEAVY)!r} & sys.modules.keys())))
{code}
""".replace(f"{sorted(HEAVY)!r} &", f"set({sorted(HEAVY)!r}) &")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert list(tmp_path.iterdir()) == []


def test_the_command_is_the_module(tmp_path):
    """One error through a process of its own: exit code, stderr and all."""
    command = [sys.executable, "-m", "slt_bench", "plan", "--benchmark", "none.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "slt_bench: There is no benchmark file at none.toml.\n"
    assert list(tmp_path.iterdir()) == []
