"""MSP-Podcast (Lotfian and Busso, IEEE Trans. Affective Computing 10(4), 2019).

``Audios/MSP-PODCAST_0001_0008.wav`` is podcast and segment. ``Labels/labels_consensus.csv`` (before
release 1.10 labels_concensus.csv) has FileName, EmoClass, EmoAct, EmoVal, EmoDom (means on a scale
from 1 to 7), SpkrID, Gender and Split_Set; EmoClass is a code, X without agreement.
``Partitions.txt`` repeats the parts as ``Train; MSP-PODCAST_0001_0008.wav``.
``Labels/labels_detailed.csv`` has the raters: one column EmoDetail (``WORKER00000001; Happy;
Happy,Amused; A:5.0; V:6.0; D:4.0;``, releases 1.7 to 1.12) or the column EmoClass_Major (1.6, 2.0).
``Transcripts/NAME.txt`` has the words. The layout is as documented by the corpus's page
(https://lab-msp.com/MSP/MSP-Podcast.html), and as public readers of releases 1.6 to 2.0 use it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phonemo.corpora.manifest import SplitName, Utterance
from phonemo.corpora.ratings.scales import to_unit
from phonemo.corpora.readers.base import (
    CorpusCard,
    CorpusReading,
    audio_by_stem,
    csv_errors,
    listing,
    read_text,
    relative,
    require_folder,
    table_lines,
)
from phonemo.errors import CorpusError, safe_name
from phonemo.labels import EMOTIONS, canonical_emotion

CARD = CorpusCard(
    name="msp-podcast",
    title="MSP-Podcast: natural emotional speech of podcasts",
    language="en",
    licence="academic licence of the University of Texas at Dallas, on request",
    homepage="https://lab-msp.com/MSP/MSP-Podcast.html",
    acted=False,
    note=(
        "Natural speech, rated by five or more people. Development is the validation part and "
        "Test1 the test part; without labels for Test1, as in the challenge at Interspeech 2025, "
        "Development is the test part."
    ),
)

#: EmoClass -> emotion; None if the raters did not agree.
EMOTION_CODES: Mapping[str, str | None] = {
    **{"A": "anger", "S": "sadness", "H": "happiness", "U": "surprise", "F": "fear"},
    **{"D": "disgust", "C": "contempt", "N": "neutral", "O": "other", "X": None},
}
SCALE = (1.0, 7.0)
#: Dimension -> column.
_COLUMNS = {"arousal": "EmoAct", "valence": "EmoVal", "dominance": "EmoDom"}
_SPLITS: dict[str, SplitName] = {
    **{"Train": "train", "Development": "validation", "Validation": "validation"},
    "Test1": "test",
}
_GENDERS: dict[str, Literal["f", "m"]] = {"Female": "f", "Male": "m"}
_AUDIO = ("Audios", "Audio")
_CONSENSUS = ("labels_consensus.csv", "labels_concensus.csv")
_LABEL_FOLDERS = ("Labels", "labels", "label")
_UNKNOWN = ("", "unknown")


@dataclass(frozen=True)
class _Tables:
    """The release's tables by file name."""

    partitions: Mapping[str, str]
    votes: Mapping[str, dict[str, float]]
    transcripts: Path


def read(root: Path) -> CorpusReading:
    """Read a release from the folder that holds ``Audios`` and ``Labels``.

    Raises:
        CorpusError: the folder has another layout, a label or a value is unknown, or
            Partitions.txt contradicts the labels.
    """
    require_folder(root)
    audio = _first(root, _AUDIO)
    labels = _first(root, _LABEL_FOLDERS)
    table = next((labels / name for name in _CONSENSUS if (labels / name).is_file()), None)
    if table is None:
        raise CorpusError(f"{labels}: expected {_CONSENSUS[0]} ({listing(labels)})")
    skipped: Counter[str] = Counter()
    files = audio_by_stem(audio, skipped)
    tables = _Tables(
        _partitions(root / "Partitions.txt"),
        _votes(labels / "labels_detailed.csv"),
        root / "Transcripts",
    )
    utterances = list(_utterances(table, root, files, tables, skipped))
    if not utterances:
        raise CorpusError(f"{table}: expected rows whose recordings are in {audio.name}, got none")
    skipped["recording without a label"] += len(files) - len(utterances)
    rows, notes = _with_test(utterances)
    counts = {reason: count for reason, count in skipped.items() if count}
    return CorpusReading(tuple(rows), counts, notes)


def _first(root: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise CorpusError(
        f"{root}: expected a folder {names[0]} ({listing(root)}); pass the release's folder"
    )


def _utterances(
    table: Path, root: Path, files: Mapping[str, Path], tables: _Tables, skipped: Counter[str]
) -> Iterator[Utterance]:
    rows = csv.DictReader(table_lines(table))
    required = {"FileName", "EmoClass", "SpkrID", "Gender", *_COLUMNS.values()}
    with csv_errors(table):
        missing = sorted(required - set(rows.fieldnames or ()))
        if missing:
            raise CorpusError(f"{table}:1: expected a column {missing[0]}; copy the release again")
        for row in rows:
            name = (row["FileName"] or "").strip()
            path = files.get(Path(name).stem)
            if path is None:
                skipped["label without a recording"] += 1
                continue
            where = f"{table}:{rows.line_num}"
            split = _split(name, (row.get("Split_Set") or "").strip(), tables.partitions, where)
            fields = _labels(row, where, skipped)
            yield Utterance(
                id=path.stem,
                file=relative(path, root),
                session=_podcast(path.stem),
                speaker=_speaker(row, path.stem, split),
                gender=_GENDERS.get((row["Gender"] or "").strip()),
                language="en",
                transcript=_transcript(tables.transcripts / f"{path.stem}.txt"),
                split=_SPLITS.get(split),
                votes=tables.votes.get(name),
                **fields,
            )


def _labels(row: Mapping[str, str], where: str, skipped: Counter[str]) -> dict[str, Any]:
    """Emotion and dimensions of a row; empty cells are unknown, as in unpublished test parts."""
    code = (row["EmoClass"] or "").strip()
    if code and code not in EMOTION_CODES:
        known = " ".join(EMOTION_CODES)
        raise CorpusError(f"{where}: expected EmoClass of {known}, got {safe_name(repr(code))}")
    values: dict[str, Any] = {}
    for name, column in _COLUMNS.items():
        text = (row[column] or "").strip()
        if text:
            try:
                values[name] = to_unit(float(text), SCALE)
            except (ValueError, CorpusError) as error:
                raise CorpusError(
                    f"{where}: expected {column} from 1 to 7, got {safe_name(repr(text))}"
                ) from error
    if code == "X":
        skipped["emotion not agreed on (kept, no emotion)"] += 1
    return {"emotion": EMOTION_CODES.get(code)} | values | ({"scale": SCALE} if values else {})


def _split(name: str, written: str, partitions: Mapping[str, str], where: str) -> str:
    listed = partitions.get(name, "")
    if written and listed and written != listed:
        raise CorpusError(
            f"{where}: expected one part for {safe_name(name)}, got Split_Set {safe_name(written)} "
            f"and {safe_name(listed)} in Partitions.txt; copy the release again"
        )
    return written or listed


def _speaker(row: Mapping[str, str], stem: str, split: str) -> str:
    """The speaker; unknown ones of a podcast and part count as one, kept apart by their name."""
    speaker = (row["SpkrID"] or "").strip()
    if speaker.lower() in _UNKNOWN:
        return f"unknown of {_podcast(stem)} {split}".strip()
    return speaker


def _podcast(stem: str) -> str:
    return stem.rpartition("_")[0] or stem


def _transcript(path: Path) -> str | None:
    return " ".join(read_text(path).split()) if path.is_file() else None


def _partitions(path: Path) -> dict[str, str]:
    """File name -> part; empty without the file."""
    if not path.is_file():
        return {}
    parts: dict[str, str] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        part, mark, name = line.partition(";")
        if line.strip() and not mark:
            raise CorpusError(
                f"{path}:{number}: expected a part and a file such as Train; NAME.wav"
            )
        if name.strip():
            parts[name.strip()] = part.strip()
    return parts


def _votes(path: Path) -> dict[str, dict[str, float]]:
    """File name -> primary emotions of its raters, counted; empty without the table."""
    if not path.is_file():
        return {}
    votes: dict[str, dict[str, float]] = {}
    rows = csv.DictReader(table_lines(path))
    with csv_errors(path):
        columns = set(rows.fieldnames or ())
        if "FileName" not in columns or not {"EmoDetail", "EmoClass_Major"} & columns:
            raise CorpusError(f"{path}:1: expected columns FileName and EmoDetail; copy it again")
        for row in rows:
            word = row.get("EmoClass_Major") or _primary(row.get("EmoDetail") or "")
            if word.strip():
                counts = votes.setdefault((row["FileName"] or "").strip(), {})
                emotion = _emotion(word.strip())
                counts[emotion] = counts.get(emotion, 0.0) + 1
    return votes


def _primary(detail: str) -> str:
    """The second field of ``WORKER; primary; secondary; A:; V:; D:``."""
    parts = detail.split(";")
    return parts[1] if len(parts) > 1 else ""


def _emotion(word: str) -> str:
    name = canonical_emotion(word)
    return name if name in EMOTIONS or name == "contempt" else "other"


def _with_test(utterances: list[Utterance]) -> tuple[list[Utterance], tuple[str, ...]]:
    """The rows with a test part that has labels, and notes about the parts."""
    unknown = sum((row.speaker or "").startswith("unknown of ") for row in utterances)
    notes = []
    if unknown:
        notes.append(
            f"{unknown} recordings of unknown speakers: those of a podcast and part count as one "
            "speaker, and whether they also speak in another part is not known"
        )
    tested = [row for row in utterances if row.split == "test"]
    if any(row.emotion or row.dimensions for row in tested):
        return utterances, tuple(notes)
    notes.append("Test1 has no labels here: Development is the test part")
    moved: dict[SplitName | None, SplitName | None] = {"validation": "test", "test": None}
    rows = [
        row.model_copy(update={"split": moved[row.split]}) if row.split in moved else row
        for row in utterances
    ]
    return rows, tuple(notes)
