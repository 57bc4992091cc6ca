"""The state of a method between two steps, so that a search can go on where it was stopped."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from slt_bench.method import Method

_NO_STATE = {*vars(nn.Module()), "network", "settings", "sparsity"}


def method_state(method: Method) -> dict[str, Any]:
    """Everything of a method that may change while it learns.

    Its parameters and buffers, and of its own attributes the generators, the tensors and the plain values (numbers,
    strings, and lists, tuples and dicts of such). What else it holds is taken to be as its constructor made it.
    """
    own = {name: value for name, value in vars(method).items() if name not in _NO_STATE}
    generators = {name: value for name, value in own.items() if isinstance(value, torch.Generator)}
    return {
        "module": dict(method.state_dict()),
        "buffers": dict(method.named_buffers()),  # with those that are kept out of the state dictionary
        "generators": {name: (str(value.device), value.get_state()) for name, value in generators.items()},
        "attributes": {name: value for name, value in own.items() if _is_plain(value)},
    }


@torch.no_grad()
def load_method_state(method: Method, state: Mapping[str, Any]) -> None:
    """Put back what `method_state` gave. Tensors that an optimiser may hold stay the same objects."""
    method.load_state_dict(state["module"])
    buffers = dict(method.named_buffers())
    for name, value in state["buffers"].items():
        buffers[name].copy_(value)
    for name, (device, value) in state["generators"].items():
        if not isinstance(getattr(method, name, None), torch.Generator):
            setattr(method, name, torch.Generator(device))
        getattr(method, name).set_state(value)
    for name, value in state["attributes"].items():
        present = getattr(method, name, None)
        if isinstance(present, Tensor) and isinstance(value, Tensor) and present.requires_grad and present.is_leaf:
            present.copy_(value)
        else:
            setattr(method, name, _to(value, method.network.device))


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str | Tensor)


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _to(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to(item, device) for item in value)
    return value
