"""Claims that others have published, as a benchmark's TOML lists them under `[[claims]]`."""

import math
from collections.abc import Iterable
from fnmatch import filter as matching
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slt_bench.data.catalogue import folder_title, is_folder

Relation = Literal["at least", "about"]
Kind = Literal["accuracy", "loss", "baseline_sparsity", "ratio"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MARGINS = {"mnist": 0.5}  # points of accuracy that do not count, where a claim names none; elsewhere `MARGIN`
MARGIN = 1.0


class PaperClaim(BaseModel):
    """A claim of one of four kinds.

    An accuracy at a sparsity (`accuracy`), a loss against dense training (`loss`), being as accurate as a baseline that
    keeps more weights (`baseline_sparsity`), or a ratio of sparsities at one accuracy (`ratio`).

    Attributes:
        who: Whose claim it is.
        where: The source, as a paper's number or a page.
        text: In words, what the fields below do not tell.
        method: The label in the benchmark that it is about; or a glob, as in "published_*", whose labels are one curve:
            those of a method that decides the sparsity itself, each with another penalty.
        arch, dataset: On what; no data set means that the source does not say, and any that was run counts.
        sparsity: The share of weights removed, in [0, 1). Of a ratio it is the baseline's, and `reference` "baseline":
            the ratio is taken where the method is at most `within` points less accurate than the baseline there.
        accuracy: What is reached there, in (0, 1].
        loss: Or how many points of accuracy below dense training at most.
        baseline_sparsity: Or the sparsity at which `baseline` is at most `margin` points more accurate than the method
            at `sparsity`, in [0, 1).
        margin: Points of accuracy that do not count [default: 0.5 on MNIST, 1 elsewhere].
        ratio: Or how many times the sparsity of `baseline`, where both are at most `within` points less accurate than
            the reference.
        baseline: The label that the method is compared with.
        within: Points of accuracy.
        reference: What those are counted from: dense training, or the best mean over seeds that the baseline has.
        relation: Whether the number is a lower bound (of a loss an upper one), or the thing itself.
        tolerance: What "about" allows on both sides: in points of accuracy [default: 1], or as a share of the ratio
            [default: 0.1].
        readout: Whether it is about the hard mask, or the relaxed network (its accuracy on the validation split).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    who: str
    where: str = ""
    text: str = ""
    method: str
    arch: str
    dataset: str = ""
    sparsity: float | None = Field(None, ge=0, lt=1)
    accuracy: float | None = Field(None, gt=0, le=1)
    loss: float | None = Field(None, ge=0, le=100)
    baseline_sparsity: float | None = Field(None, ge=0, lt=1)
    margin: float | None = Field(None, ge=0, le=100)
    ratio: float | None = Field(None, gt=0)
    baseline: str = ""
    within: float = Field(1.0, ge=0, le=100)
    reference: Literal["dense", "baseline"] = "dense"
    relation: Relation = "at least"
    tolerance: float | None = Field(None, ge=0)
    readout: Literal["hard", "relaxed"] = "hard"

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        kinds = [name for name in KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            raise ValueError(f"a claim has one of {', '.join(KINDS)}; this one of '{self.method}' has {found}")
        if self.ratio is None and self.sparsity is None:
            raise ValueError("a claim of an accuracy, a loss or a baseline_sparsity names its sparsity")
        if self.ratio is not None and self.sparsity is not None and (self.reference != "baseline" or not self.sparsity):
            raise ValueError(
                "a claim of a ratio names no sparsity, unless it is the baseline's, above 0, and the reference, too"
            )
        if (self.kind in ("ratio", "baseline_sparsity")) != bool(self.baseline):
            raise ValueError("a claim of a ratio or a baseline_sparsity names its baseline, and no other claim does")
        if self.reference == "baseline" and self.ratio is None:
            raise ValueError("only a claim of a ratio may have the baseline as its reference")
        if self.kind == "baseline_sparsity" and self.relation != "at least":
            raise ValueError("a claim of a baseline_sparsity has a margin, and its relation is 'at least'")
        if self.margin is not None and self.kind != "baseline_sparsity":
            raise ValueError("only a claim of a baseline_sparsity has a margin")
        return self

    def labels(self, known: Iterable[str]) -> list[str]:
        """Which of the known labels it is about, apart from its baseline."""
        return [label for label in matching(known, self.method) if label != self.baseline]

    def is_on(self, dataset: str) -> bool:
        """Whether it is about a data set of that name, which for class folders is the `data_name` of a job."""
        here = folder_title(self.dataset) if is_folder(self.dataset) else self.dataset
        return dataset == self.dataset or dataset.partition("#")[0] == here

    @property
    def kind(self) -> Kind:
        """What the claim gives: accuracy, loss, baseline_sparsity or ratio."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def points(self) -> float:
        """The margin, in points of accuracy."""
        return MARGINS.get(self.dataset, MARGIN) if self.margin is None else self.margin

    @property
    def band(self) -> tuple[float, float]:
        """The lowest and the highest value with which the claim is true; both belong to it.

        Of an accuracy and of a loss (dense minus the method) as fractions, of a baseline_sparsity the method's accuracy
        minus the baseline's, of a ratio that ratio. The one end is infinite where the claim has one side.
        """
        if self.ratio is not None:
            allowed = self.ratio * (0.1 if self.tolerance is None else self.tolerance)
            return self._around(self.ratio, allowed)
        allowed = (1.0 if self.tolerance is None else self.tolerance) / 100
        if self.accuracy is not None:
            return self._around(self.accuracy, allowed)
        if self.loss is not None:
            low, high = self._around(-self.loss / 100, allowed)
            return -high, -low
        return -self.points / 100, math.inf

    def _around(self, value: float, allowed: float) -> tuple[float, float]:
        return (value - allowed, value + allowed) if self.relation == "about" else (value, math.inf)
