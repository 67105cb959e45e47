"""The answers of a part as a file: JSON lines, or Parquet with one schema for all parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phonemo.annotations.prediction import Prediction
from phonemo.batch.job import PartFormat
from phonemo.batch.plan import BatchItem
from phonemo.errors import MissingExtraError, PhonemoError
from phonemo.files import dumps_json

Row = dict[str, Any]
Write = Callable[[Row], None]
#: Rows of a Parquet file that are held before they are written.
_GROUP_ROWS = 256
#: What may hold the name of a file.
_NAMED = ("id", "file", "error")
_NO_TEXT = re.compile("[\ud800-\udfff]")


def part_name(part: int, kind: PartFormat) -> str:
    """The file with a part's answers."""
    return f"parts/part-{part:06d}.{kind}"


def row_of(item: BatchItem, found: Prediction | PhonemoError, spans: bool) -> Row:
    """A recording's answer as plain data, or why there is none."""
    if isinstance(found, PhonemoError):
        return failed_row(item, getattr(found, "code", "error"), str(found))
    return item.named() | found.to_dict(spans)


def failed_row(item: BatchItem, code: str, message: str) -> Row:
    """The row of a recording without an answer."""
    return item.named() | {"error": message, "code": code}


@contextmanager
def writing_rows(
    path: Path, kind: PartFormat, emotions: Sequence[str], spans: bool, profile: bool = False
) -> Iterator[Write]:
    """Write rows one by one.

    Args:
        path: the file.
        kind: its format.
        emotions: all of the model's, the columns of the scores.
        spans: whether rows have the times of the phonemes.
        profile: whether rows name a profile.

    Raises:
        MissingExtraError: pyarrow is needed and not installed.
    """
    writing = _parquet if kind == "parquet" else _jsonl
    with writing(path, emotions, spans, profile) as write:
        yield write


@contextmanager
def _jsonl(path: Path, emotions: Sequence[str], spans: bool, profile: bool) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as stream:

        def write(row: Row) -> None:
            stream.write(dumps_json(row) + "\n")

        yield write


@contextmanager
def _parquet(path: Path, emotions: Sequence[str], spans: bool, profile: bool) -> Iterator[Write]:
    pyarrow = needs_pyarrow()
    from pyarrow import parquet

    schema = _schema(pyarrow, emotions, spans, profile)
    held: list[Row] = []

    def flush() -> None:
        writer.write_table(pyarrow.Table.from_pylist(held, schema=schema))
        held.clear()

    def write(row: Row) -> None:
        held.append(row | {name: _text(row[name]) for name in _NAMED if name in row})
        if len(held) == _GROUP_ROWS:
            flush()

    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        yield write
        if held:
            flush()


def _schema(pyarrow: Any, emotions: Sequence[str], spans: bool, profile: bool) -> Any:
    text, number = pyarrow.string(), pyarrow.float64()
    scores = pyarrow.struct([(name, number) for name in emotions])
    times = [("start", number), ("end", number)]
    segment = pyarrow.struct([*times, ("label", text), ("scores", scores)])
    span = pyarrow.struct([("symbol", text), *times, ("confidence", number), ("share", number)])
    mark = pyarrow.struct([("hash", text), ("count", pyarrow.int64())])
    fields = [
        *[("id", text), ("file", text), ("from", number), ("to", number)],
        *[("label", text), ("scores", scores), ("seconds", number)],
        *[("phonemes", pyarrow.list_(text)), ("warnings", pyarrow.list_(text))],
        *[("speech_ratio", number), ("segments", pyarrow.list_(segment))],
        *([("profile", mark)] if profile else []),
        *([("spans", pyarrow.list_(span))] if spans else []),
        *[("error", text), ("code", text)],
    ]
    return pyarrow.schema(fields)


def needs_pyarrow() -> Any:
    """pyarrow; MissingExtraError where it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pyarrow


def _text(name: str) -> str:
    """Parquet's strings are UTF-8: bytes of a file's name that are no text become U+FFFD."""
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", name)
