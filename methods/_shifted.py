"""What methods share whose gates open above a threshold: the threshold moves, so that the asked sparsity is reached.

Every gate hangs on a number; it is as much open as closed at `neutral`. All numbers are shifted alike by

    q - neutral,   q = the quantile of the numbers at the present sparsity,

which rises to the asked one over the first `ramp_until` of the budget and is found anew at least every fourth step, so
that "shifted number > neutral" has nearly that sparsity all the time, and the method learns under it. The mask has it
exactly. Without a sparsity nothing is shifted: the method decides.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, SparsityControl, keep_top, kth_smallest, ramp

EVERY, STEP = 4, 0.002  # the threshold is found anew after so many steps, or so much of the sparsity


class ShiftedSettings(OptimizerSettings):
    """Settings of gates with a moving threshold."""

    penalty: float | None = Field(None, ge=0, description="as published, of open gates; None: reach the asked sparsity")
    ramp_until: float = Field(0.5, gt=0, le=1, description="part of the budget after which the sparsity is reached")


class Shifted(Method):
    """Gates that hang on numbers; a subclass says which, and how gates come of them."""

    neutral: ClassVar[float] = 0.0
    settings: Any
    shift: Tensor

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.wait, self.reached = 0, -1.0
        self.register_buffer("shift", torch.zeros((), device=network.device))

    @classmethod
    def control(cls, settings: Any) -> SparsityControl:
        """A penalty leaves the sparsity to the method."""
        return cls.sparsity_control if settings.penalty is None else "none"

    @property
    @abstractmethod
    def numbers(self) -> Tensor:
        """What gates hang on: more is more open."""

    def mask(self) -> Tensor:
        """The numbers above `neutral`; or the largest, as many as the asked sparsity leaves."""
        if self.sparsity is None:
            return self.above()
        return keep_top(self.numbers, self.numbers.numel() - round(self.sparsity * self.numbers.numel()))

    def above(self) -> Tensor:
        """Where the numbers are above `neutral`, bool."""
        return self.numbers.detach() > self.neutral

    def threshold(self, sparsity: float) -> Tensor:
        """The number at and below which gates close for that sparsity, a scalar."""
        return kth_smallest(self.numbers, max(1, round(sparsity * self.numbers.numel())))

    def present(self, fraction: float) -> float:
        """The sparsity that is to be had when a part of the budget is spent."""
        assert self.sparsity is not None
        return self.sparsity * ramp(fraction, self.settings.ramp_until)

    def on_progress(self, fraction: float) -> None:
        """Moves the threshold of the rising sparsity to `neutral`."""
        if self.sparsity is None:
            return
        present = self.present(fraction)
        self.wait -= 1
        if self.wait <= 0 or fraction == 1 or abs(present - self.reached) > STEP:
            self.shift.copy_(self.threshold(present) - self.neutral)
            self.wait, self.reached = EVERY, present
