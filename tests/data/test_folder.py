"""Class folders: decoded once, streamed in batches, and as good as tensors in memory."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from slt_bench.data import find
from slt_bench.data.dataset import Dataset, Split
from slt_bench.data.dataset import load as load_data
from slt_bench.data.decoded import decoded
from slt_bench.data.folder import scan_folder
from slt_bench.data.picture import decode
from slt_bench.data.pipeline import plain_batches, taken
from slt_bench.data.root import is_present
from slt_bench.execution.worker.run_job import run_job
from slt_bench.execution.worker.task_spec import Context
from slt_bench.jobs.benchmark import Budget
from slt_bench.utils.errors import UserError

CLASSES = ("cat", "dog", "eel")


@pytest.fixture(autouse=True)
def _anew():
    scan_folder.cache_clear()


def pixels(name, root, part, tell=lambda _: None):
    return decoded(name, root, tell).arrays[part]


def write(folder, count, size=(20, 16), seed=0):
    """Images whose red channel tells their class and whose green one tells their number."""
    chance = np.random.default_rng(seed)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = chance.integers(256, size=(*size, 3), dtype=np.uint8)
            image[..., 0], image[..., 1] = 80 * label, number
            Image.fromarray(image).save(folder / name / f"{number:03}.png")


@pytest.fixture
def place(tmp_path):
    write(tmp_path / "zoo" / "train", 20)
    write(tmp_path / "zoo" / "val", 5, seed=1)
    return tmp_path / "zoo"


@pytest.fixture
def name(place):
    return f"folder:{place}@16"


class TestLook:
    def test_tells_what_lies_there(self, name, place):
        info = find(name)
        assert info.name == name
        assert (info.shape, info.classes, info.train, info.test) == ((3, 16, 16), 3, 60, 15)
        assert find(f"folder:{place}").shape == (3, 224, 224)
        assert find(f"folder:{place}").name == f"folder:{place}"

    def test_other_files_are_no_images(self, name, place):
        (place / "train" / "cat" / "notes.txt").write_text("none")
        (place / "train" / ".cache").mkdir()
        assert find(name).train == 60

    @pytest.mark.parametrize("part", ["validation", "test"])
    def test_the_second_part_has_several_names(self, name, place, part):
        (place / "val").rename(place / part)
        assert find(name).test == 15

    @pytest.mark.parametrize(
        ("damage", "told"),
        [
            (lambda place: shutil.rmtree(place / "train"), "There is no folder .*train"),
            (lambda place: shutil.rmtree(place / "val"), "There is no folder .*val or .*validation or .*test"),
            (lambda place: shutil.rmtree(place / "val" / "eel"), "do not hold the same classes: eel is in one"),
            (lambda place: [path.unlink() for path in (place / "train" / "dog").iterdir()], "dog holds no image"),
            (lambda place: [shutil.rmtree(place / "train" / one) for one in CLASSES[1:]], "holds 1 class folders"),
        ],
    )
    def test_what_is_wrong_is_told(self, name, place, damage, told):
        damage(place)
        with pytest.raises(UserError, match=told):
            scan_folder(name)

    @pytest.mark.parametrize("size", ["0", "-3", "big", ""])
    def test_a_size_is_a_number_of_pixels(self, place, size):
        with pytest.raises(UserError, match="ends with no size"):
            scan_folder(f"folder:{place}@{size}")


class TestPixels:
    def test_every_image_is_there_once_with_its_label(self, name, tmp_path):
        images, labels = pixels(name, tmp_path, "train")
        assert (images.shape, images.dtype) == ((60, 3, 16, 16), np.uint8)
        assert labels.tolist() == (images[:, 0, 8, 8] // 80).tolist()
        assert sorted(zip(labels, images[:, 1, 8, 8], strict=True)) == [(c, k) for c in range(3) for k in range(20)]

    def test_the_first_images_are_of_all_classes(self, name, tmp_path):
        assert set(pixels(name, tmp_path, "train")[1][:12].tolist()) == {0, 1, 2}

    def test_they_are_decoded_once(self, name, tmp_path):
        told = []
        first, _ = pixels(name, tmp_path, "test", told.append)
        assert told[-1] == "zoo: decoded 75 of 75 images"
        again, _ = pixels(name, tmp_path, "test", told.append)
        assert len(told) == 2
        assert np.array_equal(first, again)
        assert isinstance(again, np.memmap)

    def test_and_again_when_the_images_are_others(self, name, place, tmp_path):
        pixels(name, tmp_path, "train")
        (place / "train" / "cat" / "000.png").unlink()
        assert len(pixels(name, tmp_path, "train")[0]) == 59

    def test_a_damaged_image_is_named_and_nothing_is_left(self, name, place, tmp_path):
        (place / "val" / "dog" / "003.png").write_bytes(b"no image")
        with pytest.raises(UserError, match=r"dog/003\.png cannot be decoded"):
            pixels(name, tmp_path / "root", "train")
        assert [path.name for path in (tmp_path / "root" / "folders").iterdir() if path.name != "contents"] == []

    def test_what_does_not_fit_is_told_first(self, name, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        with pytest.raises(UserError, match=r"75 images of 16 x 16 pixels take 0\.0 GB"):
            pixels(name, tmp_path, "train")

    @pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
    def test_any_mode_becomes_three_channels(self, tmp_path, mode):
        file = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
        Image.new("RGB", (30, 40), (200, 0, 0)).convert(mode).save(file)
        assert decode(file, 24).pixels.shape == (3, 24, 24)

    def test_the_middle_of_a_wide_image_is_taken(self, tmp_path):
        image = np.zeros((32, 96, 3), dtype=np.uint8)
        image[:, 32:64] = 255
        Image.fromarray(image).save(tmp_path / "wide.png")
        assert decode(tmp_path / "wide.png", 32).pixels.min() == 255


class TestStream:
    def test_splits_share_no_image(self, name, tmp_path):
        data = load_data(name, tmp_path)
        assert [len(split) for split in (data.train, data.validation, data.test)] == [54, 6, 15]
        seen = [tuple(image[:2, 8, 8].tolist()) for split in (data.train, data.validation) for image in split.images]
        assert len(set(seen)) == 60
        assert data.train.streamed

    def test_batches_are_those_of_tensors_in_memory(self, name, tmp_path):
        data = load_data(name, tmp_path)
        order = torch.randperm(54).split(10)
        in_memory = Split(data.train.images.clone(), data.train.labels)
        for one, other in zip(taken(data.train, order), taken(in_memory, order), strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
        for one, other in zip(plain_batches(data.train, data.info), plain_batches(in_memory, data.info), strict=True):
            assert torch.equal(one[0], other[0])

    def test_large_images_are_looked_at_in_smaller_batches(self, place, tmp_path):
        large = load_data(f"folder:{place}@448", tmp_path)
        assert [len(labels) for _, labels in plain_batches(large.train, large.info)] == [25, 25, 4]

    def test_a_reader_that_fails_is_heard(self, name, tmp_path):
        data = load_data(name, tmp_path)
        with pytest.raises(IndexError):
            list(taken(data.train, [torch.tensor([0]), torch.tensor([99])]))

    def test_a_search_finds_what_it_finds_in_memory(self, name, tmp_path, make_job, monkeypatch):
        job = make_job(arch="conv2", dataset=name, budget=Budget(epochs=1, batch_size=16))
        one, other = (tmp_path / "one", tmp_path / "other")
        one.mkdir()
        other.mkdir()
        streamed = run_job(job, one, Context(tmp_path))
        data = load_data(name, tmp_path)
        copies = [Split(split.images.clone(), split.labels) for split in (data.train, data.validation, data.test)]
        in_memory = Dataset(data.info, *copies[:2], lambda: copies[2])
        monkeypatch.setattr("slt_bench.execution.worker.measure.load_data", lambda *_: in_memory)
        again = run_job(job, other, Context(tmp_path))
        assert streamed.status == again.status == "done"
        assert (streamed.mask_hash, streamed.metrics) == (again.mask_hash, again.metrics)
        assert "zoo_16" in job.folder, "a job of an older suite, which knows no content"
        assert "/" not in job.folder


@pytest.mark.slow
@pytest.mark.data
def test_thousands_of_real_images_at_224_pixels(data_root, tmp_path, make_job):
    if not is_present(find("cifar10"), data_root):
        pytest.skip("no cifar10 in SLT_BENCH_DATA")
    cifar = load_data("cifar10", data_root)
    for part, split in (("train", cifar.train.first(2000)), ("val", cifar.test.first(500))):
        for number, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            file = tmp_path / "photos" / part / str(int(label)) / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).resize((256, 256)).save(file, quality=95)
    name = f"folder:{tmp_path / 'photos'}"
    assert find(name).shape == (3, 224, 224)
    images, labels = pixels(name, tmp_path / "root", "train")
    assert images.shape == (2000, 3, 224, 224)
    small = torch.nn.functional.interpolate(torch.from_numpy(images[:100].copy()).float(), size=32, mode="area")
    originals = cifar.train.first(2000)
    distances = torch.cdist(small.flatten(1), originals.images.float().flatten(1))
    assert (originals.labels[distances.argmin(1)].numpy() == labels[:100]).mean() > 0.98, "images kept their labels"
    job = make_job(arch="resnet18", dataset=name, budget=Budget(epochs=1, batch_size=2), smoke=True)
    record = run_job(job, tmp_path, Context(tmp_path / "root"))
    assert (record.status, record.reason) == ("done", "")
