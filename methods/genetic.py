"""A genetic algorithm over masks (Altmann et al., arXiv 2411.04658): no gradient, for small networks.

An individual is a mask. In each generation

    recombine   every individual with chance `mating` has a child with one of the best `parents` of the population, each
                bit from either with chance 1/2
    mutate      every individual, children included, with chance `mutation` has a copy with one bit flipped
    migrate     fresh random individuals, `migration` of the population, come in
    select      the fittest `population` stay, parents among them; of equal fitness the sparser ones

Fitness is the loss on training batches: the authors use the whole training set, a few thousand points; here each
generation is judged on one batch, parents anew, so that the budget is that of the other methods: three forward passes
for each of their gradient steps. The best of the last generation is the answer; its sparsity is what it is.

Population 100 and chances 0.3, 0.1, parents 0.3, migration 0.1 are the authors' (julianscher/SLTN-GA, configs).
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, Loss, Method, MethodSettings, Range

FORWARD_PASSES = 3  # that a gradient step costs


class Genetic(Method):
    """Masks bred by recombination, mutation and selection."""

    name = "genetic"
    version = 1
    paper = "arXiv 2411.04658"
    sparsity_control = "none"
    purity = "frozen"

    class Settings(MethodSettings):
        """Settings of `genetic`."""

        population: int = Field(100, ge=2)
        mating: float = Field(0.3, ge=0, le=1, description="chance to have a child")
        parents: Annotated[float, Range(0.05, 0.9)] = Field(
            0.3, gt=0, le=1, description="best part of the population that children have a parent from"
        )
        mutation: Annotated[float, Range(0.0, 1.0)] = Field(
            0.1, ge=0, le=1, description="chance of a copy with a flipped bit"
        )
        migration: float = Field(0.1, ge=0, le=1, description="fresh individuals, as part of the population")

    settings: Settings
    best: Tensor

    def __init__(self, network: FrozenNetwork, settings: Settings, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.register_buffer("best", self._random(1)[0])

    def gates(self) -> Tensor:
        """The best mask so far."""
        return self.best.to(self.network.weights.dtype)

    def mask(self) -> Tensor:
        """The best mask so far."""
        return self.best

    @torch.no_grad()
    def prepare(self, loss: Loss, steps: int) -> None:
        """Breeds generations until the budget's forward passes are spent."""
        left = FORWARD_PASSES * steps
        people = self._random(min(self.settings.population, max(1, left // 2)))
        while left > 0:
            crowd = self.next_crowd(people)[:left]
            left -= len(crowd)
            people = self.select(crowd, self._losses(crowd, loss), len(people))
            self.best.copy_(people[0])

    def next_crowd(self, people: Tensor) -> Tensor:
        """(P, N) masks, the fittest first, with their children, mutants and migrants: (P', N)."""
        children = self._children(people)
        everyone = torch.cat([people, children])
        mutants = self._mutants(everyone)
        return torch.cat([everyone, mutants, self._random(int(self.settings.migration * len(people)))])

    @staticmethod
    def select(crowd: Tensor, losses: Tensor, count: int) -> Tensor:
        """The fittest, and of equal ones the sparser, first."""
        sparser_first = crowd.sum(1).argsort(stable=True)
        order = sparser_first[losses[sparser_first].argsort(stable=True)]
        return crowd[order[:count]]

    def _children(self, people: Tensor) -> Tensor:
        mating = (self._chance(len(people)) < self.settings.mating).nonzero().flatten()
        best = max(1, int(self.settings.parents * len(people)))
        partners = (self._chance(len(mating)) * best).long()
        first = self._chance(len(mating), self.network.n) < 0.5
        return torch.where(first, people[mating], people[partners])

    def _mutants(self, people: Tensor) -> Tensor:
        mutants = people[self._chance(len(people)) < self.settings.mutation].clone()
        places = (self._chance(len(mutants)) * self.network.n).long()
        rows = torch.arange(len(mutants), device=places.device)
        mutants[rows, places] ^= True
        return mutants

    def _losses(self, crowd: Tensor, loss: Loss) -> Tensor:
        """(P',) on one batch for all of them."""
        gates = (mask.to(self.network.weights.dtype) for mask in crowd)
        return torch.stack([loss(self.network.effective(one), again=place > 0) for place, one in enumerate(gates)])

    def _random(self, count: int) -> Tensor:
        return self._chance(count, self.network.n) < 0.5

    def _chance(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.network.device)
