"""The audio of a user's turn: packets of any format in, the spoken part at 16 kHz out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from phonemo.audio import RATE
from phonemo.errors import AudioError
from phonemo.runtime.vad import CHUNK_SAMPLES, EnergyVad, VadTrack

Samples = npt.NDArray[np.float32]

_RATES, _MOST_CHANNELS = (4_000, 384_000), 64
_EMPTY = np.zeros(0, dtype=np.float32)
_FULL_SCALE = np.float32(2**15)
#: Audio kept before the first speech: soft onsets are found late.
LEAD_SAMPLES = int(0.3 * RATE)


class PacketDecoder:
    """Decodes packets of interleaved 16-bit PCM to mono at 16 kHz; their format may change."""

    def __init__(self) -> None:
        self._rate = RATE
        self._resampler: soxr.ResampleStream | None = None

    def decode(self, data: bytes, rate: int, channels: int) -> Samples:
        """Decode one packet to (sample,); resampling delays by some milliseconds.

        Raises:
            AudioError: an impossible rate, number of channels or number of bytes.
        """
        if not (_RATES[0] <= rate <= _RATES[1] and 1 <= channels <= _MOST_CHANNELS):
            raise AudioError(
                "invalid_audio",
                f"turn: expected 4000 to 384000 Hz and 1 to 64 channels, got {rate} Hz and "
                f"{channels} channels; check the audio source",
            )
        if len(data) % (2 * channels):
            raise AudioError(
                "invalid_audio",
                f"turn: expected whole samples of 16 bits and {channels} channels, got "
                f"{len(data)} bytes; check the audio source",
            )
        pcm = np.frombuffer(data, dtype="<i2").reshape(-1, channels)
        mono: Samples = (pcm.mean(axis=1, dtype=np.float32) / _FULL_SCALE).astype(np.float32)
        if rate == self._rate:
            return self._resample(mono)
        rest = self.finish()
        self._rate = rate
        self._resampler = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1)
        return np.concatenate([rest, self._resample(mono)])

    def finish(self) -> Samples:
        """The samples that resampling still holds; the next packet begins anew."""
        if self._resampler is None:
            return _EMPTY
        rest: Samples = self._resampler.resample_chunk(_EMPTY, last=True)
        self._rate, self._resampler = RATE, None
        return rest

    def _resample(self, mono: Samples) -> Samples:
        if self._resampler is None:
            return mono
        resampled: Samples = self._resampler.resample_chunk(mono)
        return resampled


class PauseDetector(EnergyVad):
    """Speech by its energy, whose end is found soon: at the second chunk without it."""

    HANG_SECONDS = 0.07  # two chunks


class TurnAudio:
    """The spoken part of a turn, from shortly before its first speech on.

    Before there is speech, it keeps ``LEAD_SAMPLES`` only; afterwards the first ``most`` samples,
    and those that ``take`` has not yet returned.

    Args:
        most: samples that ``beginning`` can return.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._track = VadTrack(PauseDetector())
        self._received = 0
        self._origin: int | None = None
        self._lead = _EMPTY
        self._kept = bytearray()
        self._pending = bytearray()
        self._taken = 0

    def push(self, samples: Samples) -> None:
        """Add the next samples, (sample,) at 16 kHz."""
        self._track.push(samples)
        self._received += len(samples)
        if self._origin is None:
            self._find_origin(np.concatenate([self._lead, samples]))
        else:
            self._keep(samples)

    @property
    def has_speech(self) -> bool:
        """Whether there is any speech yet."""
        return self._origin is not None

    @property
    def speech_seconds(self) -> float:
        """Seconds of speech so far."""
        return self._track.seconds(0, self._received)

    @property
    def in_pause(self) -> bool:
        """Whether there was speech, and the newest audio is none."""
        return self.has_speech and not self._track.flags[-1]

    @property
    def length(self) -> int:
        """Samples from the origin to the end of the last speech."""
        if self._origin is None:
            return 0
        last = (self._track.flags.rfind(1) + 1) * CHUNK_SAMPLES
        # while the user speaks, all that arrived
        end = min(last, self._received) if self.in_pause else self._received
        return end - self._origin

    @property
    def untaken(self) -> int:
        """Spoken samples that ``take`` has not returned."""
        return max(0, self.length - self._taken)

    def beginning(self) -> Samples:
        """The spoken samples, (sample,), as far as they are kept."""
        return np.frombuffer(bytes(self._kept), dtype=np.float32)[: self.length]

    def take(self) -> Samples:
        """Return the spoken samples since the last call, (sample,); a pause is left out.

        A pause of more than ``most`` samples is returned, so that memory stays bounded.
        """
        waiting = len(self._pending) // 4
        count = max(min(self.untaken, waiting), waiting - self._most)
        taken = np.frombuffer(bytes(self._pending[: 4 * count]), dtype=np.float32)
        del self._pending[: 4 * count]
        self._taken += count
        return taken

    def _find_origin(self, samples: Samples) -> None:
        first = self._track.flags.find(1)
        start = self._received - len(samples)
        if first < 0:
            self._lead = samples[-LEAD_SAMPLES - CHUNK_SAMPLES :]
            return
        self._origin = max(start, first * CHUNK_SAMPLES - LEAD_SAMPLES)
        self._lead = _EMPTY
        self._keep(samples[self._origin - start :])

    def _keep(self, samples: Samples) -> None:
        data = samples.astype(np.float32, copy=False).tobytes()
        self._kept += data[: max(0, 4 * self._most - len(self._kept))]
        self._pending += data
