"""Decode audio to 16 kHz mono, at once or in blocks, with limits enforced while decoding."""

from phonemo.audio.decode import AudioLimits
from phonemo.audio.levels import WARNINGS
from phonemo.audio.resample import FRAME_SAMPLES, RATE
from phonemo.audio.sources import Source
from phonemo.audio.waveform import (
    Excerpt,
    Waveform,
    WaveformReader,
    audio_seconds,
    load_waveform,
    open_waveform,
)
from phonemo.errors import safe_name

__all__ = [
    "FRAME_SAMPLES",
    "RATE",
    "WARNINGS",
    "AudioLimits",
    "Excerpt",
    "Source",
    "Waveform",
    "WaveformReader",
    "audio_seconds",
    "load_waveform",
    "open_waveform",
    "safe_name",
]
