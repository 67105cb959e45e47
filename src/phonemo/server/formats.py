"""The formats of recordings that this server accepts."""

from __future__ import annotations

from importlib.util import find_spec

_NATIVE = ("wav", "flac", "mp3", "ogg", "opus", "aiff", "au", "caf", "w64", "sph")
_MEDIA = ("m4a", "mp4", "aac", "webm", "mka", "3gp", "amr", "wma")
#: Schema text of a part that is a recording.
DESCRIPTION = (
    f"A recording: {', '.join(_NATIVE)}; with the extra media also {', '.join(_MEDIA)}. "
    "GET /v1/limits lists the formats of this server."
)


def reads_media() -> bool:
    """Whether the extra ``media`` is installed; it is not imported, as only decoders need it."""
    return find_spec("av") is not None


def accepted_formats() -> list[str]:
    """Names of the accepted formats, as file name suffixes without a dot."""
    return [*_NATIVE, *(_MEDIA if reads_media() else ())]


def media_line() -> str:
    """One line about the formats of phones and browsers, for the log at start."""
    if reads_media():
        return "m4a, mp4 and webm are accepted"
    return "m4a, mp4 and webm need pip install 'phonemo[media]'"
