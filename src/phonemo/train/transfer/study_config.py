"""Transfer study config: systems that are tested on corpora they were not trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, NonNegativeInt, field_validator, model_validator

from phonemo.config import (
    BaseConfig,
    ExtraConfig,
    LabelsConfig,
    ModelConfig,
    ProtocolConfig,
    TrainConfig,
    load_section,
)

Value = TypeVar("Value")
Standardise = Literal["none", "source", "speaker", "source-speaker", "mixture", "all"]
PoolSize = Annotated[int, Field(ge=1)] | Literal["all"]
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
#: Test conditions: single recordings, adaptation by speaker, by a random pool of the source, or by
#: a pool with a given percentage of one emotion.
CONDITION = re.compile(
    r"^(single|speaker|pool-([1-9]\d*|all)|even-[1-9]\d*|([1-9]\d?|100)-per-cent-([1-9]\d*))$"
)


def _as_tuple(value: Any) -> Any:
    """Wrap a single choice in a tuple."""
    return value if isinstance(value, list | tuple) else (value,)


def _as_tuples(value: Any) -> Any:
    """Wrap hidden states as choices: [2, 3] is one choice of two states."""
    value = _as_tuple(value)
    return value if any(isinstance(item, list | tuple) for item in value) else (value,)


Several = BeforeValidator(_as_tuple)


def _check_unique(values: Sequence[Value]) -> Sequence[Value]:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"expected different values, got {value!r} twice; remove one")
    return values


class TrainTemplate(BaseConfig):
    """How a network is trained on all corpora except those left out."""

    model: ModelConfig
    """The network, as in a config of phonemo train."""
    train: TrainConfig = TrainConfig()
    """Training options."""
    extra: tuple[ExtraConfig, ...] = ()
    """Additional training corpora without emotions."""
    protocol: ProtocolConfig = ProtocolConfig()
    """The first fold's validation part picks the epoch, if train.select_by picks one."""


class SystemConfig(BaseConfig):
    """Vectors and a linear head; lists are choices, picked without the left-out corpus."""

    network: str | None = None
    """Folder of a backbone or a model, used unchanged; null trains one by section train."""
    train: Annotated[tuple[TrainTemplate, ...], Several] = ()
    """One training, or several to pick from, for each left-out corpus and each seed."""
    start_share: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Several] = (0.0,)
    """Interpolation of a trained backbone with its start: 0 keeps it, 1 is the start."""
    inner: Literal["network", "head"] = "network"
    """Whether nested tests train separate networks, or only heads on the outer network."""
    statistics: Annotated[tuple[tuple[NonNegativeInt, ...], ...], BeforeValidator(_as_tuples)] = (
        (),
    )
    """Hidden states whose mean and deviation over time the head reads; a list of lists picks."""
    frames: Annotated[tuple[Literal["all", "speech"], ...], Several] = ("all",)
    """Frames of those statistics; speech excludes frames 30 dB below the speech level."""
    moments: Annotated[tuple[Literal["mean", "mean-deviation"], ...], Several] = ("mean-deviation",)
    """Whether a state's mean and deviation over time are read, or the mean alone."""
    pooled: Annotated[tuple[bool, ...], Several] = (False,)
    """Whether the head reads the network's pooled fusion; for models, not for backbones."""
    fit: Annotated[tuple[Literal["logistic", "discriminant"], ...], Several] = ("logistic",)
    """The head: a logistic regression, or Fisher's discriminant with a ridge."""
    standardise: Annotated[tuple[Standardise, ...], Several] = ("mixture",)
    """The statistics that standardize training vectors; mixture: by source and by all sources."""
    balance: Annotated[tuple[Literal["corpus", "size"], ...], Several] = ("corpus",)
    """Whether corpora have equal weights, or weights by size; emotions are balanced in each."""
    inverse_penalty: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Several] = (0.001,)
    """C of the logistic regression; lower is a stronger penalty."""
    ridge: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Several] = (0.5,)
    """Weight of the identity in the discriminant's covariance."""
    mask: Annotated[tuple[bool, ...], Several] = (False,)
    """Whether a vector's loss is restricted to its corpus' emotions."""
    k_mean: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Several] = (3.0,)
    """Size of a pool that weighs as much as the training sources' mean."""
    k_spread: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Several] = (10.0,)
    """The same for the deviation."""
    em_iterations: Annotated[tuple[NonNegativeInt, ...], Several] = (0,)
    """Iterations that estimate a pool's emotion distribution; 0 uses plain moments."""

    @field_validator(
        *("train", "start_share", "statistics", "frames", "moments", "pooled", "fit"),
        *(
            "standardise",
            "balance",
            "inverse_penalty",
            "ridge",
            "mask",
            "k_mean",
            "k_spread",
            "em_iterations",
        ),
    )
    @classmethod
    def _different(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_check_unique(values))

    @model_validator(mode="after")
    def _network_or_train(self) -> SystemConfig:
        if (self.network is None) == (not self.train):
            raise ValueError("expected either network or train, got both or neither; set one")
        if self.network is not None and self.start_share != (0.0,):
            raise ValueError(
                "expected start_share only with section train, got it with network; remove it"
            )
        return self

    @model_validator(mode="after")
    def _something_is_read(self) -> SystemConfig:
        for name in type(self).model_fields:
            if name not in ("network", "train", "inner") and not getattr(self, name):
                raise ValueError(
                    f"expected a value for {name}, got an empty list; give one, or remove the key"
                )
        if not any(self.statistics) and not any(self.pooled):
            raise ValueError(
                "expected vectors for the head, got none; set statistics=[3], or pooled=true"
            )
        return self


class SkewedPoolConfig(BaseConfig):
    """Pools dominated by one emotion."""

    emotion: str = "neutral"
    """The emotion."""
    shares: tuple[Annotated[float, Field(ge=0.01, le=1)], ...] = (0.5, 0.8, 0.95)
    """Its shares in a pool; a pool with equal shares of all emotions is always tested too."""
    pools: tuple[Annotated[int, Field(ge=2)], ...] = (20, 80)
    """Recordings in a pool."""

    @field_validator("shares", "pools")
    @classmethod
    def _different(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_check_unique(values))


class WithinConfig(BaseConfig):
    """Leave-one-speaker-out within one corpus, without and with speaker profiles."""

    manifest: str
    """The corpus; its speakers must be known."""
    labels: LabelsConfig
    """The emotions to recognize in it."""
    teachers: tuple[str, ...] = ()
    """Additional training corpora, by their names in the study."""


class TransferConfig(BaseConfig):
    """Corpora x seeds x systems: each corpus in turn is left out of training and tested."""

    name: str = Field(pattern=_NAME)
    """A short name, used in tables."""
    output: str
    """The folder of the study."""
    corpora: tuple[str, ...] = Field(min_length=2)
    """Manifests; each is one corpus and one source."""
    left_out: tuple[str, ...] = Field(min_length=1)
    """Names of the corpora to test in turn; the others are only trained on."""
    mean_over: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The left-out corpora to average over; null is all."""
    teachers: tuple[str, ...] | None = None
    """Names of the training corpora; the others are only tested. Null is all."""
    calibrate_by: tuple[str, ...] | None = None
    """Names of corpora whose predictions fit temperature and threshold; null is all teachers."""
    labels: LabelsConfig
    """The emotions to recognize; a corpus may lack some."""
    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1)
    """Seeds of training and of random pools."""
    pools: tuple[PoolSize, ...] = (1, 5, 20, 100, "all")
    """Numbers of unlabeled recordings that adapt a head to a source."""
    one_sided: SkewedPoolConfig | None = SkewedPoolConfig()
    """Pools dominated by one emotion; null tests none."""
    draws: int = Field(default=5, ge=1)
    """Number of random pools of each size, for each seed."""
    select_by: tuple[str, ...] = Field(default=("single", "pool-20"), min_length=1)
    """Conditions whose mean UA in nested tests picks among a system's choices."""
    risk: float = Field(default=0.1, gt=0, lt=1)
    """Allowed share of wrong predictions above the threshold."""
    systems: dict[str, SystemConfig] = Field(min_length=1)
    """The systems to test, by name."""
    within: tuple[WithinConfig, ...] = ()
    """Corpora for leave-one-speaker-out tests of the same systems."""
    threads: int = Field(default=2, ge=1)
    """CPU threads for torch."""

    @field_validator(
        *("corpora", "left_out", "mean_over", "teachers", "calibrate_by"),
        *("seeds", "pools", "select_by"),
    )
    @classmethod
    def _different(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return values if values is None else tuple(_check_unique(values))

    @field_validator("systems")
    @classmethod
    def _names_are_folders(cls, systems: dict[str, SystemConfig]) -> dict[str, SystemConfig]:
        invalid = [name for name in systems if not re.match(_NAME, name)]
        if invalid:
            raise ValueError(
                f"expected a system name of letters, digits, '.', '_' and '-', got {invalid[0]!r}"
            )
        return systems

    @field_validator("select_by")
    @classmethod
    def _known_conditions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        invalid = [name for name in names if not CONDITION.match(name)]
        if invalid:
            raise ValueError(
                f"expected a condition such as single, speaker, pool-20, pool-all, even-20 or "
                f"80-per-cent-20, got {invalid[0]!r}"
            )
        return names

    @model_validator(mode="after")
    def _parts_fit(self) -> TransferConfig:
        unknown = sorted(set(self.mean_over or ()) - set(self.left_out))
        if unknown:
            raise ValueError(f"expected names of left_out in mean_over, got {unknown[0]!r}")
        skewed = [name for name in self.select_by if "per-cent" in name]
        if skewed and self.one_sided is None:
            raise ValueError(
                f"expected one_sided.emotion for {skewed[0]} in select_by, got one_sided=null; "
                "set one_sided, or remove the condition"
            )
        emotion = self.one_sided and self.one_sided.emotion
        if emotion and emotion not in self.labels.names:
            raise ValueError(
                f"expected a label for one_sided.emotion, got {emotion!r}; name one, or set "
                "one_sided=null"
            )
        return self

    @property
    def averaged(self) -> tuple[str, ...]:
        """Return the corpora to average over."""
        return self.left_out if self.mean_over is None else self.mean_over


def load_transfer_config(path: str | Path, overrides: Sequence[str] = ()) -> TransferConfig:
    """Read a transfer study config; see ``load_section``."""
    return load_section(path, overrides, TransferConfig)
