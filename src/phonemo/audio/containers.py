"""Detect a file's format from its first bytes.

libsndfile and FFmpeg open many formats that phonemo does not use, and guess some. Therefore the
first bytes are checked before either reads them, and they decide which of the two decodes.
"""

from __future__ import annotations

from dataclasses import dataclass

from phonemo.audio.formats.mpeg import is_adts, is_latm, is_mp3

EXPECTED = "expected wav, flac, mp3, ogg, aiff, au, caf, w64, sph, m4a, webm, aac, wma or amr"
#: Bytes that ``sniff_format`` needs, and the name that it gives to an unknown format.
HEAD_BYTES, UNKNOWN = 4096, "a file of a kind that is not known"


@dataclass(frozen=True)
class Kind:
    """The format detected from a file's first bytes."""

    name: str
    audio: bool
    """Whether phonemo decodes it, perhaps with the extra ``media``."""
    native: bool = False
    """Whether libsndfile decodes it."""
    demuxer: str | None = None
    """FFmpeg's name of the format: of what libsndfile does not decode, or not always."""


_WAV = Kind("WAV", audio=True, native=True, demuxer="wav")
_AIFF = Kind("AIFF", audio=True, native=True)
_MP3 = Kind("MP3", audio=True, native=True)
_AAC = Kind("AAC", audio=True, demuxer="aac")
_MP4 = Kind("MP4 or M4A", audio=True, demuxer="mov")
_AMR = Kind("AMR", audio=True, demuxer="amr")
#: Magic bytes at offset 0 -> the format.
_MAGIC = (
    (b"fLaC", Kind("FLAC", audio=True, native=True)),
    (b"OggS", Kind("Ogg", audio=True, native=True, demuxer="ogg")),
    (b".snd", Kind("AU", audio=True, native=True)),
    (b"dns.", Kind("AU", audio=True, native=True)),
    (b"caff", Kind("CAF", audio=True, native=True, demuxer="caf")),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", Kind("W64", audio=True, native=True)),
    (b"NIST_1A", Kind("NIST SPHERE", audio=True, native=True)),
    (b"\x1aE\xdf\xa3", Kind("WebM or Matroska", audio=True, demuxer="matroska")),
    (b"0&\xb2u\x8ef\xcf\x11", Kind("WMA or ASF", audio=True, demuxer="asf")),
    (b"#!AMR\n", _AMR),
    (b"#!AMR-WB\n", _AMR),
)
#: The first box of an MP4, at offset 4; QuickTime writes it without ``ftyp``.
_BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip", b"pnot")

_FOREIGN = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer (run: git lfs pull)"),
    (b"#EXTM3U", "a playlist (m3u8)"),
    (b"ffconcat", "a playlist (ffconcat)"),
    (b"[playlist]", "a playlist (pls)"),
    (b"v=0", "a session description (sdp)"),
    (b"<", "XML or HTML"),
    (b"{", "JSON"),
    (b"#!AMR", "AMR with several channels"),
    (b"ADIF", "AAC in ADIF"),
    (b"ajkg", "Shorten"),
    (b"MAC ", "Monkey's Audio"),
    (b"wvpk", "WavPack"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"TTA1", "True Audio"),
    (b"OFR ", "OptimFROG"),
    (b"DSD ", "DSD audio"),
    (b"FRM8", "DSD audio"),
    (b".ra\xfd", "RealAudio"),
    (b".RMF", "RealAudio"),
    (b"#!SILK", "SILK, a voice message"),
    (b"\x02#!SILK", "SILK, a voice message"),
    (b"Creative Voice File", "a Creative voice file"),
    (b"\x0bw", "AC-3 (Dolby Digital)"),
    (b"\x7f\xfe\x80\x01", "DTS"),
    (b"FLV\x01", "a Flash video"),
    (b"MThd", "MIDI"),
    (b"\x00\x00\x01\xba", "an MPEG program stream"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
)

_GSM_FRAME_BYTES, _GSM_MARK, _LEAST_GSM_FRAMES = 33, 0xD, 8


def sniff_format(head: bytes) -> Kind:
    """Detect the format of a file from its first ``HEAD_BYTES`` bytes."""
    audio = _audio_kind(head)
    if audio:
        return audio
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, name in _FOREIGN:
        if text.startswith(magic):
            return Kind(name, audio=False)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Kind("an AVI video", audio=False)
    if head[:377:188] == b"GGG":
        return Kind("an MPEG transport stream", audio=False)
    if is_latm(head):
        return Kind("AAC in LATM", audio=False)
    if _is_gsm(head):
        return Kind("GSM without a header", audio=False)
    return Kind("text" if _is_text(head) else UNKNOWN, audio=False)


def _audio_kind(head: bytes) -> Kind | None:
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return _WAV if head[8:12] == b"WAVE" else None
    if head[:4] == b"FORM":
        return _AIFF if head[8:12] in (b"AIFF", b"AIFC") else None
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[4:8] in _BOXES:
        return _MP4
    if is_adts(head):
        return _AAC
    return _MP3 if head[:3] == b"ID3" or is_mp3(head) else None


def _is_gsm(head: bytes) -> bool:
    """Whether every frame of GSM 06.10 (33 bytes) begins with its mark."""
    marks = head[: len(head) // _GSM_FRAME_BYTES * _GSM_FRAME_BYTES : _GSM_FRAME_BYTES]
    return len(marks) >= _LEAST_GSM_FRAMES and all(mark >> 4 == _GSM_MARK for mark in marks)


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8-sig", errors="replace").rstrip(
        "\ufffd"
    )  # the last character may be cut
    printable = all(letter.isprintable() or letter.isspace() for letter in text)
    return bool(text) and printable and "\ufffd" not in text
