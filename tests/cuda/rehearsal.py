"""A CUDA device for machines without one: the processor does its arithmetic, and CUDA's rules hold.

Within `rehearsal()` the name "cuda" stands for a device that the machine does not have. Its tensors lie in the
processor's memory, and a mark on their storage says that they are on the device. `device` and `is_cuda` report the
mark, so that the code takes its CUDA branches. Two things fail:

- an operation whose tensors lie on both devices (`DeviceMixError`), which a GPU refuses;
- between `strict = True` and `strict = False`, whatever makes the host wait for the device (`HostWaitError`): reading a
  number, an output whose size depends on numbers, a copy from or to the host. `torch.cuda.set_sync_debug_mode` reports
  the same on a GPU.

PyTorch's `FakeTensorMode` has the first rule, too, but no numbers: it cannot read a loss, write a checkpoint, or run a
backward pass. Here whole jobs run, and their results can be compared with those of the processor. Not rehearsed is what
PyTorch does inside its own functions, and autocast is that of the processor; `test_fake_tensors.py` covers both.
"""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import torch
from torch._C import _functorch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from slt_bench.data import dataset, pipeline
from slt_bench.utils import machine

CUDA = torch.device("cuda", 0)
READS = {"item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__contains__", "is_nonzero"}
SENT = {"tensor", "as_tensor", "new_tensor"}  # numbers of Python that a factory has to send to the device
MOVES = {"to", "cpu", "cuda", "copy_", "__set__", "__getitem__", "__setitem__", "index_put_"}  # between devices, too
WAITING = {  # operators that read numbers, or whose output's size depends on them
    "_local_scalar_dense", "nonzero", "masked_select", "_unique", "_unique2", "unique_dim", "unique_consecutive",
    "bincount", "equal",
}  # fmt: skip
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}


class DeviceMixError(RuntimeError):
    """An operation has tensors of two devices."""


class HostWaitError(RuntimeError):
    """The host waits for the device where it must not."""


class Marks:
    """Which storages are on the device, and which are known to be on the host; for the whole process."""

    def __init__(self) -> None:
        self._marks: dict[int, tuple[StorageWeakRef, bool]] = {}
        self._sweep = 10_000

    def set(self, tensor: torch.Tensor, *, cuda: bool) -> None:
        """Mark a tensor's storage."""
        if (storage := _storage(tensor)) is not None:
            # The weak reference keeps the address from being given to another storage.
            self._marks[storage._cdata] = (StorageWeakRef(storage), cuda)
        if len(self._marks) > self._sweep:
            self._marks = {key: mark for key, mark in self._marks.items() if not mark[0].expired()}
            self._sweep = 2 * len(self._marks) + 10_000

    def get(self, tensor: torch.Tensor) -> bool | None:
        """Whether it is on the device; None where nobody knows."""
        storage = _storage(tensor)
        mark = None if storage is None else self._marks.get(storage._cdata)
        return None if mark is None else mark[1]


MARKS = Marks()


def _storage(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    while _functorch.is_functorch_wrapped_tensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor.untyped_storage() if tensor.device.type == "cpu" and tensor.layout == torch.strided else None


class Rehearsal(TorchFunctionMode):
    """The rules of the device, for every call of PyTorch from Python."""

    def __init__(self) -> None:
        super().__init__()
        self.local = threading.local()
        self.watch: Watch | None = None

    @property
    def strict(self) -> bool:
        """Whether the host must not wait for the device."""
        return self.watch is not None

    @strict.setter
    def strict(self, wanted: bool) -> None:
        if wanted and self.watch is None:
            self.watch = Watch(self)
            self.watch.__enter__()
        elif not wanted and self.watch is not None:
            self.watch.__exit__(None, None, None)
            self.watch = None

    @contextlib.contextmanager
    def no_waiting(self) -> Iterator[None]:
        """Within, the host must not wait for the device."""
        before, self.strict = self.strict, True
        try:
            yield
        finally:
            self.strict = before

    @contextlib.contextmanager
    def backward(self) -> Iterator[None]:
        """Within, what the autograd engine made by itself is on the device."""
        before = getattr(self.local, "backward", False)
        self.local.backward = True
        try:
            yield
        finally:
            self.local.backward = before

    def on_device(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is on the device."""
        mark = MARKS.get(tensor)
        return getattr(self.local, "backward", False) if mark is None else mark

    def wait(self, why: str) -> None:
        """The host waits here."""
        if self.strict:
            raise HostWaitError(f"the host waits for the device: {why}")

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.__name__
        if name == "pin_memory":
            if self.on_device(args[0]):
                raise DeviceMixError("pin_memory: only tensors on the host can be pinned")
            return args[0]
        if name == "__get__":
            name = func.__self__.__name__
            found = func(*args)
            if name in {"device", "is_cuda", "is_cpu"}:
                return self._place(args[0], name, found)
            if not isinstance(found, torch.Tensor):
                return found
        given = list(tensors_in((args, kwargs)))
        cuda, host = [], []
        for tensor in given:
            (cuda if self.on_device(tensor) else host).append(tensor)
        args, kwargs, asked = _translated(name, args, kwargs)
        self._check(name, args, kwargs, cuda, host, asked)
        before = getattr(self.local, "on_device", False)
        self.local.on_device = bool(cuda)
        try:
            result = func(*args, **kwargs)
        finally:
            self.local.on_device = before
        on_device = asked == "cuda" if asked else bool(cuda)
        if name in {"to", "cpu", "cuda"} and on_device != bool(cuda):
            result = _with_memory_of_its_own(result, args[0])
        if name not in {"copy_", "__set__"}:
            for tensor in tensors_in(result):
                MARKS.set(tensor, cuda=on_device)
        return result

    def _place(self, tensor, name, real):
        if real is not False and real is not True and real.type != "cpu":
            return real
        on_device = self.on_device(tensor)
        return {"device": CUDA if on_device else real, "is_cuda": on_device, "is_cpu": not on_device}[name]

    def _check(self, name, args, kwargs, cuda, host, asked) -> None:
        """Fail where a GPU would, or would make the host wait where it must not."""
        if cuda and name in {"numpy", "__array__"}:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        generator = kwargs.get("generator")
        if generator is not None and (generator.device.type == "cuda") != (asked == "cuda" if asked else bool(cuda)):
            raise DeviceMixError(f"{name}: a generator of another device than the numbers that it draws")
        sides = [tensor for tensor in host if tensor.dim() or name in {"cat", "stack"} or name.startswith("_foreach")]
        if cuda and sides and name not in MOVES:
            shapes = [[tuple(tensor.shape) for tensor in side] for side in (cuda, sides)]
            raise DeviceMixError(f"{name}: tensors {shapes[0]} on cuda and {shapes[1]} on the host")
        if cuda and host and args and args[0] is host[0] and _writes(name):
            raise DeviceMixError(f"{name}: a tensor on the host is to hold what one on cuda gives")
        if cuda and name in READS:
            self.wait(f"{name} reads a number")
        sent = (asked == "cuda" and (bool(host) or name in SENT)) or (name in MOVES and cuda and host)
        fetched = asked == "cpu" and cuda
        if fetched or (sent and not kwargs.get("non_blocking")):
            self.wait(f"{name} copies from or to the host")
        if name == "repeat_interleave" and cuda and kwargs.get("output_size") is None and len(cuda) > 1:
            self.wait("repeat_interleave without an output_size counts first")


class Watch(TorchDispatchMode):
    """Sees the operators that make the host wait, also where a function of PyTorch calls them."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        super().__init__()
        self.rehearsal = rehearsal

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING or name in INDEXING:
            inside = getattr(self.rehearsal.local, "on_device", False)
            marks = [MARKS.get(tensor) for tensor in tensors_in(args)]
            ours = any(mark or (mark is None and inside) for mark in marks)
            if ours and (name in WAITING or _by_truth(args[1])):
                self.rehearsal.wait(f"{name} needs numbers of the device")
        with torch._C.DisableTorchFunction():  # the engine's calls are nobody's of Python
            return func(*args, **(kwargs or {}))


def _with_memory_of_its_own(moved: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    one, other = _storage(moved), _storage(source)
    return moved.clone() if one is not None and other is not None and one._cdata == other._cdata else moved


def _by_truth(indices) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _writes(name: str) -> bool:
    return (name.endswith("_") and not name.endswith("__") and name not in MOVES) or (
        name.startswith("__i") and name not in {"__int__", "__index__", "__iter__", "__invert__"}
    )


def tensors_in(tree) -> Iterator[torch.Tensor]:
    """The tensors of nested lists, tuples and dictionaries."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from tensors_in(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from tensors_in(item)


def _translated(name, args, kwargs):
    """The call with the processor in place of the device, and which of both it asks for: "cuda", "cpu", or ""."""
    asked = {"cpu": "cpu", "cuda": "cuda"}.get(name, "")
    if name == "cuda":
        kwargs = {key: value for key, value in kwargs.items() if key != "device"}
        return (args[0], "cpu"), kwargs, asked

    def translate(value):
        nonlocal asked
        device = torch.device(value)
        asked = device.type if device.type in {"cpu", "cuda"} else ""
        return torch.device("cpu") if device.type == "cuda" else value

    if kwargs.get("device") is not None:
        kwargs = kwargs | {"device": translate(kwargs["device"])}
    elif name == "to" and len(args) > 1:
        if isinstance(args[1], torch.Tensor):
            asked = "cuda" if MARKS.get(args[1]) else "cpu"
        elif isinstance(args[1], str | torch.device):
            args = (args[0], translate(args[1]), *args[2:])
    return args, kwargs, asked


class Generator(torch.Generator):
    """A generator of the device, whose numbers are the processor's."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls)
        made.place = CUDA if torch.device(device).type == "cuda" else torch.device("cpu")
        return made

    @property
    def device(self):
        """Where its numbers are drawn."""
        return self.place

    def set_state(self, state):
        """Take a state, which a GPU's generator has on the host, too."""
        _host_only(state)
        return super().set_state(state)


@contextlib.contextmanager
def rehearsal() -> Iterator[Rehearsal]:
    """Within, PyTorch has a device "cuda"."""
    mode = Rehearsal()
    run_backward = torch.autograd.graph._engine_run_backward
    submit = ThreadPoolExecutor.submit
    autocast = torch.autocast

    def backward(*args, **kwargs):
        with mode.backward(), mode:  # hooks and formulas in Python are under the rules, too
            return run_backward(*args, **kwargs)

    def submit_there(self, function, *args, **kwargs):
        def run():
            with mode:
                return function(*args, **kwargs)

        return submit(self, run)

    caches = (pipeline._of_pixels, dataset.load_known, machine._fixed)  # nothing of this device may outlive it
    patches = (
        patch.object(torch, "Generator", Generator),
        patch.object(torch, "autocast", lambda _, *args, **kwargs: autocast("cpu", *args, **kwargs)),
        patch.object(torch.autograd, "_engine_run_backward", backward),
        patch.object(ThreadPoolExecutor, "submit", submit_there),
        patch.object(torch.cuda, "get_rng_state", lambda _: torch.zeros(16, dtype=torch.uint8)),
        patch.object(torch.cuda, "set_rng_state", lambda state, _: _host_only(state)),
        patch.object(torch.cuda, "get_device_name", lambda _: "rehearsal"),
        patch.object(torch.cuda, "reset_peak_memory_stats", lambda _: None),
        patch.object(torch.cuda, "max_memory_allocated", lambda _: 2**20),
    )
    with contextlib.ExitStack() as stack:
        for one in patches:
            stack.enter_context(one)
        for cache in caches:
            cache.cache_clear()
            stack.callback(cache.cache_clear)
        stack.callback(setattr, mode, "strict", False)
        stack.enter_context(mode)
        yield mode


def _host_only(state: torch.Tensor) -> None:
    if MARKS.get(state):
        raise DeviceMixError("the state of a generator is to be on the host")
