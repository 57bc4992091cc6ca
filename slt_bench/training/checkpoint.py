"""Checkpoints: a search's whole state in one sealed file, so that a job that was stopped ends in the same record.

A state is a tree of dicts, lists, tuples, plain values and tensors. Its tensors stand in the file as they are, the rest
as JSON in the header, beside the identity of what it belongs to. A file that is damaged, or belongs to something else,
is set aside and told; the job then starts over.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slt_bench.utils.files import storage_error
from slt_bench.utils.tensor_file import DamagedError, read_sealed, write_sealed

FORMAT = "slt_bench checkpoint 1"
KIND = "checkpoint"
REFUSED = (torch.complex32, torch.complex128)  # safetensors has no name for them


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        fraction: The part of the search that is done, in [0, 1].
        state: The tree.
    """

    fraction: float
    state: Any


def write_checkpoint(path: Path, identity: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Publish a checkpoint; the one that was there is replaced only once the new one is whole.

    Args:
        path: Of the file.
        identity: What must be the same for the state to mean anything, as JSON values.
        checkpoint: What to keep.

    Raises:
        TypeError: The state holds something that cannot be kept; says what and where.
        StorageError: The disk does not take it.
    """
    tensors: dict[str, Tensor] = {}
    tree = _encode(checkpoint.state, tensors, "state")
    header = {"format": FORMAT, "identity": dict(identity), "fraction": checkpoint.fraction, "tree": tree}
    write_sealed(path, KIND, header, tensors)


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
    """The checkpoint at `path`, its tensors on the CPU; None where there is none.

    Raises:
        DamagedError: It is not whole, or belongs to something else.
    """
    try:
        text, tensors = read_sealed(path, KIND, FORMAT)
    except FileNotFoundError:
        return None
    header = json.loads(text)
    for name, value in identity.items():
        if header["identity"].get(name) != value:
            was = header["identity"].get(name)
            raise DamagedError(f"The checkpoint {path} is of another {name}: {was}, where it should be {value}.")
    return Checkpoint(header["fraction"], _decode(header["tree"], tensors))


def set_aside(path: Path) -> Path:
    """Give a file that cannot be used a name under which nobody looks for it; an older one of that name goes.

    Raises:
        StorageError: The file system refuses.
    """
    aside = path.with_name(f"{path.name}.unusable")
    try:
        path.replace(aside)
    except OSError as error:
        raise storage_error(path, error) from error
    return aside


def _encode(value: Any, tensors: dict[str, Tensor], place: str) -> Any:
    """JSON of a tree: plain values as they are, everything else as [tag, content]; tensors go into `tensors`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_meta or value.is_quantized or value.dtype in REFUSED:
            raise TypeError(f"{place} is a tensor ({value.dtype}, {value.layout}) that a checkpoint cannot keep")
        name = f"{len(tensors):06d}"
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return ["tensor", name]
    if isinstance(value, list | tuple):
        return [
            "tuple" if isinstance(value, tuple) else "list",
            [_encode(item, tensors, f"{place}[{number}]") for number, item in enumerate(value)],
        ]
    if isinstance(value, Mapping):
        pairs = [
            [_encode(key, tensors, place), _encode(item, tensors, f"{place}[{key!r}]")] for key, item in value.items()
        ]
        return ["dict", pairs]
    raise TypeError(f"{place} is a {type(value).__name__}, which a checkpoint cannot keep")


def _decode(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(tree, list):
        return tree
    tag, content = tree
    if tag == "tensor":
        return tensors[content]
    if tag == "dict":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
    items = [_decode(item, tensors) for item in content]
    return tuple(items) if tag == "tuple" else items
