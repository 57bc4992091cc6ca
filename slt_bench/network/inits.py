"""Distributions of the frozen weights. Every one but `uniform` scales with a layer's fan-in as He et al. (2015) do."""

import math
from dataclasses import dataclass

from slt_bench.network import streams
from slt_bench.utils.errors import UserError, unknown
from slt_bench.utils.text import number

DEFAULT_RANGE = 0.1  # the `a` of `uniform`; the gates' paper draws from U[-a, a] and does not tell its a


@dataclass(frozen=True)
class Init:
    """A distribution of weights.

    Attributes:
        name: "kaiming_normal" (N(0, 2 / fan_in)), "kaiming_uniform" (uniform with that variance), "signed_constant"
            (plus or minus the root of 2 / fan_in: Ramanujan et al. 2020), or "uniform" (U[-a, a] in every layer).
        limit: The a of "uniform"; None for the others.
    """

    name: str
    limit: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Init":
        """The distribution that a text like `signed_constant`, `uniform` or `uniform:0.05` names.

        Raises:
            UserError: There is no such distribution, or a is no positive number.
        """
        name, colon, number = text.partition(":")
        if name not in INITS:
            raise unknown("init", text, INITS)
        if name != "uniform":
            if colon:
                raise UserError(
                    f"The init '{name}' takes no number; '{text}' gives one. Only uniform does: uniform:0.1."
                )
            return cls(name)
        try:
            limit = float(number) if colon else DEFAULT_RANGE
        except ValueError:
            limit = float("nan")
        if not 0 < limit < float("inf"):
            raise UserError(f"The init '{text}' needs a positive number after the colon, as in uniform:0.1.")
        return cls(name, limit)

    def __str__(self) -> str:
        if self.limit is None:
            return self.name
        return f"{self.name}:{number(self.limit)}"

    def draw(self, count: int, fan_in: int, *key: object) -> streams.Float64Array:
        """`count` weights of a layer with that fan-in, of the stream that `key` names."""
        deviation = math.sqrt(2.0 / fan_in)
        if self.name == "kaiming_normal":
            return streams.normal(count, *key) * deviation
        if self.name == "signed_constant":
            return streams.signs(count, *key) * deviation
        limit = self.limit or math.sqrt(3.0) * deviation
        return (2.0 * streams.uniform(count, *key) - 1.0) * limit


INITS = ("kaiming_normal", "kaiming_uniform", "signed_constant", "uniform")
