"""Binary data: numpy archives of bundles, Parquet, raw samples of streams and of agents' turns."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import numpy as np

from phonemo.audio.pcm import ENCODINGS, PcmDecoder
from phonemo.batch.inputs import items_of
from phonemo.batch.plan import BatchItem
from phonemo.errors import PhonemoError
from phonemo.integrations.agents.turn_audio import PacketDecoder
from phonemo.runtime.adaptation.profile import packed, unpacked
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.phonemes.language_model import count_phonemes, packed_model, unpacked_model
from tests.fuzz.judging import check_message, told, written

_EMOTIONS, _FEATURES, _SYMBOLS = 3, 5, 7
_DTYPES = ("<f4", "<f8", "<f2", "<i8", "|u1", "<u4", "|b1", "<c8", "<U3", "|S2", "<M8[s]", ">f4")
_NUMBERS = (0, 1, -1, 0.5, 255, 1e-30, 1e30, -1e30, np.nan, np.inf, -np.inf)
_RATES = (16_000, 8_000, 48_000, 44_100, 4_000, 1, 0, -1, 384_000, 10**9)
_MOST = 200


# Numpy archives -------------------------------------------------------------------------------


@cache
def archives() -> tuple[bytes, bytes]:
    """A small adaptation.npz and a small phonemes.npz, which are valid."""
    flat, square = np.linspace(0.5, 1, _FEATURES), np.ones((_EMOTIONS, _FEATURES))
    numbers = {"k_mean": 10.0, "k_spread": 10.0, "em_iterations": 3, "radius": 2.0}
    reference = Reference(
        centre=flat, spread=flat, class_means=square, weight=square, bias=np.zeros(3), **numbers
    )
    return packed(reference), packed_model(count_phonemes([[1, 2, 3], [2, 2]], _SYMBOLS))


def archive(data: bytes) -> None:
    """Which of the two, by the first byte; then the bytes of the file."""
    _open(data[:1] == b"p", data[1:])


def archive_arrays(data: bytes) -> None:
    """Which of the two, then edits of its arrays: which, what is done, and two operands."""
    is_phonemes = data[:1] == b"p"
    with np.load(io.BytesIO(archives()[is_phonemes])) as content:
        arrays: dict[str, Any] = dict(content)
    for at in range(1, min(len(data), 40) - 3, 4):
        _edit(arrays, *data[at : at + 4])
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    _open(is_phonemes, stream.getvalue())


def _edit(arrays: dict[str, Any], which: int, what: int, first: int, second: int) -> None:
    if not arrays:
        return
    name = sorted(arrays)[which % len(arrays)]
    array = arrays[name]
    with np.errstate(all="ignore"):
        if what % 7 == 0:
            del arrays[name]
        elif what % 7 == 1:
            arrays[name] = np.resize(array, (first % 9,) if second % 2 else (first % 5, second % 5))
        elif what % 7 == 2:
            arrays[name] = _cast(array, _DTYPES[first % len(_DTYPES)])
        elif what % 7 == 3:
            arrays[name] = np.full_like(array, 1) if first % 2 else array[..., None]
        elif what % 7 == 4:
            arrays[f"{name}2"] = array
        elif array.size and array.dtype.kind in "fiu":
            flat = array.astype(np.float64).ravel()
            flat[first % flat.size] = _NUMBERS[second % len(_NUMBERS)]
            arrays[name] = _cast(flat.reshape(array.shape), array.dtype.str)


def _cast(array: Any, kind: str) -> Any:
    """Another type, without warnings: of complex numbers the real part, for NaN an integer."""
    array = array.real if array.dtype.kind == "c" and np.dtype(kind).kind != "c" else array
    is_whole = np.dtype(kind).kind in "iuM"
    numbers = np.nan_to_num(array, posinf=9, neginf=0) if array.dtype.kind == "f" else array
    source = np.clip(numbers, -(2**30), 2**30) if is_whole and array.dtype.kind == "f" else array
    try:
        return source.astype(np.int64).astype(kind) if is_whole else source.astype(kind)
    except (TypeError, ValueError):
        return array


def _open(is_phonemes: bool, content: bytes) -> None:
    if is_phonemes:
        model = told(unpacked_model, content, _SYMBOLS)
        if model is not None:
            assert np.isfinite(model.table).all()
        return
    reference = told(unpacked, content, _EMOTIONS)
    if reference is not None:
        assert packed(reference) == packed(unpacked(packed(reference), _EMOTIONS))


# Parquet --------------------------------------------------------------------------------------


def parquet(data: bytes) -> None:
    """The bytes of a manifest."""
    _read_parquet(data)


def parquet_columns(data: bytes) -> None:
    """Two bytes a column, which choose its name and its values with their type."""
    import pyarrow as pa
    from pyarrow import parquet as files

    names = ("file", "start", "end", "duration", "id", "channel", "x", "path", "", "a\nb")
    kinds = _column_values(pa)
    columns = {"file": kinds[0]}
    for at in range(0, min(len(data), 16) - 1, 2):
        columns[names[data[at] % len(names)]] = kinds[data[at + 1] % len(kinds)]
    stream = io.BytesIO()
    files.write_table(pa.table(columns), stream)
    _read_parquet(stream.getvalue())


@cache
def _kinds() -> tuple[tuple[Any, ...], ...]:
    """Values of two rows, and the name of their type in pyarrow, if it is not the obvious one."""
    return (
        *((["a.wav", "b.wav"],), ([0.5, None],), ([1, 2],), ([True, False],), ([b"\xff", b""],)),
        *(([np.nan, np.inf],), ([[1], []],), ([{"a": 1}, None],), ([None, None],)),
        *(([2**62, -(2**62)], "timestamp"), ([2**62, 1], "duration"), ([1, 2], "date32")),
        *(([10**9, -(10**9)], "date32"), ([1, 2**40], "date64"), (["1.5", "0.1"], "decimal")),
        *(([1, 2], "time32"), ([2**40, 1], "time64"), (["a.wav", "a.wav"], "dictionary")),
        *((["x" * 3000, "\u2028"],), (["", " "],), (["-1", "NaN"],), ([1e308, -1e308],)),
        *(
            ([1, 2**62], "timestamp_zone"),
            ([b"\xffx", b"b"], "not_utf8"),
            ([2**64 - 1, 0], "uint64"),
        ),
    )


@cache
def _column_values(pa: Any) -> tuple[Any, ...]:
    return tuple(_column(pa, *kind) for kind in _kinds())


def _column(pa: Any, values: list[Any], kind: str = "") -> Any:
    types = {
        **{"timestamp": pa.timestamp("us"), "duration": pa.duration("us"), "date32": pa.date32()},
        **{"date64": pa.date64(), "time32": pa.time32("s"), "time64": pa.time64("us")},
        **{"timestamp_zone": pa.timestamp("us", tz="Nowhere/At"), "uint64": pa.uint64()},
    }
    if kind in types:
        whole = pa.uint64() if kind == "uint64" else pa.int64()
        narrow = pa.int32() if kind in ("date32", "time32") else whole
        return pa.array(values, narrow).cast(types[kind], safe=False)
    if kind == "decimal":
        return pa.array(values).cast(pa.decimal128(5, 2))
    if kind == "dictionary":
        return pa.array(values).dictionary_encode()
    if kind == "not_utf8":
        return pa.Array.from_buffers(pa.string(), 2, pa.array(values).buffers())
    return pa.array(values)


def _read_parquet(content: bytes) -> None:
    path = str(written("batch.parquet", content))
    for item in told(lambda: list(islice(items_of([path]), _MOST))) or ():
        assert BatchItem.of_line(item.to_line()) == item


# Samples --------------------------------------------------------------------------------------


def pcm(data: bytes) -> None:
    """Encoding, rate, channels, and size of the messages in a byte each, then a stream."""
    head = data[:4].ljust(4, b"\0")
    names = (*ENCODINGS, "", "mulaw", "S16LE", "mp3")
    decoder = told(
        PcmDecoder,
        names[head[0] % len(names)],
        _RATES[head[1] % len(_RATES)],
        head[2] % 5,
    )
    if decoder is None:
        return
    whole = told(lambda: list(_pushed(decoder, data[4:], 1 + 7 * head[3])))
    for block in whole or ():
        assert block.dtype == np.float32
        assert block.ndim == 1


def _pushed(decoder: PcmDecoder, data: bytes, size: int) -> Iterator[Any]:
    for at in range(0, len(data), size):
        yield decoder.push(data[at : at + size])
    yield decoder.finish()


def packets(data: bytes) -> None:
    """Packets of an agent's turn: rate, channels and number of bytes in four bytes, then bytes."""
    decoder, at = PacketDecoder(), 0
    while at + 4 <= len(data):
        rate, channels, size = struct.unpack_from("<BBH", data, at)
        at += 4 + size
        try:
            decoded = decoder.decode(data[at - size : at], _RATES[rate % len(_RATES)], channels % 9)
        except PhonemoError as error:
            check_message(str(error))
            continue
        assert decoded.dtype == np.float32
        assert np.isfinite(decoded).all()
    assert np.isfinite(decoder.finish()).all()
