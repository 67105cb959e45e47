"""Files that say of themselves what is not so: of their length, their rate, their chunks."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import soundfile

from tests.server.asking import clip, encoded

UNSIZED = 0xFFFF_FFFF
SAMPLES = clip()[:1500].tobytes()
EXTENDED_16_KHZ = b"\x40\x0c\xfa" + bytes(7)


def silence(path: Path, frames: int, rate: int, channels: int = 1) -> bytes:
    """A FLAC of nothing, written block by block."""
    block = np.zeros((2**20, channels), np.int16)
    with soundfile.SoundFile(path, "w", rate, channels, "PCM_16", format="FLAC") as file:
        for start in range(0, frames, len(block)):
            file.write(block[: frames - start])
    return path.read_bytes()


def forged(flac: bytes, *, total: int | None = None, rate: int | None = None) -> bytes:
    """A FLAC whose STREAMINFO says something else: its samples in all (0: unknown), its rate."""
    file = bytearray(flac)
    if rate is not None:
        kept = int.from_bytes(file[18:21], "big") & 15
        file[18:21] = (rate << 4 | kept).to_bytes(3, "big")
    if total is not None:
        above = file[21] & 0xF0
        file[21:26] = (above << 32 | total).to_bytes(5, "big")
    return bytes(file)


def mended(ogg: bytes) -> bytes:
    """An Ogg whose pages have the checksums of what is in them, as far as pages can be told."""
    file = bytearray(ogg)
    at = 0
    while file[at : at + 4] == b"OggS" and at + 27 <= len(file):
        lengths = file[at + 27 : at + 27 + file[at + 26]]
        end = at + 27 + len(lengths) + sum(lengths)
        file[at + 22 : at + 26] = bytes(4)
        file[at + 22 : at + 26] = _checksum(file[at:end]).to_bytes(4, "little")
        at = end
    return bytes(file)


def _checksum(page: bytes) -> int:
    """Of RFC 3533: CRC-32 without reflection, from zero."""
    found = 0
    for byte in page:
        found = found << 8 & 0xFFFF_FFFF ^ _CHECKSUMS[found >> 24 ^ byte]
    return found


def _checksum_of(byte: int) -> int:
    found = byte << 24
    for _ in range(8):
        found = found << 1 & 0xFFFF_FFFF ^ (0x04C1_1DB7 if found >> 31 else 0)
    return found


_CHECKSUMS = [_checksum_of(byte) for byte in range(256)]


def piece(name: bytes, data: bytes, size: int | None = None) -> bytes:
    """A chunk of a WAV that says it is so long."""
    return name + struct.pack("<I", len(data) if size is None else size) + data


def format_of(channels: int = 1, rate: int = 16_000) -> bytes:
    """The chunk that says what the samples are."""
    frame = 2 * channels
    return piece(b"fmt ", struct.pack("<HHIIHH", 1, channels, rate, rate * frame, frame, 16))


def riff(*pieces: bytes, size: int = UNSIZED, magic: bytes = b"RIFF") -> bytes:
    """A WAV that says it is so long."""
    return magic + struct.pack("<I", size) + b"WAVE" + b"".join(pieces)


def rf64(size: int) -> bytes:
    """The WAV of more than 4 GB; its samples take so many bytes, it says."""
    sizes = piece(b"ds64", struct.pack("<QQQI", size, size, size // 2, 0))
    return riff(sizes, format_of(), piece(b"data", SAMPLES, UNSIZED), magic=b"RF64")


def aiff(frames: int, size: int) -> bytes:
    """An AIFF that says it is so long."""
    common = struct.pack(">IhIh", 18, 1, frames, 16) + EXTENDED_16_KHZ
    begins = b"FORM" + struct.pack(">I", UNSIZED) + b"AIFFCOMM" + common
    return begins + b"SSND" + struct.pack(">III", size, 0, 0) + SAMPLES


DATA = piece(b"data", SAMPLES)
#: What says more than is there, and is heard as far as it goes.
LONGER = {
    "4 GB": riff(format_of(), piece(b"data", SAMPLES, 2**32 - 1000)),
    "unsized": riff(format_of(), piece(b"data", SAMPLES, UNSIZED)),
    "odd": riff(format_of(), piece(b"data", SAMPLES, UNSIZED - 2)),
    "2 GB": riff(format_of(), piece(b"data", SAMPLES, 2**31)),
    "RF64 of 4 GB": rf64(2**32),
    "RF64 of 1 TB": rf64(2**40),
    "RF64 of 2**63": rf64(2**63 - 1),
    "AIFF": aiff(UNSIZED, UNSIZED),
}
#: Of these, the ones whose length means "unknown": read to the end, and nothing is missing.
UNKNOWN = ("unsized", "odd", "2 GB", "RF64 of 2**63", "AIFF")
#: What makes no sense as a whole; heard or refused, but never believed.
ABSURD = {
    "RF64 of 2**64": rf64(2**64 - 1),
    "LIST": riff(format_of(), piece(b"LIST", b"INFO", UNSIZED), DATA),
    "fmt": riff(piece(b"fmt ", format_of()[8:], UNSIZED), DATA),
    "bext": riff(format_of(), piece(b"bext", bytes(602), 2**30), DATA),
    "cart": riff(format_of(), piece(b"cart", bytes(2048), 2**31 - 1), DATA),
    "cue": riff(format_of(), piece(b"cue ", struct.pack("<I", UNSIZED) + bytes(24)), DATA),
    "cue of 4 GB": riff(format_of(), piece(b"cue ", struct.pack("<I", 2**32 // 24 + 1)), DATA),
    "smpl": riff(format_of(), piece(b"smpl", struct.pack("<9I", *[0] * 7, *[UNSIZED] * 2)), DATA),
    "many": riff(format_of(), piece(b"junk", b"") * 500_000, DATA),
    "many formats": riff(format_of() * 200_000, DATA),
    "64 channels": riff(format_of(64), piece(b"data", SAMPLES, UNSIZED)),
    "65535 channels": riff(format_of(32_767), piece(b"data", SAMPLES, UNSIZED)),
    "rate": riff(format_of(rate=UNSIZED // 2), piece(b"data", SAMPLES, UNSIZED)),
    "AIFF marks": aiff(1500, 3008).replace(b"SSND", b"MARK\0\0\0\2\xff\xffSSND"),
    "ID3": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + encoded(clip(8000) / 2**15, "MP3"),
    "FLAC block": b"fLaC\x04\xff\xff\xff" + bytes(3000),
}
