"""The folder of aligned utterances, which an interrupted alignment resumes.

<folder>/alignment.jsonl     the settings, then a row for each utterance; written as it is aligned
<folder>/phonemes.csv        a row for each phoneme, written at the end
<folder>/grids/ID.TextGrid   an utterance's phonemes, text and emotion for Praat
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.annotations.tiers import TierInterval, fill_gaps, single_line
from phonemo.annotations.writers import csv_line, textgrid_of
from phonemo.errors import RunError, safe_name
from phonemo.files import atomic_write_text, dumps_json, is_of_system, loads_json
from phonemo.runtime.phonemes.corpus_alignment import AlignedUtterance

ROWS, TABLE, GRIDS = "alignment.jsonl", "phonemes.csv", "grids"
_OWN = {ROWS, TABLE, GRIDS, f"{ROWS}.part", f"{TABLE}.part"}
_COLUMNS = ("file", "id", "speaker", "emotion", "position", "symbol", "start", "end", "confidence")


_Row = TypeVar("_Row", bound="_Plain")
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PhonemeRow(_Plain):
    """A phoneme in time."""

    symbol: str
    start: _Number
    """In seconds within the file."""
    end: _Number
    confidence: _Number

    @classmethod
    def of(cls, span: PhonemeSpan) -> PhonemeRow:
        """Round a phoneme to 0.1 ms."""
        times = {"start": round(span.start, 4), "end": round(span.end, 4)}
        return cls(symbol=span.symbol, confidence=round(span.confidence, 4), **times)


class UtteranceRow(_Plain):
    """An utterance with its phonemes, or with an error; a line of alignment.jsonl."""

    id: str
    file: str
    speaker: str | None = None
    emotion: str | None = None
    seconds: _Number = 0.0
    phonemes: tuple[PhonemeRow, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    code: str | None = None

    @classmethod
    def of(cls, aligned: AlignedUtterance) -> UtteranceRow:
        """Describe an utterance; times are those of its file."""
        one, error = aligned.utterance, aligned.error
        row = cls(id=one.id, file=one.file, speaker=one.speaker, emotion=one.emotion)
        if error is not None:
            code = getattr(error, "code", "error")
            return row.model_copy(update={"error": str(error), "code": code})
        spans = (span.moved(one.excerpt.start or 0.0) for span in aligned.spans)
        phonemes = tuple(PhonemeRow.of(span) for span in spans)
        found = {"seconds": round(aligned.seconds, 6), "phonemes": phonemes}
        return row.model_copy(update={**found, "warnings": aligned.warnings})

    def cells(self) -> Iterator[tuple[str, ...]]:
        """The rows of the table."""
        head = (self.file, self.id, self.speaker or "", self.emotion or "")
        for position, one in enumerate(self.phonemes):
            times = (f"{one.start:.4f}", f"{one.end:.4f}", f"{one.confidence:.4f}")
            yield (*head, str(position), one.symbol, *times)


class _Settings(_Plain):
    settings: dict[str, str]


@dataclass(frozen=True)
class AlignmentTotals:
    """What an alignment has in all."""

    utterances: int = 0
    phonemes: int = 0
    confidences: float = 0.0
    """Their sum over the phonemes."""
    warned: int = 0
    """Utterances with a warning, such as that no speech was found."""

    @property
    def confidence(self) -> float:
        """Mean over the phonemes; 0 without any."""
        return self.confidences / max(1, self.phonemes)

    def with_row(self, row: UtteranceRow) -> AlignmentTotals:
        """Count a row; one with an error has no phonemes."""
        return AlignmentTotals(
            self.utterances + (row.error is None),
            self.phonemes + len(row.phonemes),
            self.confidences + sum(one.confidence for one in row.phonemes),
            self.warned + bool(row.warnings),
        )


class AlignmentFolder:
    """Writes aligned utterances; those of an earlier call with the same settings are kept.

    Args:
        folder: created if it is missing.
        settings: whatever the alignment depends on, such as digests of model and manifest.
        stems: by id, in the order of the results, the name of an utterance's file.

    Raises:
        RunError: the folder has something else, or an alignment with other settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], stems: Mapping[str, str]) -> None:
        self.folder, self._rows, self._stems = folder, folder / ROWS, stems
        check_folder(folder)
        if not self._rows.is_file():
            head = _Settings(settings=dict(settings))
            atomic_write_text(self._rows, dumps_json(head.model_dump()) + "\n")
        self._check_settings(settings)
        _drop_torn_line(self._rows)
        self.done = self._aligned()

    def add(self, aligned: AlignedUtterance) -> None:
        """Write an utterance: its TextGrid, and then its row, which marks it as done."""
        if aligned.error is None:
            text = textgrid_of(tiers_of_alignment(aligned), aligned.seconds)
            atomic_write_text(self._grid(aligned.utterance.id), _storable(text))
        row = UtteranceRow.of(aligned).model_dump(exclude_defaults=True)
        with self._rows.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(dumps_json(row) + "\n")

    def finish(self) -> AlignmentTotals:
        """Write the table, and the rows in the order of the stems, the last of each utterance."""
        lines = {row.id: line for row, line in self._read()}
        table, totals = [csv_line(_COLUMNS)], AlignmentTotals()
        kept = [lines[name] for name in self._stems if name in lines]
        for line in kept:
            row = _parsed(self._rows, UtteranceRow, line)
            table += map(csv_line, row.cells())
            totals = totals.with_row(row)
        atomic_write_text(self.folder / TABLE, _storable("".join(table)))
        with self._rows.open("rb") as stream:
            text = b"".join([stream.readline(), *kept])
        atomic_write_text(self._rows, text.decode())
        return totals

    def _grid(self, name: str) -> Path:
        return self.folder / GRIDS / f"{self._stems[name]}.TextGrid"

    def _check_settings(self, settings: Mapping[str, str]) -> None:
        found = _stored_settings(self._rows)
        for key in {**settings, **found}:
            if settings.get(key) != found.get(key):
                raise RunError(
                    f"{self.folder}: expected an alignment with the same {safe_name(key)}, got "
                    "another; name another --output"
                )

    def _aligned(self) -> set[str]:
        """The utterances that are done: aligned, and their TextGrid was not removed."""
        last = {row.id: row.error is None for row, _ in self._read()}
        return {name for name in self._stems if last.get(name) and self._grid(name).is_file()}

    def _read(self) -> Iterator[tuple[UtteranceRow, bytes]]:
        """Every row, and how it is stored."""
        with self._rows.open("rb") as stream:
            stream.readline()
            for line in stream:
                yield _parsed(self._rows, UtteranceRow, line), line


def aligned_manifest(folder: Path) -> str | None:
    """Return the SHA-256 of the manifest that a folder was aligned from.

    Raises:
        RunError: phonemo align did not write the folder.
    """
    try:
        return _stored_settings(folder / ROWS).get("manifest")
    except (OSError, RunError) as error:
        raise RunError(
            f"{folder}: expected a folder of phonemo align, got none; run phonemo align first"
        ) from error


def _stored_settings(rows: Path) -> dict[str, str]:
    """The first line, which was written whole; RunError if it is another."""
    with rows.open("rb") as stream:
        head = stream.readline()
    return _parsed(rows, _Settings, head if head.endswith(b"\n") else b"").settings


def _parsed(rows: Path, kind: type[_Row], line: bytes) -> _Row:
    try:
        return kind.model_validate(loads_json(line.decode()))
    except ValueError as error:  # pydantic's too
        raise RunError(
            f"{rows}: expected rows of phonemo align, got {_excerpt(line)}; name another --output"
        ) from error


def check_folder(folder: Path) -> None:
    """Raise RunError for a folder that phonemo align did not write, or that is none."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: expected a folder, got a file; name another --output")
    names = {path.name for path in folder.glob("*") if not is_of_system(path.name)}
    foreign = sorted(names - _OWN)
    if not foreign and ROWS not in names:  # names alone do not say whose files they are
        foreign = sorted(names & {TABLE, GRIDS})
    if foreign:
        raise RunError(
            f"{folder}: expected a folder of phonemo align or an empty one, got one with "
            f"{safe_name(foreign[0])!r}; name another --output"
        )


def tiers_of_alignment(aligned: AlignedUtterance) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals from 0 to the utterance's end."""
    tiers = {"phonemes": list(fill_gaps(aligned.spans, aligned.seconds))}
    one = aligned.utterance
    for name, text in (("text", one.text), ("emotion", one.emotion)):
        if text:
            tiers[name] = [TierInterval(0.0, aligned.seconds, single_line(text))]
    return tiers


def _storable(text: str) -> str:
    """Replace what UTF-8 does not have: names may be any bytes."""
    return text.encode("utf-8", "replace").decode()


def _excerpt(line: bytes) -> str:
    return repr(safe_name(line[:40].decode(errors="replace").strip()))


def _drop_torn_line(path: Path) -> None:
    """Cut what a killed process left of its last line."""
    data = path.read_bytes()
    if (whole := data.rfind(b"\n") + 1) < len(data):
        with path.open("r+b") as stream:
            stream.truncate(whole)
