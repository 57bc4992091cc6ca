"""Benchmarks as TOML files, and what a job is."""

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from slt_bench.data.catalogue import folder_name, folder_title, split_folder_name
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.jobs.parsing import parse_seeds
from slt_bench.network import architectures
from slt_bench.network.rescaling import Rescale, Rescaling
from slt_bench.registry import Registry, suite_folder
from slt_bench.utils.errors import UserError, unknown
from slt_bench.utils.text import number, pluralize

REFERENCES = ("random_mask", "dense")  # the floor and the ceiling, beside every comparison
SMOKE_IMAGES = 8  # for training; half as many for validation and test
SMOKE_BATCH = 4
SPARSITY_TOLERANCE = 0.01  # a counted sparsity that is further from the asked one is told wherever it is shown
TrainingLabels = Literal["true", "shuffled"]
TRAINING_LABELS = get_args(TrainingLabels)
NAME = r"^[A-Za-z0-9_-]+$"  # of a benchmark, which is also its folder's
LONGEST_NAME, LONGEST_FOLDER = 100, 200  # characters of a benchmark's and of a job's: file systems take about 255


class Model(BaseModel):
    """Immutable, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Budget(Model):
    """What every method of a benchmark gets alike."""

    epochs: int | None = Field(
        None, ge=1, description="passes over the training split; None: the data set's usual number"
    )
    batch_size: int = Field(128, ge=1)
    schedule: Literal["cosine", "constant"] = "cosine"
    augment: bool = Field(True, description="crops and mirror images, where the data set has them")
    precision: Literal["float32", "bf16"] = "float32"
    labels: TrainingLabels = Field(
        "true", description="of the training split; shuffled ones say nothing, and no ticket may know better"
    )

    scores: Literal["test", "validation"] = Field(
        "test", description="validation: the test split is never read, as in tuning"
    )

    def text(self) -> str:
        """The budget in words, as in "20 epochs, batches of 128"."""
        others = self.model_dump(exclude={"epochs", "batch_size"}, exclude_defaults=True)
        epochs = pluralize(self.epochs, "epoch") if self.epochs else "as many epochs as usual"
        return ", ".join([epochs, f"batches of {self.batch_size}", *(f"{k} {v}" for k, v in others.items())])


class Job(Model):
    """One cell of a benchmark: everything that decides its result, as plain data.

    `settings` and `budget` hold what differs from the defaults; `id` is a hash over that, so that a new option with a
    default leaves old results valid. A changed default makes those stale that were made with the old one.
    `data_hash` is the fingerprint of what lies in class folders; in `id` it stands in place of their path, so that the
    same images under another path are the same job, and others under the same path another one. It is empty for data
    sets that the suite knows by name, and in records of an older suite.
    """

    benchmark: str
    label: str
    method: str
    settings: dict[str, Any]
    arch: str
    dataset: str
    init: str
    rescale: Rescaling
    sparsity: float | None
    seed: int
    budget: Budget
    smoke: bool = False
    data_hash: str = ""

    @cached_property
    def id(self) -> str:
        """Ten hexadecimal digits; the same for the same definition, wherever and under whatever label it runs."""
        definition = self.model_dump(exclude={"benchmark", "label", "budget", "data_hash"})
        definition["dataset"] = self.data_key
        definition["budget"] = self.budget.model_dump(exclude_defaults=True)
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:10]

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied.__dict__.pop("id", None)  # `model_copy` may change what it is made of
        return copied

    def _data(self, data_hash: str) -> str:
        """The data set by its content, so many digits of which are given, in place of a path."""
        return folder_name(data_hash, split_folder_name(self.dataset)[1]) if data_hash else self.dataset

    @property
    def data_key(self) -> str:
        """The data set by its content: the same for the same class folders in the same size, whatever their path is."""
        return self._data(self.data_hash)

    @property
    def data_name(self) -> str:
        """The name of the data set to group and show by: that of class folders has their last component and content."""
        return folder_title(self.dataset, self.data_hash) if self.data_hash else self.dataset

    @property
    def network_rescale(self) -> str:
        """The rescale as `FrozenNetwork` and tickets have it: "authors" with the asked sparsity."""
        return str(Rescale.at(self.rescale, self.sparsity))

    @property
    def cell(self) -> tuple[str, str, str, str]:
        """(label, arch, dataset, init): what curves are drawn of."""
        return (self.label, self.arch, self.data_name, self.init)

    @property
    def folder(self) -> str:
        """The name of its folder, readable, and unique by its id; of long names it has the beginning."""
        sparsity = "own" if self.sparsity is None else number(self.sparsity)
        # Of class folders the content, for the same job has the same folder whatever its path is; in old records the
        # last part of their path.
        dataset = self._data(self.data_hash[:8]).rpartition("/")[2]
        what = "-".join((*(("smoke",) if self.smoke else ()), self.method, self.arch, dataset))
        cell = f"-s{sparsity}-seed{self.seed}-{self.id}"
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", what)[: LONGEST_FOLDER - len(cell)] + cell


def _tuple(value: Any) -> Any:
    """TOML has lists where immutable models have tuples."""
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else _tuple(value)


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_more), Field(min_length=1)]
Ends = Annotated[tuple[float, float], BeforeValidator(_tuple)]
Sparsities = Annotated[tuple[float, ...], BeforeValidator(_tuple), Field(min_length=1)]


class Tuned(Model):
    """The settings that `tune` found best."""

    sparsity: float | None = Field(None, ge=0, lt=1, description="where; None: the method decides the sparsity itself")
    settings: dict[str, Any]

    def distance(self, sparsity: float | None) -> float:
        """How far a sparsity is from that where they were found."""
        if sparsity is None or self.sparsity is None:
            return 0.0 if sparsity == self.sparsity else math.inf
        return abs(math.log((1 - sparsity) / (1 - self.sparsity)))

    def without(self, names: Container[str]) -> "Tuned":
        """The same but for some settings."""
        return Tuned(sparsity=self.sparsity, settings={k: v for k, v in self.settings.items() if k not in names})


def nearest(tuned: Iterable[Tuned], sparsity: float | None) -> Tuned | None:
    """What was tuned at the density nearest to a sparsity's, the first of equals; None of nothing."""
    return min(tuned, key=lambda one: one.distance(sparsity), default=None)


class Entry(Model):
    """A method in a benchmark; its key there is its label."""

    method: str | None = Field(None, description="name of the method, where it is not the label")
    settings: dict[str, Any] = Field(default_factory=dict)
    sparsities: Sparsities | None = Field(None, description="in place of the benchmark's")
    archs: Names | None = Field(None, description="only on these of the benchmark's")
    inits: Names | None = Field(None, description="in place of the benchmark's")
    rescale: Rescaling | None = Field(None, description="in place of the benchmark's")
    tuned: Annotated[tuple[Tuned, ...], BeforeValidator(_tuple)] = Field((), description="what `tune` found")
    search: dict[str, Ends] | None = Field(None, description="what `tune` tries, in place of what the method declares")

    def settings_at(self, sparsity: float | None) -> dict[str, Any]:
        """What is given of its method's settings at an asked sparsity: the tuned ones are those of the nearest density.

        Densities are as near as their ratio is to 1. Without an asked sparsity only what was tuned without one counts.
        """
        found = nearest(self.tuned, sparsity)
        if found is None or math.isinf(found.distance(sparsity)):
            return self.settings
        return self.settings | found.settings


def _seeds(value: Any) -> Any:
    return parse_seeds(value) if isinstance(value, str) else _tuple(value)


Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_seeds), Field(min_length=1)]


class Tuning(Model):
    """How `tune` looks for settings: as many trials for every method, under one budget, scored on validation."""

    trials: int = Field(12, ge=2, description="of each method, its untuned settings among them")
    epochs: int | None = Field(None, ge=1, description="in place of the benchmark's")
    sparsities: Sparsities | None = Field(None, description="in place of the benchmark's; the nearest to a label's own")
    seeds: Seeds = (1000,)
    finalists: int = Field(3, ge=0, description="the best trials of a method and sparsity, tried with more seeds")
    final_seeds: Seeds = (1001, 1002)
    archs: Names | None = Field(None, description="only on these of the benchmark's")
    methods: Names | None = Field(None, description="only these labels; globs choose several")

    @model_validator(mode="after")
    def _has_each_seed_once(self) -> Self:
        if twice := set(self.seeds) & set(self.final_seeds):
            raise ValueError(f"final_seeds are other ones than seeds; both have {min(twice)}")
        return self


class Benchmark(Model):
    """A named set of jobs: every method on every (architecture, data set, init, sparsity, seed)."""

    name: str = Field(pattern=NAME, max_length=LONGEST_NAME)
    title: str = ""
    about: str = ""
    methods: dict[str, Entry] = Field(min_length=1)
    archs: Names
    datasets: Names | None = Field(None, description="None: the one that each architecture is usually tried on")
    inits: Names = ("signed_constant",)
    rescale: Rescaling = "density"
    sparsities: Sparsities = (0.5, 0.8, 0.9, 0.95)
    seeds: Seeds = (0, 1, 2)
    budget: Budget = Budget()
    unmasked: Literal["refuse", "allow"] = Field("refuse", description="networks of which masks reach too few weights")
    tune: Tuning = Tuning()
    claims: Annotated[tuple[PaperClaim, ...], BeforeValidator(_tuple)] = Field(
        (), description="that others have published"
    )

    @model_validator(mode="after")
    def _names_what_it_has(self) -> Self:
        for claim in self.claims:
            for label in [*(claim.labels(self.methods) or [claim.method]), *filter(None, [claim.baseline])]:
                if label not in self.methods:
                    raise ValueError(str(unknown(f"method in a claim of {claim.who}", label, self.methods)))
                runs_on = self.methods[label].archs or self.archs
                if claim.arch not in runs_on:
                    raise ValueError(
                        str(unknown(f"architecture of '{label}' in a claim of {claim.who}", claim.arch, runs_on))
                    )
            datasets = self.datasets or (architectures.find(claim.arch).dataset,)
            if claim.dataset and claim.dataset not in datasets:
                raise ValueError(str(unknown(f"data set in a claim of {claim.who}", claim.dataset, datasets)))
        for label, entry in self.methods.items():
            for arch in entry.archs or ():
                if arch not in self.archs:
                    raise ValueError(str(unknown(f"architecture of '{label}'", arch, self.archs)))
        return self


def benchmark_files() -> dict[str, Path]:
    """The suite's own benchmarks, by name."""
    return {file.stem: file for file in sorted(suite_folder("benchmarks").glob("*.toml"))}


def load(name: str) -> Benchmark:
    """The benchmark of that name, or in the TOML file at that path.

    Raises:
        UserError: There is none, or its file is not right; the message names key and value.
    """
    files = benchmark_files()
    path = Path(name) if name.endswith(".toml") else files.get(name)
    if path is None:
        raise unknown("benchmark", name, files, "The path of a .toml file is right too.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad begins files with a mark
    except FileNotFoundError:
        raise UserError(f"There is no benchmark file at {path}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"The benchmark file {path} cannot be read: {error}.") from error
    try:
        return Benchmark.model_validate({"name": path.stem} | content)
    except ValidationError as error:
        raise explain(error, f"The benchmark file {path}", Benchmark) from error


def explain(error: ValidationError, what: str, model: type[BaseModel]) -> UserError:
    """The first thing that a pydantic model found wrong, as a sentence."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = model.model_fields if len(first["loc"]) == 1 else _fields_at(model, first["loc"][:-1])
        return UserError(f"{what} has a key that it should not: {unknown('key', str(first['loc'][-1]), known)}")
    whole = isinstance(first["input"], dict) and first["type"] == "value_error"  # which names what is wrong itself
    value = "" if first["type"] == "missing" or whole else f" It has {first['input']!r}."
    place = f" at '{where}'" if where else ""
    text = first["msg"].removeprefix("Value error, ").rstrip(".")
    return UserError(f"{what} is not right{place}: {text if text.endswith('?') else text + '.'}{value}")


def _fields_at(model: type[BaseModel], path: Sequence[str | int]) -> Iterable[str]:
    inner: dict[str, type[BaseModel]] = {"budget": Budget, "methods": Entry, "claims": PaperClaim, "tune": Tuning}
    return list(inner.get(str(path[0]), model).model_fields)


def resolve_settings(method: str, given: dict[str, Any], registry: Registry) -> Any:
    """A method's settings with everything that was not given at its default.

    Raises:
        UserError: The method is unknown, or a setting is unknown or wrong; the nearest names are offered.
    """
    model = registry.find(method).settings_class
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "extra_forbidden":
            raise unknown(f"setting of {method}", str(first["loc"][0]), model.model_fields) from error
        raise explain(error, f"A setting of {method}", model) from error
