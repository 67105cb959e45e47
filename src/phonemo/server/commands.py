"""The texts that a client of a live stream sends between its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from phonemo.plain_json import parsed
from phonemo.server.refusals import Refusal

_KINDS = ("finish", "reset", "profile")
_EXPECTED = (
    '{"type": "finish"}, {"type": "reset"} and {"type": "profile", "profile_json": {...}} are the '
    "texts that are read; samples come as bytes"
)


@dataclass(frozen=True)
class Command:
    """One text.

    Attributes:
        kind: finish, reset or profile.
        profile: of kind profile, the profile as plain data.
        everything: of kind reset, whether the profile of the stream's start is forgotten too.
    """

    kind: str
    profile: dict[str, Any] | None = None
    everything: bool = False


def command_of(text: str, profile_bytes: int) -> Command:
    """A text as a command.

    Args:
        text: JSON.
        profile_bytes: the most that a profile may have.

    Raises:
        Refusal: it is none (400), or too large (413).
    """
    if len(text) > profile_bytes + len(_EXPECTED):
        message = f"the text is too large; a profile of {profile_bytes} bytes is the largest"
        raise Refusal(413, "message_too_large", message)
    try:
        data = parsed(text)
    except ValueError:
        data = None
    kind = data.get("type") if isinstance(data, dict) else None
    if kind not in _KINDS:
        raise Refusal(400, "invalid_message", _EXPECTED)
    if kind == "finish":
        return Command(kind)
    if kind == "reset":
        return Command(kind, everything=_everything(data))
    if set(data) != {"type", "profile_json"} or not isinstance(data["profile_json"], dict):
        expected = (
            '{"type": "profile", "profile_json": {...}} with the content of a profile\'s file'
        )
        raise Refusal(400, "invalid_message", f"profile: {expected} is expected")
    return Command(kind, data["profile_json"])


def _everything(data: dict[str, Any]) -> bool:
    found = data.get("everything", False)
    if not set(data) <= {"type", "everything"} or not isinstance(found, bool):
        expected = '{"type": "reset"}, or {"type": "reset", "everything": true}, is expected'
        raise Refusal(400, "invalid_message", f"reset: {expected}")
    return found
