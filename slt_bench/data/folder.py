"""Data sets that are class folders, as ImageNet has them: which images lie there.

`folder:PATH` stands for PATH/train/CLASS/IMAGE and PATH/val/CLASS/IMAGE (or PATH/test/...), in 224 x 224 pixels;
`folder:PATH@64` in 64 x 64. Images below subfolders of a class belong to it, as torchvision's ImageFolder reads them;
every ending that PIL can decode counts, hidden files and folders do not, and other files are left out and named.
`data.decoded` decodes and resizes the images once, and `data.content` tells one content from another.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from slt_bench.data.catalogue import FOLDER_EPOCHS, DatasetInfo, folder_name, split_folder_name
from slt_bench.data.picture import endings
from slt_bench.utils.errors import UserError
from slt_bench.utils.text import pluralize

PARTS = {"train": ("train",), "test": ("val", "validation", "test")}
LEAST_TRAIN = 5  # one to choose by, and some to learn from
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as torchvision's models take them
StoredSplit = Literal["train", "test"]


@dataclass(frozen=True)
class Image:
    """An image that was found.

    Attributes:
        path: Relative to the folder of its split, with slashes.
        label: The number of its class.
        size: In bytes.
        changed: When its content and its entry were last changed, in nanoseconds.
    """

    path: str
    label: int
    size: int
    changed: tuple[int, int]


@dataclass(frozen=True)
class Listing:
    """What lies in the folder of a split: its images, and the files that are none."""

    folder: Path
    images: tuple[Image, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class ClassFolders:
    """Class folders that were found, by the path that was typed."""

    path: Path
    size: int
    classes: tuple[str, ...]
    parts: dict[str, Listing]

    @cached_property
    def info(self) -> DatasetInfo:
        """What the suite needs to know of it."""
        train, test = (len(self.parts[part].images) for part in ("train", "test"))
        return folder_info(folder_name(str(self.path), self.size), len(self.classes), train, test)

    @property
    def left_out(self) -> str:
        """Say how many files are not read, of which endings, and name one; empty where every file is an image."""
        files = [f"{listing.folder.name}/{name}" for listing in self.parts.values() for name in listing.left_out]
        if not files:
            return ""
        kinds = Counter(Path(name).suffix.lower() or "no ending" for name in files)
        told = ", ".join(f"{number} with {kind}" for kind, number in kinds.most_common(5))
        left = pluralize(len(files), "file")
        return f"{left} of {self.path} left out, as {files[0]}: not images that PIL decodes ({told})"


def folder_info(name: str, classes: int, train: int, test: int) -> DatasetInfo:
    """Return what the suite needs to know of class folders of that name, with so many classes and images."""
    path, size = split_folder_name(name)
    return DatasetInfo(
        name=name,
        about=f"class folders in {path}",
        shape=(3, size, size),
        classes=classes,
        train=train,
        test=test,
        mean=MEAN,
        std=STD,
        epochs=FOLDER_EPOCHS,
        flips=True,
        pad=size // 8,
    )


@lru_cache(maxsize=4)
def scan_folder(name: str) -> ClassFolders:
    """What lies in the class folders that a name stands for; looked up once, until `look.cache_clear()`.

    Raises:
        UserError: There are none, those of the two splits differ, or there are too few images.
    """
    text, size = split_folder_name(name)
    path = Path(text).expanduser().resolve()
    folders = {part: _existing(path, names) for part, names in PARTS.items()}
    try:
        classes = {part: _classes(folder) for part, folder in folders.items()}
        if classes["train"] != classes["test"]:
            odd = sorted(set(classes["train"]) ^ set(classes["test"]))
            raise UserError(
                f"{folders['train']} and {folders['test']} do not hold the same classes: {', '.join(odd[:5])} "
                f"{'is' if len(odd) == 1 else 'are'} in one of them alone."
            )
        found = {part: _list(folder, classes["train"]) for part, folder in folders.items()}
    except OSError as error:
        raise UserError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error
    if len(found["train"].images) < LEAST_TRAIN:
        raise UserError(
            f"{folders['train']} holds {pluralize(len(found['train'].images), 'image')}; at least {LEAST_TRAIN} are "
            "needed, so that one can be held out for validation."
        )
    return ClassFolders(path, size, tuple(classes["train"]), found)


def _existing(path: Path, names: Iterable[str]) -> Path:
    for name in names:
        if (path / name).is_dir():
            return path / name
    wanted = " or ".join(str(path / name) for name in names)
    raise UserError(f"There is no folder {wanted}: class folders are read from PATH/train/CLASS and PATH/val/CLASS.")


def _classes(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        found = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if len(found) < 2:
        raise UserError(f"{folder} holds {len(found)} class folders; two or more are needed.")
    return found


def _list(folder: Path, classes: list[str]) -> Listing:
    images: list[Image] = []
    left_out: list[str] = []
    for label, name in enumerate(classes):
        found: list[Image] = []
        for path, entry in _files(folder / name, name, ()):
            if Path(path).suffix.lower() not in endings():
                left_out.append(path)
                continue
            if not entry.is_file():
                raise UserError(f"{entry.path} is not a file, or a link to one that exists. Remove or replace it.")
            state = entry.stat()
            found.append(Image(path, label, state.st_size, (state.st_mtime_ns, state.st_ctime_ns)))
        if not found:
            raise UserError(f"{folder / name} holds no image that PIL can decode, as .jpg or .png.")
        images += sorted(found, key=lambda image: image.path)
    return Listing(folder, tuple(images), tuple(left_out))


def _files(folder: Path, name: str, above: tuple[str, ...]) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Yield the files below a folder, links followed, nothing hidden, by their paths with its `name` in front."""
    real = os.path.realpath(folder)
    if real in above:
        raise UserError(f"{folder} leads back to {real}, a folder above it. Remove that link.")
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path), f"{name}/{entry.name}", (*above, real))
        else:
            yield f"{name}/{entry.name}", entry
