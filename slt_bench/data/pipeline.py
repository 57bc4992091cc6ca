"""From uint8 images to batches: order, augmentation and normalisation on the device, a whole batch at a time."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from slt_bench.data.catalogue import DatasetInfo
from slt_bench.data.dataset import Split

AHEAD = 3  # batches that are read before they are needed
LARGEST_BATCH = 100 * 3 * 224 * 224  # pixels that are looked at together


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


def taken(split: Split, order: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """The images (uint8) and labels of one batch of rows after the other; streamed ones are read ahead by a thread."""
    if not split.streamed:
        yield from map(split.take, order)
        return
    with ThreadPoolExecutor(1) as reader:
        waiting = [rows.cpu() for rows in order]  # all at once: the reader must not wait for a GPU in each step
        ahead = deque(reader.submit(split.take_images, rows) for rows in waiting[:AHEAD])
        for place, rows in enumerate(order):
            images, labels = ahead.popleft().result(), split.take_labels(rows)
            ahead.extend(reader.submit(split.take_images, rows) for rows in waiting[place + AHEAD : place + AHEAD + 1])
            yield images.to(labels.device, non_blocking=True), labels


def training_batch(
    images: Tensor, labels: Tensor, info: DatasetInfo, generator: torch.Generator, *, augmented: bool
) -> tuple[Tensor, Tensor]:
    """Normalised images (B, C, H, W), and the labels (B,), of taken ones; augmentation is drawn from `generator`."""
    if augmented:
        images = augment(images, info, generator)
    return normalise(images, info), labels


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches among `count` images; at least one."""
    return max(1, count // batch_size)


def plain_batches(split: Split, info: DatasetInfo, batch_size: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image in its order, normalised, with its label; of large images fewer at a time.

    A single image that is left at the end joins the batch before it, since one image has no batch statistics.
    """
    size = min(batch_size, max(2, LARGEST_BATCH // math.prod(info.shape)))
    whole, left = divmod(len(split), size)
    sizes = [size] * whole
    if left == 1 and whole:
        sizes[-1] += left
    elif left:
        sizes.append(left)
    for images, labels in zip(split.images.split(sizes), split.labels.split(sizes), strict=True):
        yield normalise(images.to(labels.device), info), labels
