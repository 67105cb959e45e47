"""Errors of the library in the words of a server: its settings, and what a client can change.

The library advises whoever calls it: "raise max_seconds", "pip install". A client of a server can
do neither. This is the only place where such a text is translated.
"""

from __future__ import annotations

import re

from phonemo.audio.containers import EXPECTED
from phonemo.server.formats import accepted_formats

_CONVERT = "convert it to WAV or FLAC"
#: A text of the library as a regular expression -> its replacement.
_TRANSLATIONS = (
    (
        r"expected at most (\S+ s), got (.+); split it or raise max_seconds$",
        r"expected at most \1 (limits.audio_seconds), got \2; split it",
    ),
    (
        r"expected at most (\d+ decoded bytes), got (\d+); split it or raise max_decoded_bytes$",
        r"expected at most \1 (limits.decoded_bytes), got \2; split it, or lower its sample rate",
    ),
    (
        r" needs an optional part: pip install 'phonemo\[media\]'$",
        f" is not accepted by this server; {_CONVERT}",
    ),
    (r"; or perhaps with: pip install 'phonemo\[media\]'$", f"; {_CONVERT}"),
    (r"than allowed; send a shorter file$", r"than allowed (limits.decoder_bytes); split it"),
)


def text_for_clients(message: str) -> str:
    """Translate the message of an AudioError; other messages are returned as they are."""
    for pattern, replacement in _TRANSLATIONS:
        message = re.sub(pattern, replacement, message)
    return message.replace(EXPECTED, f"expected {_formats()}")


def _formats() -> str:
    *names, last = accepted_formats()
    return f"{', '.join(names)} or {last}"
