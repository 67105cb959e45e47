"""The config of an ablation: arms of one experiment, and the tables that hold them together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from phonemo.config import BaseConfig, RunConfig, load_config, load_section
from phonemo.errors import ConfigError

#: Dotted key of an experiment's config -> its value.
Overrides = dict[str, Any]
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class TuneConfig(BaseConfig):
    """A setting that every arm picks for itself, on validation data alone."""

    key: str
    """The dotted key, such as train.rate_heads."""
    values: tuple[float, ...] = Field(min_length=2)
    """What each fold of an arm picks from, by its validation score with the first seed."""
    arms: tuple[str, ...] | None = None
    """The arms that pick; null lets all of them."""

    @field_validator("values")
    @classmethod
    def _once_each(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) < len(values):
            raise ValueError("a value is there twice; it would be trained once")
        return values


class TableConfig(BaseConfig):
    """One question: some arms, held against one of them."""

    title: str = Field(min_length=1)
    """What is asked."""
    baseline: str
    """The arm that the others are compared with."""
    arms: tuple[str, ...] = Field(min_length=1)
    """The others, in the order of the table."""


def flattened(changes: dict[str, Any], above: str = "") -> Overrides:
    """Nested mappings to dotted keys; an empty one is a value."""
    found: Overrides = {}
    for key, value in changes.items():
        name = f"{above}{key}"
        found |= (
            flattened(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
        )
    return found


class AblationConfig(BaseConfig):
    """Arms x folds x seeds of one experiment."""

    name: str = Field(pattern=_NAME)
    """A short name; an arm's run is called by this and its own."""
    base: str
    """The config of the experiment, which the arms change."""
    output: str
    """The folder of the arms' runs."""
    every: Overrides = Field(default_factory=dict)
    """Changes to the base that every arm has."""
    arms: dict[str, Overrides] = Field(min_length=2)
    """By arm, what it changes."""
    tune: TuneConfig | None = None
    """A setting that arms pick for each fold; null takes the config's everywhere."""
    tables: tuple[TableConfig, ...] = Field(min_length=1)
    """What is asked of the arms."""

    @property
    def tuned(self) -> tuple[str, ...]:
        """The arms that pick a setting for themselves."""
        if self.tune is None:
            return ()
        return tuple(self.arms) if self.tune.arms is None else self.tune.arms

    @field_validator("every", "arms", mode="before")
    @classmethod
    def _flat(cls, changes: Any, info: ValidationInfo) -> Any:
        """Sections within a change to dotted keys: {train: {epochs: 2}} changes one key."""
        if not isinstance(changes, dict):
            return changes
        if info.field_name == "every":
            return flattened(changes)
        return {
            arm: flattened(own) if isinstance(own, dict) else own for arm, own in changes.items()
        }

    @model_validator(mode="after")
    def _arms_keep_their_place(self) -> AblationConfig:
        for where, changes in [("every", self.every), *self.arms.items()]:
            taken = sorted({"name", "output"} & changes.keys())
            if taken:
                raise ValueError(f"{where!r} changes {taken[0]}, which the ablation itself sets")
        return self

    @model_validator(mode="after")
    def _arms_are_known(self) -> AblationConfig:
        named = {arm for table in self.tables for arm in (table.baseline, *table.arms)}
        strays = sorted({*named, *self.tuned} - self.arms.keys())
        if strays:
            raise ValueError(f"no arm {strays[0]!r}; arms: {', '.join(self.arms)}")
        idle = sorted(self.arms.keys() - named)
        if idle:
            raise ValueError(f"arm {idle[0]!r} is in no table; name it in one, or leave it out")
        for table in self.tables:
            tuned = {arm in self.tuned for arm in (table.baseline, *table.arms)}
            if len(tuned) > 1:
                raise ValueError(
                    f"table {table.title!r} holds arms with {self.tune and self.tune.key} tuned "
                    "against arms without; tune all of them or none"
                )
            if table.baseline in table.arms or len(set(table.arms)) < len(table.arms):
                raise ValueError(f"table {table.title!r} names an arm twice")
        return self


def load_ablation_config(path: str | Path, overrides: Sequence[str] = ()) -> AblationConfig:
    """Read the config of an ablation; see ``load_section``."""
    return load_section(path, overrides, AblationConfig)


def expand(config: AblationConfig) -> dict[str, RunConfig]:
    """By arm, its full config.

    Raises:
        ConfigError: the base cannot be read, or an arm's change does not fit it.
    """
    return {arm: arm_config(config, arm) for arm in config.arms}


def arm_config(config: AblationConfig, arm: str, more: Overrides | None = None) -> RunConfig:
    """One arm of an ablation as an experiment of its own.

    Args:
        config: the ablation.
        arm: its name.
        more: further changes.

    Raises:
        ConfigError: as for ``expand``.
    """
    name = "@".join([arm, *(f"{key.rpartition('.')[2]}={at}" for key, at in (more or {}).items())])
    changes = {**config.every, **config.arms[arm], **(more or {})}
    changes |= {"name": f"{config.name}-{arm}", "output": f"{config.output}/{name}"}
    # JSON is YAML; a date in an arm becomes text, which the config then refuses by its key
    written = {
        key: json.dumps(value, ensure_ascii=False, default=str) for key, value in changes.items()
    }
    typed = [f"{key}={value}" for key, value in written.items()]
    try:
        return load_config(config.base, typed)
    except ConfigError as error:
        raise ConfigError(f"arm {arm!r} of {config.name}: {error}") from error
