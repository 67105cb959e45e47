"""API errors: an HTTP status, a stable code and a message of one line."""

from __future__ import annotations

import math
from typing import Any

from phonemo.errors import AudioError, LabelError, PhonemoError, UsageError
from phonemo.server.refusals.client_texts import text_for_clients

#: HTTP status -> type of the error in the response body.
_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
}

#: Codes of phonemo.errors.AudioError -> HTTP status; all other codes are 422.
_AUDIO_STATUSES = {"audio_too_long": 413, "audio_too_large": 413, "wrong_encoding": 400}
#: Codes of phonemo.errors.AudioError -> the field that causes them; that of all others is the file.
_PARAMS = {"invalid_channel": "channels"}


class ApiError(Exception):
    """An error response.

    Args:
        status: HTTP status.
        code: stable identifier for programs.
        message: one line: what was expected, what was found, what to do next.
        param: the request field that caused the error.
        headers: response headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.headers = headers or {}

    def to_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """Return the response body, with the id of the request if it has one."""
        details = {"message": str(self), "type": type_of(self.status), "param": self.param}
        mark = {} if request_id is None else {"request_id": request_id}
        return {"error": {**details, "code": self.code, **mark}}


def type_of(status: int) -> str:
    """Return the error type of an HTTP status."""
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


def api_error_of(error: PhonemoError) -> ApiError:
    """Convert an error of the library to an API error."""
    if isinstance(error, AudioError):
        param = _PARAMS.get(error.code, "file")
        status, message = _AUDIO_STATUSES.get(error.code, 422), text_for_clients(str(error))
        return ApiError(status, error.code, message, param)
    if isinstance(error, LabelError):
        return ApiError(400, "invalid_label", str(error), "labels")
    if isinstance(error, UsageError):
        return ApiError(400, "invalid_value", str(error))
    return ApiError(500, "model_error", str(error))


def too_many_requests(code: str, message: str, seconds: float) -> ApiError:
    """Return a 429 with the number of seconds after which to retry."""
    headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
    return ApiError(429, code, message, headers=headers)


def service_unavailable(code: str, message: str) -> ApiError:
    """Return a 503: the server is starting, stopping or out of resources."""
    return ApiError(503, code, message, headers={"Retry-After": "1"})


def client_closed() -> ApiError:
    """Return a 499; it is only logged, because the client has disconnected."""
    return ApiError(499, "client_closed", "the client disconnected")
