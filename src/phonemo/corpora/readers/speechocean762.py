"""speechocean762, English read by Mandarin speakers (Zhang et al., Interspeech 2021).

There are two layouts. In the release (SLR101), ``train`` and ``test`` contain Kaldi tables
(``text``, ``utt2spk``, ``spk2gender``, ``wav.scp``), ``resource/text-phone`` the canonical phones
of each word (``000010011.0<TAB>W_B IY0_E``), ``WAVE/SPEAKER0001/000010011.WAV`` the audio. A
reduced form has ``metadata.csv`` (file, speaker, gender, transcript) and ``phones.csv`` (file,
phones, and split where known) beside ``WAVE``. There are no emotions; the phones are canonical, not
as spoken. The published parts, of 125 speakers each, are the manifest's ``split``.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phonemo.corpora.g2p.alphabets import strip_stress
from phonemo.corpora.manifest import Phonemes, Utterance
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
from phonemo.errors import CorpusError, PhonemeError

CARD = CorpusCard(
    name="speechocean762",
    title="speechocean762, non-native English",
    language="en",
    licence="free, commercial use included (as stated by its authors)",
    homepage="https://www.openslr.org/101",
    acted=False,
    utterances=5000,
    speakers=250,
    emotions=None,
    note="No emotion; half of the speakers are children; phones are canonical, not as spoken.",
)

SOURCE = "speechocean762 canonical"

_GENDERS: dict[str, Literal["f", "m"]] = {"f": "f", "m": "m"}
_PARTS: tuple[Literal["train", "test"], ...] = ("train", "test")
_EXPECTED = (
    "expected train, test and resource/text-phone (or metadata.csv and phones.csv) beside WAVE"
)


@dataclass(frozen=True)
class _SentenceRow:
    """One utterance in the tables of either layout."""

    speaker: str
    gender: str
    transcript: str
    phones: tuple[str, ...]
    split: Literal["train", "test"] | None


def read(root: Path) -> CorpusReading:
    """Read speechocean762 from the folder that contains ``WAVE``.

    Raises:
        CorpusError: neither layout, or a table is malformed or lacks an utterance.
    """
    require_folder(root)
    if not (root / "WAVE").is_dir():
        raise CorpusError(f"{root}: no folder WAVE ({listing(root)}); {_EXPECTED}")
    rows = _reduced_rows(root) if (root / "metadata.csv").is_file() else _kaldi_rows(root)
    skipped: Counter[str] = Counter()
    audio = _audio(root / "WAVE", skipped)
    utterances = [
        _utterance(relative(audio[name], root), name, row)
        for name, row in sorted(rows.items())
        if name in audio
    ]
    if len(utterances) < len(rows):
        skipped["row of a table without audio"] += len(rows) - len(utterances)
    if audio.keys() - rows.keys():
        skipped["audio without a row of a table"] += len(audio.keys() - rows.keys())
    return CorpusReading(tuple(utterances), dict(skipped))


def _utterance(file: str, name: str, row: _SentenceRow) -> Utterance:
    if row.gender not in _GENDERS:
        raise CorpusError(
            f"{name}: expected gender f or m of speaker {row.speaker}, got {row.gender!r}"
        )
    symbols = _symbols(name, row.phones)
    return Utterance(
        id=name,
        file=file,
        speaker=row.speaker,
        gender=_GENDERS[row.gender],
        language="en",
        transcript=row.transcript,
        split=row.split,
        phonemes=Phonemes(alphabet="arpabet", source=SOURCE, symbols=symbols) if symbols else None,
    )


def _symbols(name: str, phones: Sequence[str]) -> tuple[str, ...]:
    """ARPAbet of canonical phones such as IY0 or, with the position in the word, IY0_E."""
    try:
        return tuple(strip_stress(phone.partition("_")[0]) for phone in phones)
    except PhonemeError as error:
        raise CorpusError(f"{name}: canonical phones {' '.join(phones)}: {error}") from error


def _audio(folder: Path, skipped: Counter[str]) -> dict[str, Path]:
    audio: dict[str, Path] = {}
    for speaker in sorted(path for path in folder.iterdir() if path.is_dir()):
        audio |= audio_by_stem(speaker, skipped)
    return audio


def _kaldi_rows(root: Path) -> dict[str, _SentenceRow]:
    phones: dict[str, list[str]] = {}
    for word, text in _kaldi_table(root / "resource" / "text-phone").items():
        phones.setdefault(word.rpartition(".")[0] or word, []).extend(text.split())
    rows: dict[str, _SentenceRow] = {}
    for part in _PARTS:
        texts = _kaldi_table(root / part / "text")
        speakers = _kaldi_table(root / part / "utt2spk")
        genders = _kaldi_table(root / part / "spk2gender")
        for name in _kaldi_table(root / part / "wav.scp"):
            speaker = _entry(speakers, name, root / part / "utt2spk")
            rows[name] = _SentenceRow(
                speaker=speaker,
                gender=_entry(genders, speaker, root / part / "spk2gender"),
                transcript=_entry(texts, name, root / part / "text"),
                phones=tuple(phones.get(name, ())),
                split=part,
            )
    return rows


def _kaldi_table(path: Path) -> dict[str, str]:
    """A Kaldi table: key, blank, value."""
    table: dict[str, str] = {}
    for line in table_lines(path, _EXPECTED):
        if line.strip():
            key, *value = line.split(maxsplit=1)
            table[key] = value[0].strip() if value else ""
    return table


def _entry(table: dict[str, str], key: str, path: Path) -> str:
    if key not in table:
        raise CorpusError(f"{path}: expected a row for {key}, which is in another table")
    return table[key]


def _reduced_rows(root: Path) -> dict[str, _SentenceRow]:
    tables = {row["file"]: row for row in _csv_rows(root / "phones.csv", "phones")}
    return {
        Path(row["file"]).stem: _SentenceRow(
            speaker=row["speaker"],
            gender=row["gender"],
            transcript=row["transcript"],
            phones=tuple(tables.get(row["file"], {}).get("phones", "").split()),
            split=_part(tables.get(row["file"], {}), root / "phones.csv"),
        )
        for row in _csv_rows(root / "metadata.csv", "speaker", "gender", "transcript")
    }


def _part(row: Mapping[str, str], path: Path) -> Literal["train", "test"] | None:
    """The published part of a row of phones.csv; None where the table has no such column."""
    text = row.get("split", "")
    if text and text not in _PARTS:
        raise CorpusError(f"{path}: expected split train or test, got {text!r}; mend the row")
    return next((part for part in _PARTS if part == text), None)


def _csv_rows(path: Path, *columns: str) -> list[dict[str, str]]:
    reader = csv.DictReader(table_lines(path, _EXPECTED))
    with csv_errors(path):
        missing = [name for name in ("file", *columns) if name not in (reader.fieldnames or ())]
        if missing:
            raise CorpusError(f"{path}: expected a column {missing[0]!r}, got {reader.fieldnames}")
        return [{key: value or "" for key, value in row.items() if key} for row in reader]
