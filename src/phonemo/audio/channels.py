"""Which channels of a recording are used: the mix of all, each on its own, or one."""

from __future__ import annotations

from typing import Literal

from phonemo.errors import UsageError

MAX_CHANNELS = 64
"""Most channels of a file or an array."""

Channels = Literal["mix", "split"] | int
"""``mix`` averages all channels; ``split`` processes each on its own; a number is one channel,
counted from 1 as in RTTM and SoX: of a stereo file, 1 is left and 2 is right."""


def parse_channels(value: str | int) -> Channels:
    """Return the channels that a user typed: mix, split or a number from 1 on.

    Raises:
        UsageError: anything else.
    """
    text = str(value).strip().lower()
    if text == "mix":
        return "mix"
    if text == "split":
        return "split"
    if not isinstance(value, bool) and text.isascii() and text.isdigit():
        number = int(text) if len(text) < 4 else 0
        if 1 <= number <= MAX_CHANNELS:
            return number
    expected = f"mix, split or a number from 1 to {MAX_CHANNELS}"
    raise UsageError(f"channels: expected {expected}, got {value!r}")
