"""Batches of images that lie on a GPU, and of images that are read from disk while it computes."""

import torch
from rehearsal import rehearsal

from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Split
from slt_bench.data.pipeline import epoch_order, normalise, plain_batches, taken, training_batch

INFO = DatasetInfo("noise", "noise", (3, 8, 8), 4, 20, 4, (0.5,) * 3, (0.3,) * 3, flips=True, pad=2)
GPU = torch.device("cuda")


def images_and_labels(count=20):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *INFO.shape), dtype=torch.uint8, generator=generator)
    return images, torch.randint(INFO.classes, (count,), generator=generator)


def batches(split, device, between=lambda: None):
    """Two epochs of augmented batches; `between` is called after the first batch of an epoch, and at its end."""
    generator = torch.Generator(device)
    generator.manual_seed(0)
    found = []
    normalise(split.images[:1].to(device), INFO)  # sends the means and deviations, once a process
    for _ in range(2):
        given = taken(split, epoch_order(split, 3, generator))
        found.append(training_batch(*next(given), INFO, generator, augmented=True))
        between()
        found += [training_batch(*one, INFO, generator, augmented=True) for one in given]
        between()
    return found


def rehearsed(split_of):
    """The batches on a GPU, where nothing waits within an epoch."""
    with rehearsal() as device:

        def switch():
            device.strict = not device.strict

        found = batches(split_of(), GPU, switch)
        assert all(images.is_cuda and labels.is_cuda for images, labels in found)
        return found


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_augmented_batches_are_made_on_the_device():
    images, labels = images_and_labels()
    assert_same(rehearsed(lambda: Split(images.to(GPU), labels.to(GPU))), batches(Split(images, labels), "cpu"))


def test_images_from_disk_are_read_while_the_device_computes():
    images, labels = images_and_labels()
    found = rehearsed(lambda: Split(images, labels.to(GPU), streamed=True))
    assert_same(found, batches(Split(images, labels, streamed=True), "cpu"))


def test_images_from_disk_are_scored_there():
    images, labels = images_and_labels()
    with rehearsal():
        found = list(plain_batches(Split(images, labels.to(GPU), streamed=True), INFO, 7))
        assert all(one.is_cuda and other.is_cuda for one, other in found)
    assert_same(found, list(plain_batches(Split(images, labels), INFO, 7)))
