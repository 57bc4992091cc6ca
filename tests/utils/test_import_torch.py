"""Loading torch: what is loaded, and that Python's collector works afterwards as it did before."""

import subprocess
import sys
from pathlib import Path

import pytest


def _fresh(code: str, cwd: Path | None = None) -> str:
    """What a process that has loaded nothing prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd).stdout


@pytest.mark.parametrize("state", ["enable", "disable"])
def test_nothing_is_collected_while_torch_loads_and_the_collector_is_left_as_it_was(state):
    code = f"""
import gc, sys
from slt_bench.utils.import_torch import load_torch
gc.{state}()
before, collections = gc.isenabled(), []
gc.callbacks.append(lambda phase, _: collections.append(phase))
load_torch("torch._dynamo", "sklearn.datasets")
print(len(collections), gc.isenabled() == before, gc.get_freeze_count() > 100_000)
print({{"torch", "torch._dynamo", "sklearn.datasets"}} <= sys.modules.keys())
"""
    assert _fresh(code).split() == ["0", "True", "True", "True"]


def test_a_module_that_is_not_there_leaves_the_collector_on():
    code = """
import gc
from slt_bench.utils.import_torch import load_torch
try:
    load_torch("not_there")
except ImportError as error:
    print(error.name, gc.isenabled())
"""
    assert _fresh(code).split() == ["not_there", "True"]


WATCH = """
import atexit, gc, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "torch._dynamo"):
            print("LOADS", name, gc.isenabled())
sys.meta_path.insert(0, Watch())
atexit.register(lambda: print("FROZEN", gc.get_freeze_count() > 100_000))
from slt_bench.cli import main
"""
JOB = "--methods random_mask --archs mlp16_8 --datasets digits --sparsities 0.5 --seeds 0 --no-references"
SMALL = 'archs = "mlp16_8"\ndatasets = "digits"\nsparsities = [0.5]\nseeds = "0"\n[methods]\ngates = {}\n'


@pytest.mark.parametrize(
    ("command", "trains"),
    [
        (f"run {JOB} --no-report --epochs 1", True),
        (f"run {JOB} --executor local --no-report --epochs 1", True),
        (f"plan {JOB}", True),
        ("tune small.toml --dry-run", True),
        ("check random_mask --only purity", True),
        ("profile --archs mlp16_8 --seconds 0 --no-memory", True),
        ("list", False),
    ],
    ids=lambda value: value.replace(f" {JOB}", "") if isinstance(value, str) else "",
)
def test_a_command_loads_torch_without_the_collector_and_ends_with_it_frozen(command, trains, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    out = _fresh(f"{WATCH}\nsys.argv = {['slt_bench', *command.split()]!r}\nmain()", tmp_path)
    told = [line for line in out.splitlines() if line.startswith(("LOADS", "FROZEN"))]
    assert told == ["LOADS torch False", *["LOADS torch._dynamo False"] * trains, "FROZEN True"], out


def test_a_worker_loads_torch_as_a_command_does():
    code = "import slt_bench.execution.executors.local_worker"
    out = _fresh(f"{WATCH.replace('from slt_bench.cli import main', code)}")
    assert out.splitlines() == ["LOADS torch False", "LOADS torch._dynamo False", "FROZEN True"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, (None, "5000")),
        ({"OMP_WAIT_POLICY": "active"}, ("active", None)),
        ({"GOMP_SPINCOUNT": "7"}, (None, "7")),
    ],
)
def test_threads_do_not_spin_for_long_unless_the_user_says_so(monkeypatch, given, kept):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    code = (
        "import os; import slt_bench.utils.import_torch as loading; loading.load_torch(); "
        f"print([os.environ.get(name) for name in {names}])"
    )
    assert _fresh(code).strip() == str(list(kept))
