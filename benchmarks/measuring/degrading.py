"""Degrade recordings: noise, telephones, codecs, rooms, levels, silence.

Every change takes one clip (sample,) at 16 kHz and a random generator, and returns the result as
decoded by phonemo. The same seed gives the same samples.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import soundfile
import soxr

from phonemo.audio import RATE, load_waveform

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

TELEPHONE_RATE = 8000
#: libsndfile's compression level of OPUS, from 0 (256 kbit/s) to 1 (6 kbit/s): 12 kbit/s.
OPUS_LEVEL = 0.976
#: Reverberation: seconds until the room's tail has fallen by 60 dB, and direct over tail in dB.
RT60_SECONDS = 0.6
DIRECT_DB = 0.0
_FRAME = RATE // 50
#: Frames within this many dB of the loudest count as speech.
_SPEECH_DB = 30.0
_LOWEST_HERTZ = 50.0


@dataclass(frozen=True)
class Condition:
    """One kind of degradation.

    Attributes:
        name: the name in tables.
        says: a description, as a sentence without a full stop.
        change: the function.
    """

    name: str
    says: str
    change: Change

    def applied(self, clip: np.ndarray, seed: int, number: int) -> np.ndarray:
        """Degrade a clip reproducibly.

        Args:
            clip: (sample,) at 16 kHz.
            seed: the benchmark's seed.
            number: the clip's number.
        """
        draw = np.random.default_rng([seed, number, crc32(self.name.encode())])
        return self.change(clip, draw)


def conditions(backgrounds: Sequence[np.ndarray] = ()) -> list[Condition]:
    """List all conditions, starting with clean recordings.

    Args:
        backgrounds: recordings of real noise, (sample,) each; without them, their conditions are
            omitted.
    """
    result = [Condition("clean", "as it is", lambda clip, draw: clip)]
    for decibels in (20, 10, 0):
        says = f"pink noise {decibels} dB below the speech"
        result.append(Condition(f"pink noise, {decibels} dB", says, pink(decibels)))
    for decibels in (20, 10, 0) if backgrounds else ():
        says = f"real background noise (rakshak), {decibels} dB below the speech"
        change = background(decibels, backgrounds)
        result.append(Condition(f"background, {decibels} dB", says, change))
    result += [
        Condition("G.711", "mu-law at 8 kHz", telephone),
        Condition("Opus, 12 kbit/s", "libopus in Ogg, mono", lambda clip, _: opus(clip)[0]),
        Condition("room", f"RT60 {RT60_SECONDS} s, direct sound as loud as the tail", room),
        Condition("20 dB softer", "in floating point", level(-20)),
        Condition("20 dB louder", "in floating point, not clipped", level(20)),
        Condition("20 dB louder, clipped", "cut at full scale", clipped(20)),
        Condition("2 s of silence", "digital silence in front", behind(2.0)),
    ]
    return result


def pink(decibels: float) -> Change:
    """Add noise whose power falls by 3 dB per octave above 50 Hz."""

    def change(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        spectrum = np.fft.rfft(draw.normal(size=len(clip)))
        hertz = np.fft.rfftfreq(len(clip), 1 / RATE)
        shaped = spectrum / np.sqrt(np.maximum(hertz, _LOWEST_HERTZ))
        return mixed(clip, np.fft.irfft(shaped, len(clip)), decibels)

    return change


def background(decibels: float, recordings: Sequence[np.ndarray]) -> Change:
    """Add a part of a recording, repeated if shorter than the clip."""

    def change(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        chosen = recordings[int(draw.integers(len(recordings)))]
        begins = int(draw.integers(max(1, len(chosen) - len(clip) + 1)))
        return mixed(clip, np.resize(chosen[begins:], len(clip)), decibels)

    return change


def telephone(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Encode as G.711: 8 kHz, mu-law."""
    narrow = soxr.resample(clip, RATE, TELEPHONE_RATE)
    return decoded(_coded(narrow, TELEPHONE_RATE, "WAV", "ULAW"))


def opus(clip: np.ndarray) -> tuple[np.ndarray, float]:
    """Encode as Opus at about 12 kbit/s; return the decoded clip and the bits of its packets."""
    data = _coded(clip, RATE, "OGG", "OPUS", compression_level=OPUS_LEVEL)
    return decoded(data), 8.0 * packet_bytes(data)


def room(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Add reverberation at the clip's level; the last sound's tail is cut after RT60 / 2."""
    response = room_response(draw)
    size = len(clip) + round(RT60_SECONDS / 2 * RATE)
    length = len(clip) + len(response) - 1
    wet = np.fft.irfft(np.fft.rfft(clip, length) * np.fft.rfft(response, length), length)[:size]
    return decoded_array(wet * (speech_level(clip) / max(speech_level(wet), 1e-9)))


def room_response(draw: np.random.Generator) -> np.ndarray:
    """An impulse, then noise decaying by 60 dB in RT60, with the same total energy."""
    size = round(1.2 * RT60_SECONDS * RATE)
    seconds = np.arange(size) / RATE
    tail = draw.normal(size=size) * 10 ** (-3 * seconds / RT60_SECONDS)
    tail[: RATE // 400] = 0.0  # 2.5 ms: the nearest wall
    tail *= 10 ** (-DIRECT_DB / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return tail


def level(decibels: float) -> Change:
    """Change the level, in floating point."""
    return lambda clip, _: decoded(
        _coded(clip * np.float32(10 ** (decibels / 20)), RATE, "WAV", "FLOAT")
    )


def clipped(decibels: float) -> Change:
    """Raise the level and clip at full scale."""
    return lambda clip, _: decoded_array(np.clip(clip * 10 ** (decibels / 20), -1, 1))


def behind(seconds: float) -> Change:
    """Prepend digital silence."""
    silence = np.zeros(round(seconds * RATE), np.float32)
    return lambda clip, _: decoded_array(np.concatenate([silence, clip]))


def mixed(clip: np.ndarray, noise: np.ndarray, decibels: float) -> np.ndarray:
    """Add noise at this level below the clip's speech."""
    power = float(np.sqrt(np.mean(noise**2)))
    target = speech_level(clip) * 10 ** (-decibels / 20)
    loud = clip + noise * (target / max(power, 1e-9))
    # scaled down to full scale, as a recorder would
    return decoded_array(loud / max(1.0, float(np.abs(loud).max())))


def speech_level(clip: np.ndarray) -> float:
    """Root mean square of the 20 ms frames within 30 dB of the loudest."""
    length = len(clip) // _FRAME * _FRAME
    frames = clip[:length].reshape(-1, _FRAME) if length else clip[None]
    powers = (frames.astype(np.float64) ** 2).mean(axis=1)
    return float(np.sqrt(powers[powers >= powers.max() * 10 ** (-_SPEECH_DB / 10)].mean()))


def packet_bytes(ogg: bytes) -> int:
    """Count the bytes of an Ogg stream's packets, without its two headers and the container.

    https://www.rfc-editor.org/rfc/rfc3533#section-6 describes the pages.
    """
    sizes, size, place = [], 0, 0
    while place < len(ogg):
        count = ogg[place + 26]
        lacing = ogg[place + 27 : place + 27 + count]
        for value in lacing:
            size += value
            if value < 255:  # the packet ends here
                sizes.append(size)
                size = 0
        place += 27 + count + sum(lacing)
    return sum(sizes[2:])


def noises(folder: Path) -> list[np.ndarray]:
    """Load rakshak's recordings of background noise that are not silent, (sample,) each."""
    clips = [load_waveform(path).samples for path in sorted(folder.glob("*/background-*.ogg"))]
    return [clip for clip in clips if float(np.sqrt(np.mean(clip**2))) > 1e-4]


def decoded(data: bytes) -> np.ndarray:
    """Decode a file's bytes with phonemo."""
    return load_waveform(data).samples


def decoded_array(samples: np.ndarray) -> np.ndarray:
    """Convert samples at 16 kHz to float32, as phonemo does."""
    return load_waveform(np.asarray(samples, dtype=np.float32), rate=RATE).samples


def _coded(clip: np.ndarray, rate: int, kind: str, subtype: str, **options: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, clip, rate, format=kind, subtype=subtype, **options)
    return file.getvalue()
