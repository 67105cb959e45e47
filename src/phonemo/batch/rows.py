"""Result rows of a part: JSON lines, or Parquet with the same schema for all parts."""

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
#: Rows of a Parquet file that are buffered before a write.
_GROUP_ROWS = 256
#: Fields that may contain the name of a file.
_NAME_FIELDS = ("id", "file", "error")
_NO_TEXT = re.compile("[\ud800-\udfff]")


def part_name(part: int, kind: PartFormat) -> str:
    """Return the file name of a part's result rows."""
    return f"parts/part-{part:06d}.{kind}"


def rows_of(item: BatchItem, outcome: Prediction | PhonemoError, spans: bool) -> list[Row]:
    """Return the rows of a recording: its prediction, one for each split channel, or its error."""
    if isinstance(outcome, PhonemoError):
        return [failed_row(item, getattr(outcome, "code", "error"), str(outcome))]
    return [_prediction_row(item, one, spans) for one in outcome.channels or (outcome,)]


def _prediction_row(item: BatchItem, prediction: Prediction, spans: bool) -> Row:
    channel = {} if prediction.channel is None else {"channel": prediction.channel}
    return item.named() | channel | prediction.to_dict(spans)


def failed_row(item: BatchItem, code: str, message: str) -> Row:
    """Return the row of a failed recording."""
    return item.named() | {"error": message, "code": code}


@contextmanager
def writing_rows(
    path: Path, kind: PartFormat, emotions: Sequence[str], spans: bool, profile: bool = False
) -> Iterator[Write]:
    """Open a file for writing row by row.

    Args:
        path: the file.
        kind: its format.
        emotions: all emotions of the model, the columns of the scores.
        spans: whether rows contain the times of phonemes.
        profile: whether rows contain a profile.

    Raises:
        MissingExtraError: pyarrow is required and not installed.
    """
    open_rows = _parquet if kind == "parquet" else _jsonl
    with open_rows(path, emotions, spans, profile) as write:
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
    buffer: list[Row] = []

    def flush() -> None:
        writer.write_table(pyarrow.Table.from_pylist(buffer, schema=schema))
        buffer.clear()

    def write(row: Row) -> None:
        named = {name: _text(row[name]) for name in _NAME_FIELDS if name in row}
        columns = [(_text(name), _text(cell)) for name, cell in row.get("columns", {}).items()]
        buffer.append(row | named | {"columns": columns or None})
        if len(buffer) == _GROUP_ROWS:
            flush()

    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        yield write
        if buffer:
            flush()


def _schema(pyarrow: Any, emotions: Sequence[str], spans: bool, profile: bool) -> Any:
    text, number = pyarrow.string(), pyarrow.float64()
    scores = pyarrow.struct([(name, number) for name in emotions])
    times = [("start", number), ("end", number)]
    doubt = ("unsure", pyarrow.bool_())
    values = [(name, number) for name in ("arousal", "valence", "dominance")]
    dimensions = ("dimensions", pyarrow.struct([*values, ("derived", pyarrow.bool_())]))
    segment = pyarrow.struct([*times, ("label", text), doubt, ("scores", scores), dimensions])
    span = pyarrow.struct([("symbol", text), *times, ("confidence", number), ("share", number)])
    mark = pyarrow.struct([("hash", text), ("count", pyarrow.int64())])
    fields = [
        *[("id", text), ("file", text), ("from", number), ("to", number)],
        ("channel", pyarrow.int32()),
        ("columns", pyarrow.map_(text, text)),
        *[("label", text), doubt, ("scores", scores), ("seconds", number)],
        *[("phonemes", pyarrow.list_(text)), ("warnings", pyarrow.list_(text))],
        *[("speech_ratio", number), ("segments", pyarrow.list_(segment))],
        ("mixture", scores),
        dimensions,
        *([("profile", mark)] if profile else []),
        *([("spans", pyarrow.list_(span))] if spans else []),
        *[("error", text), ("code", text)],
    ]
    return pyarrow.schema(fields)


def needs_pyarrow() -> Any:
    """Import pyarrow; MissingExtraError if it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pyarrow


def _text(name: str) -> str:
    """Replace undecodable bytes of file names with U+FFFD: Parquet strings are UTF-8."""
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", name)
