"""All exceptions that phonemo raises on purpose.

A message is one line with the expected value, the actual value and the next step. Library code
raises; the command line prints the message and exits with ``exit_code``.
"""

from __future__ import annotations

import os
from typing import Literal

_HEAD_CHARACTERS, _TAIL_CHARACTERS = 60, 60

AudioCode = Literal[
    "missing_file",
    "unsupported_audio",
    "empty_audio",
    "too_short",
    "audio_too_long",
    "audio_too_large",
    "invalid_audio",
    "invalid_channel",
    "wrong_encoding",
]


#: Characters kept at each end of a message; the middle of a longer one is omitted.
_HEAD, _TAIL = 600, 300


class PhonemoError(Exception):
    """Base class of phonemo's errors."""

    exit_code = 1

    def __str__(self) -> str:
        """The message as one printable line of limited length."""
        text = super().__str__()
        if len(text) > _HEAD + _TAIL:
            text = f"{text[:_HEAD]}...{text[-_TAIL:]}"
        return "".join(letter if letter.isprintable() else "?" for letter in text)


class UsageError(PhonemoError):
    """The request itself is wrong: an unknown option, name or key."""

    exit_code = 2


class ConfigError(UsageError):
    """A config file has an unknown key, a wrong type or a contradiction."""


class LabelError(UsageError):
    """An emotion is not in the requested label set."""


class AudioError(PhonemoError):
    """Audio cannot be used; ``code`` is stable and machine-readable."""

    def __init__(self, code: AudioCode, message: str) -> None:
        super().__init__(message)
        self.code: AudioCode = code

    def __reduce__(self) -> tuple[type[AudioError], tuple[AudioCode, str]]:
        """Support pickling; the default would call ``__init__`` with ``args`` only."""
        return type(self), (self.code, str(self))


class ManifestError(PhonemoError):
    """A manifest is missing, malformed or does not match the disk."""


class CorpusError(PhonemoError):
    """A corpus folder does not match the layout or the counts of its release."""


class ProtocolError(PhonemoError):
    """Folds cannot be built as configured, or do not match the manifest."""


class LeakageError(ProtocolError):
    """Train and test share something that the protocol forbids."""


class PhonemeError(PhonemoError):
    """A symbol outside the inventory, or a language without a grapheme-to-phoneme backend."""


class ModelError(PhonemoError):
    """A backbone or network cannot be built or run as configured."""


class DeviceError(PhonemoError):
    """The requested device is missing, or no network can be opened on it."""


class CheckpointError(PhonemoError):
    """A model folder or checkpoint is missing, broken or of the wrong kind."""


class HubError(PhonemoError):
    """A hub has no such model, rejects the request or is unreachable."""


class RunError(PhonemoError):
    """A run folder cannot be resumed, or belongs to another config."""


class MissingExtraError(PhonemoError):
    """A command needs an optional dependency that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part: pip install 'phonemo[{extra}]'")
        self.what = what
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Support pickling; the default would call ``__init__`` with ``args`` only."""
        return type(self), (self.what, self.extra)


class ResultError(PhonemoError):
    """Scores cannot be computed or reported: no rows, or a malformed result."""


def safe_name(name: str | os.PathLike[str]) -> str:
    """Return a file name for use in a message: one printable line of at most 123 characters.

    Invisible characters (control characters, right-to-left marks) become "?"; the middle of a long
    name is omitted. HTML escaping is still needed.
    """
    text = os.fspath(name)
    if len(text) > _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        text = f"{text[:_HEAD_CHARACTERS]}...{text[-_TAIL_CHARACTERS:]}"
    return safe_text(text)


def safe_text(text: str) -> str:
    """Replace every non-printable character with "?"."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
