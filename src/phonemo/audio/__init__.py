"""Any recording as 16 kHz mono samples, whole or in blocks; limits hold while it is decoded."""

from phonemo.audio.waveform import (
    FRAME_SAMPLES,
    RATE,
    WARNINGS,
    AudioLimits,
    Excerpt,
    Source,
    Waveform,
    WaveformReader,
    audio_seconds,
    load_waveform,
    open_waveform,
    shown,
)

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
    "shown",
]
