"""Every exception a user can meet.

A message is one line and says what was found, what was wanted and the next step. Library code
raises; the command line prints the message and leaves with ``exit_code``.
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
]


#: Letters of a message; of a longer one the middle is left out.
_HEAD, _TAIL = 600, 300


class PhonemoError(Exception):
    """The parent of all errors that phonemo raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        """One printable line that is not too long, whatever a file put into it."""
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
    """An emotion is not in the label set that was asked for."""


class AudioError(PhonemoError):
    """Audio that cannot be used; ``code`` is stable and meant for programs."""

    def __init__(self, code: AudioCode, message: str) -> None:
        super().__init__(message)
        self.code: AudioCode = code

    def __reduce__(self) -> tuple[type[AudioError], tuple[AudioCode, str]]:
        """Survive the way between processes, which would call ``__init__`` with args alone."""
        return type(self), (self.code, str(self))


class ManifestError(PhonemoError):
    """A manifest is missing, malformed or does not match the disk."""


class CorpusError(PhonemoError):
    """A corpus folder does not have the layout or the counts of its release."""


class ProtocolError(PhonemoError):
    """Folds cannot be made as asked, or do not fit the manifest."""


class LeakageError(ProtocolError):
    """Train and test share something that the protocol forbids."""


class PhonemeError(PhonemoError):
    """A symbol outside the inventory, or a language without a grapheme-to-phoneme backend."""


class ModelError(PhonemoError):
    """A backbone or network cannot be built or run as configured."""


class CheckpointError(PhonemoError):
    """A model folder or checkpoint is missing, broken or of another kind."""


class HubError(PhonemoError):
    """A hub has no such model, refuses, or is out of reach."""


class RunError(PhonemoError):
    """A run folder cannot be continued, or belongs to another config."""


class MissingExtraError(PhonemoError):
    """A command needs an optional part of phonemo that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part: pip install 'phonemo[{extra}]'")
        self.what = what
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Survive the way between processes, which would call ``__init__`` with args alone."""
        return type(self), (self.what, self.extra)


class ResultError(PhonemoError):
    """Scores cannot be computed or reported: nothing to score, or a malformed result."""


def safe_name(name: str | os.PathLike[str]) -> str:
    """A file name that is safe in a message: one printable line of at most 123 characters.

    Control characters, right-to-left marks and other invisible ones become "?"; the middle of a
    long name is left out. For HTML it must still be escaped.
    """
    text = os.fspath(name)
    if len(text) > _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        text = f"{text[:_HEAD_CHARACTERS]}...{text[-_TAIL_CHARACTERS:]}"
    return safe_text(text)


def safe_text(text: str) -> str:
    """The text with "?" for every letter that a terminal would not show as one."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
