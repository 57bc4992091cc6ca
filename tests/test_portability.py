"""The frozen weights are the same bits everywhere: whatever the threads, the instruction sets and the versions."""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy._core import _multiarray_umath as umath
from tickets import random_mask, ticket_of
from weights_here import RECORDED, keys, weight_hash

from slt_bench.network.architectures import ARCHS
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.tickets.ticket import write_ticket

CHECKOUT = Path(__file__).parents[1]
SCRIPT = CHECKOUT / "tests" / "weights_here.py"
HASHES = json.loads(RECORDED.read_text())
SMALL = [key for key in HASHES if key.split("|")[0] in ("lenet300", "conv4", "resnet20", "wrn10_1", "vit_tiny")]
SETTINGS = {
    "one thread": dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "eight threads": dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "8"),
    "no AVX": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "NPY_DISABLE_CPU_FEATURES": " ".join(n for n in umath.__cpu_dispatch__ if umath.__cpu_features__.get(n)),
    },
}


def test_every_named_architecture_has_recorded_hashes():
    assert {key.split("|")[0] for key in HASHES} >= set(ARCHS)
    assert list(HASHES) == keys()
    assert len(set(HASHES.values())) == len(HASHES)


@pytest.mark.parametrize(
    "key", [*SMALL, *(pytest.param(key, marks=pytest.mark.slow) for key in HASHES if key not in SMALL)]
)
def test_the_weights_are_the_recorded_ones(key):
    assert weight_hash(key) == HASHES[key]


@pytest.mark.parametrize("name", SETTINGS)
def test_threads_and_instruction_sets_change_no_bit(name):
    told = "import os, sys, torch; from numpy._core import _multiarray_umath as umath;"
    told += "torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', 1)));"
    told += "print(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability(),"
    told += "sum(map(umath.__cpu_features__.get, umath.__cpu_dispatch__)), file=sys.stderr);"
    run = f"import runpy; sys.argv[1:] = {SMALL!r}; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", told + run],
        env=os.environ | SETTINGS[name] | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {key: HASHES[key] for key in SMALL}
    threads, capability, features = re.search(r"^(\d+) (.+) (\d+)$", done.stderr, re.MULTILINE).groups()
    if name == "no AVX":
        assert (capability, features) == ("DEFAULT", "0"), "the kernels were not restricted"
    else:
        assert threads == {"one thread": "1", "eight threads": "8"}[name]


@pytest.mark.slow
def test_the_oldest_versions_that_are_allowed_draw_the_same_weights(tmp_path):
    """The lower bounds of pyproject.toml, installed as they stand; what this environment has are the newest."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    floors = [requirement.replace(">=", "==") for requirement in project["dependencies"]]
    network = FrozenNetwork("resnet20", shape=(3, 32, 32), classes=10, seed=4)
    ticket = ticket_of(network, random_mask(network.n, 0.1))
    with tempfile.TemporaryDirectory(dir=tmp_path) as room:  # some GB, gone at once
        python = Path(room) / "venv" / "bin" / "python"
        venv.create(Path(room) / "venv", with_pip=True)
        install = [python, "-I", "-m", "pip", "install", "-q", "--no-cache-dir", *floors]  # sees no PYTHONPATH
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if "No matching distribution" in done.stderr or "Temporary failure in name resolution" in done.stderr:
            pytest.skip(f"the oldest versions cannot be had here: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr

        def call(*arguments):
            environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
            made = subprocess.run([python, *arguments], env=environment, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
            return made.stdout

        versions = call("-c", "import torch, numpy; print(torch.__version__, numpy.__version__)").split()
        assert versions[0].startswith("2.11.")
        assert versions[0] != torch.__version__
        assert versions[1] != np.__version__
        assert json.loads(call(str(SCRIPT))) == HASHES
        write_ticket(tmp_path / "ticket.slt", ticket)
        assert "right  " in call("-m", "slt_bench", "ticket", "verify", str(tmp_path / "ticket.slt"))
