"""Several searches of one architecture side by side: their steps are taken as one batched computation.

Small networks leave a GPU idle, and on a CPU spend much of a step on the way from one operation to the next. Each
search keeps its own weights, method, data order and normalisation statistics; only the network is run for all of them
together (torch.func.vmap), so that each ends as it would alone, within floating-point noise. Only the generators that
are global to a process are shared: a plug-in that draws from them, not from its own, is better left alone.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Generic

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from slt_bench.method import Method
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.training.step import Driven, Rest, Result, Step, Taken, autocast


class PackedNetworks:
    """Frozen networks of one architecture, run together. Their normalisation statistics become parts of one tensor.

    Args:
        networks: At least one; on one device.
    """

    def __init__(self, networks: Sequence[FrozenNetwork]) -> None:
        self.network = networks[0]
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


def take_together(
    steps: Sequence[Step], effective: Sequence[Tensor], networks: PackedNetworks, contexts: Sequence[Context]
) -> list[Taken | Exception]:
    """Take a step of each search at once.

    Args:
        steps: With batches of one size.
        effective: Of each, (N,), the weights of its step.
        networks: Theirs.
        contexts: In which what is a method's own runs.

    Returns:
        What came of each; the error of a method whose objective failed, which takes no step.
    """
    start = perf_counter()
    labels = torch.stack([step.labels for step in steps])
    with autocast(steps[0].precision, labels.device):
        logits = networks(torch.stack([step.images for step in steps]), torch.stack(list(effective)))
        losses = _objectives(steps, logits.float(), labels, contexts)
    sound = [(step, loss) for step, loss in zip(steps, losses, strict=True) if isinstance(loss, Tensor)]
    for step, _ in sound:
        step.optimizer.zero_grad(set_to_none=True)
    if sound:
        sum((loss + step.method.penalty() for step, loss in sound), torch.zeros((), device=labels.device)).backward()
    for step, _ in sound:
        step.optimizer.step()
    share = (perf_counter() - start) / len(steps)
    ends = zip(losses, logits.detach(), strict=True)
    return [Taken(loss.detach(), own, share) if isinstance(loss, Tensor) else loss for loss, own in ends]


def _objectives(
    steps: Sequence[Step], logits: Tensor, labels: Tensor, contexts: Sequence[Context]
) -> list[Tensor | Exception]:
    """What each step minimises, a scalar, or why that is not known; all that are the cross-entropy at once."""
    together = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    losses: list[Tensor | Exception] = list(together.view(labels.shape).mean(1))
    for place, (step, context) in enumerate(zip(steps, contexts, strict=True)):
        if type(step.method).objective is not Method.objective:
            try:
                losses[place] = context.run(step.method.objective, step.images, logits[place], step.labels)
            except Exception as error:  # noqa: BLE001 - a method may raise anything; it is the search's to tell
                losses[place] = error
    return losses


@dataclass
class _Member(Generic[Result]):
    """A search among others.

    Attributes:
        search: It itself.
        context: In which it runs, so that its log is its own.
        advance: How it goes on; None while it waits for the others, and when it has ended.
        asked: What it waits for.
        result, error: What came of it.
    """

    search: Driven[Result]
    context: Context
    advance: Callable[[], Step | Rest] | None
    asked: Step | Rest | None = None
    result: Result | None = None
    error: BaseException | None = None

    def go_on(self) -> None:
        """Until it asks again, or ends; what ends it is kept."""
        advance, self.advance, self.asked = self.advance, None, None
        if advance is None:
            return
        try:
            self.asked = self.context.run(advance)
        except StopIteration as end:
            self.result = end.value
        except BaseException as error:  # noqa: BLE001 - also a signal: the others come to their next step first
            self.error = error

    def send(self, answer: Taken | None) -> None:
        """Have it go on with an answer."""
        self.advance = partial(self.search.send, answer)

    def throw(self, error: BaseException) -> None:
        """Have it go on with an error."""
        self.advance = partial(self.search.throw, error)


class Pack(Generic[Result]):
    """Searches that are driven side by side.

    Args:
        searches: Those of one architecture and batch size have their steps taken together.
    """

    def __init__(self, searches: Sequence[Driven[Result]]) -> None:
        self.members = [_Member(search, copy_context(), partial(search.send, None)) for search in searches]
        self.networks: dict[tuple[int, ...], PackedNetworks] = {}

    def drive(self) -> list[Result]:
        """What each search returns. What a step raises is raised in its search; what a search raises ends all.

        Raises:
            BaseException: What a search raised, after all others had come to their next step.
        """
        while any(one.advance for one in self.members):
            self._go_on()
            if error := next((one.error for one in self.members if one.error), None):
                self._end(error)
            if not self._take_steps():  # all that go on have ended their searches
                for one in self.members:
                    if one.asked is not None:
                        one.send(None)
        return [one.result for one in self.members]  # type: ignore[misc]

    def _go_on(self) -> None:
        for one in self.members:
            one.go_on()

    def _take_steps(self) -> bool:
        """Take what steps are waited for; whether there were any."""
        waiting = [one for one in self.members if isinstance(one.asked, Step)]
        for group in _alike(waiting):
            self._take(group)
        return bool(waiting)

    def _end(self, error: BaseException) -> None:
        """End all searches: between two steps, where each may keep its state, or with the error."""
        self._take_steps()
        self._go_on()
        for one in self.members:
            if one.asked is not None:
                one.throw(error)
        self._go_on()
        raise error

    def _take(self, group: Sequence[_Member[Result]]) -> None:
        """Take the steps that a group waits for."""
        ready: list[tuple[_Member[Result], Step, Tensor]] = []
        for one in group:
            assert isinstance(one.asked, Step)
            try:
                with autocast(one.asked.precision, one.asked.images.device):
                    ready.append((one, one.asked, one.context.run(one.asked.method.effective)))
            except Exception as error:  # noqa: BLE001 - a method may raise anything; it is the search's to tell
                one.throw(error)
        if not ready:
            return
        members, steps, effective = zip(*ready, strict=True)
        try:
            networks = self._networks([step.network for step in steps])
            taken = take_together(steps, effective, networks, [one.context for one in members])
        except Exception as error:  # noqa: BLE001 - nobody knows whose it is
            for one in members:
                one.throw(error)
        else:
            for one, answer in zip(members, taken, strict=True):
                if isinstance(answer, Exception):
                    one.throw(answer)
                else:
                    one.send(answer)

    def _networks(self, networks: Sequence[FrozenNetwork]) -> PackedNetworks:
        key = tuple(map(id, networks))
        if key not in self.networks:
            self.networks = {key: PackedNetworks(networks)}
        return self.networks[key]


def _alike(members: Sequence[_Member[Result]]) -> list[list[_Member[Result]]]:
    """Groups of searches whose steps can be taken together."""
    groups: dict[tuple[Any, ...], list[_Member[Result]]] = {}
    for one in members:
        assert isinstance(one.asked, Step)
        step = one.asked
        key = (step.network.arch, step.network.classes, step.images.shape, step.precision, step.images.device)
        groups.setdefault(key, []).append(one)
    return list(groups.values())
