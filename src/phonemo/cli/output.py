"""How predict's answers come, and how they leave: standard output, or a file for each recording."""

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
from phonemo.cli import console
from phonemo.errors import PhonemoError, UsageError
from phonemo.files import STANDARD_INPUT, atomic_write_text

if TYPE_CHECKING:
    from phonemo.annotations.turns import Turn
    from phonemo.runtime.recognizer import EmotionRecognizer


class Format(StrEnum):
    """Output formats of predict."""

    table = "table"
    jsonl = "jsonl"
    json = "json"
    csv = "csv"
    srt = "srt"
    vtt = "vtt"
    textgrid = "textgrid"
    rttm = "rttm"
    audacity = "audacity"


@dataclass(frozen=True)
class PredictOptions:
    """What is wanted of every recording."""

    labels: Sequence[str]
    """Choose among these; all where there is none."""
    top_k: int | None
    shares: bool
    timeline: bool
    turns: Callable[..., Sequence[Turn]] | None
    """What phonemo.annotations.turns.open_turns gives."""
    jobs: int | None
    said: Sequence[str] | None = None
    """Phonemes of the one recording, to be aligned."""
    by_speaker: bool = False
    """Whether turns are adapted by the statistics of their speaker."""


Answer = Prediction | PhonemoError
#: Takes the recording's name and what was heard, or why nothing was; raises where it cannot leave.
Writer = Callable[[str, Answer], None]


def iter_predictions(
    opened: EmotionRecognizer, named: Sequence[tuple[str, PurePath]], asked: PredictOptions
) -> Iterator[tuple[str, Answer]]:
    """Every recording's name and answer, in their order."""
    names = [name for name, _ in named]
    found: Iterator[Answer]
    if asked.said is not None:
        found = (_aligned(opened, name, asked.said) for name in names)
    elif asked.turns is None:
        sources = (_source(name) for name in names)
        jobs = asked.jobs if len(names) > 1 else 1  # a lone one by all threads, as it was opened
        found = opened.predict_many(
            sources, jobs=jobs, shares=asked.shares, timeline=asked.timeline
        )
    else:
        turns_of = partial(asked.turns, lone=len(names) == 1)
        found = (_by_turns(opened, name, asked, turns_of) for name in names)
    for name, one in zip(names, found, strict=True):
        yield (
            name,
            one if isinstance(one, PhonemoError) else one.narrowed(asked.labels, asked.top_k),
        )


@contextmanager
def writer_of(
    wanted: Format,
    labels: Sequence[str],
    spans: bool,
    targets: dict[str, Path],
    profile: bool = False,
) -> Iterator[Writer]:
    """What to do with each answer; the end of a document follows the last.

    Args:
        wanted: the format.
        labels: the emotions, for the head of a table.
        spans: whether JSON has the times of the phonemes.
        targets: the file of each recording, from ``output_paths``.
        profile: whether a table has a column for the profile.
    """
    if wanted is Format.json and not targets:
        yield from _array(spans)
    elif wanted in writers.BY_FILE:
        yield _by_file(writers.BY_FILE[wanted][1], targets)
    elif wanted is Format.csv:
        typer.echo(writers.csv_head(labels, profile), nl=False)
        yield lambda name, found: _echo(_csv(name, found, labels, profile))
    else:
        line = console.json_row if wanted is Format.jsonl else console.table_row
        timed = spans or wanted is Format.table
        yield lambda name, found: typer.echo(line(row_of(name, found, timed)))


def output_paths(
    named: Sequence[tuple[str, PurePath]], wanted: Format, folder: Path | None, overwrite: bool
) -> dict[str, Path]:
    """Where each recording's file goes; empty where the answers go to standard output.

    Args:
        named: the recordings, with their paths below what was named.
        wanted: the format.
        folder: where the files go; what came from a folder keeps its place in it.
        overwrite: whether files that are there already may be replaced.

    Raises:
        UsageError: several recordings and no folder, a folder for a format that has lines, or
            two recordings of one name or a file of that name, which would be lost.
    """
    if wanted not in writers.BY_FILE:
        if folder is not None:
            kinds = ", ".join(writers.BY_FILE)
            raise UsageError(
                f"--output-dir goes with --format {kinds}; {wanted} goes to the screen"
            )
        return {}
    if folder is None:
        if len(named) > 1 and wanted is not Format.json:
            raise UsageError(f"{len(named)} recordings in the format {wanted}: give --output-dir")
        return {}
    targets: dict[str, Path] = {}
    taken: dict[str, str] = {}
    for name, below in named:
        target = folder / below.with_suffix(writers.BY_FILE[wanted][0])
        other = taken.setdefault(str(target).casefold(), name)
        if other != name:
            raise UsageError(f"{other} and {name} would both be written to {target}")
        if _is_there(target) and not overwrite:
            raise UsageError(f"{target} is there already; another --output-dir, or --overwrite")
        targets[name] = target
    return targets


def _is_there(target: Path) -> bool:
    try:
        return target.exists()
    except OSError:  # a name that no file can have; writing it will say so
        return False


def row_of(name: str, found: Answer, spans: bool) -> dict[str, Any]:
    """The answer as plain data."""
    if isinstance(found, PhonemoError):
        return {"file": name, "error": str(found), "code": getattr(found, "code", "error")}
    return {"file": name, **found.to_dict(spans)}


def _by_turns(opened: EmotionRecognizer, name: str, asked: PredictOptions, turns_of: Any) -> Answer:
    try:
        turns = turns_of(name)
        return opened.predict(
            _source(name), shares=asked.shares, turns=turns, by_speaker=asked.by_speaker
        )
    except PhonemoError as error:
        return error


def _aligned(opened: Any, name: str, said: Sequence[str]) -> Answer:
    try:
        found: Prediction = opened.align(_source(name), said)
        return found
    except PhonemoError as error:
        return error


def _source(name: str) -> str | BinaryIO:
    """What is opened for a name."""
    return name if name != STANDARD_INPUT else sys.stdin.buffer


def _array(spans: bool) -> Iterator[Writer]:
    """One JSON document of all answers, written as they come."""
    before = "["

    def emit(name: str, found: Answer) -> None:
        nonlocal before
        typer.echo(f"{before}{console.json_row(row_of(name, found, spans))}", nl=False)
        before = ",\n"

    yield emit
    typer.echo("[]" if before == "[" else "]")


def _csv(name: str, found: Answer, labels: Sequence[str], profile: bool) -> str:
    if isinstance(found, PhonemoError):
        return writers.csv_error(name, str(found), labels, profile)
    return writers.csv_rows(name, found, labels, profile)


def _by_file(write: Callable[[str, Prediction], str], targets: dict[str, Path]) -> Writer:
    def emit(name: str, found: Answer) -> None:
        if isinstance(found, PhonemoError):
            typer.echo(f"phonemo: {found}", err=True)
        elif name in targets:
            _write(targets[name], write(name, found))
        else:
            _echo(write(name, found))

    return emit


def _write(target: Path, text: str) -> None:
    from phonemo.errors import safe_name, safe_text

    try:
        atomic_write_text(target, text)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"{safe_name(target)}: cannot be written ({reason}); name another --output-dir"
        raise UsageError(message) from error
    _echo(safe_text(str(target)) + "\n")


def _echo(text: str) -> None:
    """As it is: a pipe gets what would colour a terminal, too, where it is part of a name."""
    typer.echo(text, nl=False, color=True)
