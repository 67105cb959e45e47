"""Recordings made worse on purpose: noise, telephones, codecs, rooms, levels, silence.

Every change takes one clip (sample,) at 16 kHz and a random generator, and gives what phonemo's
own decoder makes of the result. The same seed gives the same samples.
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
#: The level of speech is that of the frames that lie within so many dB of the loudest.
_SPEECH_DB = 30.0
_LOWEST_HERTZ = 50.0


@dataclass(frozen=True)
class Condition:
    """One way of making recordings worse.

    Attributes:
        name: in tables.
        says: what is done, in a sentence without a full stop.
        change: does it.
    """

    name: str
    says: str
    change: Change

    def applied(self, clip: np.ndarray, seed: int, number: int) -> np.ndarray:
        """A clip of a corpus, changed as with this seed.

        Args:
            clip: (sample,) at 16 kHz.
            seed: of the benchmark.
            number: of the clip.
        """
        draw = np.random.default_rng([seed, number, crc32(self.name.encode())])
        return self.change(clip, draw)


def conditions(backgrounds: Sequence[np.ndarray] = ()) -> list[Condition]:
    """All of them, the clean recordings first.

    Args:
        backgrounds: recordings of real noise, (sample,) each; with none there are no conditions
            of them.
    """
    found = [Condition("clean", "as it is", lambda clip, draw: clip)]
    for decibels in (20, 10, 0):
        says = f"pink noise {decibels} dB below the speech"
        found.append(Condition(f"pink noise, {decibels} dB", says, pink(decibels)))
    for decibels in (20, 10, 0) if backgrounds else ():
        says = f"real background noise (rakshak), {decibels} dB below the speech"
        change = background(decibels, backgrounds)
        found.append(Condition(f"background, {decibels} dB", says, change))
    found += [
        Condition("G.711", "mu-law at 8 kHz", telephone),
        Condition("Opus, 12 kbit/s", "libopus in Ogg, mono", lambda clip, _: opus(clip)[0]),
        Condition("room", f"RT60 {RT60_SECONDS} s, direct sound as loud as the tail", room),
        Condition("20 dB softer", "in floating point", level(-20)),
        Condition("20 dB louder", "in floating point, not clipped", level(20)),
        Condition("20 dB louder, clipped", "cut at full scale", clipped(20)),
        Condition("2 s of silence", "digital silence in front", behind(2.0)),
    ]
    return found


def pink(decibels: float) -> Change:
    """Noise whose power falls by 3 dB an octave above 50 Hz."""

    def change(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        spectrum = np.fft.rfft(draw.normal(size=len(clip)))
        hertz = np.fft.rfftfreq(len(clip), 1 / RATE)
        shaped = spectrum / np.sqrt(np.maximum(hertz, _LOWEST_HERTZ))
        return mixed(clip, np.fft.irfft(shaped, len(clip)), decibels)

    return change


def background(decibels: float, recordings: Sequence[np.ndarray]) -> Change:
    """A stretch of one of the recordings, repeated where it is shorter than the clip."""

    def change(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        chosen = recordings[int(draw.integers(len(recordings)))]
        begins = int(draw.integers(max(1, len(chosen) - len(clip) + 1)))
        return mixed(clip, np.resize(chosen[begins:], len(clip)), decibels)

    return change


def telephone(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """G.711: 8 kHz, mu-law."""
    narrow = soxr.resample(clip, RATE, TELEPHONE_RATE)
    return decoded(_coded(narrow, TELEPHONE_RATE, "WAV", "ULAW"))


def opus(clip: np.ndarray) -> tuple[np.ndarray, float]:
    """Opus at about 12 kbit/s: what is decoded, and the bits of the codec's packets."""
    data = _coded(clip, RATE, "OGG", "OPUS", compression_level=OPUS_LEVEL)
    return decoded(data), 8.0 * packet_bytes(data)


def room(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The clip in a room, at its own level; the tail of the last sound is cut after RT60 / 2."""
    response = room_response(draw)
    size = len(clip) + round(RT60_SECONDS / 2 * RATE)
    length = len(clip) + len(response) - 1
    wet = np.fft.irfft(np.fft.rfft(clip, length) * np.fft.rfft(response, length), length)[:size]
    return decoded_array(wet * (speech_level(clip) / max(speech_level(wet), 1e-9)))


def room_response(draw: np.random.Generator) -> np.ndarray:
    """An impulse, then noise that decays by 60 dB in RT60, as strong as the impulse together."""
    size = round(1.2 * RT60_SECONDS * RATE)
    seconds = np.arange(size) / RATE
    tail = draw.normal(size=size) * 10 ** (-3 * seconds / RT60_SECONDS)
    tail[: RATE // 400] = 0.0  # 2.5 ms: the nearest wall
    tail *= 10 ** (-DIRECT_DB / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return tail


def level(decibels: float) -> Change:
    """Louder or softer, in floating point."""
    return lambda clip, _: decoded(
        _coded(clip * np.float32(10 ** (decibels / 20)), RATE, "WAV", "FLOAT")
    )


def clipped(decibels: float) -> Change:
    """Louder, and cut at full scale."""
    return lambda clip, _: decoded_array(np.clip(clip * 10 ** (decibels / 20), -1, 1))


def behind(seconds: float) -> Change:
    """After digital silence."""
    silence = np.zeros(round(seconds * RATE), np.float32)
    return lambda clip, _: decoded_array(np.concatenate([silence, clip]))


def mixed(clip: np.ndarray, noise: np.ndarray, decibels: float) -> np.ndarray:
    """The clip with noise so far below the level of its speech."""
    power = float(np.sqrt(np.mean(noise**2)))
    wanted = speech_level(clip) * 10 ** (-decibels / 20)
    loud = clip + noise * (wanted / max(power, 1e-9))
    # a recorder would turn itself down; full scale is not passed
    return decoded_array(loud / max(1.0, float(np.abs(loud).max())))


def speech_level(clip: np.ndarray) -> float:
    """Root mean square of the frames of 20 ms within 30 dB of the loudest."""
    whole = len(clip) // _FRAME * _FRAME
    frames = clip[:whole].reshape(-1, _FRAME) if whole else clip[None]
    powers = (frames.astype(np.float64) ** 2).mean(axis=1)
    return float(np.sqrt(powers[powers >= powers.max() * 10 ** (-_SPEECH_DB / 10)].mean()))


def packet_bytes(ogg: bytes) -> int:
    """Bytes of the packets of an Ogg stream, without its two headers and the container.

    https://www.rfc-editor.org/rfc/rfc3533#section-6 describes the pages.
    """
    sizes, held, place = [], 0, 0
    while place < len(ogg):
        count = ogg[place + 26]
        lacing = ogg[place + 27 : place + 27 + count]
        for one in lacing:
            held += one
            if one < 255:  # the packet ends here
                sizes.append(held)
                held = 0
        place += 27 + count + sum(lacing)
    return sum(sizes[2:])


def noises(folder: Path) -> list[np.ndarray]:
    """rakshak's recordings of background noise that are not silent, (sample,) each."""
    found = [load_waveform(path).samples for path in sorted(folder.glob("*/background-*.ogg"))]
    return [one for one in found if float(np.sqrt(np.mean(one**2))) > 1e-4]


def decoded(data: bytes) -> np.ndarray:
    """A file's bytes as phonemo decodes them."""
    return load_waveform(data).samples


def decoded_array(samples: np.ndarray) -> np.ndarray:
    """Samples at 16 kHz, as float32."""
    return load_waveform(np.asarray(samples, dtype=np.float32), rate=RATE).samples


def _coded(clip: np.ndarray, rate: int, kind: str, subtype: str, **options: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, clip, rate, format=kind, subtype=subtype, **options)
    return file.getvalue()
