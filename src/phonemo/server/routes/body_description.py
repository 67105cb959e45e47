"""OpenAPI: the body of POST /v1/audio/emotions as a form and as a recording, and its options."""

from __future__ import annotations

from typing import Any

from phonemo.server.routes.form_parts import MULTIPART
from phonemo.server.routes.request_form import AUDIO, form_schema

_RAW = ("audio/*", "application/octet-stream")
#: Fields that only a form has.
_FORM_ONLY = ("file", "profile_json")


def body_schemas() -> dict[str, Any]:
    """Return the OpenAPI description of the request body."""
    form = form_schema()
    recording = {"schema": {key: AUDIO[key] for key in ("type", "format", "description")}}
    return {**form, "content": {**form["content"], **dict.fromkeys(_RAW, recording)}}


def _options() -> list[dict[str, Any]]:
    form = form_schema()["content"][MULTIPART]["schema"]
    return [
        {"name": name, "in": "query", "required": False, **_parameter(field)}
        for name, field in form["properties"].items()
        if name not in _FORM_ONLY
    ]


def _parameter(field: dict[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in field.items() if key not in ("description", "title")}
    return {"description": field.get("description", ""), "schema": schema}


#: The fields of the form as query parameters, for a recording that is the body.
OPTIONS = _options()
