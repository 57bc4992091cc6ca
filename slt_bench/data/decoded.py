"""Decoded copies of class folders in the data root: made once for each content and size, then mapped from disk.

    folders/<data_hash>-<side>/     train-images.npy  train-labels.npy  test-images.npy  test-labels.npy  about.json

The images lie in a random order that is always the same, so that the first ones are of all classes; those held out for
validation come last. A copy stands there whole or not at all; one that was damaged later is decoded again.
"""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from slt_bench.data.catalogue import DatasetInfo, folder_name, split_folder_name
from slt_bench.data.content import CHUNK, FOLDERS, Tell, combine, data_hash
from slt_bench.data.folder import PARTS, ClassFolders, StoredSplit, folder_info, scan_folder
from slt_bench.data.picture import ALPHA, DEEP, TURNED, decode
from slt_bench.data.scratch import LOCK, remove_abandoned, scratch_folder
from slt_bench.utils.cores import count_cores
from slt_bench.utils.errors import UserError
from slt_bench.utils.files import add_checksum, make_folder, remove_checksum, storage_error, write_text
from slt_bench.utils.text import pluralize

if TYPE_CHECKING:
    import numpy as np

ABOUT = "about.json"
DARK = 0.25  # of the range: 16-bit images that stay below it have fewer bits, and would be nearly black
TRAITS = {
    TURNED: "turned upright by its EXIF orientation",
    ALPHA: "with an alpha channel, which is dropped",
    DEEP: "with 16 bits, scaled to 8",
}


class About(BaseModel):
    """What a decoded copy is of.

    Attributes:
        path: Of the class folders when they were decoded.
        size: Side in pixels.
        data_hash: The fingerprint of the files.
        classes: Names of the classes.
        sha256: Of the pixels and labels of each split.
        traits: How many images were changed in which way, as in `TRAITS`.
    """

    path: str
    size: int
    data_hash: str
    classes: tuple[str, ...]
    sha256: dict[str, str]
    traits: dict[str, int]

    def words(self) -> str:
        """Say what was changed in images; empty where nothing was."""
        return "; ".join(
            f"{pluralize(self.traits[name], 'image')} {TRAITS[name]}" for name in TRAITS if self.traits[name]
        )


@dataclass(frozen=True)
class Decoded:
    """A decoded copy.

    Attributes:
        folder: Where it is.
        about: What it is of.
        arrays: Of each split: images (n, 3, S, S) uint8, mapped from disk, and labels (n,) int64.
    """

    folder: Path
    about: About
    arrays: "dict[StoredSplit, tuple[np.ndarray, np.ndarray]]" = field(repr=False)

    def info(self, name: str) -> DatasetInfo:
        """Return what the suite needs to know of the data, under a name of class folders."""
        train, test = (len(self.arrays[part][1]) for part in ("train", "test"))
        return folder_info(name, len(self.about.classes), train, test)


def decoded(name: str, root: Path, tell: Tell = lambda _: None, wanted: str = "") -> Decoded:
    """Return the decoded copy of class folders, made where there is none.

    Args:
        name: As in `scan_folder`.
        root: The data root.
        tell: Told how far decoding is, and what was changed in images.
        wanted: The fingerprint of the content that is needed; empty for what lies there now. A copy of it is enough:
            the folders themselves may have changed or be gone.

    Raises:
        UserError: There are no such folders, their content is not the wanted one, or an image cannot be decoded.
        StorageError: The decoded images cannot be kept.
    """
    found = wanted or data_hash(name, root, tell)
    folder = copy_folder(name, root, found)
    if copy := _open(folder):
        return copy
    if folder.exists():
        tell(f"{folder} is damaged; its images are decoded again")
    if wanted:
        _check_unchanged(name, root, wanted, tell)
    _decode(scan_folder(name), found, folder, tell)
    copy = _open(folder)
    if copy is None:
        raise UserError(f"The decoded images in {folder} cannot be read. Remove that folder; they are decoded again.")
    if told := copy.about.words():
        tell(f"{copy.about.path}: {told}")
    return copy


def copy_folder(name: str, root: Path, content: str) -> Path:
    """Return where the decoded copy of a content lies, in the size that a name of class folders asks for."""
    return root / FOLDERS / f"{content}-{split_folder_name(name)[1]}"


def verify_copy(name: str, root: Path, tell: Tell) -> str:
    """Read every image file and the decoded copy anew; say what was found.

    Raises:
        UserError: There are no such folders, or the decoded copy is damaged.
    """
    found = data_hash(name, root, tell, anew=True)
    data, folder = scan_folder(name), copy_folder(name, root, found)
    told = f"{data.info.train:,} images to learn from and {data.info.test:,} to test, content {found[:8]}"
    if not folder.exists():
        older = _others(data, folder)
        changed = f"; the copy in {older} is of what they were before they changed" if older else ""
        return f"{told}; not decoded yet{changed}"
    copy = _open(folder)
    if copy is None or any(copy.about.sha256[part] != _sha256(*copy.arrays[part]) for part in copy.arrays):
        raise UserError(f"The decoded copy in {folder} is damaged. Remove that folder; the images are decoded again.")
    return f"{told}; the decoded copy in {folder} is whole"


def _others(data: ClassFolders, folder: Path) -> Path | None:
    """A copy of another content that lay at the same path."""
    found = (_about(path.parent) for path in folder.parent.glob(f"*-{data.size}/{ABOUT}"))
    same = [about for about in found if about and about.path == str(data.path)]
    return folder.with_name(f"{same[0].data_hash}-{data.size}") if same else None


def _check_unchanged(name: str, root: Path, wanted: str, tell: Tell) -> None:
    now = data_hash(name, root, tell)
    if now != wanted:
        raise UserError(
            f"The images of {name} have changed: their content is {now[:8]}, and {wanted[:8]} is wanted, of which "
            f"{root / FOLDERS} holds no decoded copy. Bring the former images back, or select the jobs anew."
        )


def _about(folder: Path) -> About | None:
    try:
        return About.model_validate_json(remove_checksum((folder / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def _open(folder: Path) -> Decoded | None:
    """The copy in a folder; None where there is none, or a file of it is missing or has another length."""
    import numpy as np  # noqa: PLC0415

    about = _about(folder)
    if about is None:
        return None
    arrays: dict[StoredSplit, tuple[np.ndarray, np.ndarray]] = {}
    try:
        for part in ("train", "test"):
            images = np.load(folder / f"{part}-images.npy", mmap_mode="r")
            labels = np.load(folder / f"{part}-labels.npy", mmap_mode="r")
            if images.shape != (len(labels), 3, about.size, about.size) or images.dtype != np.uint8:
                return None
            arrays[part] = images, labels
    except (OSError, ValueError, EOFError):
        return None
    return Decoded(folder, about, arrays)


def _sha256(images: "np.ndarray", labels: "np.ndarray") -> str:
    whole = hashlib.sha256(labels.tobytes())
    for start in range(0, len(images), CHUNK):
        whole.update(images[start : start + CHUNK].tobytes())
    return whole.hexdigest()


def _decode(data: ClassFolders, content: str, folder: Path, tell: Tell) -> None:
    """Decode all images into a folder that stands there whole or not at all."""
    make_folder(folder.parent)
    remove_abandoned(folder.parent)
    total = data.info.images
    needed, free = total * 3 * data.size**2, shutil.disk_usage(folder.parent).free
    if needed > free:
        smaller = folder_name("PATH", 64)
        raise UserError(
            f"{total:,} images of {data.size} x {data.size} pixels take {needed / 1e9:.1f} GB in {folder.parent}, "
            f"where {free / 1e9:.1f} GB are free. Name another data root, or a smaller size as in {smaller}."
        )
    try:
        with scratch_folder(folder.parent) as scratch:
            into = scratch / folder.name
            into.mkdir()
            progress = _Progress(scratch / LOCK, data.path.name, total, tell)
            parts = {part: _Part(data, part, into) for part in PARTS}
            for part in parts.values():
                for done in part.decode():
                    progress.add(done)
            if combine(data, {part: one.digests for part, one in parts.items()}) != content:
                raise UserError(f"The images in {data.path} changed while they were decoded. Start again.")
            _check_brightness(data, max(one.peak for one in parts.values()))
            about = About(
                path=str(data.path),
                size=data.size,
                data_hash=content,
                classes=data.classes,
                sha256={part: one.sha256.hexdigest() for part, one in parts.items()},
                traits={name: sum(one.traits[name] for one in parts.values()) for name in TRAITS},
            )
            write_text(into / ABOUT, add_checksum(about.model_dump_json()))
            if _open(folder) is None:  # another process was no faster
                shutil.rmtree(folder, ignore_errors=True)
                into.rename(folder)
    except OSError as error:
        raise storage_error(folder, error) from error


def _check_brightness(data: ClassFolders, peak: float) -> None:
    if 0 < peak < DARK:
        raise UserError(
            f"The 16-bit images in {data.path} stay below {peak:.1%} of the range of their type: they hold fewer bits, "
            "and would be nearly black. Scale their values to the whole range, or write them with 8 bits."
        )


class _Part:
    """A split that is being decoded.

    Attributes:
        digests: SHA-256 of each file, in the order of the listing.
        sha256: Of the labels and pixels so far.
        traits: How many images have which.
        peak: The largest of the images' own.
    """

    def __init__(self, data: ClassFolders, part: str, into: Path) -> None:
        import numpy as np  # noqa: PLC0415

        from slt_bench.network import streams  # noqa: PLC0415

        self.listing, self.size = data.parts[part], data.size
        self.order = streams.permutation(len(self.listing.images), "slt_bench folder order 1", part)
        labels = np.array([image.label for image in self.listing.images], dtype=np.int64)[self.order]
        np.save(into / f"{part}-labels.npy", labels)
        self.file = into / f"{part}-images.npy"
        self.digests = [b""] * len(self.order)
        self.sha256 = hashlib.sha256(labels.tobytes())
        self.traits: Counter[str] = Counter()
        self.peak = 0.0

    def decode(self) -> Iterator[int]:
        """Decode all images; yields how many were done since the last time."""
        import numpy as np  # noqa: PLC0415

        shape = (len(self.order), 3, self.size, self.size)
        images = np.lib.format.open_memmap(self.file, mode="w+", dtype=np.uint8, shape=shape)
        with ThreadPoolExecutor(count_cores()) as pool:
            for start in range(0, len(self.order), CHUNK):
                rows = [int(row) for row in self.order[start : start + CHUNK]]
                files = [self.listing.folder / self.listing.images[row].path for row in rows]
                found = pool.map(lambda file: decode(file, self.size), files)
                for place, (row, picture) in enumerate(zip(rows, found, strict=True), start):
                    images[place] = picture.pixels
                    self.digests[row] = picture.digest
                    self.traits.update(picture.traits)
                    self.peak = max(self.peak, picture.peak)
                self.sha256.update(images[start : start + CHUNK].tobytes())
                yield len(rows)
        images.flush()


class _Progress:
    """Says at each tenth how far decoding is, and leaves a sign of life at each step."""

    def __init__(self, lock: Path, name: str, total: int, tell: Tell) -> None:
        self.lock, self.name, self.total, self.tell = lock, name, total, tell
        self.done = 0

    def add(self, more: int) -> None:
        before, self.done = 10 * self.done // self.total, self.done + more
        os.utime(self.lock)
        if 10 * self.done // self.total > before:
            self.tell(f"{self.name}: decoded {self.done:,} of {self.total:,} images")
