"""Decode a stream of raw samples, in messages of any size."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from phonemo.audio.arrays import RATES, whole_rate
from phonemo.audio.channels import MAX_CHANNELS, mean_of_channels
from phonemo.audio.pcm.declaration import DeclarationCheck
from phonemo.audio.pcm.encodings import ENCODINGS, Block, parse_encoding
from phonemo.errors import UsageError


class SampleDecoder(Protocol):
    """Decodes the bytes of a stream."""

    rate: int
    """Samples per second of the decoded samples."""

    def push(self, data: bytes) -> Block:
        """Decode the next bytes, of any number, to mono float32 with a full scale of 1."""

    def finish(self) -> Block:
        """Return the last samples."""


class PcmDecoder:
    """Decodes raw samples and refuses a stream that is something else.

    Args:
        encoding: one of ``ENCODINGS`` or ``ALIASES``.
        rate: samples per second.
        channels: interleaved channels, which are averaged.

    Raises:
        UsageError: an unknown encoding, or a rate or a number of channels out of range.
    """

    def __init__(self, encoding: str = "s16le", rate: int = 16_000, channels: int = 1) -> None:
        self.encoding = ENCODINGS[parse_encoding(encoding)]
        self.rate = whole_rate(rate, "stream")
        if self.rate not in RATES:
            raise UsageError(f"expected a rate of {RATES[0]} to {RATES[-1]} Hz, got {rate} Hz")
        if isinstance(channels, bool) or channels not in range(1, MAX_CHANNELS + 1):
            raise UsageError(f"channels: expected 1 to {MAX_CHANNELS}, got {channels!r}")
        self.channels = int(channels)
        self._incomplete = b""
        self._check = DeclarationCheck(self.encoding, self.rate, self.channels)

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete sample, which wait for the next ones."""
        return len(self._incomplete)

    def push(self, data: bytes | bytearray | memoryview) -> Block:
        """Decode the next bytes to mono float32, (sample,); an incomplete sample waits.

        Raises:
            AudioError: wrong_encoding: the bytes are not what was declared.
        """
        data = bytes(data)
        self._check.push(data)
        data = self._incomplete + data
        width = self.encoding.width * self.channels
        whole = len(data) // width * width
        self._incomplete = data[whole:]
        return self._mix(self.encoding.decode(data[:whole]))

    def finish(self) -> Block:
        """Check a short stream; an incomplete sample at its end is ignored.

        Raises:
            AudioError: wrong_encoding.
        """
        self._check.finish()
        return np.zeros(0, np.float32)

    def _mix(self, samples: Block) -> Block:
        if self.channels == 1:
            return samples
        return mean_of_channels(samples.reshape(-1, self.channels))
