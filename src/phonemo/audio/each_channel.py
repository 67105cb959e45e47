"""Decode the channels of a recording one after another.

A recording is opened again for each of its channels, so that no more than one is in memory at its
own rate.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from phonemo.audio.channels import Channels
from phonemo.audio.decode import AudioLimits
from phonemo.audio.sources import Source, open_stream
from phonemo.audio.waveform import Excerpt, Waveform, channel_count, load_waveform

_DEFAULT_LIMITS = AudioLimits()


def load_channels(
    source: Source,
    channels: Channels,
    *,
    rate: int | None = None,
    start: float | None = None,
    end: float | None = None,
    limits: AudioLimits = _DEFAULT_LIMITS,
) -> tuple[Waveform, ...]:
    """Decode the chosen channels of a recording.

    Args:
        source: as for :func:`load_waveform`.
        channels: "mix" and a number give one Waveform; "split" gives that of each channel with
            sound, in order. If no channel has sound, split gives the mix of all.
        rate: as for :func:`load_waveform`.
        start: as for :func:`load_waveform`.
        end: as for :func:`load_waveform`.
        limits: as for :func:`load_waveform`, for each channel.

    Returns:
        The decoded channels. If a channel without sound was left out, each has the warning
        "silent_channel".

    Raises:
        AudioError: as :func:`load_waveform`.
        UsageError: as :func:`load_waveform`.
    """
    with ExitStack() as stack:
        rewind = reopened(source, limits, stack)

        def load(channel: int | None) -> Waveform:
            return load_waveform(
                rewind(), rate=rate, start=start, end=end, channel=channel, limits=limits
            )

        if channels != "split":
            return (load(None if channels == "mix" else channels),)
        count = channel_count(rewind(), rate, limits)
        loaded = [load(number) for number in range(1, count + 1)]
        kept = [waveform for waveform in loaded if "silent" not in waveform.warnings]
        if not kept:
            return (load(None),)
    if len(kept) == len(loaded):
        return tuple(kept)
    return tuple(replace(one, warnings=(*one.warnings, "silent_channel")) for one in kept)


def chosen_excerpt(audio: Source | Excerpt, channels: Channels) -> Excerpt:
    """Return the excerpt with the chosen channel, unless it names one; none for mix and split."""
    excerpt = audio if isinstance(audio, Excerpt) else Excerpt(audio)
    if excerpt.channel is not None or not isinstance(channels, int):
        return excerpt
    return replace(excerpt, channel=channels)


def channel_excerpts(
    excerpt: Excerpt, rate: int | None, limits: AudioLimits, stack: ExitStack
) -> Iterator[Excerpt]:
    """Yield the excerpt on each channel; each must be decoded before the next is taken.

    Args:
        excerpt: of a recording; its channel is ignored.
        rate: samples per second, for an array.
        limits: as for :func:`load_waveform`.
        stack: closes the copy of a pipe.

    Raises:
        AudioError: as :func:`load_waveform`.
    """
    rewind = reopened(excerpt.source, limits, stack)
    for number in range(1, channel_count(rewind(), rate, limits) + 1):
        yield replace(excerpt, source=rewind(), channel=number)


def reopened(source: Source, limits: AudioLimits, stack: ExitStack) -> Callable[[], Source]:
    """Return a function that gives the recording from its start; a pipe is stored in a file."""
    if isinstance(source, str | os.PathLike | np.ndarray | bytes | bytearray | memoryview):
        return lambda: source
    _, stream = open_stream(source, limits.max_decoded_bytes, stack)
    start = stream.tell()

    def rewind() -> Source:
        stream.seek(start)
        return stream

    return rewind
