"""The generators that are global to a process: torch's, NumPy's and Python's own, for plug-ins that use them."""

import random
from typing import Any

import numpy as np
import torch

from slt_bench.network.streams import derive_seed


def seed_all(seed: int) -> None:
    """Set every global generator by the job's seed."""
    torch.manual_seed(derive_seed("global", seed))  # of the CPU and of every CUDA device
    np.random.seed(derive_seed("global numpy", seed) % 2**32)  # noqa: NPY002 - the global one is meant
    random.seed(derive_seed("global python", seed))


def get_all(device: torch.device) -> dict[str, Any]:
    """The state of every global generator, as a tree of plain values and tensors."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "python": random.getstate(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_all(state: dict[str, Any], device: torch.device) -> None:
    """Put back what `get_all` gave."""
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["python"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
