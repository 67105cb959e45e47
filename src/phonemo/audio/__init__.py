"""Decode audio to 16 kHz mono, at once or in blocks, with limits enforced while decoding."""

from phonemo.audio.channels import Channels, parse_channels
from phonemo.audio.decode import AudioLimits
from phonemo.audio.each_channel import load_channels
from phonemo.audio.levels import WARNINGS
from phonemo.audio.resample import FRAME_SAMPLES, RATE
from phonemo.audio.sources import Source
from phonemo.audio.waveform import (
    Excerpt,
    Waveform,
    WaveformReader,
    audio_seconds,
    channel_count,
    load_waveform,
    open_waveform,
)
from phonemo.errors import safe_name

__all__ = [
    "FRAME_SAMPLES",
    "RATE",
    "WARNINGS",
    "AudioLimits",
    "Channels",
    "Excerpt",
    "Source",
    "Waveform",
    "WaveformReader",
    "audio_seconds",
    "channel_count",
    "load_channels",
    "load_waveform",
    "open_waveform",
    "parse_channels",
    "safe_name",
]
