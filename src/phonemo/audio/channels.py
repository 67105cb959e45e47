"""Which channels of a recording are used: the mix of all, each on its own, or one."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from phonemo.errors import AudioError, UsageError

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


def validate_channel(channel: int) -> int:
    """Return a channel's number; UsageError if it is not an integer from 1 on."""
    number = parse_channels(channel)
    if not isinstance(number, int):
        raise UsageError(f"channel: expected a number from 1 to {MAX_CHANNELS}, got {channel!r}")
    return number


def check_channel(name: str, channel: int, count: int) -> None:
    """Raise AudioError (invalid_channel) if a recording with ``count`` channels has no such one."""
    if channel > count:
        expected = f"expected a channel from 1 to {count}" if count > 1 else "expected channel 1"
        message = f"{name}: {expected}, got {channel}; choose another one, or mix"
        raise AudioError("invalid_channel", message)


def mean_of_channels(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mix float32 samples of (frame, channel) to (frame,).

    The sum is in float64, so that the mean of identical channels equals each of them. Samples that
    are not finite give others that are not, without a warning; the mixed audio is checked for them.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mono: npt.NDArray[np.float32] = block.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mono
