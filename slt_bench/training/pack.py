"""Several searches of one architecture side by side: their steps are taken as one batched computation.

Small networks leave a GPU idle. Each search keeps its own weights, method, data order and normalisation statistics;
only the network is run for all of them together (torch.func.vmap), so that each ends as it would by itself, within
floating-point noise. Only the generators that are global to a process are shared: do not pack a plug-in that draws
from them.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.training.search import Search
from slt_bench.training.step import Taken, autocast


class PackedNetworks:
    """Frozen networks of one architecture, run together. Their normalisation statistics become parts of one tensor.

    Args:
        networks: At least one; on one device.
    """

    def __init__(self, networks: Sequence[FrozenNetwork]) -> None:
        self.members, self.network = list(networks), networks[0]
        masked = {layer.name for layer in self.network.layers}
        own = [dict(network.skeleton.named_parameters()) for network in networks]
        self.fixed = {
            name: torch.stack([parameters[name] for parameters in own]) for name in own[0] if name not in masked
        }
        self.fixed |= {name: _shared(networks, name) for name, _ in self.network.skeleton.named_buffers()}

    def __call__(self, images: Tensor, effective: Tensor) -> Tensor:
        """Logits (K, B, classes) of images (K, B, *shape) under effective weights (K, N)."""
        with _attention(images.device):
            logits: Tensor = vmap(self._one)(self.fixed, images, effective)
        return logits

    def _one(self, fixed: dict[str, Tensor], images: Tensor, effective: Tensor) -> Tensor:
        parts = zip(self.network.layers, effective.split(self.network.sizes), strict=True)
        values = fixed | {layer.name: part.view(layer.shape) for layer, part in parts}
        logits: Tensor = functional_call(self.network.skeleton, values, (images,))
        return logits


def _shared(networks: Sequence[FrozenNetwork], name: str) -> Tensor:
    """A buffer of all networks as one tensor, of which each network's own becomes a part."""
    path, _, leaf = name.rpartition(".")
    owners = [network.skeleton.get_submodule(path) for network in networks]
    together = torch.stack([getattr(owner, leaf) for owner in owners])
    for owner, part in zip(owners, together.unbind(), strict=True):
        setattr(owner, leaf, part)
    return together


def _attention(device: torch.device) -> AbstractContextManager[Any]:
    """On a CPU the fused attention cannot be batched, and would run network by network."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


class Pack:
    """Takes the steps of several searches as one computation; their networks stay together while they stay the same."""

    def __init__(self) -> None:
        self.networks: PackedNetworks | None = None

    def take_steps(self, searches: Sequence[Search]) -> None:
        """Take the step that each search is ready for; one whose method fails takes none.

        Args:
            searches: Of one architecture, with batches of one shape.
        """
        start = perf_counter()
        effective: dict[Search, Tensor] = {}

        def draw(one: Search) -> None:
            with autocast(one.step.precision, one.step.images.device):
                effective[one] = one.method.effective()

        for one in searches:
            one.turn(draw)
        if not effective:
            return
        try:
            self._take(effective, start)
        except Exception as error:  # noqa: BLE001 - nobody knows whose it is
            cause = error

            def fail(_: Search) -> None:
                raise cause

            for one in [one for one in effective if not one.over]:
                one.turn(fail)

    def _take(self, effective: dict[Search, Tensor], start: float) -> None:
        searches = list(effective)
        labels = torch.stack([one.step.labels for one in searches])
        with autocast(searches[0].step.precision, labels.device):
            images = torch.stack([one.step.images for one in searches])
            logits = self._networks_of(searches)(images, torch.stack(list(effective.values())))
            losses = _objectives(searches, logits.float(), labels)
        for one in losses:
            one.optimizer.zero_grad(set_to_none=True)
        if losses:
            penalised = (loss + one.method.penalty() for one, loss in losses.items())
            sum(penalised, torch.zeros((), device=labels.device)).backward()
        for one in losses:
            one.optimizer.step()
        seconds = (perf_counter() - start) / len(searches)
        for one, own in zip(searches, logits.detach(), strict=True):
            if one in losses:
                one.taken = Taken(losses[one].detach(), own, seconds)

    def _networks_of(self, searches: Sequence[Search]) -> PackedNetworks:
        networks = [one.network for one in searches]
        if self.networks is None or self.networks.members != networks:
            self.networks = PackedNetworks(networks)
        return self.networks


def _objectives(searches: Sequence[Search], logits: Tensor, labels: Tensor) -> dict[Search, Tensor]:
    """What each step minimises, a scalar, of methods that do not fail; all that are the cross-entropy at once."""
    together = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    common = dict(zip(searches, together.view(labels.shape).mean(1), strict=True))
    each = dict(zip(searches, logits, strict=True))
    losses: dict[Search, Tensor] = {}

    def objective(one: Search) -> None:
        plain = type(one.method).objective is Method.objective
        losses[one] = common[one] if plain else one.method.objective(one.step.images, each[one], one.step.labels)

    for one in searches:
        one.turn(objective)
    return losses
