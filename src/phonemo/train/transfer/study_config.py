"""The config of a transfer study: systems that are tested on corpora which they did not learn."""

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
#: How a test can be done: one recording at a time, by the speaker's recordings, by a pool of the
#: source's, or by a pool with a share of one emotion in per cent.
CONDITION = re.compile(r"^(single|speaker|pool-(\d+|all)|even-\d+|(\d+)-per-cent-(\d+))$")


def _listed(value: Any) -> Any:
    """A single choice as a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


def _lists(value: Any) -> Any:
    """Hidden states as a list of choices: [2, 3] is one choice of two states."""
    value = _listed(value)
    return value if any(isinstance(one, list | tuple) for one in value) else (value,)


Several = BeforeValidator(_listed)


def _once_each(values: Sequence[Value]) -> Sequence[Value]:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{value!r} is there twice; name each once")
    return values


class TrainTemplate(BaseConfig):
    """How a network is trained on all corpora but those that are left out."""

    model: ModelConfig
    """The network, as in a config of phonemo train."""
    train: TrainConfig = TrainConfig()
    """How it is trained."""
    extra: tuple[ExtraConfig, ...] = ()
    """Corpora without emotions that are learnt from besides."""
    protocol: ProtocolConfig = ProtocolConfig()
    """Its first fold's validation part picks the epoch, where train.select_by picks one."""


class SystemConfig(BaseConfig):
    """Vectors and a linear head; what is a list is picked without the corpus that is left out."""

    network: str | None = None
    """A backbone's or a model's folder, used as it is; null trains one by section train."""
    train: Annotated[tuple[TrainTemplate, ...], Several] = ()
    """One training, or several to pick from, for each corpus that is left out and each seed."""
    start_share: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Several] = (0.0,)
    """Of a trained network: how far its backbone goes back to the weights that it started from."""
    inner: Literal["network", "head"] = "network"
    """Whether nested tests train networks of their own, or heads alone on the outer network."""
    statistics: Annotated[tuple[tuple[NonNegativeInt, ...], ...], BeforeValidator(_lists)] = ((),)
    """Hidden states whose mean and deviation over time the head reads; a list of lists to pick."""
    frames: Annotated[tuple[Literal["all", "speech"], ...], Several] = ("all",)
    """Which frames those statistics are over; speech leaves out those 30 dB below its level."""
    moments: Annotated[tuple[Literal["mean", "mean-deviation"], ...], Several] = ("mean-deviation",)
    """Whether both the mean and the deviation over time of a state are read, or the mean alone."""
    pooled: Annotated[tuple[bool, ...], Several] = (False,)
    """Whether the head reads the network's pooled fusion; for models, not for backbones."""
    fit: Annotated[tuple[Literal["logistic", "discriminant"], ...], Several] = ("logistic",)
    """The head: a logistic regression, or Fisher's discriminant with a ridge."""
    standardise: Annotated[tuple[Standardise, ...], Several] = ("mixture",)
    """By what training vectors are standardised; mixture: by source and by all sources alike."""
    balance: Annotated[tuple[Literal["corpus", "size"], ...], Several] = ("corpus",)
    """Whether a corpus weighs as every other one, or by its size; its emotions weigh the same."""
    inverse_penalty: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Several] = (0.001,)
    """C of the logistic regression; the lower, the stronger its penalty."""
    ridge: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Several] = (0.5,)
    """Share of the identity in the discriminant's covariance."""
    mask: Annotated[tuple[bool, ...], Several] = (False,)
    """Whether a vector's loss sees only the emotions that its corpus has."""
    k_mean: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Several] = (3.0,)
    """Recordings of a pool that weigh as much as the training sources' mean."""
    k_spread: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Several] = (10.0,)
    """The same for the deviation."""
    em_iterations: Annotated[tuple[NonNegativeInt, ...], Several] = (0,)
    """Steps in which a pool's shares of emotions are estimated; 0 takes plain moments."""

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
        return tuple(_once_each(values))

    @model_validator(mode="after")
    def _network_or_train(self) -> SystemConfig:
        if (self.network is None) == (not self.train):
            raise ValueError("expected network or train, one of the two")
        if self.network is not None and self.start_share != (0.0,):
            raise ValueError("start_share is of a network that section train trains")
        return self

    @model_validator(mode="after")
    def _something_is_read(self) -> SystemConfig:
        for name in type(self).model_fields:
            if name not in ("network", "train", "inner") and not getattr(self, name):
                raise ValueError(f"{name} is an empty list; give a value, or leave it out")
        if not any(self.statistics) and not any(self.pooled):
            raise ValueError("a head reads nothing: set statistics=[3], or pooled=true")
        return self


class SkewedPoolConfig(BaseConfig):
    """Pools that are mostly of one emotion."""

    emotion: str = "neutral"
    """Which one."""
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.5, 0.8, 0.95)
    """Its shares in a pool; one with even shares of all emotions is always tested beside them."""
    pools: tuple[Annotated[int, Field(ge=2)], ...] = (20, 80)
    """Recordings in a pool."""

    @field_validator("shares", "pools")
    @classmethod
    def _different(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_once_each(values))


class WithinConfig(BaseConfig):
    """One corpus whose speakers are left out in turn, without and with their profiles."""

    manifest: str
    """The corpus; its speakers are known."""
    labels: LabelsConfig
    """Which emotions are told apart in it."""
    teachers: tuple[str, ...] = ()
    """Names of corpora of the study that are learnt from besides."""


class TransferConfig(BaseConfig):
    """Corpora x seeds x systems: each corpus is left out of training in turn and tested."""

    name: str = Field(pattern=_NAME)
    """A short name, used in tables."""
    output: str
    """The folder of the study."""
    corpora: tuple[str, ...] = Field(min_length=2)
    """Manifests; each is one corpus and one source."""
    left_out: tuple[str, ...] = Field(min_length=1)
    """Names of the corpora that are tested in turn; the others only teach."""
    mean_over: tuple[str, ...] | None = None
    """Those of them that the mean is over; null is all."""
    teachers: tuple[str, ...] | None = None
    """Names of the corpora that may be learnt from; the others are only tested. Null is all."""
    calibrate_by: tuple[str, ...] | None = None
    """Names of corpora whose predictions fit temperature and threshold; null is all teachers."""
    labels: LabelsConfig
    """Which emotions are told apart; a corpus may lack some."""
    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1)
    """Of trainings, and of the pools that are drawn."""
    pools: tuple[PoolSize, ...] = (1, 5, 20, 100, "all")
    """How many unlabelled recordings of a source adapt a head to it."""
    one_sided: SkewedPoolConfig | None = SkewedPoolConfig()
    """Pools that are mostly of one emotion; null tests none."""
    draws: int = Field(default=5, ge=1)
    """Pools that are drawn of each size, with each seed."""
    select_by: tuple[str, ...] = Field(default=("single", "pool-20"), min_length=1)
    """Conditions whose mean UA picks among a system's choices, in nested tests."""
    risk: float = Field(default=0.1, gt=0, lt=1)
    """Share of wrong answers that the threshold of an answer allows."""
    systems: dict[str, SystemConfig] = Field(min_length=1)
    """By name, what is tested."""
    within: tuple[WithinConfig, ...] = ()
    """Corpora that are tested by speaker within themselves, with the same systems."""
    threads: int = Field(default=2, ge=1)
    """CPU threads for torch."""

    @field_validator(
        *("corpora", "left_out", "mean_over", "teachers", "calibrate_by"),
        *("seeds", "pools", "select_by"),
    )
    @classmethod
    def _different(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return values if values is None else tuple(_once_each(values))

    @field_validator("systems")
    @classmethod
    def _names_are_folders(cls, systems: dict[str, SystemConfig]) -> dict[str, SystemConfig]:
        strange = [name for name in systems if not re.match(_NAME, name)]
        if strange:
            raise ValueError(f"system {strange[0]!r}: expected letters, digits, '.', '_' and '-'")
        return systems

    @field_validator("select_by")
    @classmethod
    def _known_conditions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        strange = [name for name in names if not CONDITION.match(name)]
        if strange:
            raise ValueError(
                f"no condition {strange[0]!r}; conditions: single, speaker, pool-20, pool-all, "
                "even-20, 80-per-cent-20"
            )
        return names

    @model_validator(mode="after")
    def _mean_over_left_out(self) -> TransferConfig:
        strays = sorted(set(self.mean_over or ()) - set(self.left_out))
        if strays:
            raise ValueError(f"mean_over names {strays[0]!r}, which left_out does not")
        neutral = self.one_sided and self.one_sided.emotion
        if neutral and neutral not in self.labels.names:
            raise ValueError(
                f"one_sided.emotion is {neutral!r}, which is no label; name one, or set "
                "one_sided=null"
            )
        return self

    @property
    def averaged(self) -> tuple[str, ...]:
        """The corpora that the mean is over."""
        return self.left_out if self.mean_over is None else self.mean_over


def load_transfer_config(path: str | Path, overrides: Sequence[str] = ()) -> TransferConfig:
    """Read the config of a transfer study; see ``load_section``."""
    return load_section(path, overrides, TransferConfig)
