"""API errors: an HTTP status, a stable code and a message of one line."""

from __future__ import annotations

import math
from typing import Any

from phonemo.errors import AudioError, LabelError, PhonemoError, UsageError

#: The type in the error's body, by what the status says.
_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
}

#: Codes of phonemo.errors.AudioError; what is not here cannot be heard and is 422.
_AUDIO = {"audio_too_long": 413, "audio_too_large": 413}


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        code: stable, for programs.
        message: one line: what was found, what is wanted, what to do next.
        param: the field of the request that is meant.
        headers: of the response.
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

    def to_dict(self) -> dict[str, Any]:
        """The body of the response."""
        told = {"message": str(self), "type": type_of(self.status), "param": self.param}
        return {"error": {**told, "code": self.code}}


def type_of(status: int) -> str:
    """The kind of error that a status is."""
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


def api_error_of(error: PhonemoError) -> ApiError:
    """What an error of the library is over HTTP."""
    if isinstance(error, AudioError):
        return ApiError(_AUDIO.get(error.code, 422), error.code, str(error), "file")
    if isinstance(error, LabelError):
        return ApiError(400, "invalid_label", str(error), "labels")
    if isinstance(error, UsageError):
        return ApiError(400, "invalid_value", str(error))
    return ApiError(500, "model_error", str(error))


def too_many_requests(code: str, message: str, seconds: float) -> ApiError:
    """429: too much at once, with the time after which it is worth another try."""
    later = {"Retry-After": str(max(1, math.ceil(seconds)))}
    return ApiError(429, code, message, headers=later)


def service_unavailable(code: str, message: str) -> ApiError:
    """503: the server starts or stops."""
    return ApiError(503, code, message, headers={"Retry-After": "1"})


def client_closed() -> ApiError:
    """499, which nobody reads: the client went away."""
    return ApiError(499, "client_closed", "the client went away")
