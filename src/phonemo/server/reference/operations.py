"""The OpenAPI document of the server, read into what the page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_METHODS = ("get", "post", "put", "delete")
_FORM = "multipart/form-data"


@dataclass(frozen=True)
class Option:
    """A field of a form or a parameter of an address."""

    name: str
    kind: str
    """Its type, or its possible values."""
    default: str
    """Empty without one."""
    description: str
    required: bool


@dataclass(frozen=True)
class ErrorRow:
    """An error with an example of its message."""

    status: str
    code: str
    message: str


@dataclass(frozen=True)
class Operation:
    """A method of an address."""

    method: str
    path: str
    summary: str
    description: str
    options: tuple[Option, ...]
    media_types: tuple[str, ...]
    """Of the body of a request; empty without a body."""
    answer: tuple[Option, ...]
    """Fields of the JSON answer."""
    needs_key: bool

    @property
    def anchor(self) -> str:
        """Its id on the page."""
        return f"{self.method}{self.path}".replace("/", "-").lower()


def read_operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return the operations of an OpenAPI document, those with audio first."""
    found = [
        _operation(document, path, method, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if method in _METHODS
    ]
    return tuple(sorted(found, key=lambda operation: "/audio/" not in operation.path))


def read_errors(document: Mapping[str, Any]) -> tuple[ErrorRow, ...]:
    """Return all errors of an OpenAPI document, each code once for a status."""
    rows: dict[tuple[str, str], ErrorRow] = {}
    for methods in document["paths"].values():
        for described in methods.values():
            for row in _errors(described):
                rows.setdefault((row.status, row.code), row)
    return tuple(rows[key] for key in sorted(rows))


def _errors(described: Mapping[str, Any]) -> Iterator[ErrorRow]:
    for status, response in described["responses"].items():
        content = response.get("content", {}).get("application/json", {})
        for code, example in content.get("examples", {}).items():
            yield ErrorRow(status, code, example["value"]["error"]["message"])


def _operation(
    document: Mapping[str, Any], path: str, method: str, described: Mapping[str, Any]
) -> Operation:
    content = described.get("requestBody", {}).get("content", {})
    return Operation(
        method=method.upper(),
        path=path,
        summary=described["summary"],
        description=described.get("description", ""),
        options=_options(content, described),
        media_types=tuple(content),
        answer=_answer(document, described),
        needs_key=bool(described.get("security")),
    )


def _options(content: Mapping[str, Any], described: Mapping[str, Any]) -> tuple[Option, ...]:
    """The fields of the form, which are the parameters too, or the parameters alone."""
    if _FORM in content:
        return _fields(content[_FORM]["schema"])
    return tuple(
        _option(one["name"], {**one["schema"], **one}, one.get("required", False))
        for one in described.get("parameters", ())
    )


def _answer(document: Mapping[str, Any], described: Mapping[str, Any]) -> tuple[Option, ...]:
    content = described["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return _fields(document["components"]["schemas"].get(name, {}))


def _fields(schema: Mapping[str, Any]) -> tuple[Option, ...]:
    required = schema.get("required", ())
    return tuple(
        _option(name, field, name in required)
        for name, field in schema.get("properties", {}).items()
    )


def _option(name: str, field: Mapping[str, Any], required: bool) -> Option:
    default = field.get("default")
    shown = "" if default is None else str(default).lower() if default is False else str(default)
    return Option(name, _kind(field), shown, field.get("description", ""), required)


def _kind(field: Mapping[str, Any]) -> str:
    if "enum" in field or "const" in field:
        return ", ".join(map(str, field.get("enum", [field.get("const")])))
    if field.get("format") == "binary":
        return "file"
    if "$ref" in field:
        return "object"
    if "anyOf" in field:
        return " or ".join(_kind(part) for part in field["anyOf"])
    kind = str(field.get("type", "object"))
    if kind == "array":
        return f"list of {_kind(field['items'])}"
    return {"number": "number", "boolean": "true or false"}.get(kind, kind)
