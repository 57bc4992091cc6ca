"""Data sets: reading, splitting, checking, augmenting, fetching."""

import collections
import gzip
import hashlib
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from slt_bench.data import DATASETS, catalogue, default_root, find
from slt_bench.data import root as roots
from slt_bench.data.dataset import Split, SplitLockedError, load, load_known, locked_test_split
from slt_bench.data.fetch import fetch
from slt_bench.data.pipeline import augment, epoch_order, normalise, plain_batches, steps_per_epoch, training_batch
from slt_bench.utils.errors import UserError

MNIST_COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture(scope="module", autouse=True)
def _few_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _forget():
    """`load` keeps what it read; each test reads anew."""
    load_known.cache_clear()


@pytest.fixture
def real_root():
    """The folder of real data that SLT_BENCH_DATA names."""
    named = os.environ.get(roots.VARIABLE)
    if not named:
        pytest.skip(f"{roots.VARIABLE} is not set")
    return Path(named)


def need(name, root):
    if not roots.is_present(find(name), root):
        pytest.skip(f"{name} is not in {roots.VARIABLE}")


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def rows_of(images):
    """Images as a multiset."""
    return collections.Counter(image.numpy().tobytes() for image in images)


def counts(*splits):
    return torch.cat([split.labels for split in splits]).bincount(minlength=10).tolist()


# --- digits ---------------------------------------------------------------------------------------------------------


def test_digits_have_their_shapes_and_sizes(tmp_path):
    data = load("digits", tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (1293, 144, 360)
    for split in (data.train, data.validation, data.test):
        assert split.images.shape == (len(split), 1, 8, 8)
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(10))
    assert data.info == DATASETS["digits"]
    assert not list(tmp_path.iterdir())


def test_digits_are_split_disjointly_and_completely(tmp_path):
    from sklearn.datasets import load_digits

    data = load("digits", tmp_path)
    bunch = load_digits()
    parts = [data.train, data.validation, data.test]
    found = sum((rows_of(part.images) for part in parts), collections.Counter())
    scaled = np.clip(bunch.images * 15, 0, 255).astype(np.uint8)
    assert found == collections.Counter(image.tobytes() for image in scaled)
    labelled = {
        (image.numpy().tobytes(), int(y)) for part in parts for image, y in zip(part.images, part.labels, strict=True)
    }
    assert labelled == {(image.tobytes(), int(y)) for image, y in zip(scaled, bunch.target, strict=True)}


def test_a_tenth_of_the_training_images_is_held_out(tmp_path):
    data = load("digits", tmp_path)
    assert len(data.validation) == round(0.1 * (len(data.train) + len(data.validation)))


def test_the_split_is_the_same_whatever_the_seeds(tmp_path):
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global generator is what must not matter
        load_known.cache_clear()
        data = load("digits", tmp_path / str(seed))
        found.append([part.images for part in (data.train, data.validation, data.test)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_the_split_is_the_same_in_another_process(tmp_path):
    script = (
        "import hashlib, pathlib; from slt_bench.data.dataset import load;"
        "data = load('digits', pathlib.Path('nowhere'));"
        "print(hashlib.sha256(data.validation.images.numpy().tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"},
    )
    here = load("digits", tmp_path).validation.images.numpy().tobytes()
    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_the_first_images_are_a_smaller_data_set(tmp_path):
    data = load("digits", tmp_path)
    small = data.first(8, 4)
    assert (len(small.train), len(small.validation), len(small.test)) == (8, 4, 4)
    assert torch.equal(small.train.images, data.train.images[:8])
    assert torch.equal(small.test.labels, data.test.labels[:4])


def test_a_sealed_test_split_cannot_be_read(tmp_path):
    data = load("digits", tmp_path)
    with locked_test_split("a method learns"):
        with locked_test_split("another learns beside it"):
            assert len(data.train) > 0
        for ask in (lambda: data.test, lambda: load("digits", tmp_path).test, lambda: data.first(8, 4).test):
            with pytest.raises(SplitLockedError, match="digits was asked for while a method learns"):
                ask()
    assert len(data.test) == 360


def test_a_seal_is_broken_by_an_error_too(tmp_path):
    with pytest.raises(ZeroDivisionError), locked_test_split("a method learns"):
        raise ZeroDivisionError
    assert len(load("digits", tmp_path).test) == 360


def test_shuffled_labels_are_those_of_other_training_images(tmp_path):
    data = load("digits", tmp_path)
    shuffled = data.with_shuffled_labels(3)
    assert torch.equal(shuffled.train.images, data.train.images)
    assert torch.equal(shuffled.train.labels.sort().values, data.train.labels.sort().values)
    assert float((shuffled.train.labels == data.train.labels).double().mean()) < 0.2
    assert shuffled.validation is data.validation
    assert torch.equal(shuffled.test.labels, data.test.labels)
    assert torch.equal(shuffled.train.labels, data.with_shuffled_labels(3).train.labels)
    assert not torch.equal(shuffled.train.labels, data.with_shuffled_labels(4).train.labels)


def test_the_catalogue_tells_the_digits_own_mean_and_deviation(tmp_path):
    data = load("digits", tmp_path)
    pixels = torch.cat([data.train.images, data.validation.images]).double() / 255
    assert data.info.mean[0] == pytest.approx(float(pixels.mean()), abs=2e-3)
    assert data.info.std[0] == pytest.approx(float(pixels.std()), abs=2e-3)


def test_unknown_data_is_told_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"Unknown data set 'mnst'\. Did you mean mnist"):
        load("mnst", tmp_path)


def test_the_data_root_is_named_or_a_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(roots.VARIABLE, str(tmp_path / "data"))
    assert default_root() == tmp_path / "data"
    monkeypatch.delenv(roots.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_root() == tmp_path / "cache" / "slt_bench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_root() == tmp_path / "home" / ".cache" / "slt_bench"


# --- small files in the official layouts ------------------------------------------------------------------------------


def write_idx(array):
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """A root with a small MNIST whose checksums the catalogue expects, and what is in it."""
    generator = np.random.default_rng(0)
    meant = {}
    folder = tmp_path / "root" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, count in (("train", 40), ("t10k", 10)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        meant[prefix] = (images, labels)
        for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            content = write_idx(array)
            monkeypatch.setitem(DATASETS["mnist"].md5, name, md5(content))
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path / "root", meant


def unpack(folder):
    for path in folder.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("compressed", [True, False])
def test_mnist_is_read_compressed_and_plain(small_mnist, compressed):
    root, meant = small_mnist
    if not compressed:
        unpack(root / "MNIST" / "raw")
    data = load("mnist", root)
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 10)
    assert torch.equal(data.test.images[:, 0], torch.from_numpy(meant["t10k"][0]))
    assert data.test.labels.tolist() == meant["t10k"][1].tolist()
    whole = {(image.tobytes(), int(label)) for image, label in zip(*meant["train"], strict=True)}
    parts = [
        {(image.numpy().tobytes(), int(label)) for image, label in zip(part.images, part.labels, strict=True)}
        for part in (data.train, data.validation)
    ]
    assert parts[0] | parts[1] == whole
    assert not parts[0] & parts[1]
    assert "all 4 files" in roots.verify(find("mnist"), root)


def truncate(content):
    return content[: len(content) // 2]


def alter(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE = {"truncated": truncate, "altered": alter, "empty": lambda _: b"", "longer": lambda content: content + b"x"}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_damaged_file_is_named(small_mnist, damage, compressed, name):
    root, _ = small_mnist
    folder = root / "MNIST" / "raw"
    if not compressed:
        unpack(folder)
    path = folder / (f"{name}.gz" if compressed else name)
    path.write_bytes(damage(path.read_bytes()))
    for read in (lambda: load("mnist", root), lambda: roots.verify(find("mnist"), root)):
        with pytest.raises(UserError) as error:
            read()
        assert str(path) in str(error.value)
        assert "data get" in str(error.value)


def test_data_packed_anew_after_it_was_altered_is_told(small_mnist):
    root, _ = small_mnist
    path = root / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(alter(gzip.decompress(path.read_bytes()))))
    with pytest.raises(UserError, match="truncated or altered") as error:
        load("mnist", root)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(small_mnist):
    root, _ = small_mnist
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert not roots.is_present(find("mnist"), root)
    with pytest.raises(UserError, match="lacks t10k-labels-idx1-ubyte") as error:
        load("mnist", root)
    assert "data get mnist" in str(error.value)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100", "fashion_mnist"])
def test_missing_data_is_told_with_the_place_and_the_cure(name, tmp_path, monkeypatch):
    monkeypatch.setattr(roots, "DEBIAN_FOLDERS", {})
    with pytest.raises(UserError) as error:
        load(name, tmp_path)
    assert str(tmp_path / find(name).folder) in str(error.value)
    assert f"data get {name}" in str(error.value)
    assert roots.VARIABLE in str(error.value)
    assert not list(tmp_path.iterdir())


def cifar_images(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def cifar_labels(seed, count, classes=10):
    return np.random.default_rng(100 + seed).integers(0, classes, count).tolist()


@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """Writes a small CIFAR-10 or CIFAR-100 of that layout, whose checksums the catalogue expects; its root."""

    def write(name, *, binary=False):
        info = find(name)
        folder = tmp_path / (catalogue.CIFAR10_BINARY_FOLDER if binary else info.folder)
        folder.mkdir()
        known = catalogue.CIFAR10_BINARY_MD5 if binary else info.md5
        for seed, file in enumerate(known):
            images = cifar_images(seed, 10)
            labels = cifar_labels(seed, 10, info.classes)
            if binary:
                content = b"".join(bytes([y]) + image.tobytes() for y, image in zip(labels, images, strict=True))
            else:
                key = b"fine_labels" if name == "cifar100" else b"labels"
                coarse = {b"coarse_labels": [label // 5 for label in labels]} if name == "cifar100" else {}
                content = pickle.dumps({b"data": images.tobytes(), **coarse, key: labels}, protocol=3)
            monkeypatch.setitem(known, file, md5(content))
            (folder / file).write_bytes(content)
        return tmp_path

    return write


@pytest.mark.parametrize(("name", "binary"), [("cifar10", False), ("cifar10", True), ("cifar100", False)])
def test_cifar_is_read_in_its_layouts(small_cifar, name, binary):
    root = small_cifar(name, binary=binary)
    data = load(name, root)
    batches = 1 if name == "cifar100" else 5
    assert (len(data.train), len(data.validation), len(data.test)) == (9 * batches, batches, 10)
    assert torch.equal(data.test.images, torch.from_numpy(cifar_images(batches, 10)))
    assert data.test.labels.tolist() == cifar_labels(batches, 10, data.info.classes)
    whole = np.concatenate([cifar_images(seed, 10) for seed in range(batches)])
    labels = [label for seed in range(batches) for label in cifar_labels(seed, 10, data.info.classes)]
    meant = {(image.tobytes(), label) for image, label in zip(whole, labels, strict=True)}
    parts = [
        {(image.numpy().tobytes(), int(label)) for image, label in zip(part.images, part.labels, strict=True)}
        for part in (data.train, data.validation)
    ]
    assert parts[0] | parts[1] == meant
    assert not parts[0] & parts[1]


def test_both_layouts_of_cifar_give_the_same_data(small_cifar):
    root = small_cifar("cifar10")
    python = load("cifar10", root)
    shutil.rmtree(root / find("cifar10").folder)
    small_cifar("cifar10", binary=True)
    load_known.cache_clear()
    binary = load("cifar10", root)
    for one, other in (
        (python.train, binary.train),
        (python.validation, binary.validation),
        (python.test, binary.test),
    ):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_batch_of_cifar_is_named(small_cifar, damage, binary):
    root = small_cifar("cifar10", binary=binary)
    (path,) = root.glob("*/data_batch_3*")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="truncated or altered") as error:
        load("cifar10", root)
    assert str(path) in str(error.value)


def test_an_incomplete_layout_does_not_hide_a_complete_one(small_cifar):
    root = small_cifar("cifar10", binary=True)
    (root / find("cifar10").folder).mkdir()
    assert len(load("cifar10", root).test) == 10


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_real_mnist(real_root):
    need("mnist", real_root)
    data = load("mnist", real_root)
    assert (len(data.train), len(data.validation), len(data.test)) == (54_000, 6_000, 10_000)
    assert data.train.images.shape[1:] == (1, 28, 28)
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert counts(data.test) == MNIST_COUNTS["test"]
    assert counts(data.train, data.validation) == MNIST_COUNTS["train"]
    pixels = torch.cat([data.train.images, data.validation.images]).double() / 255
    assert data.info.mean[0] == pytest.approx(float(pixels.mean()), abs=1e-4)
    assert data.info.std[0] == pytest.approx(float(pixels.std()), abs=1e-4)


@pytest.mark.data
def test_real_mnist_is_what_torchvision_reads(real_root, tmp_path):
    need("mnist", real_root)
    from torchvision import datasets

    place = roots.locate(find("mnist"), real_root)
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in place.md5:
        (folder / name).write_bytes(place.read(name))
    theirs = datasets.MNIST(tmp_path, train=False, download=False)
    ours = load("mnist", tmp_path)
    assert torch.equal(ours.test.images[:, 0], theirs.data)
    assert torch.equal(ours.test.labels, theirs.targets)
    elsewhere = load("mnist", real_root)
    assert torch.equal(ours.train.images, elsewhere.train.images)
    assert torch.equal(ours.validation.labels, elsewhere.validation.labels)


@pytest.mark.data
def test_real_cifar10(real_root):
    need("cifar10", real_root)
    data = load("cifar10", real_root)
    assert (len(data.train), len(data.validation), len(data.test)) == (45_000, 5_000, 10_000)
    assert data.train.images.shape[1:] == (3, 32, 32)
    assert data.test.labels[:5].tolist() == [3, 8, 8, 0, 6]
    assert counts(data.test) == [1_000] * 10
    assert counts(data.train, data.validation) == [5_000] * 10
    assert min(counts(data.validation)) > 400
    pixels = data.train.images[::10].double() / 255
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx(data.info.mean, abs=0.01)
    assert pixels.std((0, 2, 3)).tolist() == pytest.approx(data.info.std, abs=0.01)


def check_fashion(root):
    data = load("fashion_mnist", root)
    assert (len(data.train), len(data.validation), len(data.test)) == (54_000, 6_000, 10_000)
    assert data.test.labels[:5].tolist() == [9, 2, 1, 1, 6]
    assert counts(data.test) == [1_000] * 10
    assert counts(data.train, data.validation) == [6_000] * 10


@pytest.mark.data
def test_real_fashion_mnist_from_debians_folder(tmp_path):
    if not roots.is_present(find("fashion_mnist"), tmp_path):
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    check_fashion(tmp_path)


@pytest.mark.data
def test_the_real_files_are_the_official_ones(real_root):
    looked = [name for name in ("mnist", "cifar10") if roots.is_present(find(name), real_root)]
    if not looked:
        pytest.skip(f"neither mnist nor cifar10 is in {roots.VARIABLE}")
    for name in looked:
        assert "are the official ones" in roots.verify(find(name), real_root)


# --- batches --------------------------------------------------------------------------------------------------------


CIFAR = DATASETS["cifar10"]
MNIST = DATASETS["mnist"]


def random_split(count, info=CIFAR):
    images = torch.randint(256, (count, *info.shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return Split(images, torch.arange(count))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("info", [CIFAR, MNIST], ids=lambda info: info.name)
def test_normalise_is_what_numpy_says(info):
    images = random_split(7, info).images
    mean = np.array(info.mean).reshape(1, -1, 1, 1)
    std = np.array(info.std).reshape(1, -1, 1, 1)
    found = normalise(images, info)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), (images.numpy() / 255.0 - mean) / std, rtol=1e-5, atol=1e-5)


def crops_and_flips(image, pad):
    """Every image that augmentation may give, by its bytes: (top, left, mirrored)."""
    channels, height, width = image.shape
    padded = np.zeros((channels, height + 2 * pad, width + 2 * pad), dtype=np.uint8)
    padded[:, pad : pad + height, pad : pad + width] = image
    found = {}
    for top in range(2 * pad + 1):
        for left in range(2 * pad + 1):
            crop = padded[:, top : top + height, left : left + width]
            found[crop.tobytes()] = (top, left, False)
            found[crop[:, :, ::-1].tobytes()] = (top, left, True)
    return found


def test_every_augmented_image_is_a_crop_or_its_mirror_of_its_own_image():
    images = random_split(64).images
    result = augment(images, CIFAR, generator())
    assert result.shape == images.shape
    assert result.dtype == torch.uint8
    draws = [
        crops_and_flips(image.numpy(), 4)[new.numpy().tobytes()] for image, new in zip(images, result, strict=True)
    ]
    assert len(set(draws)) > 40, "each image has a draw of its own"


def test_augmentation_gives_every_crop_and_mirror_alike():
    image = random_split(1).images
    possible = crops_and_flips(image[0].numpy(), 4)
    assert len(possible) == 162
    draws = collections.Counter(
        possible[new.numpy().tobytes()] for new in augment(image.expand(6000, -1, -1, -1), CIFAR, generator())
    )
    assert set(draws) == set(possible.values())
    mean = 6000 / 162
    chi_square = sum((count - mean) ** 2 / mean for count in draws.values())
    assert chi_square < 240, "161 degrees of freedom: one in ten thousand is above 236"


def test_without_padding_and_mirrors_nothing_is_augmented():
    images = random_split(5, MNIST).images
    assert torch.equal(augment(images, MNIST, generator()), images)


def test_augmentation_leaves_its_input_alone():
    images = random_split(5).images
    before = images.clone()
    augment(images, CIFAR, generator())
    assert torch.equal(images, before)


def epoch(seeded, split, batch_size=4, *, augmented=True):
    order = epoch_order(split, batch_size, seeded)
    return [training_batch(*split.take(rows), CIFAR, seeded, augmented=augmented) for rows in order]


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"), [(10, 3, [3, 3, 3]), (9, 3, [3, 3, 3]), (10, 10, [10]), (3, 10, [3]), (1, 1, [1])]
)
def test_an_epoch_visits_each_image_at_most_once(count, batch_size, sizes):
    split = random_split(count)
    batches = epoch(generator(), split, batch_size, augmented=False)
    assert [len(labels) for _, labels in batches] == sizes
    assert len(batches) == steps_per_epoch(count, batch_size)
    seen = torch.cat([labels for _, labels in batches]).tolist()
    assert len(set(seen)) == len(seen)
    images = torch.cat([images for images, _ in batches])
    assert torch.equal(images, normalise(split.images[seen], CIFAR)), "images keep their labels"


def test_an_epoch_is_decided_by_its_generator():
    split = random_split(12)
    one, again, other = (epoch(generator(seed), split) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) and torch.equal(y, z) for (a, y), (b, z) in zip(one, again, strict=True))
    assert [labels.tolist() for _, labels in one] != [labels.tolist() for _, labels in other]
    torch.manual_seed(99)
    assert torch.equal(epoch(generator(0), split)[0][0], one[0][0]), "the global generator does not matter"


def test_the_next_epoch_of_a_generator_has_another_order():
    split, seeded = random_split(12), generator()
    first, second = (torch.cat([labels for _, labels in epoch(seeded, split)]).tolist() for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(12))


def test_augmented_batches_hold_crops_of_the_images_of_their_labels():
    split = random_split(8)
    for images, labels in epoch(generator(), split):
        for image, label in zip(images, labels, strict=True):
            possible = [
                torch.from_numpy(np.frombuffer(new, np.uint8).reshape(1, 3, 32, 32).copy())
                for new in crops_and_flips(split.images[label].numpy(), 4)
            ]
            assert (normalise(torch.cat(possible), CIFAR) == image).flatten(1).all(1).any()


@pytest.mark.parametrize("batch_size", [1, 4, 10, 11])
def test_plain_batches_cover_everything_in_order(batch_size):
    split = random_split(10)
    batches = list(plain_batches(split, CIFAR, batch_size))
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(10))
    assert torch.equal(torch.cat([images for images, _ in batches]), normalise(split.images, CIFAR))
    assert max(len(labels) for _, labels in batches) <= batch_size


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (1, 4, [1]), (5, 4, [5]), (3, 1, [1, 1, 1])],
)
def test_a_single_image_at_the_end_joins_the_batch_before_it(count, batch_size, sizes):
    assert [len(labels) for _, labels in plain_batches(random_split(count), CIFAR, batch_size)] == sizes


# --- fetch ----------------------------------------------------------------------------------------------------------


def write_data(root, info, content):
    (Path(root) / info.folder).mkdir(parents=True)
    for name in info.md5:
        (Path(root) / info.folder / name).write_bytes(content)


def test_what_torchvision_brings_is_verified(monkeypatch, tmp_path):
    """Whatever its origin, the unpacked data must have the official checksums."""
    fetched = "torchvision.datasets.utils.download_and_extract_archive"
    monkeypatch.setattr(fetched, lambda _, root, **__: write_data(root, CIFAR, b"other data"))
    with pytest.raises(UserError, match=r"could not be fetched.*truncated or altered.*fetch_from_mirrors"):
        fetch(CIFAR, tmp_path / "root", lambda _: None)


def test_data_that_are_right_are_fetched_once(monkeypatch, tmp_path):
    for name in MNIST.md5:
        monkeypatch.setitem(MNIST.md5, name, md5(b"right"))
    monkeypatch.setattr("torchvision.datasets.MNIST.__init__", lambda _, root, **__: write_data(root, MNIST, b"right"))
    told = []
    for _ in range(2):
        fetch(MNIST, tmp_path / "new" / "root", told.append)
    assert [word in line for word, line in zip(("fetching", "official", "there already"), told, strict=True)] == [
        True
    ] * 3


def test_a_site_that_cannot_be_reached_is_told(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.MNIST.__init__", fail)
    with pytest.raises(UserError, match=r"'mnist' could not be fetched: no route to host\.$"):
        fetch(MNIST, tmp_path / "root", lambda _: None)


def test_a_root_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not be fetched"):
        fetch(CIFAR, tmp_path / "file" / "root", lambda _: None)


def test_digits_need_no_fetching(tmp_path):
    told = []
    fetch(DATASETS["digits"], tmp_path, told.append)
    assert told == ["digits: there already; comes with scikit-learn"]
    assert not list(tmp_path.iterdir())
