"""Data sets that are class folders, as ImageNet has them: decoded and resized once, then read from a memory map.

`folder:PATH` stands for PATH/train/CLASS/IMAGE and PATH/val/CLASS/IMAGE (or PATH/test/...), in 224 x 224 pixels;
`folder:PATH@64` in 64 x 64. An image's shorter side is resized, and its middle taken. The pixels lie in the data root,
in a random order, so that the first images are of all classes; what is held out for validation comes last.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from slt_bench.data.catalogue import FOLDER_PREFIX as PREFIX
from slt_bench.data.catalogue import DatasetInfo
from slt_bench.errors import UserError
from slt_bench.files import TEMPORARY, make_folder, storage_error

if TYPE_CHECKING:
    import numpy as np

USUAL_SIZE = 224
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
PARTS = {"train": ("train",), "test": ("val", "validation", "test")}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as torchvision's models take them
Part = Literal["train", "test"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Listing:
    """The images of a part: paths relative to its folder, the number of each one's class, and their sizes in bytes."""

    folder: Path
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    bytes: tuple[int, ...]


@dataclass(frozen=True)
class FolderData:
    """Class folders that were found, by the path that was typed."""

    path: Path
    size: int
    classes: tuple[str, ...]
    parts: dict[str, Listing]

    @property
    def info(self) -> DatasetInfo:
        """What the suite needs to know of it."""
        train, test = (len(self.parts[part].paths) for part in ("train", "test"))
        return DatasetInfo(
            name=PREFIX + str(self.path) + (f"@{self.size}" if self.size != USUAL_SIZE else ""),
            about=f"class folders in {self.path}",
            shape=(3, self.size, self.size),
            classes=len(self.classes),
            train=train,
            test=test,
            mean=MEAN,
            std=STD,
            epochs=90,
            flips=True,
            pad=self.size // 8,
        )

    @property
    def fingerprint(self) -> str:
        """A hash of the names and sizes of all images, and of the size in pixels."""
        digest = hashlib.sha256(str(self.size).encode())
        for part, listing in sorted(self.parts.items()):
            for name, size in zip(listing.paths, listing.bytes, strict=True):
                digest.update(f"\n{part}/{name} {size}".encode())
        return digest.hexdigest()[:16]


@lru_cache(maxsize=4)
def look(name: str) -> FolderData:
    """What lies in the class folders that a name stands for.

    Raises:
        UserError: There are none, or those of the two parts differ.
    """
    text, _, digits = name.removeprefix(PREFIX).rpartition("@") if "@" in name else (name.removeprefix(PREFIX), "", "")
    if "@" in name and not (digits.isdecimal() and int(digits) > 0):
        raise UserError(f"'{name}' ends with no size in pixels. Write it like {PREFIX}{text}@64.")
    path = Path(text).expanduser().resolve()
    folders = {part: _existing(path, names) for part, names in PARTS.items()}
    classes = {part: _classes(folder) for part, folder in folders.items()}
    if classes["train"] != classes["test"]:
        odd = sorted(set(classes["train"]) ^ set(classes["test"]))
        raise UserError(
            f"{folders['train']} and {folders['test']} do not hold the same classes: {', '.join(odd[:5])} "
            f"{'is' if len(odd) == 1 else 'are'} in one of them alone."
        )
    found = {part: _list(folder, classes["train"]) for part, folder in folders.items()}
    return FolderData(path, int(digits or USUAL_SIZE), tuple(classes["train"]), found)


def _existing(path: Path, names: Iterable[str]) -> Path:
    for name in names:
        if (path / name).is_dir():
            return path / name
    wanted = " or ".join(str(path / name) for name in names)
    raise UserError(f"There is no folder {wanted}: class folders are read from PATH/train/CLASS and PATH/val/CLASS.")


def _classes(folder: Path) -> list[str]:
    found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if len(found) < 2:
        raise UserError(f"{folder} holds {len(found)} class folders; two or more are needed.")
    return found


def _list(folder: Path, classes: list[str]) -> Listing:
    rows: list[tuple[str, int, int]] = []
    for label, name in enumerate(classes):
        images = [entry for entry in os.scandir(folder / name) if Path(entry.name).suffix.lower() in ENDINGS]
        if not images:
            raise UserError(f"{folder / name} holds no image ({', '.join(sorted(ENDINGS))}).")
        rows += sorted((f"{name}/{entry.name}", label, entry.stat().st_size) for entry in images)
    paths, labels, sizes = zip(*rows, strict=True)
    return Listing(folder, paths, labels, sizes)


def pixels(name: str, root: Path, part: Part, tell: Tell = lambda _: None) -> "tuple[np.ndarray, np.ndarray]":
    """Images (n, 3, S, S) uint8, mapped from disk, and labels (n,) int64, in a random order that is always the same.

    Args:
        name: As in `look`.
        root: The data root. What is decoded once is kept in its folder `folders`.
        part: Which.
        tell: Told how far decoding is.

    Raises:
        UserError: There are no such folders, or an image cannot be decoded.
        StorageError: The decoded images cannot be kept.
    """
    import numpy as np  # noqa: PLC0415

    data = look(name)
    kept = root / "folders" / f"{data.path.name}-{data.size}-{data.fingerprint}"
    if not kept.is_dir():
        _decode(data, kept, tell)
    return np.load(kept / f"{part}-images.npy", mmap_mode="r"), np.load(kept / f"{part}-labels.npy")


def _decode(data: FolderData, kept: Path, tell: Tell) -> None:
    """Decode all images into a folder that stands there whole or not at all."""
    total = sum(len(listing.paths) for listing in data.parts.values())
    make_folder(kept.parent)
    needed, free = total * 3 * data.size**2, shutil.disk_usage(kept.parent).free
    if needed > free:
        raise UserError(
            f"{total:,} images of {data.size} x {data.size} pixels take {needed / 1e9:.1f} GB in {kept.parent}, "
            f"where {free / 1e9:.1f} GB are free. Name another data root, or a smaller size as in {PREFIX}PATH@64."
        )
    temporary = kept.with_name(f"{TEMPORARY}{uuid4().hex}")
    try:
        make_folder(temporary)
        done = 0
        for part, listing in data.parts.items():
            for done_here in _decode_part(part, listing, data.size, temporary):
                before, now = 10 * done // total, 10 * (done + done_here) // total
                done += done_here
                if now > before:
                    tell(f"{data.path.name}: decoded {done:,} of {total:,} images")
        if not kept.is_dir():  # another process was no faster
            temporary.rename(kept)
    except OSError as error:
        raise storage_error(kept, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode_part(part: str, listing: Listing, size: int, into: Path) -> Iterator[int]:
    """Write a part's images and labels; yields how many were done since the last time."""
    import numpy as np  # noqa: PLC0415

    from slt_bench import streams  # noqa: PLC0415

    order = streams.permutation(len(listing.paths), "slt_bench folder order 1", part)
    images = np.lib.format.open_memmap(
        into / f"{part}-images.npy", mode="w+", dtype=np.uint8, shape=(len(order), 3, size, size)
    )
    np.save(into / f"{part}-labels.npy", np.array(listing.labels, dtype=np.int64)[order])
    files = [listing.folder / listing.paths[row] for row in order]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), 1024):
            chunk = files[start : start + 1024]
            for row, image in enumerate(pool.map(lambda file: decode(file, size), chunk), start):
                images[row] = image
            yield len(chunk)
    images.flush()


def decode(file: Path, size: int) -> "np.ndarray":
    """An image as (3, size, size) uint8: its shorter side resized to `size`, and the middle taken.

    Raises:
        UserError: It cannot be decoded.
    """
    import numpy as np  # noqa: PLC0415
    from PIL import Image, ImageOps  # noqa: PLC0415

    try:
        with Image.open(file) as opened:
            opened.draft("RGB", (2 * size, 2 * size))  # a JPEG is decoded no larger than needed
            fitted = ImageOps.fit(opened.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"The image {file} cannot be decoded: {error}. Remove or replace it.") from error
    return np.asarray(fitted).transpose(2, 0, 1)
