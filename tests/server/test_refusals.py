"""Errors as answers: a status, a stable code, one line."""

from __future__ import annotations

import pytest

from phonemo.errors import (
    AudioError,
    CheckpointError,
    LabelError,
    ModelError,
    PhonemeError,
    PhonemoError,
    UsageError,
)
from phonemo.server.api_errors import (
    ApiError,
    api_error_of,
    service_unavailable,
    too_many_requests,
    type_of,
)


@pytest.mark.parametrize(
    ("error", "status", "code", "param"),
    [
        (AudioError("audio_too_long", "a"), 413, "audio_too_long", "file"),
        (AudioError("audio_too_large", "a"), 413, "audio_too_large", "file"),
        (AudioError("unsupported_audio", "a"), 422, "unsupported_audio", "file"),
        (AudioError("empty_audio", "a"), 422, "empty_audio", "file"),
        (AudioError("too_short", "a"), 422, "too_short", "file"),
        (AudioError("invalid_audio", "a"), 422, "invalid_audio", "file"),
        (LabelError("a"), 400, "invalid_label", "labels"),
        (UsageError("a"), 400, "invalid_value", None),
        (CheckpointError("a"), 500, "model_error", None),
        (ModelError("a"), 500, "model_error", None),
        (PhonemeError("a"), 500, "model_error", None),
        (PhonemoError("a"), 500, "model_error", None),
    ],
)
def test_every_library_error_has_a_status_and_a_code(error, status, code, param):
    found = api_error_of(error)
    assert (found.status, found.code, found.param, str(found)) == (status, code, param, "a")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_the_type_follows_from_the_status(status, kind):
    assert type_of(status) == kind


def test_the_body_has_the_common_api_error_format():
    told = {"message": "m", "type": "invalid_request_error", "param": "p", "code": "c"}
    assert ApiError(400, "c", "m", "p").to_dict() == {"error": told}


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "1"), (0.4, "1"), (1.0, "1"), (1.01, "2"), (29.5, "30")]
)
def test_retry_after_is_in_whole_seconds_and_at_least_1(seconds, told):
    found = too_many_requests("queue_full", "full", seconds)
    assert (found.status, found.headers) == (429, {"Retry-After": told})


def test_a_503_has_retry_after():
    found = service_unavailable("stopping", "the server stops")
    assert (found.status, found.code, found.headers) == (503, "stopping", {"Retry-After": "1"})
