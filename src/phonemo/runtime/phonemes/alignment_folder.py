"""The folder of aligned utterances, which an interrupted alignment resumes.

<folder>/alignment.jsonl     the settings, then a row for each utterance; written as it is aligned
<folder>/phonemes.csv        a row for each phoneme, written at the end
<folder>/grids/ID.TextGrid   an utterance's phonemes, text and emotion for Praat
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.annotations.tiers import TierInterval, fill_gaps, single_line
from phonemo.annotations.writers import csv_line, textgrid_of
from phonemo.errors import RunError
from phonemo.files import atomic_write_text, dumps_json, loads_json
from phonemo.runtime.phonemes.corpus_alignment import AlignedUtterance, file_stem

ROWS, TABLE, GRIDS = "alignment.jsonl", "phonemes.csv", "grids"
_OWN = {ROWS, TABLE, f"{TABLE}.part", GRIDS, ".lock"}
_COLUMNS = ("file", "id", "speaker", "emotion", "position", "symbol", "start", "end", "confidence")


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
        head = next(iter(self._read()), None)
        if head is None:
            atomic_write_text(self._rows, dumps_json(dict(settings)) + "\n")
        elif head != settings:
            other = next(key for key in {**settings, **head} if settings.get(key) != head.get(key))
            raise RunError(
                f"{folder}: expected an alignment with the same {other}, got another; name another "
                "--output"
            )
        self.done = {row["id"] for row in self._aligned()}

    def add(self, aligned: AlignedUtterance) -> None:
        """Write an utterance: its TextGrid, and then its row, which marks it as done."""
        if aligned.error is None:
            grid = self.folder / GRIDS / f"{file_stem(aligned.utterance.id)}.TextGrid"
            atomic_write_text(grid, textgrid_of(tiers_of_alignment(aligned), aligned.seconds))
        with self._rows.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(dumps_json(row_of(aligned)) + "\n")

    def finish(self) -> tuple[int, int, float]:
        """Write the table; return the numbers of utterances and phonemes, and mean confidence."""
        rows, phonemes, confidence = 0, 0, 0.0
        lines = [csv_line(_COLUMNS)]
        for row in self._aligned():
            rows += 1
            phonemes += len(row["phonemes"])
            confidence += sum(one["confidence"] for one in row["phonemes"])
            lines += map(csv_line, _cells(row))
        text = "".join(lines).encode("utf-8", "replace").decode()  # names may be any bytes
        atomic_write_text(self.folder / TABLE, text)
        return rows, phonemes, confidence / max(1, phonemes)

    def _aligned(self) -> Iterator[dict[str, Any]]:
        return (row for row in self._read() if "phonemes" in row)

    def _read(self) -> Iterator[dict[str, Any]]:
        if not self._rows.is_file():
            return
        with self._rows.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    yield dict(loads_json(line))
                except (ValueError, TypeError) as error:
                    raise RunError(
                        f"{self._rows} line {number}: expected a row of phonemo align; name "
                        "another --output"
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


def row_of(aligned: AlignedUtterance) -> dict[str, Any]:
    """An utterance as plain data; times are those of its file."""
    one = aligned.utterance
    row: dict[str, Any] = {"id": one.id, "file": one.file, "speaker": one.speaker}
    row["emotion"] = one.emotion
    if aligned.error is not None:
        code = getattr(aligned.error, "code", "error")
        return row | {"error": str(aligned.error), "code": code}
    spans = [span.moved(one.excerpt.start or 0.0) for span in aligned.spans]
    return row | {"seconds": round(aligned.seconds, 6), "phonemes": list(map(_plain, spans))}


def tiers_of_alignment(aligned: AlignedUtterance) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals from 0 to the utterance's end."""
    tiers = {"phonemes": list(fill_gaps(aligned.spans, aligned.seconds))}
    one = aligned.utterance
    for name, text in (("text", one.text), ("emotion", one.emotion)):
        if text:
            tiers[name] = [TierInterval(0.0, aligned.seconds, single_line(text))]
    return tiers


def _plain(span: PhonemeSpan) -> dict[str, Any]:
    return {
        "symbol": span.symbol,
        "start": round(span.start, 4),
        "end": round(span.end, 4),
        "confidence": round(span.confidence, 4),
    }


def _cells(row: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    head = (row["file"], row["id"], row["speaker"] or "", row["emotion"] or "")
    for position, one in enumerate(row["phonemes"]):
        times = (f"{one['start']:.4f}", f"{one['end']:.4f}", f"{one['confidence']:.4f}")
        yield (*head, str(position), one["symbol"], *times)


def _drop_torn_line(path: Path) -> None:
    """Cut what a killed process left of its last line."""
    data = path.read_bytes()
    if (whole := data.rfind(b"\n") + 1) < len(data):
        with path.open("r+b") as stream:
            stream.truncate(whole)
