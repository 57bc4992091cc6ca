"""What a network's numbers do in a forward pass, found on the meta device, where nothing is computed.

Every operation of the pass is seen, functional ones included, so that it does not matter in what modules a network's
numbers live, or how they are named.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from slt_bench.network.coverage import Coverage

# Where the factors of a product of matrices, a convolution or an attention stand among the operation's arguments.
PRODUCTS = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "convolution", "linear", "matmul"), (0, 1)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "addbmm"), (1, 2)),
    **dict.fromkeys(
        ("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_fused_attention_overrideable"), (0, 1, 2)
    ),
}
ADDED = {"add": (0, 1), "sub": (0, 1), "addcmul": (0,), "addmm": (0,), "baddbmm": (0,), "addmv": (0,)}
MULTIPLIED = {"mul": (0, 1), "div": (1,), "addcmul": (1, 2)}
MOVES = frozenset(
    (
        *("clone", "_to_copy", "copy", "cat", "stack", "repeat", "index", "index_select", "gather", "flip", "roll"),
        *("constant_pad_nd", "neg", "abs", "im2col", "view_copy", "expand_copy", "_reshape_copy", "contiguous"),
    )
)
JOINS = frozenset(("cat", "clone", "_to_copy", "stack", "repeat"))
Acts = dict[str, bool]  # by the name of what it comes from: whether it is 0 wherever that is masked
ONE_BY_ONE_LIMIT = 16  # input channels below which oneDNN may fail (see `Trace.breaks_channels_last`)


class Trace(TorchDispatchMode):
    """Follows a network's numbers through a forward pass; to be entered around it.

    Args:
        skeleton: The network, on the meta device.
        masked: Names of the parameters that are masked.
        images: (B, channels, height, width), on the meta device: what the network is called with.

    Attributes:
        acts: Of the numbers that multiply anything that depends on the image, in a matrix product, a convolution or an
            attention: by name, whether they are 0 there wherever a mask removes them. Numbers that are added, or that
            scale number by number, are not among them: shifts, scales, position embeddings, class tokens.
        scales: Names of fixed parameters that multiply number by number what depends on the image, and of vectors that
            multiply a masked weight so.
        shifts: Names of fixed parameters that are added to it, one number a channel, as biases.
        breaks_channels_last: Whether there is a 1x1 convolution with a stride and 2 to 15 input channels. Its gradient
            is wrong, aborts or hangs on CPUs where channels come last (oneDNN, issue 6035).
        coverage: Of the images' pixels.
    """

    def __init__(self, skeleton: nn.Module, masked: Iterable[str], images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.acts: Acts = {}
        self.scales: set[str] = set()
        self.shifts: set[str] = set()
        self.breaks_channels_last = False
        self.coverage = Coverage(images)
        self._masked = set(masked)
        self._fixed = {name: parameter for name, parameter in skeleton.named_parameters() if name not in self._masked}
        self._same = {_key(parameter): [name] for name, parameter in self._fixed.items()}
        buffers = ((name, buffer) for name, buffer in skeleton.named_buffers() if buffer.is_floating_point())
        numbers = [*skeleton.named_parameters(), *buffers]
        self._from: dict[int, Acts] = {_key(tensor): {name: name in self._masked} for name, tensor in numbers}
        self._active = {_key(images)}  # what depends on the image
        self._alive: list[Tensor] = []  # so that no two tensors of the pass have the same key

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operation, and note what it does."""
        del types
        result = func(*args, **(kwargs or {}))
        name: str = func._schema.name.removeprefix("aten::")  # noqa: SLF001 - has no public name
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        self._alive += outputs
        base = name.removesuffix("_") if func._schema.is_mutable else name  # noqa: SLF001
        self.coverage.follow(base, args, tensors, outputs)
        active = any(_key(tensor) in self._active for tensor in tensors)
        if outputs and (active or any(self._masked & self._from.get(_key(one), {}).keys() for one in tensors)):
            self._note_roles(func, base, args, tensors, outputs[0], active=active)
        else:
            self._follow_fixed(base, tensors, outputs)
        others = None if active else self._combine(base, tensors)
        after = self._multiply(base, args) if base in PRODUCTS else others
        known = {_key(tensor) for tensor in tensors} if not func._schema.is_mutable else set()  # noqa: SLF001
        for output in outputs:
            if _key(output) in known:  # a view
                continue
            if after is None:
                self._active.add(_key(output))
            elif after:
                self._from[_key(output)] = after
            else:
                self._from.pop(_key(output), None)
        return result

    def _multiply(self, name: str, args: Sequence[Any]) -> Acts | None:
        """Note which numbers act as a matrix; where the product comes from, None if it acts on an image or as if."""
        factors = [args[place] for place in PRODUCTS[name]]
        if name == "convolution":
            self._note_convolution(args)
        active = any(_key(factor) in self._active for factor in factors)
        origins = [self._from.get(_key(factor), {}) for factor in factors if _key(factor) not in self._active]
        layers = [origin for origin in origins if origin and all(origin.values())]
        for origin in origins if active else layers:
            for source, reached in origin.items():
                self.acts[source] = self.acts.get(source, True) and reached
        if active or layers:  # a layer whose input is a fixed number: as good as an image
            return None
        return {source: False for origin in origins for source in origin}

    def _note_convolution(self, args: Sequence[Any]) -> None:
        weight, stride, groups = args[1], args[3], args[8]
        small = 1 < weight.shape[1] < ONE_BY_ONE_LIMIT and groups == 1
        if weight.ndim == 4 and small and set(weight.shape[2:]) == {1} and max(stride) > 1:
            self.breaks_channels_last = True

    def _combine(self, name: str, tensors: Sequence[Tensor]) -> Acts:
        """Where the result of an operation on the network's own numbers comes from, and where that is 0."""
        origins = [self._from.get(_key(tensor), {}) for tensor in tensors]
        if name in ("mul", "div"):
            factors = origins if name == "mul" else origins[:1]
            if layers := [origin for origin in factors if origin and all(origin.values())]:
                return _joined(layers)  # what scales a weight leaves its zeros alone
        if name in MOVES or (name in ("add", "sub") and len(origins) > 1 and all(origins)):
            return _joined(origins)
        return {source: False for origin in origins for source in origin}

    def _note_roles(
        self, func: Any, name: str, args: Sequence[Any], tensors: Sequence[Tensor], output: Tensor, *, active: bool
    ) -> None:
        """Note which fixed parameters scale, and which shift an image's numbers or those of a layer."""
        for tensor in tensors:
            place = next((place for place, one in enumerate(args) if one is tensor), -1)
            role = func._schema.arguments[place].name if place >= 0 else ""  # noqa: SLF001
            scales = place in MULTIPLIED.get(name, ()) or ("norm" in name and role == "weight")
            shifts = (active or name in PRODUCTS) and (place in ADDED.get(name, ()) or role == "bias")
            for parameter in self._same.get(_key(tensor), ()):
                if scales and (active or is_vector(self._fixed[parameter])):
                    self.scales.add(parameter)
                elif shifts and _is_shift(self._fixed[parameter], output):
                    self.shifts.add(parameter)

    def _follow_fixed(self, name: str, tensors: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Note where the result is still one fixed vector, times a number, or several of them in a row."""
        if name in JOINS or (name in MULTIPLIED and len(tensors) == 1):
            same = [
                one for tensor in tensors for one in self._same.get(_key(tensor), ()) if is_vector(self._fixed[one])
            ]
            if same:
                self._same |= {_key(output): same for output in outputs}


def _is_shift(parameter: Tensor, output: Tensor) -> bool:
    """Whether a fixed parameter that is added to an image's numbers is a bias.

    It is one number a channel, the same at all places, where an embedding has one for each place: a class token or the
    position embedding of an only patch is as long as what it is added to.
    """
    token = parameter.ndim > 1 and parameter.shape[-1] > 1 and output.numel() <= output.shape[0] * parameter.numel()
    return is_vector(parameter) and not token


def _joined(origins: Iterable[Acts]) -> Acts:
    joined: Acts = {}
    for source, reached in _items(origins):
        joined[source] = joined.get(source, True) and reached
    return joined


def _items(origins: Iterable[Acts]) -> Iterator[tuple[str, bool]]:
    for origin in origins:
        yield from origin.items()


def is_vector(tensor: Tensor) -> bool:
    """Whether a tensor varies along one dimension at most."""
    return sum(side > 1 for side in tensor.shape) <= 1


def _key(tensor: Tensor) -> int:
    """The same for a tensor and all its views."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - the storage's identity
