"""The frozen network: an architecture whose random weights never change, as a function of one flat vector.

All maskable weights live in one vector of N numbers, so that a method is small whatever the architecture is:

    network = FrozenNetwork("resnet18", shape=(3, 32, 32), classes=10, init="signed_constant", seed=0)
    logits = network(images, network.effective(gates))      # gates: (N,) in [0, 1]

Maskable is the weight of every linear and convolutional layer, first and last included. Fixed is everything else:
biases are 0, scales are 1, position embeddings and class tokens keep random values.
Normalisation statistics are measured (`measure_statistics`), never learned.
"""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from slt_bench.network import streams
from slt_bench.network.architectures import Shape
from slt_bench.network.fixed import fix_everything_else
from slt_bench.network.inits import Init
from slt_bench.network.inspection import inspect, skeleton_of
from slt_bench.network.layers import layer_table
from slt_bench.network.ops.products import is_long, scaled_product
from slt_bench.network.rescaling import Rescale
from slt_bench.utils.errors import UserError

STREAM = "slt_bench weights 1"  # part of every stream's name; it rises if the weights ever have to change


class FrozenNetwork(nn.Module):
    """An architecture with fixed random weights; a function of the images and of the effective weights.

    Args:
        arch: Name of the architecture, as in `slt_bench.network.architectures`.
        shape: (channels, height, width) of the images.
        classes: Number of outputs.
        init: Distribution of the weights, as in `slt_bench.network.inits`.
        seed: Chooses the weights. They depend on (arch, shape, classes, init, seed) alone, bit for bit.
        rescale: "density" divides a layer's effective weights by the root of its own density; "authors:0.9" divides
            all by the root of 0.9, the asked sparsity, as the code of edge-popup's authors does; "none" does nothing.
        device: Where the network lives. It is built there and does not move.

    Attributes:
        weights: (N,) float32, frozen.
        layers: The layer table, in the order of the vector.
        inspection: What no mask decides, and more that does not depend on the seed.
        memory_format: Of the images in its layers. A convolutional network is faster if channels come last; where that
            meets a fault of oneDNN, they do not.

    Raises:
        UserError: A name is unknown, or the architecture cannot take images of that shape, or reads them in part only.
    """

    weights: Tensor
    lengths: Tensor

    def __init__(
        self,
        arch: str,
        *,
        shape: Shape,
        classes: int,
        init: str = "signed_constant",
        seed: int = 0,
        rescale: str = "density",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.arch, self.shape, self.classes, self.seed = arch, shape, classes, seed
        self.rescale, self._divisor = str(Rescale.parse(rescale)), Rescale.parse(rescale).divisor
        self.init = str(Init.parse(init))
        self.device = torch.device(device)
        self.inspection = inspect(arch, shape, classes)
        self.skeleton = skeleton_of(arch, shape, classes)
        self.layers = layer_table(self.skeleton)
        masked = {layer.name for layer in self.layers}
        fix_everything_else(self.skeleton, arch, shape, classes, masked, self._embedding)
        self.sizes = [layer.size for layer in self.layers]
        convolutional = sum(len(layer.shape) == 4 for layer in self.layers) > 1  # one alone cuts an image into patches
        last = convolutional and not self.inspection.breaks_channels_last
        self.memory_format = torch.channels_last if last else torch.contiguous_format
        self.register_buffer("lengths", torch.tensor(self.sizes, device=self.device), persistent=False)
        self._sizes = np.array(self.sizes, dtype=np.float32)
        self.register_buffer("weights", torch.from_numpy(self._draw()).to(self.device), persistent=False)
        self._move_to_device()

    def forward(self, x: Tensor, effective: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, *shape), with the vector `effective` (N,) in place of the weights."""
        return self._run(x, effective, {})

    def beside(self, x: Tensor, effective: Tensor) -> Tensor:
        """As `forward`, for another network within a training step: the normalisation statistics do not move."""
        return self._run(x, effective, {name: buffer.clone() for name, buffer in self.skeleton.named_buffers()})

    def _run(self, x: Tensor, effective: Tensor, buffers: dict[str, Tensor]) -> Tensor:
        parts = zip(self.layers, effective.split(self.sizes), strict=True)
        values = buffers | {layer.name: part.view(layer.shape) for layer, part in parts}
        logits = functional_call(self.skeleton, values, (x.contiguous(memory_format=self.memory_format),))
        assert isinstance(logits, Tensor)
        return logits

    @property
    def n(self) -> int:
        """N, the number of maskable weights."""
        return self.weights.numel()

    def effective(self, gates: Tensor, weights: Tensor | None = None) -> Tensor:
        """The weights as the gates leave them: weights * gates, rescaled as the network says.

        Args:
            gates: (N,) in [0, 1], or a mask.
            weights: (N,) in place of the frozen ones, for methods that change them.

        Returns:
            (N,), differentiable in `gates` and `weights`. Under `rescale="density"` a layer is divided by the root
            of the mean of its squared gates, which for a mask is its density; no gradient flows through that number.
            Under "authors" the divisor does not depend on the gates.
        """
        weights = self.weights if weights is None else weights
        frozen = not weights.requires_grad and gates.dtype == weights.dtype
        if self._divisor != 1 and frozen and is_long(gates):
            return scaled_product(weights, self._factors_on_cpu(gates), gates, self.sizes)
        return self.rescaled(weights, gates) * gates

    def rescaled(self, weights: Tensor, gates: Tensor) -> Tensor:
        """(N,) the weights, each layer divided as the network says: by the root of its density under the gates."""
        if self._divisor == 1:
            return weights
        if self._divisor:
            return weights * (1 / self._divisor)
        if weights.requires_grad:
            return weights * self.spread(self._factors(gates))
        if weights.is_cuda:
            scaled = weights.clone()
            torch._foreach_mul_(scaled.split(self.sizes), self._factors(gates).unbind())
            return scaled
        scaled, factors = torch.empty_like(weights), self._factors_on_cpu(gates)
        for out, part, factor in zip(*(vector.split(self.sizes) for vector in (scaled, weights)), factors, strict=True):
            torch.mul(part, factor, out=out)
        return scaled

    def divisors(self, gates: Tensor) -> Tensor:
        """(L,) what `effective` divides the weights of each layer by."""
        if self._divisor:
            return torch.full((len(self.sizes),), self._divisor, device=self.device)
        return self.densities(gates).sqrt()

    def _factors(self, gates: Tensor) -> Tensor:
        return self.densities(gates.detach()).rsqrt()

    def _factors_on_cpu(self, gates: Tensor) -> list[float]:
        """The same numbers by NumPy: for a few, torch's calls take longer than their work."""
        if self._divisor:
            return [1 / self._divisor] * len(self.sizes)
        gates = gates.detach().float()
        sums = np.array([torch.dot(part, part).item() for part in gates.split(self.sizes)], dtype=np.float32)
        factors: list[float] = (1 / np.sqrt(np.maximum(sums, 1) / self._sizes)).tolist()
        return factors

    def densities(self, gates: Tensor) -> Tensor:
        """(L,) the mean of the squared gates of each layer, at least 1 / its size; of a mask: its density."""
        sums = torch.stack([torch.dot(part, part) for part in gates.float().split(self.sizes)])
        return sums.clamp_(min=1) / self.lengths

    def spread(self, per_layer: Tensor) -> Tensor:
        """(N,) a number a layer, (L,), repeated for each of its weights."""
        return per_layer.repeat_interleave(self.lengths, output_size=self.n)

    def weight_hash(self) -> str:
        """SHA-256 of every number that is frozen: the weights, and the embeddings that are fixed."""
        digest = hashlib.sha256(self.weights.cpu().numpy().astype("<f4").tobytes())
        masked = {layer.name for layer in self.layers}
        for name, parameter in self.skeleton.named_parameters():
            if name not in masked:
                digest.update(parameter.detach().cpu().numpy().astype("<f4").tobytes())
        return digest.hexdigest()

    def statistics(self) -> dict[str, Tensor]:
        """The normalisation statistics, by name; empty where an architecture has none."""
        return {
            name: buffer.clone()
            for name, buffer in self.skeleton.named_buffers()
            if name.endswith(("running_mean", "running_var"))
        }

    def load_statistics(self, statistics: Mapping[str, Tensor]) -> None:
        """Put back what `statistics` gave.

        Raises:
            UserError: The names or shapes are not this network's.
        """
        names = self.statistics().keys()
        own = {name: buffer for name, buffer in self.skeleton.named_buffers() if name in names}
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in statistics.items()}:
            raise UserError(f"The normalisation statistics are not those of {self.arch}.")
        for name, buffer in own.items():
            buffer.copy_(statistics[name])

    @torch.no_grad()
    def measure_statistics(self, batches: Iterable[Tensor], effective: Tensor) -> None:
        """Set the normalisation statistics to their means over batches of images under the effective weights.

        Args:
            batches: Each (B, *shape), at least two images. A batch's statistics weigh as much as it has images.
            effective: (N,).
        """
        norms = _batch_norms(self.skeleton)
        momenta = [module.momentum for module in norms]
        self.eval()
        try:
            for module in norms:
                module.reset_running_stats()
                module.train()
            seen = 0
            for images in batches if norms else ():
                seen += len(images)
                for module in norms:
                    module.momentum = len(images) / seen  # a running mean over all images so far
                self(images, effective)
        finally:
            for module, momentum in zip(norms, momenta, strict=True):
                module.momentum = momentum
            self.eval()

    def _draw(self) -> np.ndarray:
        weights = np.empty(sum(self.sizes), dtype=np.float32)
        init = Init.parse(self.init)
        for layer in self.layers:
            weights[layer.slice] = init.draw(layer.size, layer.fan_in, STREAM, self.arch, layer.name, init, self.seed)
        return weights

    def _embedding(self, name: str, count: int) -> streams.Float64Array:
        return streams.normal(count, STREAM, self.arch, name, "embedding", self.seed)

    def _move_to_device(self) -> None:
        views = {layer.name: self.weights[layer.slice].view(layer.shape) for layer in self.layers}
        for name, parameter in self.skeleton.named_parameters():
            parameter.data = views[name] if name in views else parameter.data.to(self.device)
        for module in self.skeleton.modules():
            for key, buffer in module.named_buffers(recurse=False):
                setattr(module, key, buffer.to(self.device))


def check_shape(arch: str, shape: Shape, classes: int) -> int:
    """N of the architecture for images of that shape, found without computing anything.

    Raises:
        UserError: The architecture cannot take such images, or does not read all of their pixels, with its reason.
    """
    return inspect(arch, shape, classes).n


def check_batch_size(arch: str, shape: Shape, classes: int, batch_size: int) -> None:
    """Refuse to train batch normalisation on single images, which have no batch statistics.

    Raises:
        UserError: `batch_size` is 1, and the architecture has batch normalisation.
    """
    if batch_size > 1:
        return
    with torch.device("meta"):
        skeleton = skeleton_of(arch, shape, classes)
    if _batch_norms(skeleton):
        raise UserError(
            f"The architecture '{arch}' has batch normalisation, which needs batches of at least 2 images, "
            f"not of {batch_size}; give --batch-size 2 or more."
        )


def _batch_norms(skeleton: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in skeleton.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001


def footprint(arch: str, shape: Shape, classes: int) -> tuple[int, int]:
    """N, and the numbers that all layers put out for one image, found without computing anything.

    Raises:
        UserError: As `check_shape`.
    """
    found = inspect(arch, shape, classes)
    return found.n, found.outputs
