"""The base class of config sections, and guarded reading and writing of YAML."""

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
from yaml.scanner import ScannerError

from phonemo.errors import ConfigError
from phonemo.files import atomic_write_text


class BaseConfig(BaseModel):
    """A frozen, typed section that rejects unknown keys; docstrings describe its fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def digest_of(config: BaseConfig, without: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that identify a config, ``without`` keys that affect no result."""
    data = config.model_dump(mode="json", exclude=without)
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


Kind = TypeVar("Kind", bound=BaseConfig)
_MAX_VALUES = 10_000
_MOST_NESTED = 50


def load_section(
    path: str | Path | None, overrides: Sequence[str], kind: type[Kind], name: str = "defaults"
) -> Kind:
    """Read a YAML config; ``overrides`` are KEY=VALUE with dotted keys, VALUE as YAML.

    Args:
        path: the file; None starts from the defaults.
        overrides: applied in order.
        kind: the config's class.
        name: name of the defaults in error messages.

    Raises:
        ConfigError: missing file, broken YAML, unknown key or wrong value, in one line.
    """
    if path is None:
        return _validate({}, overrides, kind, name)
    return _validate(_read_yaml(Path(path)), overrides, kind, str(path))


def write_config(path: Path, config: BaseConfig) -> None:
    """Write the resolved config as YAML."""
    data = config.model_dump(mode="json")
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if "\x85" in text:  # PyYAML writes it unescaped and reads it as a line break
        text = yaml.safe_dump(data, sort_keys=False)
    atomic_write_text(path, text)


class _StrictLoader(yaml.SafeLoader):
    """A safe YAML loader that rejects expanding aliases, duplicate keys and deep nesting.

    PyYAML silently keeps the last of several equal keys, and its time grows with the square of the
    depth of brackets.
    """

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= _MOST_NESTED:
            message = f"nested too deeply; expected at most {_MOST_NESTED} brackets"
            raise ScannerError(None, None, message, self.get_mark())
        super().fetch_flow_collection_start(token)

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None and _count_values(node, {}) > _MAX_VALUES:
            message = f"expected at most {_MAX_VALUES} values"
            raise ConstructorError(None, None, message, node.start_mark)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
            seen |= {key.value} if isinstance(key.value, str) else set()
        return super().construct_mapping(node, deep)


def _count_values(node: Any, counts: dict[int, int]) -> int:
    """Count a node's values with aliases expanded; a node that contains itself exceeds the limit.

    Args:
        node: a YAML node.
        counts: known counts by node; a node whose counting is unfinished exceeds the limit.
    """
    if id(node) in counts:
        return counts[id(node)]
    counts[id(node)] = _MAX_VALUES + 1
    below = node.value if not isinstance(node, yaml.ScalarNode) else ()
    pairs = [child for pair in below for child in (pair if isinstance(pair, tuple) else (pair,))]
    counts[id(node)] = 1 + sum(_count_values(child, counts) for child in pairs)
    return counts[id(node)]


def _parse_yaml(text: str) -> Any:
    """Parse YAML.

    Raises:
        ValueError: invalid YAML. For values that do not match their tag, such as 2001-99-99 or
            !!int "", PyYAML itself raises various exceptions.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, ValueError, LookupError, ArithmeticError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError("a value does not match its tag or is nested too deeply") from error


def _validate(data: dict[str, Any], overrides: Sequence[str], kind: type[Kind], name: str) -> Kind:
    for override in overrides:
        _apply_override(data, override)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{name}: {_first_error(error, kind)}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such config file")
    try:
        data = _parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:  # includes invalid UTF-8
        raise ConfigError(f"{path}: expected YAML ({error})") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, got {type(data).__name__}")
    return data


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(
            f"expected an override KEY=VALUE such as train.epochs=5, got {override!r}"
        )
    *parents, last = key.split(".")
    for parent in parents:
        branch = data.setdefault(parent, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"override {override!r}: {parent!r} has no keys below it")
        data = branch
    try:
        data[last] = _parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"override {override!r}: expected YAML after '='") from error


def _first_error(error: ValidationError, kind: type[BaseConfig]) -> str:
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if not where:  # a fault of the whole config; its message names the keys
        return str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        keys = ", ".join(_known_keys(fault["loc"][:-1], kind))
        return f"unknown key {where!r}; known keys: {keys}"
    if fault["type"] == "missing":
        return f"key {where!r} is missing"
    return f"key {where!r}: {fault['msg']} (got {reprlib.repr(fault['input'])})"


def _known_keys(location: tuple[int | str, ...], kind: type[BaseConfig]) -> list[str]:
    section: Any = kind
    in_mapping = False
    for part in location:
        if in_mapping or not isinstance(part, str):  # a key or an index of a section
            in_mapping = False
            continue
        annotation = section.model_fields[part].annotation
        section, in_mapping = _section_of(annotation), get_origin(annotation) is dict
    return list(section.model_fields)


def _section_of(annotation: Any) -> Any:
    options = getattr(annotation, "__args__", (annotation,))
    return next(
        option for option in options if isinstance(option, type) and issubclass(option, BaseModel)
    )
