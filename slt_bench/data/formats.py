"""Readers of the files that data sets come in. Nothing is unpickled, not even files whose checksum is right."""

import math
import pickletools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from slt_bench.utils.errors import UserError

ImageArray = NDArray[np.uint8]
LabelArray = NDArray[np.int64]


def idx(content: bytes) -> ImageArray:
    """The array in an IDX file of unsigned bytes, the format of MNIST.

    Raises:
        UserError: The content has another format or length.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise UserError("Not an IDX file of unsigned bytes.")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError("The IDX file ends within its header.")
    shape = tuple(int(side) for side in np.frombuffer(content, ">u4", dimensions, 4))
    if len(content) - header != math.prod(shape):
        raise UserError(f"The IDX file holds {len(content) - header} bytes where its header says {shape}.")
    try:
        return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
    except ValueError as error:  # more dimensions, or longer ones, than an array can have
        raise UserError(f"The IDX file's header is wrong: {error}.") from error


def cifar_binary(content: bytes) -> tuple[ImageArray, LabelArray]:
    """ImageArray (n, 3, 32, 32) and labels (n,) of a file of CIFAR-10's binary release.

    Raises:
        UserError: The length is no multiple of an image's 3073 bytes.
    """
    if not content or len(content) % 3073:
        raise UserError(f"A CIFAR-10 binary batch holds 3073 bytes an image; {len(content)} bytes are no multiple.")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def cifar_python(content: bytes, label_key: str) -> tuple[ImageArray, LabelArray]:
    """ImageArray (n, 3, 32, 32) and labels (n,) of a pickled CIFAR batch, read as a list of tokens, without unpickling.

    Such a file holds a dictionary: its pixels are the one string long enough to be them, and its labels the integers
    between the key `label_key` and the next string.

    Raises:
        UserError: The content is no such file.
    """
    pixels: bytes | None = None
    labels: list[int] = []
    collecting = False
    for value in _tokens(content):
        if isinstance(value, bytes | str):
            text = value if isinstance(value, bytes) else value.encode("latin-1", "replace")
            collecting = text == label_key.encode()
            pixels = text if len(text) >= 3072 else pixels
        elif collecting:
            labels.append(value)
    if pixels is None or len(pixels) != 3072 * len(labels):
        raise UserError(f"Not a CIFAR batch: {len(pixels or b'')} bytes of pixels beside {len(labels)} labels.")
    if any(abs(label) >= 2**63 for label in labels):
        raise UserError("Not a CIFAR batch: its labels are too large.")
    return np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def _tokens(content: bytes) -> Iterator[bytes | str | int]:
    """The strings and integers of a pickle in their order, less the numbers of its memo."""
    try:
        for opcode, value, _ in pickletools.genops(content):
            bookkeeping = ("PUT" in opcode.name, "GET" in opcode.name, opcode.name in ("PROTO", "FRAME", "GLOBAL"))
            if isinstance(value, bytes | str | int) and not any(bookkeeping):
                yield value
    except ValueError as error:
        raise UserError(f"Not a CIFAR batch: {error}.") from error
