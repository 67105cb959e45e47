"""Bring blocks of several recordings, or of a stream that changes, to one rate and channel count.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from phonemo.audio.arrays import Block
from phonemo.audio.channels import mean_of_channels


class BlockFitter:
    """Converts blocks to a rate in hertz and a number of channels; equal ones pass unchanged."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._from = rate
        self._stream: soxr.ResampleStream | None = None

    def push(self, block: Block, rate: int) -> Iterator[Block]:
        """Yield a block (frame, channel), after what the filter still holds of another rate."""
        if rate != self._from:
            yield from self.finish()
            self._from = rate
            if rate != self._rate:
                self._stream = soxr.ResampleStream(rate, self._rate, self._channels)
        if block.shape[1] != self._channels:
            block = np.repeat(mean_of_channels(block)[:, None], self._channels, axis=1)
        yield block if self._stream is None else self._resample(block, last=False)

    def finish(self) -> Iterator[Block]:
        """Yield what the filter still holds."""
        if self._stream is not None:
            yield self._resample(np.zeros((0, self._channels), dtype=np.float32), last=True)
            self._stream = None

    def _resample(self, block: Block, last: bool) -> Block:
        assert self._stream is not None
        flat = np.ascontiguousarray(block[:, 0] if self._channels == 1 else block)
        found: Block = self._stream.resample_chunk(flat, last=last)
        return found.reshape(-1, self._channels)
