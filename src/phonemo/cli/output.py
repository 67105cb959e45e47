"""Predict's output: predictions in order, to standard output or one file per recording."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from phonemo.annotations import writers
from phonemo.annotations.prediction import Prediction
from phonemo.cli import prediction_text
from phonemo.errors import ModelError, PhonemoError, UsageError
from phonemo.files import STANDARD_INPUT, atomic_write_text

if TYPE_CHECKING:
    from phonemo.annotations.turns import TurnFile
    from phonemo.audio import Channels
    from phonemo.runtime.recognizer import EmotionRecognizer


class Format(StrEnum):
    """Output formats of predict."""

    table = "table"
    jsonl = "jsonl"
    json = "json"
    csv = "csv"
    phonemes = "phonemes"
    srt = "srt"
    vtt = "vtt"
    textgrid = "textgrid"
    rttm = "rttm"
    audacity = "audacity"


@dataclass(frozen=True)
class OutputOptions:
    """Options of predict that apply to every recording."""

    labels: Sequence[str]
    """Emotions to choose among; empty for all."""
    top_k: int | None
    shares: bool
    timeline: bool
    turns: TurnFile | None
    """The result of phonemo.annotations.turns.open_turns."""
    jobs: int | None
    said: Sequence[str] | None = None
    """Phonemes to align with a single recording."""
    by_speaker: bool = False
    """Adapt turns to the statistics of their speaker."""
    channels: Channels = "mix"
    summary: bool = False
    """Add the summary of each party."""
    dimensions: bool = False
    """Show arousal and valence where a format does not always have them."""
    dimension_names: Sequence[str] = ()
    """The model's dimensions, as columns of a table."""


#: The formats with a place for the summary of a recording.
SUMMARIZED = (Format.table, Format.jsonl, Format.json)
#: The formats that always have dimensions, and those with a place for them.
WITH_DIMENSIONS = (Format.jsonl, Format.json)
DIMENSIONED = (Format.table, Format.csv, Format.textgrid, *WITH_DIMENSIONS)

Answer = Prediction | PhonemoError
#: Called with a recording's name and its prediction or error; raises if it cannot be written.
Writer = Callable[[str, Answer], None]


def iter_predictions(
    opened: EmotionRecognizer, named: Sequence[tuple[str, PurePath]], options: OutputOptions
) -> Iterator[tuple[str, Answer]]:
    """Yield each recording's name with its prediction or error, in order."""
    names = [name for name, _ in named]
    results: Iterator[Answer]
    if options.said is not None:
        results = (_align(opened, name, options) for name in names)
    elif options.turns is None:
        sources = (_source(name) for name in names)
        # a single recording uses all threads of the model
        jobs = options.jobs if len(names) > 1 else 1
        results = opened.predict_many(
            sources,
            jobs=jobs,
            shares=options.shares,
            timeline=options.timeline,
            channels=options.channels,
        )
    else:
        turns_of = partial(options.turns, lone=len(names) == 1)
        results = (_predict_turns(opened, name, options, turns_of) for name in names)
    for name, result in zip(names, results, strict=True):
        yield (
            name,
            result if isinstance(result, PhonemoError) else _finished(result, options),
        )


def _finished(result: Prediction, options: OutputOptions) -> Prediction:
    """Restrict to the chosen emotions, summarize them, keep the highest scores."""
    result = result.narrowed(options.labels, None)
    result = result if options.dimensions else result.without_dimensions()
    if options.summary:
        from phonemo.annotations.summary.call_summary import with_summary

        result = with_summary(result)
    return result.narrowed((), options.top_k)


@contextmanager
def writer_of(
    output_format: Format,
    labels: Sequence[str],
    options: OutputOptions,
    targets: dict[str, Path],
    profile: bool = False,
) -> Iterator[Writer]:
    """A function that writes each result; a document is closed on exit.

    Args:
        output_format: the format.
        labels: the emotions, for the header of a table.
        options: whether JSON includes the times of the phonemes, and a table channels and texts.
        targets: each recording's file, from ``output_paths``.
        profile: include a profile column in a table.
    """
    spans, channel = options.shares, options.channels != "mix"
    if output_format is Format.json and not targets:
        yield from _write_array(spans)
    elif output_format in writers.BY_FILE:
        yield _write_files(writers.BY_FILE[output_format][1], targets)
    elif output_format is Format.csv:
        text = options.turns is not None and options.turns.has_text
        columns = (profile, channel, text, options.dimension_names)
        typer.echo(writers.csv_head(labels, *columns), nl=False)
        yield lambda name, result: _echo(_csv_text(name, result, labels, columns))
    elif output_format is Format.phonemes:
        typer.echo(writers.phoneme_head(channel), nl=False)
        yield lambda name, result: _echo(_phoneme_text(name, result, channel))
    elif output_format is Format.jsonl:
        yield _write_rows(spans, prediction_text.json_row)
    elif output_format is Format.table:
        yield _write_rows(True, prediction_text.table_row)
    else:
        raise NotImplementedError(
            f"no writer for {output_format}; add it to annotations.writers.BY_FILE"
        )


def output_paths(
    named: Sequence[tuple[str, PurePath]],
    output_format: Format,
    folder: Path | None,
    overwrite: bool,
) -> dict[str, Path]:
    """Each recording's output file; empty if results go to standard output.

    Args:
        named: the recordings, with their paths relative to the argument that named them.
        output_format: the format.
        folder: the output folder; recordings found in a folder keep their relative path.
        overwrite: whether existing files may be replaced.

    Raises:
        UsageError: several recordings without a folder, a folder for a line-based format, two
            recordings with one output file, or an existing file.
    """
    if output_format not in writers.BY_FILE:
        if folder is not None:
            kinds = ", ".join(writers.BY_FILE)
            raise UsageError(
                f"--output-dir: expected --format {kinds}, got {output_format}, which is printed"
            )
        return {}
    if folder is None:
        if len(named) > 1 and output_format is not Format.json:
            raise UsageError(
                f"--format {output_format} with {len(named)} recordings requires --output-dir"
            )
        return {}
    targets: dict[str, Path] = {}
    taken: dict[str, str] = {}
    for name, below in named:
        target = folder / below.with_suffix(writers.BY_FILE[output_format][0])
        other = taken.setdefault(str(target).casefold(), name)
        if other != name:
            raise UsageError(
                f"{other} and {name} would both be written to {target}; rename one of them"
            )
        if _exists(target) and not overwrite:
            raise UsageError(f"{target} already exists; use another --output-dir or --overwrite")
        targets[name] = target
    return targets


def _exists(target: Path) -> bool:
    try:
        return target.exists()
    except OSError:  # an invalid file name; writing raises the error
        return False


def row_of(name: str, result: Answer, spans: bool) -> dict[str, Any]:
    """Convert a prediction or an error to plain data."""
    if isinstance(result, PhonemoError):
        return {"file": name, "error": str(result), "code": getattr(result, "code", "error")}
    channel = {} if result.channel is None else {"channel": result.channel}
    return {"file": name, **channel, **result.to_dict(spans)}


def rows_of(name: str, result: Answer, spans: bool) -> list[dict[str, Any]]:
    """Convert a result to plain data: a row, or one for each channel of a split recording."""
    if isinstance(result, PhonemoError) or not result.channels:
        return [row_of(name, result, spans)]
    return [row_of(name, channel, spans) for channel in result.channels]


def _write_rows(spans: bool, formatted: Callable[[dict[str, Any]], str]) -> Writer:
    def emit(name: str, result: Answer) -> None:
        for row in rows_of(name, result, spans):
            typer.echo(formatted(row))

    return emit


def _predict_turns(
    opened: EmotionRecognizer, name: str, options: OutputOptions, turns_of: Any
) -> Answer:
    try:
        turns = turns_of(name)
        prediction = opened.predict(
            _source(name),
            shares=options.shares,
            turns=turns,
            by_speaker=options.by_speaker,
            channels=options.channels,
        )
    except PhonemoError as error:
        return error
    if prediction.turns_skipped:
        typer.echo(
            prediction_text.skipped_line(name, len(turns), prediction.turns_skipped), err=True
        )
    return prediction


def _align(opened: Any, name: str, options: OutputOptions) -> Answer:
    from phonemo.audio import Excerpt

    channel = options.channels if isinstance(options.channels, int) else None
    try:
        excerpt = Excerpt(_source(name), channel=channel)
        prediction: Prediction = opened.align(excerpt, options.said)
        return prediction
    except PhonemoError as error:
        return error


def _source(name: str) -> str | BinaryIO:
    return name if name != STANDARD_INPUT else sys.stdin.buffer


def _write_array(spans: bool) -> Iterator[Writer]:
    """Write all results as one JSON array, each as it arrives."""
    separator = "["

    def emit(name: str, result: Answer) -> None:
        nonlocal separator
        typer.echo(f"{separator}{prediction_text.json_row(row_of(name, result, spans))}", nl=False)
        separator = ",\n"

    yield emit
    typer.echo("[]" if separator == "[" else "]")


def _csv_text(
    name: str,
    result: Answer,
    labels: Sequence[str],
    columns: tuple[bool, bool, bool, Sequence[str]],
) -> str:
    if isinstance(result, PhonemoError):
        return writers.csv_error(name, str(result), labels, *columns)
    return writers.csv_rows(name, result, labels, *columns)


def _phoneme_text(name: str, result: Answer, channel: bool) -> str:
    if isinstance(result, PhonemoError):
        return writers.phoneme_error(name, str(result), channel)
    if not result.channels and result.spans is None:
        raise ModelError(
            f"{name}: this model has no phoneme head; use a model trained with phonemes"
        )
    return writers.phoneme_rows(name, result, channel)


def _write_files(write: Callable[[str, Prediction], str], targets: dict[str, Path]) -> Writer:
    def emit(name: str, result: Answer) -> None:
        if isinstance(result, PhonemoError):
            typer.echo(f"phonemo: {result}", err=True)
        elif name in targets:
            _write(targets[name], write(name, result))
        else:
            _echo(write(name, result))

    return emit


def _write(target: Path, text: str) -> None:
    from phonemo.errors import safe_name, safe_text

    try:
        atomic_write_text(target, text)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"{safe_name(target)}: cannot be written ({reason}); use another --output-dir"
        raise UsageError(message) from error
    _echo(safe_text(str(target)) + "\n")


def _echo(text: str) -> None:
    """Print unchanged: color codes in file names also reach pipes."""
    typer.echo(text, nl=False, color=True)
