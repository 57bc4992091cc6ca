"""How the effective weights of a layer are rescaled, since a mask takes away part of what the layer adds up."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from slt_bench.utils.errors import UserError, unknown
from slt_bench.utils.text import number

Rescaling = Literal["none", "density", "authors"]
RESCALES = get_args(Rescaling)


@dataclass(frozen=True)
class Rescale:
    """A rule that rescales the effective weights of each layer.

    Attributes:
        name: "density" divides a layer by the root of the share that its gates keep, so that its outputs keep the
            variance of the whole layer. "authors" is what the code of edge-popup's authors does
            (allenai/hidden-networks, `utils/builder.py`): every layer is divided by the root of the share that is
            *removed*, a constant of the asked sparsity that is known before the search. The two are equal at sparsity
            0.5 only: "density" multiplies by 1.41, 2.24, 3.16 and 4.47 at 0.5, 0.8, 0.9 and 0.95, "authors" by 1.41,
            1.12, 1.05 and 1.03. "density" corrects "authors" (their issue 9). "none" rescales nothing.
        sparsity: The asked sparsity, of "authors".
    """

    name: str
    sparsity: float | None = None

    def __post_init__(self) -> None:
        if self.name not in RESCALES:
            raise unknown("rescale", self.name, RESCALES)
        if self.name == "authors" and not 0 < (self.sparsity or 0) < 1:
            raise UserError(
                "The rescale 'authors' divides weights by the root of the asked sparsity, which must be above 0 and "
                f"below 1 and stand after a colon, as in authors:0.9; it is {self.sparsity}."
            )

    @classmethod
    def parse(cls, text: str) -> "Rescale":
        """Return the rule that a text like `none`, `density` or `authors:0.9` names, which has the asked sparsity.

        Raises:
            UserError: There is no such rule, or its sparsity is missing or wrong.
        """
        name, colon, value = text.partition(":")
        if name != "authors":
            return cls(text)
        try:
            return cls(name, float(value) if colon else None)
        except ValueError:
            return cls(name, math.nan)

    @classmethod
    def at(cls, name: str, sparsity: float | None) -> "Rescale":
        """Return the rule of that name for a job with that asked sparsity.

        Raises:
            UserError: The rule needs a sparsity above 0.
        """
        return cls(name, sparsity if name == "authors" else None)

    def __str__(self) -> str:
        return self.name if self.sparsity is None else f"{self.name}:{number(self.sparsity)}"

    @property
    def divisor(self) -> float | None:
        """What every layer is divided by; None where it depends on the layer's gates."""
        if self.name == "density":
            return None
        return 1.0 if self.sparsity is None else math.sqrt(self.sparsity)

    @property
    def words(self) -> str:
        """What is done to a layer's weights."""
        if self.name == "density":
            return "divided by the root of its density"
        if self.sparsity is None:
            return "as they were drawn"
        return f"divided by the root of {number(self.sparsity)}, the asked sparsity"
