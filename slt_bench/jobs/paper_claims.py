"""Claims that others have published, as a benchmark's TOML lists them under `[[claims]]`."""

from collections.abc import Iterable
from fnmatch import filter as matching
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slt_bench.data.catalogue import folder_title, is_folder

Relation = Literal["at least", "about"]


class PaperClaim(BaseModel):
    """A claim of one of three kinds: an accuracy at a sparsity, a loss against dense training, a ratio of sparsities.

    Attributes:
        who: Whose claim it is.
        where: The source, as a paper's number or a page.
        text: In words, what the fields below do not tell.
        method: The label in the benchmark that it is about; or a glob, as in "published_*", whose labels are one curve:
            those of a method that decides the sparsity itself, each with another penalty.
        arch, dataset: On what; no data set means that the source does not say, and any that was run counts.
        sparsity: The share of weights removed, in [0, 1). Of a ratio it is the baseline's, and `reference` "baseline":
            the ratio is taken where the method is as accurate as the baseline there but for `within` points.
        accuracy: What is reached there, in (0, 1].
        loss: Or how many points of accuracy below dense training at most.
        ratio: Or how many times the sparsity of `baseline`, where both are as accurate as the reference but for
            `within` points.
        baseline: The label that a ratio is taken to.
        within: Points of accuracy.
        reference: What those are counted from: dense training, or the best mean over seeds that the baseline has.
        relation: Whether the number is a lower bound, or the thing itself.
        tolerance: What "about" allows, and beyond what a claim is exceeded: in points of accuracy [default: 1], or as
            a share of the ratio [default: 0.1].
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
    ratio: float | None = Field(None, gt=0)
    baseline: str = ""
    within: float = Field(1.0, ge=0, le=100)
    reference: Literal["dense", "baseline"] = "dense"
    relation: Relation = "at least"
    tolerance: float | None = Field(None, ge=0)
    readout: Literal["hard", "relaxed"] = "hard"

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        kinds = [name for name in ("accuracy", "loss", "ratio") if getattr(self, name) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            raise ValueError(f"a claim has one of accuracy, loss and ratio; this one of '{self.method}' has {found}")
        if self.ratio is None and self.sparsity is None:
            raise ValueError("a claim of an accuracy or a loss names its sparsity")
        if self.ratio is not None and self.sparsity is not None and (self.reference != "baseline" or not self.sparsity):
            raise ValueError(
                "a claim of a ratio names no sparsity, unless it is the baseline's, above 0, and the reference, too"
            )
        if (self.ratio is None) != (not self.baseline):
            raise ValueError("a claim of a ratio names its baseline, and no other claim does")
        if self.reference == "baseline" and self.ratio is None:
            raise ValueError("only a claim of a ratio may have the baseline as its reference")
        return self

    def labels(self, known: Iterable[str]) -> list[str]:
        """Which of the known labels it is about, apart from its baseline."""
        return [label for label in matching(known, self.method) if label != self.baseline]

    def is_on(self, dataset: str) -> bool:
        """Whether it is about a data set of that name, which for class folders is the `data_name` of a job."""
        here = folder_title(self.dataset) if is_folder(self.dataset) else self.dataset
        return dataset == self.dataset or dataset.partition("#")[0] == here

    @property
    def allowance(self) -> float:
        """The tolerance as a fraction of accuracy, or in the unit of the ratio."""
        if self.ratio is not None:
            return self.ratio * (0.1 if self.tolerance is None else self.tolerance)
        return (1.0 if self.tolerance is None else self.tolerance) / 100
