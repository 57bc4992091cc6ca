"""Decoded copies of class folders: of one content each, whole, and mended where they are not."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from images import class_folders, picture, save

from slt_bench.data import find
from slt_bench.data.content import data_hash
from slt_bench.data.dataset import load
from slt_bench.data.decoded import copy_folder, decoded, verify_copy
from slt_bench.data.folder import scan_folder
from slt_bench.utils.errors import UserError


@pytest.fixture(autouse=True)
def _anew():
    scan_folder.cache_clear()


@pytest.fixture
def place(tmp_path):
    return class_folders(tmp_path / "ds")


@pytest.fixture
def name(place):
    return f"folder:{place}@8"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def silent(_):
    pass


def age(place, seconds=60):
    """Let files look as if they had been written some time ago, so that their fingerprint is kept."""
    then = time.time() - seconds
    for file in place.rglob("*"):
        os.utime(file, (then, then))


class TestContent:
    def test_the_same_images_are_the_same_under_any_path(self, place, name, root, tmp_path):
        shutil.copytree(place, tmp_path / "elsewhere" / "other")
        assert data_hash(name, root) == data_hash(f"folder:{tmp_path}/elsewhere/other@8", root)

    def test_images_of_the_same_names_and_sizes_are_others(self, root, tmp_path):
        places = [class_folders(tmp_path / str(flip) / "ds", kind="bmp", flip=flip) for flip in (False, True)]
        sizes = [[file.stat().st_size for file in sorted(place.rglob("*.bmp"))] for place in places]
        assert sizes[0] == sizes[1]
        one, other = (decoded(f"folder:{place}@8", root) for place in places)
        assert one.about.data_hash != other.about.data_hash
        images, labels = one.arrays["train"]
        flipped, others = other.arrays["train"]
        assert images[labels == 0][:, :, :4].mean() > 150 > images[labels == 0][:, :, 4:].mean()
        assert flipped[others == 0][:, :, :4].mean() < 100 < flipped[others == 0][:, :, 4:].mean()

    @pytest.mark.parametrize(
        "change",
        [
            lambda place: save(place / "train" / "a" / "0.png", picture(1)),
            lambda place: save(place / "train" / "a" / "new.png", picture(0)),
            lambda place: (place / "val" / "b" / "0.png").unlink(),
            lambda place: (place / "val" / "b" / "0.png").rename(place / "val" / "a" / "x.png"),
            lambda place: (place / "train").rename(place / "x"),
        ],
    )
    def test_any_change_is_noticed(self, place, name, root, change):
        before = data_hash(name, root)
        change(place)
        if (place / "x").exists():
            (place / "val").rename(place / "train")
            (place / "x").rename(place / "val")
        assert data_hash(name, root) != before

    def test_what_is_no_image_changes_nothing(self, place, name, root):
        before = data_hash(name, root)
        (place / "train" / "a" / "notes.txt").write_text("new")
        (place / "train" / "a" / "._0.png").write_text("of macOS")
        assert data_hash(name, root) == before

    def test_files_are_read_once(self, place, name, root, monkeypatch):
        age(place)
        monkeypatch.setattr("slt_bench.data.content.SETTLED_NS", -(10**12))  # their entries are as new as this test
        before = data_hash(name, root)
        monkeypatch.setattr("slt_bench.data.content._digest", None)
        assert data_hash(name, root) == before
        with pytest.raises(TypeError):
            data_hash(name, root, anew=True)

    def test_an_image_of_equal_size_and_time_is_noticed(self, place, name, root, monkeypatch):
        class_folders(place, kind="bmp")
        age(place)
        monkeypatch.setattr("slt_bench.data.content.SETTLED_NS", -(10**12))
        before = data_hash(name, root)
        file = place / "train" / "a" / "0.bmp"
        times = file.stat()
        save(file, picture(1))
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert data_hash(name, root) != before

    def test_a_root_that_cannot_be_written_to_is_enough(self, name, tmp_path):
        (tmp_path / "file").touch()
        assert data_hash(name, tmp_path / "file" / "root") == data_hash(name, tmp_path / "root")

    def test_known_data_have_a_fingerprint(self, tmp_path):
        known = {name: find(name).data_hash for name in ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100")}
        assert len(set(known.values())) == 5
        assert all(len(value) == 32 for value in known.values())
        assert load("digits", tmp_path).data_hash == known["digits"]
        assert load("digits", tmp_path).first(5, 5).data_hash == known["digits"]

    def test_other_digits_are_refused(self, tmp_path, monkeypatch):
        from sklearn import datasets

        bunch = datasets.load_digits()
        bunch.images = bunch.images[:, ::-1]
        monkeypatch.setattr(datasets, "load_digits", lambda: bunch)
        with pytest.raises(UserError, match="scikit-learn"):
            load("digits", tmp_path / "anew")


class TestLook:
    def test_images_below_subfolders_belong_to_their_class(self, place, name, root):
        before = find(name)
        for number in range(1, 6):
            file = place / "train" / "a" / f"{number}.png"
            (place / "train" / "a" / "sub" / "deep").mkdir(parents=True, exist_ok=True)
            file.rename(file.parent / "sub" / "deep" / file.name)
        scan_folder.cache_clear()
        assert find(name) == before
        _, labels = decoded(name, root).arrays["train"]
        assert np.bincount(labels).tolist() == [12, 12]

    def test_images_are_those_of_torchvision(self, place, name):
        from torchvision.datasets import ImageFolder

        save(place / "train" / "b" / "x.png" / "inner.jpeg", picture(1))
        save(place / "train" / "b" / "c" / "inner.ppm", picture(1))
        theirs = [(Path(path).relative_to(place / "train").as_posix(), label) for path, label in
                  ImageFolder(str(place / "train")).samples]  # fmt: skip
        assert sorted(theirs) == [(image.path, image.label) for image in scan_folder(name).parts["train"].images]

    def test_files_left_out_are_counted_and_named(self, place, name):
        assert scan_folder(name).left_out == ""
        (place / "train" / "a" / "notes.txt").touch()
        (place / "val" / "b" / "film.mp4").touch()
        (place / "val" / "b" / ".hidden.png").touch()
        scan_folder.cache_clear()
        told = scan_folder(name).left_out
        assert "2 files" in told
        assert "train/a/notes.txt" in told
        assert ".mp4" in told

    def test_hidden_files_are_no_images(self, place, name):
        before = find(name)
        (place / "train" / "a" / "._0.png").write_bytes(b"\0\5\x16\7")
        scan_folder.cache_clear()
        assert find(name) == before

    def test_a_broken_link_is_named(self, place, name):
        (place / "train" / "a" / "gone.png").symlink_to("/nowhere/gone.png")
        with pytest.raises(UserError, match=r"gone\.png"):
            find(name)

    def test_links_are_followed_but_not_in_circles(self, place, name, tmp_path):
        save(tmp_path / "more" / "more.png", picture(0))
        (place / "train" / "a" / "linked").symlink_to(tmp_path / "more")
        assert find(name).train == 25
        (tmp_path / "more" / "again").symlink_to(place / "train" / "a")
        scan_folder.cache_clear()
        with pytest.raises(UserError, match="leads back"):
            find(name)

    def test_a_folder_that_cannot_be_read_is_named(self, name, monkeypatch):
        def refuse(folder):
            raise PermissionError(13, "Permission denied", str(folder))

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(UserError, match="train cannot be read: Permission denied"):
            find(name)

    def test_too_few_images_are_refused_with_the_least_number(self, tmp_path):
        with pytest.raises(UserError, match="at least 5"):
            find(f"folder:{class_folders(tmp_path / 'four', train=2, test=1)}@8")

    def test_five_images_are_enough(self, tmp_path, root):
        place = class_folders(tmp_path / "five", train=2, test=1)
        save(place / "train" / "a" / "more.png", picture(0))
        data = load(f"folder:{place}@8", root)
        assert (len(data.train), len(data.validation), len(data.test)) == (4, 1, 2)

    def test_a_path_may_hold_an_at_sign(self, place, tmp_path):
        (tmp_path / "me@home").mkdir()
        place.rename(tmp_path / "me@home" / "ds")
        assert find(f"folder:{tmp_path}/me@home/ds").shape == (3, 224, 224)
        assert find(f"folder:{tmp_path}/me@home/ds@8").shape == (3, 8, 8)


class TestCopies:
    @pytest.mark.parametrize("file", ["train-images.npy", "test-images.npy", "test-labels.npy", "about.json"])
    @pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, path.stat().st_size // 2)])
    def test_a_damaged_copy_is_decoded_again(self, name, root, file, damage):
        before = decoded(name, root)
        pixels = {part: arrays[0].copy() for part, arrays in before.arrays.items()}
        damage(before.folder / file)
        told = []
        after = decoded(name, root, told.append)
        assert any("damaged" in text for text in told)
        assert all(np.array_equal(after.arrays[part][0], pixels[part]) for part in pixels)

    def test_a_copy_of_the_wanted_content_is_enough(self, place, name, root):
        before = load(name, root)
        shutil.rmtree(place)
        again = load(name, root, "cpu", before.data_hash)
        assert again.info == before.info
        assert (again.train.images == before.train.images).all()

    def test_other_content_than_the_wanted_one_is_refused(self, place, name, root):
        before = data_hash(name, root)
        save(place / "train" / "a" / "0.png", picture(1))
        with pytest.raises(UserError, match=f"have changed.*{before[:8]} is wanted"):
            load(name, root, "cpu", before)

    def test_images_that_change_meanwhile_are_noticed(self, place, name, root, monkeypatch):
        from slt_bench.data import decoded as module

        def change(*arguments):
            save(place / "val" / "b" / "3.png", picture(0, seed=99))
            return real(*arguments)

        real = module.decode
        monkeypatch.setattr(module, "decode", change)
        with pytest.raises(UserError, match="changed while"):
            decoded(name, root)
        assert not list((root / "folders").glob("*-8"))

    def test_what_was_changed_in_images_is_told(self, tmp_path, root):
        told = []
        place = class_folders(tmp_path / "deep", depth=16)
        deep = decoded(f"folder:{place}@8", root, told.append)
        assert "32 images with 16 bits" in told[-1]
        flat = decoded(f"folder:{class_folders(tmp_path / 'flat')}@8", root)
        assert np.array_equal(deep.arrays["train"][0], flat.arrays["train"][0])

    def test_12_bits_in_16_are_refused(self, tmp_path, root):
        place = class_folders(tmp_path / "ds", depth=16)
        for file in place.rglob("*.png"):
            save(file, picture(0) // 16, depth=16)
        with pytest.raises(UserError, match=r"16-bit images .* nearly black"):
            decoded(f"folder:{place}@8", root)

    def test_verify_reads_everything(self, place, name, root):
        assert "not decoded yet" in verify_copy(name, root, silent)
        copy = decoded(name, root)
        assert "whole" in verify_copy(name, root, silent)
        images = np.load(copy.folder / "test-images.npy", mmap_mode="r+")
        images[3, 1, 2, 3] ^= 1
        images.flush()
        with pytest.raises(UserError, match=f"{copy.folder.name} is damaged"):
            verify_copy(name, root, silent)
        save(place / "train" / "a" / "0.png", picture(1))
        assert f"{copy.folder} is of what they were before they changed" in verify_copy(name, root, silent)


KILLED = """
import os, signal, sys
from pathlib import Path
from slt_bench.data import decoded
real, left = decoded.decode, [5]
def decode(*arguments):
    left[0] -= 1
    if not left[0]:
        if sys.argv[3] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        print("waiting", flush=True)
        sys.stdin.read()
    return real(*arguments)
decoded.decode = decode
decoded.decoded(sys.argv[1], Path(sys.argv[2]))
"""


class TestKilled:
    def start(self, name, root, how):
        command = [sys.executable, "-c", KILLED, name, str(root), how]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def partial(self, root):
        return list((root / "folders").glob(".partial-*"))

    def test_what_a_killed_decode_left_is_removed(self, name, root):
        with self.start(name, root, "killed") as process:
            assert process.wait() == -signal.SIGKILL
        assert len(self.partial(root)) == 1
        decoded(name, root)
        assert self.partial(root) == []

    def test_what_a_living_process_decodes_is_left_alone(self, name, root):
        with self.start(name, root, "waits") as process:
            assert process.stdout.readline() == b"waiting\n"
            (theirs,) = self.partial(root)
            ours = decoded(name, root)
            assert self.partial(root) == [theirs]
            process.stdin.close()
            assert process.wait() == 0
        assert self.partial(root) == []
        assert decoded(name, root).about == ours.about

    @pytest.mark.parametrize(("days", "left"), [(0.5, 1), (2, 0)])
    def test_what_another_host_left_is_removed_after_a_day(self, name, root, days, left):
        folder = root / "folders" / ".partial-of-another"
        folder.mkdir(parents=True)
        (folder / "lock").write_text("another host")
        age(folder.parent, 86_400 * days)
        decoded(name, root)
        assert len(self.partial(root)) == left


def test_copies_of_several_sizes_stand_side_by_side(place, root):
    small, large = (decoded(f"folder:{place}@{side}", root) for side in (8, 16))
    assert small.about.data_hash == large.about.data_hash
    assert copy_folder(f"folder:{place}@16", root, large.about.data_hash) == large.folder
    assert small.arrays["test"][0].shape[1:] == (3, 8, 8)
    assert large.arrays["test"][0].shape[1:] == (3, 16, 16)
