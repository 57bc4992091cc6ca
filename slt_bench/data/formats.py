"""Readers of the files that data sets come in, whose checksums were found right. Even so nothing is unpickled."""

import pickletools

import numpy as np
from numpy.typing import NDArray

ImageArray = NDArray[np.uint8]
LabelArray = NDArray[np.int64]


def idx(content: bytes) -> ImageArray:
    """Return the array in an IDX file of unsigned bytes, the format of MNIST."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def cifar_binary(content: bytes) -> tuple[ImageArray, LabelArray]:
    """Return the images (n, 3, 32, 32) and labels (n,) in a file of CIFAR-10's binary release."""
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def cifar_python(content: bytes, label_key: str) -> tuple[ImageArray, LabelArray]:
    """Return the images (n, 3, 32, 32) and labels (n,) in a pickled CIFAR batch, read as tokens, without unpickling.

    Such a file holds a dictionary: its pixels are the one long string, and its labels the integers between the key
    `label_key` and the next string.
    """
    pixels, labels, collecting = b"", [], False
    for opcode, value, _ in pickletools.genops(content):
        if isinstance(value, bytes | str):
            text = value if isinstance(value, bytes) else value.encode("latin-1")
            collecting = text == label_key.encode()
            pixels = text if len(text) >= 3072 else pixels
        elif collecting and isinstance(value, int) and opcode.name.startswith(("BININT", "INT", "LONG")):
            labels.append(value)
    return np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)
