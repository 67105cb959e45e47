"""Level statistics of audio, accumulated block by block, and the warnings they cause.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phonemo.audio.decode import Block

WARNINGS = {
    "truncated": "The file ends early or is damaged; the part that could be decoded is used.",
    "silent": "Apart from a constant offset, nothing is louder than -80 dB of full scale.",
    "clipped": "At least 1 in 1,000 samples is at full scale.",
    "dc_offset": "The mean is off zero by at least 1 % of full scale.",
    "unused_bytes": "Bytes before, between or behind the recordings in the file are not decoded; "
    "unused_bytes=1234 says how many.",
    "unused_tracks": "The file has more than one audio track and the first is used; "
    "unused_tracks=1 says how many are not.",
    "opposite_phase": "The channels cancel each other when mixed, at least in part of the "
    "recording; the loudest one is used there.",
    "channels_differ": "The channels hold different sounds, as the two sides of a call do, and are "
    "mixed all the same; channels=split processes each on its own.",
    "silent_channel": "Another channel of the recording has no sound and is left out.",
}
"""Meaning of each name in ``Waveform.warnings``; some are followed by "=" and an amount."""

SILENT_PEAK = 1e-4
FULL_SCALE = 0.999
CLIPPED_SHARE = 1e-3
DC_OFFSET = 1e-2


#: Standard deviations of clips that are boosted (-100 to -50 dB of full scale), and the target.
_QUIET, _TARGET = (1e-5, 3e-3), 0.1


def boost_quiet(samples: Block) -> Block:
    """Amplify a very quiet clip (sample,); return any other unchanged.

    wav2vec 2.0's normalization adds 1e-7 to the variance, which outweighs the variance of a very
    quiet clip: attenuating ordinary speech by 40 dB changed the recognized emotion.
    """
    deviation = float(samples.std(dtype=np.float64)) if len(samples) else 0.0
    if not _QUIET[0] <= deviation < _QUIET[1]:
        return samples
    return samples * np.float32(_TARGET / deviation)


@dataclass
class LevelMeter:
    """Level statistics of a slice, before and after mixing to mono."""

    frames: int = 0
    at_full_scale: int = 0
    """Frames at full scale in any channel."""
    samples: int = 0
    total: float = 0.0
    lowest: float = np.inf
    highest: float = -np.inf

    def update_raw(self, block: Block) -> None:
        """Add frames at the file's rate, (frame, channel)."""
        self.frames += len(block)
        self.at_full_scale += int((np.abs(block) >= FULL_SCALE).any(axis=1).sum())

    def update_mono(self, samples: Block) -> None:
        """Add the mono mix at 16 kHz, (sample,)."""
        if len(samples):
            self.samples += len(samples)
            self.total += float(samples.sum(dtype=np.float64))
            self.lowest = min(self.lowest, float(samples.min()))
            self.highest = max(self.highest, float(samples.max()))

    def warnings(self, truncated: bool) -> tuple[str, ...]:
        """Names from ``WARNINGS`` that apply."""
        mean = self.total / max(1, self.samples)
        applies = {
            "truncated": truncated,
            "silent": max(self.highest - mean, mean - self.lowest) < SILENT_PEAK,
            "clipped": self.at_full_scale >= CLIPPED_SHARE * self.frames,
            "dc_offset": abs(mean) >= DC_OFFSET,
        }
        return tuple(name for name, is_so in applies.items() if is_so)
