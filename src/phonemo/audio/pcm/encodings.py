"""Encodings of raw samples in a byte stream: linear PCM, floats, and the two of telephony (G.711).

Names are FFmpeg's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import UsageError, safe_name

Block = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Encoding:
    """How the samples of a raw stream are stored."""

    name: str
    title: str
    """What messages call it."""
    width: int
    """Bytes per sample."""
    decode: Callable[[bytes], Block]
    """Whole samples to float32 with a full scale of 1, (sample,)."""


def _mulaw_table() -> Block:
    """The value of each mu-law byte, by ITU-T G.711, with 16 bits as full scale."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return _scaled(np.where(code & 0x80, -magnitude, magnitude))


def _alaw_table() -> Block:
    """The value of each A-law byte, by ITU-T G.711, with 16 bits as full scale."""
    code = np.arange(256) ^ 0x55
    exponent = code >> 4 & 7
    magnitude = ((code & 0x0F) << 4) + 8 + np.where(exponent > 0, 0x100, 0)
    magnitude <<= np.maximum(exponent - 1, 0)
    return _scaled(np.where(code & 0x80, magnitude, -magnitude))


def _scaled(values: npt.NDArray[Any]) -> Block:
    return (values / 2**15).astype(np.float32)


def _from_numbers(data: bytes, dtype: str, scale: float) -> Block:
    with np.errstate(all="ignore"):  # invalid floats are found by whoever checks the samples
        return np.frombuffer(data, dtype).astype(np.float32) / np.float32(scale)


def _from_table(data: bytes, table: Block) -> Block:
    return table[np.frombuffer(data, np.uint8)]


def _from_24_bits(data: bytes) -> Block:
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)


def _numbers(name: str, title: str, dtype: str, scale: float) -> Encoding:
    decode = partial(_from_numbers, dtype=dtype, scale=scale)
    return Encoding(name, title, np.dtype(dtype).itemsize, decode)


def _table(name: str, title: str, table: Block) -> Encoding:
    return Encoding(name, title, 1, partial(_from_table, table=table))


ENCODINGS = {
    encoding.name: encoding
    for encoding in (
        _numbers("s16le", "16-bit integers", "<i2", 2.0**15),
        _numbers("s16be", "big-endian 16-bit integers", ">i2", 2.0**15),
        Encoding("s24le", "24-bit integers", 3, _from_24_bits),
        _numbers("f32le", "32-bit floats", "<f4", 1.0),
        _table("mulaw", "mu-law", _mulaw_table()),
        _table("alaw", "A-law", _alaw_table()),
    )
}
"""The encodings that streams accept, by name."""

#: Encodings that are only recognized, to say what a stream holds.
UNSUPPORTED = {
    encoding.name: encoding
    for encoding in (
        _numbers("f64le", "64-bit floats", "<f8", 1.0),
        _numbers("s32le", "32-bit integers", "<i4", 2.0**31),
        _table("u8", "unsigned 8-bit integers", _scaled((np.arange(256) - 128) * 256)),
    )
}

ALIASES = {
    **{f"pcm_{name}": name for name in ENCODINGS},
    **dict.fromkeys(("linear16", "pcm16", "pcm", "s16", "int16", "audio/pcm"), "s16le"),
    **dict.fromkeys(("linear24", "pcm24", "s24", "int24"), "s24le"),
    **dict.fromkeys(("f32", "float32", "linear32", "pcm_float"), "f32le"),
    **dict.fromkeys(("ulaw", "mu-law", "u-law", "pcmu", "g711u", "g711_ulaw"), "mulaw"),
    **dict.fromkeys(("pcm_ulaw", "audio/pcmu", "audio/x-mulaw", "audio/basic"), "mulaw"),
    **dict.fromkeys(("a-law", "pcma", "g711a", "g711_alaw"), "alaw"),
    **dict.fromkeys(("audio/pcma", "audio/x-alaw"), "alaw"),
}
"""Other names of the encodings: of FFmpeg, SoX, RTP, Twilio, Deepgram and OpenAI's realtime API."""


def parse_encoding(name: str) -> str:
    """Return an encoding's own name for any of its names, in any case.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    known = str(name).strip().lower()
    known = ALIASES.get(known, known)
    if known not in ENCODINGS:
        raise UsageError(f"encoding: expected {', '.join(ENCODINGS)}, got {safe_name(str(name))!r}")
    return known
