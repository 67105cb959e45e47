"""What every section of a config has in common.

YAML in, YAML out.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from yaml.constructor import ConstructorError

from phonemo.errors import ConfigError
from phonemo.files import atomic_write_text


class BaseConfig(BaseModel):
    """Frozen, typed, strict about its keys, and with a sentence under each field."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def digest_of(config: BaseConfig, without: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that name a config; ``without`` are keys that change no result."""
    data = config.model_dump(mode="json", exclude=without)
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


Kind = TypeVar("Kind", bound=BaseConfig)
_MOST_VALUES = 10_000


def load_section(
    path: str | Path | None, overrides: Sequence[str], kind: type[Kind], name: str = "defaults"
) -> Kind:
    """Read a YAML config; ``overrides`` are KEY=VALUE with dotted keys, VALUE as YAML.

    Args:
        path: of the file; None reads the defaults.
        overrides: applied in order.
        kind: the config's class.
        name: of the defaults, in errors.

    Raises:
        ConfigError: missing file, broken YAML, unknown key or wrong value, in one line.
    """
    if path is None:
        return _validated({}, overrides, kind, name)
    return _validated(_read_yaml(Path(path)), overrides, kind, str(path))


def write_config(path: Path, config: BaseConfig) -> None:
    """Write the resolved config as YAML."""
    data = config.model_dump(mode="json")
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if "\x85" in text:  # which PyYAML writes as it is, and reads as the end of a line
        text = yaml.safe_dump(data, sort_keys=False)
    atomic_write_text(path, text)


class _Plain(yaml.SafeLoader):
    """YAML without what a config has no use for: aliases that grow without end, and double keys.

    A key that is there twice would silently be the last one.
    """

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None and _values(node, {}) > _MOST_VALUES:
            raise ConstructorError(None, None, f"more than {_MOST_VALUES} values", node.start_mark)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen |= {key.value} if isinstance(key.value, str) else set()
        return super().construct_mapping(node, deep)


def _values(node: Any, counts: dict[int, int]) -> int:
    """How many there are with every alias written out; those of a node that holds itself: too many.

    Args:
        node: of YAML.
        counts: by node, what is known already; a node that is being counted counts as too many.
    """
    if id(node) in counts:
        return counts[id(node)]
    counts[id(node)] = _MOST_VALUES + 1
    below = node.value if not isinstance(node, yaml.ScalarNode) else ()
    pairs = [one for pair in below for one in (pair if isinstance(pair, tuple) else (pair,))]
    counts[id(node)] = 1 + sum(_values(one, counts) for one in pairs)
    return counts[id(node)]


def _yaml(text: str) -> Any:
    """What YAML says.

    Raises:
        ValueError: it is none. Of a value that does not fit its tag, as 2001-99-99 or !!int "",
            PyYAML raises anything.
    """
    try:
        return yaml.load(text, _Plain)
    except (yaml.YAMLError, ValueError, LookupError, ArithmeticError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError("a value does not fit its tag, or is nested too deeply") from error


def _validated(data: dict[str, Any], overrides: Sequence[str], kind: type[Kind], name: str) -> Kind:
    for override in overrides:
        _override(data, override)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{name}: {_first_fault(error, kind)}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such config file")
    try:
        data = _yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8 either
        raise ConfigError(f"{path}: not YAML ({error})") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping of keys is wanted, found {type(data).__name__}")
    return data


def _override(data: dict[str, Any], override: str) -> None:
    key, found, text = override.partition("=")
    if not found or not key:
        raise ConfigError(f"override {override!r}: KEY=VALUE is wanted, such as train.epochs=5")
    *parents, last = key.split(".")
    for parent in parents:
        branch = data.setdefault(parent, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"override {override!r}: {parent!r} has no keys below it")
        data = branch
    try:
        data[last] = _yaml(text)
    except ValueError as error:
        raise ConfigError(f"override {override!r}: the value is not YAML") from error


def _first_fault(error: ValidationError, kind: type[BaseConfig]) -> str:
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if not where:  # of the whole: what it says names the keys
        return str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(fault["loc"][:-1], kind))
        return f"unknown key {where!r}; known keys: {known}"
    if fault["type"] == "missing":
        return f"key {where!r} is missing"
    return f"key {where!r}: {fault['msg']} (found {reprlib.repr(fault['input'])})"


def _known_keys(location: tuple[int | str, ...], kind: type[BaseConfig]) -> list[str]:
    section: Any = kind
    named = False
    for part in location:
        if named or not isinstance(part, str):  # a place in a mapping, or in a list, of sections
            named = False
            continue
        annotation = section.model_fields[part].annotation
        section, named = _section_of(annotation), get_origin(annotation) is dict
    return list(section.model_fields)


def _section_of(annotation: Any) -> Any:
    options = getattr(annotation, "__args__", (annotation,))
    return next(one for one in options if isinstance(one, type) and issubclass(one, BaseModel))
