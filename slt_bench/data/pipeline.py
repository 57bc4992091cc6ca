"""From uint8 images to batches: order, augmentation and normalisation on the device, a whole batch at a time."""

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Split


def normalise(images: Tensor, info: DatasetInfo) -> Tensor:
    """(B, C, H, W) uint8 to float32 with the data set's mean 0 and deviation 1 a channel."""
    mean, std = _of_pixels(info.mean, images.device), _of_pixels(info.std, images.device)
    return images.float().sub_(mean).div_(std)


@cache
def _of_pixels(channels: tuple[float, ...], device: torch.device) -> Tensor:
    """A number a channel, for pixels from 0 to 255; to be read only."""
    return 255.0 * torch.tensor(channels, device=device).view(1, -1, 1, 1)


def augment(images: Tensor, info: DatasetInfo, generator: torch.Generator) -> Tensor:
    """Random crops of the padded images and random mirror images, where the data set has them; shape unchanged.

    Padding is black, as in He et al. (2016).
    """
    batch = len(images)
    if info.pad:
        offsets = torch.randint(2 * info.pad + 1, (2, batch), generator=generator, device=images.device)
        images = _crop(functional.pad(images, (info.pad,) * 4), offsets, images.shape[-2:])
    if info.flips:
        mirrored = torch.rand(batch, generator=generator, device=images.device) < 0.5
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
    return images


def _crop(padded: Tensor, offsets: Tensor, size: torch.Size) -> Tensor:
    height, width = size
    batch = torch.arange(len(padded), device=padded.device)[:, None, None]
    rows = (offsets[0][:, None] + torch.arange(height, device=padded.device))[:, :, None]
    columns = (offsets[1][:, None] + torch.arange(width, device=padded.device))[:, None, :]
    return padded.permute(0, 2, 3, 1)[batch, rows, columns].permute(0, 3, 1, 2)


def epoch_order(split: Split, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """One epoch in a random order, as rows of the split, a tensor a batch. The last, smaller batch is left out."""
    order = torch.randperm(len(split), generator=generator, device=split.labels.device)
    whole = order[: steps_per_epoch(len(split), batch_size) * batch_size]
    batches: tuple[Tensor, ...] = whole.split(min(batch_size, len(split)))
    return batches


def training_batch(
    split: Split, info: DatasetInfo, rows: Tensor, generator: torch.Generator, *, augmented: bool
) -> tuple[Tensor, Tensor]:
    """Normalised images (B, C, H, W) and labels (B,) of those rows; augmentation is drawn from `generator`."""
    images = split.images.index_select(0, rows)
    if augmented:
        images = augment(images, info, generator)
    return normalise(images, info), split.labels.index_select(0, rows)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches among `count` images; at least one."""
    return max(1, count // batch_size)


def plain_batches(split: Split, info: DatasetInfo, batch_size: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image in its order, normalised, with its label."""
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        yield normalise(images, info), labels
