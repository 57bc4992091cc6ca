"""Where data sets lie on disk, and whether their files are the official ones."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from slt_bench.data.catalogue import CIFAR10_BINARY_FOLDER, CIFAR10_BINARY_MD5, DatasetInfo
from slt_bench.utils.errors import UserError

VARIABLE = "SLT_BENCH_DATA"
DEBIAN_FOLDERS = {"fashion_mnist": Path("/usr/share/datasets/fashion-mnist")}  # its package dataset-fashion-mnist


@dataclass(frozen=True)
class DatasetFiles:
    """A folder that holds a data set: its files, and their official checksums once unpacked."""

    folder: Path
    md5: dict[str, str]

    def path(self, name: str) -> Path | None:
        """The file of that name, or the same compressed by gzip."""
        for candidate in (self.folder / name, self.folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
        return None

    def is_complete(self) -> bool:
        """Whether every file is there, whatever it holds."""
        return all(self.path(name) for name in self.md5)

    def read(self, name: str) -> bytes:
        """The unpacked content of a file, whose checksum was found right.

        Raises:
            UserError: The file is missing, cannot be read or unpacked, or is not the official one.
        """
        path = self.path(name)
        if path is None:
            raise UserError(f"The data file {self.folder / name} is missing (or the same with .gz).")
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"The data file {path} cannot be read: {error}. {_MEND}") from error
        found = md5_of(content)
        if found != self.md5[name]:
            raise UserError(
                f"The data file {path} is truncated or altered: unpacked, its md5 is {found}, "
                f"and the official one is {self.md5[name]}. {_MEND}"
            )
        return content


def md5_of(content: bytes) -> str:
    """The checksum that data sets are published with; it guards against damage, not against malice."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


_MEND = "Remove it and fetch the data set again: python -m slt_bench data get NAME."


def default_root() -> Path:
    """The data root where none is named: SLT_BENCH_DATA, else `slt_bench` in the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "slt_bench"


def places(info: DatasetInfo, root: Path) -> list[DatasetFiles]:
    """The folders where the data set may lie, the likeliest first."""
    found = [DatasetFiles(root / info.folder, info.md5)]
    if info.name == "cifar10":
        found.append(DatasetFiles(root / CIFAR10_BINARY_FOLDER, CIFAR10_BINARY_MD5))
    if info.name in DEBIAN_FOLDERS:
        found.append(DatasetFiles(DEBIAN_FOLDERS[info.name], info.md5))
    return found


def locate(info: DatasetInfo, root: Path) -> DatasetFiles:
    """The folder that holds the whole data set.

    Raises:
        UserError: None does; the message says where was looked and how to get the data.
    """
    looked = places(info, root)
    for place in looked:
        if place.is_complete():
            return place
    missing = {place.folder: [name for name in place.md5 if not place.path(name)] for place in looked}
    partly = [f"{folder} lacks {', '.join(names)}" for folder, names in missing.items() if folder.is_dir()]
    found = "; ".join(partly) or "looked in " + " and ".join(str(place.folder) for place in looked)
    raise UserError(
        f"The data set '{info.name}' is not on this machine: {found}. "
        f"Fetch it with `python -m slt_bench data get {info.name}`, or name its folder with --data-root or {VARIABLE}."
    )


def is_present(info: DatasetInfo, root: Path) -> bool:
    """Whether the whole data set is there; its content is not looked at."""
    return not info.folder or any(place.is_complete() for place in places(info, root))


def verify(info: DatasetInfo, root: Path) -> str:
    """Check every file of a data set; what was found, in a sentence.

    Raises:
        UserError: The data set is missing, truncated or altered.
    """
    if not info.folder:
        return "comes with scikit-learn"
    place = locate(info, root)
    for name in place.md5:
        place.read(name)
    return f"all {len(place.md5)} files in {place.folder} are the official ones"
