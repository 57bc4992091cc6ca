"""A data set in memory: uint8 tensors on the device, split once."""

import contextlib
import hashlib
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from slt_bench.data import formats
from slt_bench.data.catalogue import DatasetInfo, is_folder
from slt_bench.data.decoded import Decoded, decoded
from slt_bench.data.folder import StoredSplit
from slt_bench.data.lookup import find
from slt_bench.data.root import DatasetFiles, locate
from slt_bench.network import streams
from slt_bench.utils.errors import UserError

Arrays = tuple[formats.ImageArray, formats.LabelArray]
VALIDATION_SHARE = 0.1
log = logging.getLogger("slt_bench.data")


@dataclass(frozen=True)
class Split:
    """Images (n, C, H, W) uint8 and their labels (n,) int64, on the device.

    Attributes:
        images: Where they are streamed, a map of a file, on no device.
        streamed: Whether images are read from disk, batch by batch.
    """

    images: Tensor
    labels: Tensor
    streamed: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The images and labels of those rows, as `take_images` and `take_labels` give them."""
        return self.take_images(rows), self.take_labels(rows)

    def take_images(self, rows: Tensor) -> Tensor:
        """The images of those rows; streamed images in pinned memory, where the device is a GPU."""
        images = self.images.index_select(0, rows.to(self.images.device))
        return images.pin_memory() if self.streamed and self.labels.is_cuda else images

    def take_labels(self, rows: Tensor) -> Tensor:
        """The labels of those rows."""
        return self.labels.index_select(0, rows.to(self.labels.device))

    def first(self, count: int) -> "Split":
        """The first `count` images."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])


def noise_split(info: DatasetInfo, count: int, device: torch.device) -> Split:
    """Images of noise, shaped as the data set's, with random labels: to measure time, where no data are needed."""
    images = torch.randint(256, (count, *info.shape), dtype=torch.uint8, device=device)
    return Split(images, torch.randint(info.classes, (count,), device=device))


class SplitLockedError(Exception):
    """Something asked for the test split while a method learns."""


@dataclass(frozen=True)
class Dataset:
    """A data set: what is known of it, and its three splits.

    The test split is read once, by the ticket: it is not in memory before, and nobody gets it within
    `locked_test_split`.

    Attributes:
        info: What is known of it.
        train, validation: Images to learn from, and to choose by.
        read_test: Reads the test split.
        data_hash: The fingerprint of all images and labels; empty where they are made up.
    """

    info: DatasetInfo
    train: Split
    validation: Split
    read_test: Callable[[], Split] = field(repr=False)
    data_hash: str = ""

    @property
    def test(self) -> Split:
        """The test split, read anew.

        Raises:
            SplitLockedError: Not now.
        """
        if _seals:
            _seals[-1].refused.append(traceback.extract_stack())
            raise SplitLockedError(f"the test split of {self.info.name} was asked for while {_seals[-1].why}")
        return self.read_test()

    def first(self, train: int, others: int) -> "Dataset":
        """The same with fewer images."""
        few = (self.train.first(train), self.validation.first(others))
        return Dataset(self.info, *few, lambda: self.test.first(others), self.data_hash)

    def with_shuffled_labels(self, seed: int) -> "Dataset":
        """The same with the training labels in a random order: nothing in them says anything of other images.

        Su et al. 2020 ("Sanity-checking pruning methods", arXiv 2009.11094) take such data from a method to see
        whether what it finds depends on it.
        """
        order = streams.permutation(len(self.train), "slt_bench label shuffle 1", self.info.name, seed)
        labels = self.train.labels[torch.from_numpy(order).to(self.train.labels.device)]
        return replace(self, train=replace(self.train, labels=labels))


@dataclass(frozen=True)
class SplitLock:
    """A time in which the test split of no data set can be read.

    Attributes:
        why: What goes on meanwhile.
        refused: Where it was asked for all the same.
    """

    why: str
    refused: list[traceback.StackSummary] = field(default_factory=list)


_seals: list[SplitLock] = []


@contextlib.contextmanager
def locked_test_split(why: str) -> Iterator[SplitLock]:
    """Within, the test split of no data set can be read.

    Args:
        why: What goes on meanwhile, as in "edgepopup learns".
    """
    seal = SplitLock(why)
    _seals.append(seal)
    try:
        yield seal
    finally:
        _seals[:] = [one for one in _seals if one is not seal]


def load(name: str, root: Path, device: str = "cpu", data_hash: str = "") -> Dataset:
    """A data set from disk (`digits`: from scikit-learn), checked and split.

    Args:
        name: As in `slt_bench.data.DATASETS`, or `folder:PATH`, whose images stay on disk.
        root: The data root.
        device: Where its tensors are to lie.
        data_hash: Of class folders: the fingerprint that their content must have; empty takes what lies there now.

    Raises:
        UserError: The name is unknown, or the data is missing, truncated, altered or not that of the fingerprint.
    """
    if is_folder(name):
        return _of_folder(name, decoded(name, root, log.info, data_hash), device)
    return load_known(name, root, device)


@lru_cache(maxsize=2)
def load_known(name: str, root: Path, device: str) -> Dataset:
    """As `load`, of a data set that the suite knows by name; the last two stay in memory."""
    info = find(name)
    train = _arrays(info, root, "train")
    _arrays(info, root, "test")  # so that damage is told before a search, not after it
    order = streams.permutation(len(train[1]), "slt_bench validation split 1", name)
    held_out = round(VALIDATION_SHARE * len(order))
    return Dataset(
        info,
        _split(train, np.sort(order[held_out:]), device),
        _split(train, np.sort(order[:held_out]), device),
        lambda: _test(info, root, device),
        info.data_hash,
    )


def _of_folder(name: str, copy: Decoded, device: str) -> Dataset:
    """Class folders: the last tenth of the training images, which lie in a random order, is held out."""
    train = _streamed(copy, "train", device)
    kept = len(train) - max(1, round(VALIDATION_SHARE * len(train)))
    validation = replace(train, images=train.images[kept:], labels=train.labels[kept:])
    read_test = partial(_streamed, copy, "test", device)
    return Dataset(copy.info(name), train.first(kept), validation, read_test, copy.about.data_hash)


def _streamed(copy: Decoded, part: StoredSplit, device: str) -> Split:
    images, labels = copy.arrays[part]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # and nobody writes to it
        return Split(torch.from_numpy(images), torch.from_numpy(np.array(labels)).to(device), streamed=True)


def _test(info: DatasetInfo, root: Path, device: str) -> Split:
    arrays = _arrays(info, root, "test")
    return _split(arrays, np.arange(len(arrays[1])), device)


def _arrays(info: DatasetInfo, root: Path, part: StoredSplit) -> Arrays:
    """All images of the official training or test set."""
    if info.name == "digits":
        return _digits(info, part)
    read = {"MNIST": _mnist, "FashionMNIST": _mnist}.get(info.folder.partition("/")[0], _cifar)
    return read(info, locate(info, root), part)


def _split(arrays: Arrays, rows: np.ndarray, device: str) -> Split:
    images, labels = arrays
    return Split(torch.from_numpy(images[rows]).to(device), torch.from_numpy(labels[rows]).to(device))


def _mnist(_: DatasetInfo, place: DatasetFiles, part: StoredSplit) -> Arrays:
    prefix = {"train": "train", "test": "t10k"}[part]
    images = formats.idx(place.read(f"{prefix}-images-idx3-ubyte"))
    return images[:, None], formats.idx(place.read(f"{prefix}-labels-idx1-ubyte")).astype(np.int64)


def _cifar(info: DatasetInfo, place: DatasetFiles, part: StoredSplit) -> Arrays:
    batches = [
        formats.cifar_binary(place.read(name))
        if name.endswith(".bin")
        else formats.cifar_python(place.read(name), "fine_labels" if info.name == "cifar100" else "labels")
        for name in place.md5
        if name.startswith("test") == (part == "test")
    ]
    return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])


def _digits(info: DatasetInfo, part: StoredSplit) -> Arrays:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - only this data set needs it

    bunch = load_digits()
    images = (bunch.images[:, None] * 15).astype(np.uint8)  # 0 to 16 becomes 0 to 240
    labels = bunch.target.astype(np.int64)
    found = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if found != info.array_hash:
        raise UserError(
            f"The digits of the installed scikit-learn are not those that the suite knows (SHA-256 {found[:8]}, not "
            f"{info.array_hash[:8]}). Install another version of scikit-learn."
        )
    order = streams.permutation(len(labels), "slt_bench digits test split 1")
    rows = np.sort(order[:360] if part == "test" else order[360:])
    return images[rows], labels[rows]
