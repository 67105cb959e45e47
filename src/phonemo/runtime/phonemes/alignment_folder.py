"""The folder of aligned utterances, which an interrupted alignment resumes.

<folder>/alignment.jsonl     the settings, then a row for each utterance; written as it is aligned
<folder>/phonemes.csv        a row for each phoneme, written at the end
<folder>/grids/ID.TextGrid   an utterance's phonemes, text and emotion for Praat
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.annotations.tiers import TierInterval, fill_gaps, single_line
from phonemo.annotations.writers import csv_line, textgrid_of
from phonemo.errors import RunError, safe_name
from phonemo.files import atomic_write_text, dumps_json
from phonemo.runtime.phonemes.corpus_alignment import AlignedUtterance, file_stem

ROWS, TABLE, GRIDS = "alignment.jsonl", "phonemes.csv", "grids"
_OWN = {ROWS, TABLE, f"{TABLE}.part", GRIDS, ".lock"}
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
        return row.model_copy(update={"seconds": round(aligned.seconds, 6), "phonemes": phonemes})

    def cells(self) -> Iterator[tuple[str, ...]]:
        """The rows of the table."""
        head = (self.file, self.id, self.speaker or "", self.emotion or "")
        for position, one in enumerate(self.phonemes):
            times = (f"{one.start:.4f}", f"{one.end:.4f}", f"{one.confidence:.4f}")
            yield (*head, str(position), one.symbol, *times)


class _Settings(_Plain):
    settings: dict[str, str]


class AlignmentFolder:
    """Writes aligned utterances; those of an earlier call with the same settings are kept.

    Args:
        folder: created if it is missing.
        settings: whatever the alignment depends on, such as digests of model and manifest.

    Raises:
        RunError: the folder has something else, or an alignment with other settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder, self._rows = folder, folder / ROWS
        check_folder(folder)
        if self._rows.is_file():
            _drop_torn_line(self._rows)
        if not self._rows.is_file() or not self._rows.stat().st_size:
            head = _Settings(settings=dict(settings))
            atomic_write_text(self._rows, dumps_json(head.model_dump()) + "\n")
        self._check_settings(settings)
        self.done = {row.id for row in self._aligned()}

    def add(self, aligned: AlignedUtterance) -> None:
        """Write an utterance: its TextGrid, and then its row, which marks it as done."""
        if aligned.error is None:
            grid = self.folder / GRIDS / f"{file_stem(aligned.utterance.id)}.TextGrid"
            atomic_write_text(grid, textgrid_of(tiers_of_alignment(aligned), aligned.seconds))
        row = UtteranceRow.of(aligned).model_dump(exclude_none=True)
        with self._rows.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(dumps_json(row) + "\n")

    def finish(self) -> tuple[int, int, float]:
        """Write the table; return the numbers of utterances and phonemes, and mean confidence."""
        rows, confidences = 0, [0.0]
        lines = [csv_line(_COLUMNS)]
        for row in self._aligned():
            rows += 1
            confidences += [one.confidence for one in row.phonemes]
            lines += map(csv_line, row.cells())
        text = "".join(lines).encode("utf-8", "replace").decode()  # names may be any bytes
        atomic_write_text(self.folder / TABLE, text)
        phonemes = len(confidences) - 1
        return rows, phonemes, sum(confidences) / max(1, phonemes)

    def _check_settings(self, settings: Mapping[str, str]) -> None:
        head = next(self._lines())
        found = self._parsed(_Settings, 1, head).settings
        for key in {**settings, **found}:
            if settings.get(key) != found.get(key):
                raise RunError(
                    f"{self.folder}: expected an alignment with the same {safe_name(key)}, got "
                    "another; name another --output"
                )

    def _aligned(self) -> Iterator[UtteranceRow]:
        lines = self._lines()
        next(lines)
        for number, line in enumerate(lines, start=2):
            row = self._parsed(UtteranceRow, number, line)
            if row.error is None:
                yield row

    def _lines(self) -> Iterator[bytes]:
        with self._rows.open("rb") as stream:
            yield from stream

    def _parsed(self, kind: type[_Row], number: int, line: bytes) -> _Row:
        try:
            return kind.model_validate_json(line)
        except ValidationError as error:
            raise RunError(
                f"{self._rows} line {number}: expected a row of phonemo align; name another "
                "--output"
            ) from error


def check_folder(folder: Path) -> None:
    """Raise RunError for a folder with files of something else."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: expected a folder, got a file; name another --output")
    foreign = sorted(path.name for path in folder.glob("*") if path.name not in _OWN)
    if foreign:
        raise RunError(
            f"{folder}: expected a folder of phonemo align or an empty one, got one with "
            f"{foreign[0]!r}; name another --output"
        )


def tiers_of_alignment(aligned: AlignedUtterance) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals from 0 to the utterance's end."""
    tiers = {"phonemes": list(fill_gaps(aligned.spans, aligned.seconds))}
    one = aligned.utterance
    for name, text in (("text", one.text), ("emotion", one.emotion)):
        if text:
            tiers[name] = [TierInterval(0.0, aligned.seconds, single_line(text))]
    return tiers


def _drop_torn_line(path: Path) -> None:
    """Cut what a killed process left of its last line."""
    data = path.read_bytes()
    if (whole := data.rfind(b"\n") + 1) < len(data):
        with path.open("r+b") as stream:
            stream.truncate(whole)
