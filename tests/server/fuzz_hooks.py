"""Files for schemathesis to send: sound where it would send noise. Runs in its environment."""

from __future__ import annotations

import io
import math
import struct
import wave

import schemathesis
from hypothesis import strategies


def sound(seconds: float, rate: int = 16_000) -> bytes:
    """A WAV file with a tone."""
    samples = [int(9000 * math.sin(number / 7)) for number in range(int(seconds * rate))]
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, rate, 0, "NONE", ""))
        target.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return file.getvalue()


FILES = [sound(0.5), sound(1.5, 8_000), sound(0.01), sound(0.4)[:3_000], b"RIFF", b"", b"#EXTM3U\n"]
schemathesis.openapi.format("binary", strategies.sampled_from(FILES))
