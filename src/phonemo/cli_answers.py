"""How predict's answers leave: lines on standard output, or a file for each recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any

import typer

from phonemo import console, formats
from phonemo.errors import PhonemoError, UsageError
from phonemo.prediction import Prediction
from phonemo.whole import write_whole


class Format(StrEnum):
    """Output formats of predict."""

    jsonl = "jsonl"
    table = "table"
    csv = "csv"
    textgrid = "textgrid"
    audacity = "audacity"


Answer = Prediction | PhonemoError
#: Takes the recording's name and what was heard, or why nothing was.
Writer = Callable[[str, Answer], None]


def writer_of(
    wanted: Format, labels: Sequence[str], spans: bool, targets: dict[str, Path]
) -> Writer:
    """What to do with each answer.

    Args:
        wanted: the format.
        labels: the emotions, for the head of a table.
        spans: whether JSON has the times of the phonemes.
        targets: the file of each recording, from ``targets_of``.
    """
    if wanted in formats.BY_FILE:
        return _by_file(formats.BY_FILE[wanted][1], targets)
    if wanted is Format.csv:
        typer.echo(formats.csv_head(labels), nl=False)
        return lambda name, found: typer.echo(_csv(name, found, labels), nl=False)
    line = console.json_row if wanted is Format.jsonl else console.table_row
    return lambda name, found: typer.echo(line(row_of(name, found, spans)))


def targets_of(
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
    if wanted not in formats.BY_FILE:
        if folder is not None:
            kinds = " or ".join(formats.BY_FILE)
            raise UsageError(
                f"--output-dir goes with --format {kinds}; {wanted} goes to the screen"
            )
        return {}
    if folder is None:
        if len(named) > 1:
            raise UsageError(f"{len(named)} recordings in the format {wanted}: give --output-dir")
        return {}
    targets: dict[str, Path] = {}
    taken: dict[str, str] = {}
    for name, below in named:
        target = folder / below.with_suffix(formats.BY_FILE[wanted][0])
        other = taken.setdefault(str(target).casefold(), name)
        if other != name:
            raise UsageError(f"{other} and {name} would both be written to {target}")
        if target.exists() and not overwrite:
            raise UsageError(f"{target} is there already; another --output-dir, or --overwrite")
        targets[name] = target
    return targets


def row_of(name: str, found: Answer, spans: bool) -> dict[str, Any]:
    """The answer as plain data."""
    if isinstance(found, PhonemoError):
        return {"file": name, "error": str(found), "code": getattr(found, "code", "error")}
    return {"file": name, **found.to_dict(spans)}


def _csv(name: str, found: Answer, labels: Sequence[str]) -> str:
    if isinstance(found, PhonemoError):
        return formats.csv_error(name, str(found), labels)
    return formats.csv_row(name, found, labels)


def _by_file(write: Callable[[str, Prediction], str], targets: dict[str, Path]) -> Writer:
    def tell(name: str, found: Answer) -> None:
        if isinstance(found, PhonemoError):
            typer.echo(f"phonemo: {found}", err=True)
        elif name in targets:
            targets[name].parent.mkdir(parents=True, exist_ok=True)
            write_whole(targets[name], write(name, found))
            typer.echo(str(targets[name]))
        else:
            typer.echo(write(name, found), nl=False)

    return tell
