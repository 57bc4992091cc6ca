"""Tickets that tests share: of a real network, under a random mask."""

import torch

from slt_bench.network.frozen import FrozenNetwork
from slt_bench.tickets.ticket import Ticket


def random_mask(n, density=0.5, seed=0):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) < density


def ticket_of(network, mask, **changes):
    """A ticket of a network, with its statistics as they are."""
    own = {name: getattr(network, name) for name in ("arch", "shape", "classes", "init", "rescale", "seed")}
    own |= {"weight_hash": network.weight_hash(), "sizes": tuple(network.sizes), "statistics": network.statistics()}
    return Ticket(**(own | {"purity": "frozen", "mask": mask} | changes))


def make_ticket(arch, shape, density=0.5, **changes):
    """A ticket whose statistics were measured on noise."""
    network = FrozenNetwork(arch, shape=shape, classes=10, init="kaiming_normal", seed=2)
    mask = random_mask(network.n, density)
    network.measure_statistics([torch.randn(16, *shape) for _ in range(2)], network.effective(mask.float()))
    return ticket_of(network, mask, **changes)
