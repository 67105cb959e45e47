"""The config of an ablation: the arms of an experiment, and the tables that compare them."""

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
    """A setting that every arm selects independently, on validation data only."""

    key: str
    """The dotted key, such as train.rate_heads."""
    values: tuple[float, ...] = Field(min_length=2)
    """Candidate values; each fold of an arm selects by validation score with the first seed."""
    arms: tuple[str, ...] | None = None
    """The arms that select a value; null for all arms."""

    @field_validator("values")
    @classmethod
    def _check_unique(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) < len(values):
            raise ValueError("expected distinct values, got a duplicate; list each value once")
        return values


class TableConfig(BaseConfig):
    """One question: some arms, compared with a baseline."""

    title: str = Field(min_length=1)
    """The question."""
    baseline: str
    """The arm that the others are compared with."""
    arms: tuple[str, ...] = Field(min_length=1)
    """The other arms, in the order of the table."""


def flattened(changes: dict[str, Any], above: str = "") -> Overrides:
    """Flatten nested mappings to dotted keys; an empty mapping is a value."""
    flat: Overrides = {}
    for key, value in changes.items():
        name = f"{above}{key}"
        flat |= flattened(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return flat


class AblationConfig(BaseConfig):
    """Arms x folds x seeds of one experiment."""

    name: str = Field(pattern=_NAME)
    """A short name, prefixed to the names of the arms' runs."""
    base: str
    """The experiment's config, which the arms modify."""
    output: str
    """The folder of the arms' runs."""
    every: Overrides = Field(default_factory=dict)
    """Changes to the base that apply to every arm."""
    arms: dict[str, Overrides] = Field(min_length=2)
    """Each arm's changes."""
    tune: TuneConfig | None = None
    """A setting selected per fold; null uses the config's value."""
    tables: tuple[TableConfig, ...] = Field(min_length=1)
    """The comparisons of the arms."""

    @property
    def tuned(self) -> tuple[str, ...]:
        """The arms that select a setting."""
        if self.tune is None:
            return ()
        return tuple(self.arms) if self.tune.arms is None else self.tune.arms

    @field_validator("every", "arms", mode="before")
    @classmethod
    def _flatten_changes(cls, changes: Any, info: ValidationInfo) -> Any:
        """Flatten the sections of a change: {train: {epochs: 2}} changes one key."""
        if not isinstance(changes, dict):
            return changes
        if info.field_name == "every":
            return flattened(changes)
        return {
            arm: flattened(arm_changes) if isinstance(arm_changes, dict) else arm_changes
            for arm, arm_changes in changes.items()
        }

    @model_validator(mode="after")
    def _check_reserved_keys(self) -> AblationConfig:
        for where, changes in [("every", self.every), *self.arms.items()]:
            reserved = sorted({"name", "output"} & changes.keys())
            if reserved:
                raise ValueError(
                    f"{where!r} changes {reserved[0]}, which the ablation sets; remove it"
                )
        return self

    @model_validator(mode="after")
    def _check_arms(self) -> AblationConfig:
        used = {arm for table in self.tables for arm in (table.baseline, *table.arms)}
        unknown = sorted({*used, *self.tuned} - self.arms.keys())
        if unknown:
            raise ValueError(f"expected one of the arms {', '.join(self.arms)}, got {unknown[0]!r}")
        unused = sorted(self.arms.keys() - used)
        if unused:
            raise ValueError(f"arm {unused[0]!r} is in no table; add it to a table or remove it")
        for table in self.tables:
            tuned = {arm in self.tuned for arm in (table.baseline, *table.arms)}
            if len(tuned) > 1:
                raise ValueError(
                    f"table {table.title!r} compares arms with and without tuned "
                    f"{self.tune and self.tune.key}; tune all of them or none"
                )
            if table.baseline in table.arms or len(set(table.arms)) < len(table.arms):
                raise ValueError(f"table {table.title!r} names an arm twice; name each arm once")
        return self


def load_ablation_config(path: str | Path, overrides: Sequence[str] = ()) -> AblationConfig:
    """Load an ablation config; see ``load_section``."""
    return load_section(path, overrides, AblationConfig)


def with_arms(config: AblationConfig, names: Sequence[str]) -> AblationConfig:
    """Return the ablation with some of its arms, and the tables that these can fill.

    Args:
        config: the ablation.
        names: the arms to keep; empty keeps all.

    Raises:
        ConfigError: an unknown arm, or no table has its baseline and another arm among them.
    """
    if not names:
        return config
    if unknown := sorted(set(names) - config.arms.keys()):
        raise ConfigError(f"no arm {unknown[0]!r}; arms: {', '.join(config.arms)}")
    tables = [
        table.model_copy(update={"arms": tuple(arm for arm in table.arms if arm in names)})
        for table in config.tables
        if table.baseline in names
    ]
    tables = [table for table in tables if table.arms]
    if not tables:
        baselines = ", ".join(dict.fromkeys(table.baseline for table in config.tables))
        raise ConfigError(
            f"expected the baseline of a table and an arm to compare with it, got "
            f"{', '.join(names)}; baselines: {baselines}"
        )
    arms = {name: changes for name, changes in config.arms.items() if name in names}
    return config.model_copy(update={"arms": arms, "tables": tuple(tables)})


def expand(config: AblationConfig) -> dict[str, RunConfig]:
    """Build the full config of every arm.

    Raises:
        ConfigError: the base cannot be read, or an arm's change does not fit it.
    """
    return {arm: arm_config(config, arm) for arm in config.arms}


def arm_config(config: AblationConfig, arm: str, more: Overrides | None = None) -> RunConfig:
    """Build the config of one arm as an independent experiment.

    Args:
        config: the ablation.
        arm: the arm's name.
        more: further changes.

    Raises:
        ConfigError: as for ``expand``.
    """
    name = "@".join([arm, *(f"{key.rpartition('.')[2]}={at}" for key, at in (more or {}).items())])
    changes = {**config.every, **config.arms[arm], **(more or {})}
    changes |= {"name": f"{config.name}-{arm}", "output": f"{config.output}/{name}"}
    # JSON is YAML; a date in an arm becomes a string, which the config rejects by its key
    values = {
        key: json.dumps(value, ensure_ascii=False, default=str) for key, value in changes.items()
    }
    overrides = [f"{key}={value}" for key, value in values.items()]
    try:
        return load_config(config.base, overrides)
    except ConfigError as error:
        raise ConfigError(f"arm {arm!r} of {config.name}: {error}") from error
