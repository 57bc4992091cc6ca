"""What methods share whose gates open above a threshold: the threshold moves, so that the asked sparsity is reached.

Every gate follows a number, and is as much open as closed where this is at `neutral`. All numbers are shifted alike by

    q - neutral,   q = the quantile of the numbers at the present sparsity,

which rises to the asked one over the first `ramp_until` of the budget and is found anew at least every fourth step, so
that "shifted number > neutral" has nearly that sparsity all the time, and the method learns under it. The mask has it
exactly. Without a sparsity nothing is shifted: the method decides.
"""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.method import FrozenNetwork, Method, OptimizerSettings, Range, SparsityControl, ramp

EVERY, STEP = 4, 0.002  # the threshold is found anew after so many steps, or so much of the sparsity
RampUntil = Annotated[
    float, Field(gt=0, le=1, description="part of the budget after which the sparsity is reached"), Range(0.2, 0.9)
]


class MovingThreshold(Method):
    """Gates with one threshold for all of them; a subclass says where it lies, and how gates open above it."""

    class Settings(OptimizerSettings):
        """Settings of gates with a moving threshold."""

        penalty: float | None = Field(
            None, ge=0, description="as published, of open gates; None: reach the asked sparsity"
        )
        ramp_until: RampUntil = 0.5

    neutral: ClassVar[float] = 0.0
    shift: Tensor

    def __init__(self, network: FrozenNetwork, settings: Any, sparsity: float | None) -> None:
        super().__init__(network, settings, sparsity)
        self.wait, self.reached = 0, -1.0
        self.register_buffer("shift", torch.zeros((), device=network.device))

    @classmethod
    def control(cls, settings: Any) -> SparsityControl:
        """A penalty leaves the sparsity to the method."""
        return cls.sparsity_control if settings.penalty is None else "none"

    @abstractmethod
    def threshold(self, sparsity: float) -> Tensor:
        """The number at and below which gates close for that sparsity, a scalar."""

    def present(self, fraction: float) -> float:
        """The sparsity that is due when a part of the budget is spent."""
        assert self.sparsity is not None
        return self.sparsity * ramp(fraction, self.settings.ramp_until)

    def move_threshold(self, fraction: float) -> None:
        """Shift the numbers, so that the threshold of the sparsity that is due comes to lie at `neutral`."""
        if self.sparsity is None:
            return
        present = self.present(fraction)
        self.wait -= 1
        if self.wait <= 0 or fraction == 1 or abs(present - self.reached) > STEP:
            self.shift.copy_(self.threshold(present) - self.neutral)
            self.wait, self.reached = EVERY, present
