"""Sealed tensor files: a safetensors file with one JSON header and a SHA-256 over header and tensors.

The hash is over the header without it, as JSON with sorted keys and Python's spaces, then for each tensor in the order
of their names `NAME DTYPE SHAPE`, as in `mask torch.uint8 [12]`, and its bytes. Reading executes nothing that a file
brings; a file that is cut off or altered is an error, never other numbers.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from slt_bench.utils.files import atomic_write


class DamagedError(Exception):
    """The file is not whole, or none of this kind; says how."""


def write_sealed(path: Path, kind: str, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Publish a file.

    Args:
        path: Where; whole or not at all.
        kind: The name under which the header stands in the file's metadata.
        header: JSON values; `checksum` is added.
        tensors: On the CPU, contiguous.

    Raises:
        StorageError: The disk does not take it.
    """
    sealed = {**header, "checksum": _checksum(header, tensors)}
    with atomic_write(path) as temporary:
        save_file(dict(tensors), temporary, {kind: json.dumps(sealed)})


def read_sealed(path: Path, kind: str, form: str) -> tuple[str, dict[str, Tensor]]:
    """The header's text, checksum included, and the tensors of a file.

    Args:
        path: Of the file.
        kind: As it was written.
        form: What the header's `format` must be.

    Raises:
        FileNotFoundError: There is no file.
        DamagedError: It is no file of the kind, of another format, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {})[kind]
            header = json.loads(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is not a {kind}, or a damaged one: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != form:
        raise DamagedError(f"{path} has another format than '{form}'.")
    if header.pop("checksum", None) != _checksum(header, tensors):
        raise DamagedError(f"The {kind} {path} is damaged: its checksum is wrong.")
    return text, tensors


def _checksum(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}".encode())
        if tensors[name].numel():
            digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
