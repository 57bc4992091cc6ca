"""What the suite knows of each data set, and the official checksums of its unpacked files."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from slt_bench.utils.errors import UserError, unknown


@dataclass(frozen=True)
class DatasetInfo:
    """A data set.

    Attributes:
        name: As typed on the command line.
        about: One line.
        shape: (channels, height, width) of an image.
        classes: How many there are.
        train: Images to learn from, those held out for validation included.
        test: Images of the test split.
        chance: The largest share of those that one class has; 0 for class folders.
        mean, std: Of the training pixels divided by 255, a number a channel.
        epochs: The usual budget, where a benchmark names none.
        flips: Whether mirrored images are augmentation; crops padded by `pad` pixels are, where `pad` > 0.
        pad: Pixels of padding for random crops.
        folder: Its folder in torchvision's layout below the data root; empty where nothing is read from disk.
        md5: Official checksums of the unpacked files in that folder.
        array_hash: SHA-256 of the arrays, where the data come from a library and no file has an official checksum.
    """

    name: str
    about: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    epochs: int = 20
    flips: bool = False
    pad: int = 0
    folder: str = ""
    chance: float = 0.0
    md5: dict[str, str] = field(default_factory=dict)
    array_hash: str = ""

    @property
    def images(self) -> int:
        """How many there are in all."""
        return self.train + self.test

    @property
    def data_hash(self) -> str:
        """Return the fingerprint of the images and labels: 32 hexadecimal digits, empty for class folders.

        It is the same for every layout of the files. Class folders are known by name only; `data.content` reads theirs.
        """
        known = self.array_hash or " ".join(f"{name} {md5}" for name, md5 in sorted(self.md5.items()))
        return hashlib.sha256(known.encode()).hexdigest()[:HASH_DIGITS] if known else ""


HASH_DIGITS = 32


CIFAR10_BINARY_FOLDER = "cifar-10-batches-bin"
CIFAR10_BINARY_MD5 = {  # the official binary release: a label byte and 3072 pixel bytes an image
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}

DATASETS = {
    info.name: info
    for info in (
        DatasetInfo(
            "digits", "8x8 handwritten digits, from scikit-learn: needs no download", (1, 8, 8), 10, 1437, 360,
            (0.2878,), (0.3540,), epochs=60, chance=0.125,
            array_hash="631cb83de3a2ab62bb6a6377fd0959c2622ce06102218671940106ad649966d0",
        ),
        DatasetInfo(
            "mnist", "28x28 handwritten digits", (1, 28, 28), 10, 60_000, 10_000, (0.1307,), (0.3081,),
            folder="MNIST/raw", chance=0.1135,
            md5={
                "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
                "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
                "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
                "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
            },
        ),
        DatasetInfo(
            "fashion_mnist", "28x28 pictures of clothes", (1, 28, 28), 10, 60_000, 10_000, (0.2860,), (0.3530,),
            folder="FashionMNIST/raw", chance=0.1,
            md5={
                "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
                "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
                "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
            },
        ),
        DatasetInfo(
            "cifar10", "32x32 colour photographs", (3, 32, 32), 10, 50_000, 10_000,
            (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616),
            epochs=100, flips=True, pad=4, folder="cifar-10-batches-py", chance=0.1,
            md5={
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
                "test_batch": "40351d587109b95175f43aff81a1287e",
            },
        ),
        DatasetInfo(
            "cifar100", "32x32 colour photographs in 100 classes", (3, 32, 32), 100, 50_000, 10_000,
            (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762),
            epochs=100, flips=True, pad=4, folder="cifar-100-python", chance=0.01,
            md5={"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        ),
    )
}  # fmt: skip


FOLDER_PREFIX = "folder:"
FOLDER_EPOCHS = 90
USUAL_SIZE = 224


def is_folder(name: str) -> bool:
    """Whether a data set's name stands for class folders."""
    return name.startswith(FOLDER_PREFIX)


def split_folder_name(name: str) -> tuple[str, int]:
    """Return the path and the side in pixels that `folder:PATH` or `folder:PATH@SIDE` names.

    Raises:
        UserError: What follows the last `@` of the last component is not a number of pixels.
    """
    text = name.removeprefix(FOLDER_PREFIX)
    path, at, digits = text.rpartition("@")
    if not at or "/" in digits:
        return text, USUAL_SIZE
    if not (digits.isdecimal() and int(digits) > 0):
        raise UserError(f"'{name}' ends with no size in pixels. Write it like {FOLDER_PREFIX}{path}@64.")
    return path, int(digits)


def folder_name(path: str, size: int) -> str:
    """Return the name of class folders at a path, in pixels of that side."""
    return f"{FOLDER_PREFIX}{path}" + (f"@{size}" if size != USUAL_SIZE else "")


def folder_title(name: str, data_hash: str = "") -> str:
    """Return a name of class folders without the folders above them, and with the first digits of their content."""
    path, size = split_folder_name(name)
    return folder_name(path.rstrip("/").rpartition("/")[2], size) + (f"#{data_hash[:8]}" if data_hash else "")


def folder_exists(name: str) -> bool:
    """Whether a name stands for class folders at a path that exists here; commas in it are part of the path."""
    try:
        return is_folder(name) and Path(split_folder_name(name)[0]).expanduser().is_dir()
    except (UserError, OSError, RuntimeError):  # a path that is too long, or the home of nobody
        return False


def canonical(name: str) -> str:
    """Return the name under which a data set is recorded: the path of class folders is absolute.

    Raises:
        UserError: There is no data set of that name. Whether class folders exist is not looked up.
    """
    if is_folder(name):
        path, size = split_folder_name(name)
        return folder_name(str(Path(path).expanduser().resolve()), size)
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS, "Images of your own are folder:PATH.")
    return name


def usual_epochs(name: str) -> int:
    """Return the usual budget of a data set, which need not be on this machine."""
    return FOLDER_EPOCHS if is_folder(name) else DATASETS[name].epochs


def known_hash(name: str) -> str:
    """Return the fingerprint of a data set that the suite knows by name; empty for any other."""
    return DATASETS[name].data_hash if name in DATASETS else ""
