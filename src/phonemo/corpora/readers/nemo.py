"""nEMO, Polish emotional speech (Christop, LREC-COLING 2024).

``samples/SK1_anger_1.wav`` is described by a row of ``data.tsv``: file_id, emotion, raw_text,
normalized_text, speaker_id, gender, age. Cells may have surrounding blanks.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.base import (
    CorpusCard,
    CorpusReading,
    audio_by_stem,
    csv_errors,
    listing,
    relative,
    require_folder,
    table_lines,
)
from phonemo.errors import CorpusError

CARD = CorpusCard(
    name="nemo",
    title="nEMO, Polish emotional speech",
    language="pl",
    licence="CC BY-NC-SA 4.0",
    homepage="https://github.com/amu-cai/nEMO",
    acted=True,
    utterances=4481,
    speakers=9,
    emotions={
        "anger": 749,
        "fear": 736,
        "happiness": 749,
        "neutral": 809,
        "sadness": 769,
        "surprise": 669,
    },
    note="Ninety fixed sentences: split by speaker, and by sentence for phonemes.",
)

EMOTION_NAMES = {
    "anger": "anger",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprised": "surprise",
}

_GENDERS: dict[str, Literal["f", "m"]] = {"female": "f", "male": "m"}
_COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender")
_EXPECTED = "expected data.tsv and a folder samples; pass the folder that contains both"


def read(root: Path) -> CorpusReading:
    """Read nEMO from the folder that contains ``data.tsv`` and ``samples/``.

    Raises:
        CorpusError: the folder has another layout, or a row of data.tsv is malformed.
    """
    require_folder(root)
    if not (root / "samples").is_dir():
        raise CorpusError(f"{root}: no folder samples ({listing(root)}); {_EXPECTED}")
    skipped: Counter[str] = Counter()
    audio = audio_by_stem(root / "samples", skipped)
    utterances: list[Utterance] = []
    described: set[str] = set()
    for where, row in _rows(root / "data.tsv"):
        stem = Path(row["file_id"]).stem
        if stem in described:
            raise CorpusError(f"{where}: expected one row per file, got another one for {stem!r}")
        described.add(stem)
        if stem in audio:
            utterances.append(_utterance(relative(audio[stem], root), stem, row, where))
        else:
            skipped["row of data.tsv without audio"] += 1
    if audio.keys() - described:
        skipped["audio without a row of data.tsv"] += len(audio.keys() - described)
    return CorpusReading(tuple(utterances), dict(skipped))


def _rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """The rows without surrounding blanks, each with its location for error messages."""
    with csv_errors(path):
        lines = table_lines(path, _EXPECTED)
        return _metadata_rows(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), path)


def _metadata_rows(reader: Any, path: Path) -> list[tuple[str, dict[str, str]]]:
    header = [cell.strip() for cell in next(reader, [])]
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        raise CorpusError(f"{path}: expected a column {missing[0]!r}, got {header}")
    rows = []
    for cells in reader:
        where = f"{path}:{reader.line_num}"
        if len(cells) != len(header):
            raise CorpusError(f"{where}: expected {len(header)} cells, got {len(cells)}")
        rows.append((where, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    return rows


def _utterance(file: str, stem: str, row: dict[str, str], where: str) -> Utterance:
    emotion, gender = row["emotion"], row["gender"]
    if emotion not in EMOTION_NAMES:
        raise CorpusError(f"{where}: unknown emotion {emotion!r}; known: {list(EMOTION_NAMES)}")
    if gender not in _GENDERS:
        raise CorpusError(f"{where}: expected gender female or male, got {gender!r}")
    return Utterance(
        id=stem,
        file=file,
        speaker=row["speaker_id"],
        gender=_GENDERS[gender],
        language="pl",
        transcript=row["raw_text"],
        emotion=EMOTION_NAMES[emotion],
    )
