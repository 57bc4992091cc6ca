"""A data set in memory: uint8 tensors on the device, split once."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from slt_bench import streams
from slt_bench.data import formats
from slt_bench.data.catalogue import DatasetInfo, find
from slt_bench.data.root import Place, locate

Arrays = tuple[formats.Images, formats.Labels]
VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Split:
    """Images (n, C, H, W) uint8 and their labels (n,) int64, on the device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """The first `count` images."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Dataset:
    """A data set: what is known of it, and its three splits. Test is read once, by the ticket."""

    info: DatasetInfo
    train: Split
    validation: Split
    test: Split

    def first(self, train: int, others: int) -> "Dataset":
        """The same with fewer images."""
        return Dataset(self.info, self.train.first(train), self.validation.first(others), self.test.first(others))


@lru_cache(maxsize=2)
def load(name: str, root: Path, device: str = "cpu") -> Dataset:
    """A data set from disk (`digits`: from scikit-learn), checked and split.

    Args:
        name: As in `slt_bench.data.DATASETS`.
        root: The data root.
        device: Where its tensors are to lie.

    Raises:
        UserError: The name is unknown, or the data is missing, truncated or altered.
    """
    info = find(name)
    train, test = _digits() if name == "digits" else _from_disk(info, locate(info, root))
    order = streams.permutation(len(train[1]), "slt_bench validation split 1", name)
    held_out = round(VALIDATION_SHARE * len(order))
    return Dataset(
        info,
        _split(train, np.sort(order[held_out:]), device),
        _split(train, np.sort(order[:held_out]), device),
        _split(test, np.arange(len(test[1])), device),
    )


def _split(arrays: Arrays, rows: np.ndarray, device: str) -> Split:
    images, labels = arrays
    return Split(torch.from_numpy(images[rows]).to(device), torch.from_numpy(labels[rows]).to(device))


def _from_disk(info: DatasetInfo, place: Place) -> tuple[Arrays, Arrays]:
    read = {"MNIST": _mnist, "FashionMNIST": _mnist}.get(info.folder.partition("/")[0], _cifar)
    return read(info, place)


def _mnist(_: DatasetInfo, place: Place) -> tuple[Arrays, Arrays]:
    def part(prefix: str) -> Arrays:
        images = formats.idx(place.read(f"{prefix}-images-idx3-ubyte"))
        return images[:, None], formats.idx(place.read(f"{prefix}-labels-idx1-ubyte")).astype(np.int64)

    return part("train"), part("t10k")


def _cifar(info: DatasetInfo, place: Place) -> tuple[Arrays, Arrays]:
    def batch(name: str) -> Arrays:
        if name.endswith(".bin"):
            return formats.cifar_binary(place.read(name))
        return formats.cifar_python(place.read(name), "fine_labels" if info.name == "cifar100" else "labels")

    batches = {name: batch(name) for name in place.md5}
    train = [arrays for name, arrays in batches.items() if not name.startswith("test")]
    (test,) = (arrays for name, arrays in batches.items() if name.startswith("test"))
    return (np.concatenate([images for images, _ in train]), np.concatenate([labels for _, labels in train])), test


def _digits() -> tuple[Arrays, Arrays]:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - only this data set needs it

    bunch = load_digits()
    images = (bunch.images[:, None] * 15).astype(np.uint8)  # 0 to 16 becomes 0 to 240
    labels = bunch.target.astype(np.int64)
    order = streams.permutation(len(labels), "slt_bench digits test split 1")
    test, train = np.sort(order[:360]), np.sort(order[360:])
    return (images[train], labels[train]), (images[test], labels[test])
