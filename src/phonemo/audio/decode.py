"""Bytes to blocks of samples: what may be opened, how it is decoded, how damage is noticed.

The lower half of :mod:`phonemo.audio`, which is the way in for everybody else. libsndfile does the
decoding; it is handed a tap on an open file, never a path, so that it can open nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import numpy.typing as npt
import soundfile

from phonemo.audio.containers import HEAD_BYTES, is_truncated, sniff_format
from phonemo.audio.sources import BufferedSource, Source, open_stream
from phonemo.errors import AudioError, UsageError, safe_name

RATES = range(4_000, 384_001)
"""Sample rates in hertz that are taken; a header with another one is forged or not speech."""
MAX_CHANNELS = 64
"""More channels than this are refused, in files and in arrays."""
BLOCK_FRAMES = 65_536
"""Frames that are decoded at a time, so that the limits hold while decoding."""
BYTES_PER_SAMPLE = 4
"""Decoded samples are float32."""
WANTED = "wav, flac, mp3, ogg (vorbis, opus) or aiff is wanted"

_FORMATS = {"WAV", "WAVEX", "RF64", "FLAC", "MP3", "OGG", "AIFF"}
#: What full scale is in an array of each kind.
SCALES = {"int16": 2.0**15, "int32": 2.0**31, "float16": 1.0, "float32": 1.0, "float64": 1.0}
_UNKNOWN_FRAMES = 2**62  # libsndfile says 2**63 - 1 where the header gives no length
_MP3_SLACK = 2 * 1152  # two MPEG frames: without a Xing header the length is an estimate

Block = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AudioLimits:
    """How much audio is taken; both limits hold while decoding, whatever a header says.

    Raises:
        UsageError: for a limit that is not above zero.
    """

    max_seconds: float = 7200.0
    """Longest audio in seconds; with ``start`` and ``end``, the longest slice."""
    max_decoded_bytes: int = 2**32
    """Most bytes of float32 samples of all channels at the file's own rate; the default is enough
    for two hours of 48 kHz stereo."""

    def __post_init__(self) -> None:
        if not (self.max_seconds > 0 and self.max_decoded_bytes > 0):
            raise UsageError(f"limits above zero are wanted, found {self}")


class Audio(Protocol):
    """Audio that can be read in blocks; made by :func:`open_audio`."""

    name: str
    rate: int
    channels: int
    frames: int | None
    """What the header says; None where it says nothing."""

    def seek(self, frame: int) -> int:
        """Go to a frame; returns where it really stands (0 where there is no seeking)."""

    def blocks(self) -> Iterator[Block]:
        """Float32 blocks of at most BLOCK_FRAMES: (frame, channel)."""

    def truncated(self) -> bool:
        """Whether, as far as was read, there was less audio than the container promised."""


@contextmanager
def open_audio(source: Source, rate: int | None, limits: AudioLimits) -> Iterator[Audio]:
    """Open a path, bytes, a binary stream or an array (which alone needs ``rate``).

    Raises:
        AudioError: missing_file, unsupported_audio, empty_audio, audio_too_large, invalid_audio.
        UsageError: a source of another type, or a rate missing or given in vain.
    """
    if isinstance(source, np.ndarray):
        yield _ArrayAudio(source, rate)
        return
    if rate is not None:
        raise UsageError("rate is for arrays alone; a file's own header gives its rate")
    with ExitStack() as stack:
        name, stream = open_stream(source, limits.max_decoded_bytes, stack)
        yield _FileAudio(name, BufferedSource(stream), stack)


class _FileAudio:
    """An encoded file behind libsndfile."""

    def __init__(self, name: str, tap: BufferedSource, stack: ExitStack) -> None:
        self.name = name
        self._tap = tap
        self._damaged = self._at_end = False
        self._position = 0
        self._check_head()
        self._cut_short = is_truncated(tap)
        self._file = self._open()
        stack.callback(self._close)
        self.rate = _checked_rate(name, self._file.samplerate)
        self.channels = _checked_channels(name, self._file.channels)
        known = self._file.frames < _UNKNOWN_FRAMES
        self.frames = self._file.frames if known else None

    def _check_head(self) -> None:
        self._tap.seek(0)
        head = self._tap.read(HEAD_BYTES)
        self._raise_fault()
        if not head:
            raise AudioError("empty_audio", f"{self.name}: 0 bytes; {WANTED}")
        kind = sniff_format(head)
        if not kind.audio:
            raise AudioError("unsupported_audio", f"{self.name}: {kind.name} found; {WANTED}")

    def _open(self) -> _SequentialFile:
        self._tap.seek(0)
        try:
            file = _SequentialFile(cast(BinaryIO, self._tap))
        except soundfile.LibsndfileError as error:
            self._raise_fault()
            reason = safe_name(error.error_string.strip().rstrip("."))
            why = "" if "not exist" in reason else f" ({reason})"  # of a seek that failed
            message = f"{self.name}: cannot be decoded{why}; {WANTED}"
            raise AudioError("unsupported_audio", message) from error
        self._raise_fault()
        if file.format not in _FORMATS:
            file.close()
            message = f"{self.name}: {file.format} found; {WANTED}"
            raise AudioError("unsupported_audio", message)
        return file

    def seek(self, frame: int) -> int:
        if frame and self.frames is not None and soundfile.SoundFile.seekable(self._file):
            try:
                self._position = self._file.seek(frame)
            except soundfile.LibsndfileError:
                self._position = -1
            self._raise_fault()
            if self._position != frame:
                message = f"{self.name}: damaged (frame {frame} cannot be reached); encode it anew"
                raise AudioError("invalid_audio", message)
        return self._position

    def blocks(self) -> Iterator[Block]:
        while not self._at_end:
            block = np.full((BLOCK_FRAMES, self.channels), np.nan, dtype=np.float32)
            count = self._fill(block)
            self._raise_fault()
            self._position += count
            if count:
                yield block[:count]

    def _fill(self, block: Block) -> int:
        try:
            count = len(self._file.read(out=block))
        except soundfile.LibsndfileError:
            # What was decoded before the damage is in the block, but soundfile does not say how
            # much: it is everything in front of the NaN that were put there.
            self._damaged = self._at_end = True
            decoded = np.flatnonzero(~np.isnan(block).all(axis=1))
            return int(decoded[-1]) + 1 if decoded.size else 0
        self._at_end = count == 0
        return count

    def truncated(self) -> bool:
        if self._damaged or self._cut_short:
            return True
        return self._at_end and (self._too_few() or self._left_over())

    def _too_few(self) -> bool:
        slack = _MP3_SLACK if self._file.format == "MP3" else 0
        return self.frames is not None and self._position < self.frames - slack

    def _left_over(self) -> bool:
        # Without a Xing header libsndfile guesses an MP3's length from its first frame and reads
        # no further: https://github.com/libsndfile/libsndfile/issues/1001
        allowed = max(256, min(4096, self._tap.size // 10))  # tags may follow the audio
        return self._file.format == "MP3" and self._tap.size - self._tap.tell() > allowed

    def _raise_fault(self) -> None:
        fault = self._tap.fault
        if isinstance(fault, Exception):
            reason = safe_name(f"{type(fault).__name__}: {fault}")
            raise AudioError("invalid_audio", f"{self.name}: reading failed ({reason})") from fault
        if fault is not None:
            raise fault

    def _close(self) -> None:
        try:
            self._file.close()
        except soundfile.LibsndfileError:
            self._damaged = True  # nothing was being written, so nothing is lost


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A SoundFile that does not seek after every block.

    SoundFile does so wherever it can, which for MP3 throws the decoder's state away: blocks then
    differ from the whole, take longer, and libmpg123 complains on stderr.
    """

    def seekable(self) -> bool:
        return False


class _ArrayAudio:
    """An array of (sample,) or (channel, sample), converted block by block; never written to."""

    def __init__(self, array: npt.NDArray[Any], rate: int | None) -> None:
        self.name = "array"
        if not isinstance(rate, int | np.integer) or isinstance(rate, bool):
            raise UsageError(f"array: rate={rate!r}; an array needs its sample rate in whole hertz")
        self.rate = _checked_rate(self.name, int(rate))
        self._scale = self._checked_scale(array)
        self._array = np.atleast_2d(array)
        self.channels = _checked_channels(self.name, self._array.shape[0])
        self.frames: int | None = self._array.shape[1]
        self._position = 0

    def _checked_scale(self, array: npt.NDArray[Any]) -> float:
        shape, kind = array.shape, array.dtype.name
        if kind not in SCALES:
            wanted = "float32, float64, int16 or int32 is wanted"
            raise AudioError("invalid_audio", f"array: {kind} samples found; {wanted}")
        if array.ndim not in (1, 2) or (array.ndim == 2 and shape[0] > MAX_CHANNELS):
            wanted = f"(sample,) or (channel, sample) with up to {MAX_CHANNELS} channels is wanted"
            raise AudioError("invalid_audio", f"array: shape {shape} found; {wanted}; transpose it")
        if not array.size:
            raise AudioError("empty_audio", "array: no samples; audio is wanted")
        return SCALES[kind]

    def seek(self, frame: int) -> int:
        self._position = min(frame, self._array.shape[1])
        return self._position

    def blocks(self) -> Iterator[Block]:
        for first in range(self._position, self._array.shape[1], BLOCK_FRAMES):
            part = self._array[:, first : first + BLOCK_FRAMES].T
            with np.errstate(over="ignore"):  # too large for float32 is found as infinite later
                block = part.astype(np.float32) / np.float32(self._scale)
            yield block  # outside: whoever reads on may be another thread

    def truncated(self) -> bool:
        return False


def _checked_rate(name: str, rate: int) -> int:
    if rate not in RATES:
        wanted = f"{RATES[0]} to {RATES[-1]} Hz is wanted"
        raise AudioError("unsupported_audio", f"{name}: sample rate {rate} Hz found; {wanted}")
    return rate


def _checked_channels(name: str, channels: int) -> int:
    if not 1 <= channels <= MAX_CHANNELS:
        wanted = f"1 to {MAX_CHANNELS} are wanted"
        raise AudioError("unsupported_audio", f"{name}: {channels} channels found; {wanted}")
    return channels
