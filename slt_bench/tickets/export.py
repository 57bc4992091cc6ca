"""A ticket's network for the world outside: a plain module with its state dictionary, and an ONNX file."""

import ast
import contextlib
import copy
import importlib
import inspect
import io
import logging
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import slt_bench
from slt_bench import data
from slt_bench.network import architectures
from slt_bench.network.architectures import Shape, common
from slt_bench.network.rescaling import Rescale
from slt_bench.tickets.ticket import Subnetwork, Ticket
from slt_bench.utils import errors
from slt_bench.utils.errors import UserError
from slt_bench.utils.files import atomic_write, make_folder, write_text

SOURCE, STATE, ONNX = "network.py", "network.safetensors", "network.onnx"
OWN_IMPORTS = {"from pathlib import Path", "from safetensors.torch import load_file"}
AGREEMENT = 1e-4  # how far an ONNX file's outputs may be off, or that share of the largest one

TEMPLATE = '''"""{title}

The network of a strong lottery ticket, written by slt_bench {version}; needs {packages}, and no slt_bench.

    from network import load
    logits = load()(images)         # (B, {channels}, {height}, {width}) in, (B, {classes}) out

{images}

{origin}
"""

{imports}

Shape = tuple[int, int, int]
{definitions}


def build() -> nn.Module:
    """The network with weights of no meaning."""
    return {function}({arguments})


def load(path: Path = Path(__file__).with_name("{state}")) -> nn.Module:
    """The network with its weights, ready to be used."""
    network = build()
    network.load_state_dict(load_file(path))
    return network.eval()
'''


def plain(subnetwork: Subnetwork) -> nn.Module:
    """The subnetwork as the module that its architecture is, with the effective weights as its parameters.

    What the mask removes is 0, and what rescales a layer is multiplied in.
    """
    network = subnetwork.network
    module = copy.deepcopy(network.skeleton)
    parameters = dict(module.named_parameters())
    for layer, part in zip(network.layers, subnetwork.effective.split(network.sizes), strict=True):
        parameters[layer.name].data = part.view(layer.shape).clone()
    return module.eval()


def export_torch(ticket: Ticket, folder: Path) -> list[Path]:
    """Write `network.py`, which builds the module without the suite, and its state dictionary.

    Args:
        ticket: Whose network.
        folder: Where; made if it is not there.

    Returns:
        The files.

    Raises:
        UserError: The ticket fits no network.
        StorageError: The disk does not take them.
    """
    make_folder(folder)
    state = plain(ticket.rebuild()).state_dict()
    metadata = {"arch": ticket.arch, "classes": str(ticket.classes), "slt_bench": slt_bench.__version__}
    with atomic_write(folder / STATE) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary, metadata)
    write_text(folder / SOURCE, source(ticket))
    return [folder / SOURCE, folder / STATE]


def source(ticket: Ticket) -> str:
    """A module of Python that builds a ticket's network and loads its state dictionary."""
    arch = architectures.find(ticket.arch)
    module, function = arch.function.split(":")
    imports, definitions = _without_suite(importlib.import_module(f"slt_bench.network.architectures.{module}"))
    others = [name for name in ("timm", "torchvision") if f"import {name}" in imports]
    channels, height, width = ticket.shape
    return TEMPLATE.format(
        title=f"{_harmless(ticket.arch)} at sparsity {ticket.sparsity:.4f}.",
        version=slt_bench.__version__,
        packages=", ".join(["torch", "safetensors", *others]),
        channels=channels,
        height=height,
        width=width,
        classes=ticket.classes,
        images=_images(ticket),
        origin=_origin(ticket),
        imports="\n".join(sorted(imports | OWN_IMPORTS)),
        definitions="\n\n\n".join(definitions),
        function=function,
        arguments=", ".join(map(repr, (*arch.arguments, tuple(ticket.shape), ticket.classes))),
        state=STATE,
    )


def _without_suite(module: ModuleType) -> tuple[set[str], list[str]]:
    """Return the imports and definitions of a module of architectures and of those of the suite that it needs."""
    source = inspect.getsource(module)
    needed = [other for other in (errors, common) if f"from {other.__name__} import" in source]
    imports: set[str] = set()
    definitions: list[str] = []
    for text in (*map(inspect.getsource, needed), source):
        for node in ast.parse(text).body[1:]:  # after the docstring
            piece = str(ast.get_source_segment(text, node))
            if not isinstance(node, ast.Import | ast.ImportFrom):
                definitions.append(piece)
            elif not piece.startswith("from slt_bench"):
                imports.add(piece)
    return imports, definitions


def export_onnx(ticket: Ticket, path: Path) -> float:
    """Write an ONNX file for batches of any size, once it was run and its outputs were those of the network.

    Args:
        ticket: Whose network.
        path: Where.

    Returns:
        The largest difference between its outputs and those of the network.

    Raises:
        UserError: The packages are missing, or the outputs are more than `AGREEMENT` off.
        StorageError: The disk does not take it.
    """
    runtime = _onnx_packages()
    module = plain(ticket.rebuild())
    make_folder(path.parent)
    with atomic_write(path) as temporary:
        with _quietly():
            torch.onnx.export(
                module,
                (_noise(ticket.shape, 2),),
                str(temporary),
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: "batch"},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        off = max(_difference(runtime, temporary, module, _noise(ticket.shape, count)) for count in (1, 3))
        if not off <= AGREEMENT:
            raise UserError(f"The ONNX file of {ticket.arch} gives outputs that are {off:.2g} off; it was not kept.")
    return off


def _difference(runtime: ModuleType, path: Path, module: nn.Module, images: Tensor) -> float:
    """The largest difference of outputs, or where these are above 1 its share of the largest of them."""
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = module(images).numpy()
    if not np.isfinite(found).all():
        return math.inf
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def _noise(shape: Shape, count: int) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


def _onnx_packages() -> ModuleType:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra of the suite's
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise UserError(
            f"ONNX files need the packages onnx, onnxscript and onnxruntime: pip install 'slt_bench[onnx]' ({error})."
        ) from error
    return onnxruntime  # type: ignore[no-any-return]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter tells of its own progress and of others' deprecations."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _images(ticket: Ticket) -> str:
    """What the network takes, in words."""
    name = _job(ticket).get("dataset")
    if name not in data.DATASETS:
        return "Images are to be normalised as they were in training."
    info = data.DATASETS[name]
    mean, std = (", ".join(map(str, values)) for values in (info.mean, info.std))
    return f"Images are those of {name}, as (pixels / 255 - mean) / std with mean {mean} and std {std} a channel."


def _origin(ticket: Ticket) -> str:
    job = _job(ticket)
    rescale = Rescale.parse(ticket.rescale).words
    init, method = _harmless(ticket.init), _harmless(str(job.get("method", "an unknown method")))
    return (
        f"The weights are {init}, seed {ticket.seed}, each layer {rescale}; those that the mask removes are 0.\n"
        f"Found by {method} (purity {ticket.purity}). Mask {ticket.mask_hash}."
    )


def _harmless(text: str) -> str:
    """A text of a ticket's as it may stand in source: whoever wrote the ticket, nothing in it is code."""
    return re.sub(r"[^\w:. -]", "?", text.replace("\n", " "))


def _job(ticket: Ticket) -> dict[str, object]:
    job = ticket.provenance.get("job")
    return job if isinstance(job, dict) else {}
