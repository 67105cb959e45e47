"""Hugging Face datasets: into a manifest, out of one, and heard row by row.

Audio is never decoded by datasets (which would want torchcodec): its bytes are taken as they are
and read by phonemo.audio, whose limits hold for them too.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import soundfile

from phonemo.audio import RATE, load_waveform
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.prepare import Prepared, prepare_reading
from phonemo.corpora.readers.base import CorpusCard, CorpusReading
from phonemo.corpora.readers.folders import canonical
from phonemo.errors import CorpusError, MissingExtraError, PhonemoError, UsageError
from phonemo.runtime.recognizer import EmotionRecognizer

CARD = CorpusCard(
    name="csv",  # to its lineage a dataset is what a table is: somebody's own
    title="A Hugging Face dataset",
    language=None,
    licence="that of the dataset",
    homepage="",
    acted=False,
)

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}")
#: Text columns that may go with an utterance: ours, and what the dataset calls it.
_TEXTS = ("speaker", "transcript", "language")


def from_datasets(
    dataset: Any,
    folder: str | Path,
    *,
    audio: str = "audio",
    emotion: str | None = "emotion",
    columns: Mapping[str, str] | None = None,
    g2p: bool = True,
) -> Prepared:
    """Write a dataset's recordings into a folder, with a manifest of them.

    Args:
        dataset: a ``datasets.Dataset`` or an ``IterableDataset``: one split.
        folder: gets ``audio/`` and ``manifest.jsonl``; it may not hold them yet.
        audio: the column with the recordings.
        emotion: the column with the emotions, as text or as ClassLabel; None: there is none.
        columns: ours -> the dataset's, for speaker, transcript and language.
        g2p: turn transcripts into phonemes, where the language is known.

    Returns:
        What went into the manifest, counted; recordings that cannot be used are left out.

    Raises:
        UsageError: several splits, or a column that is not there.
        CorpusError: the folder holds something already, or no recording can be used.
        MissingExtraError: datasets is not installed.
    """
    known = dict(columns or {})
    strange = sorted(set(known) - set(_TEXTS))
    if strange:
        raise UsageError(f"columns {strange[0]!r}: {', '.join(_TEXTS)} can be given")
    plain = _undecoded(dataset, audio)
    names = _names(plain, emotion)
    _check_columns(plain, [*known.values(), *([emotion] if emotion else [])])
    home = Path(folder)
    target = home / "audio"
    if target.exists():
        raise CorpusError(f"{target}: is there already; name a new folder")
    target.mkdir(parents=True)
    rows = [
        _utterance(home, number, row, audio, _label(row, emotion, names), known)
        for number, row in enumerate(plain)
    ]
    reading = CorpusReading(tuple(rows))
    return prepare_reading(
        CARD, reading, home.resolve(), home / "manifest.jsonl", allow_partial=True, g2p=g2p
    )


def to_datasets(manifest: Manifest) -> Any:
    """A ``datasets.Dataset`` of a manifest, with the audio of each utterance inside.

    Columns: id, audio (Audio without decoding; an utterance that is a part of a file is cut out of
    it, as FLAC at 16 kHz), emotion (ClassLabel, None where it is unknown), speaker, gender,
    language, transcript, and phonemes (a list of symbols; None where they are unknown).

    Raises:
        AudioError: a recording cannot be read.
        MissingExtraError: datasets is not installed.
    """
    datasets = _datasets()
    value, text = datasets.Value, datasets.Value("string")
    names = sorted({one.emotion for one in manifest.utterances if one.emotion})
    features = datasets.Features(
        {
            "id": text,
            "audio": {"path": text, "bytes": value("binary")},
            "emotion": datasets.ClassLabel(names=names) if names else text,
            "speaker": text,
            "gender": text,
            "language": text,
            "transcript": text,
            "phonemes": datasets.List(value("string")),
        }
    )
    rows = [_row(manifest, one) for one in manifest.utterances]
    data = {name: [row[name] for row in rows] for name in features}
    made = datasets.Dataset.from_dict(data, features=features)
    # behind it: an Audio column that is filled directly wants torchcodec, though nothing is coded
    return made.cast_column("audio", datasets.Audio(decode=False))


def predict_rows(
    model: EmotionRecognizer, dataset: Any, *, audio: str = "audio"
) -> Iterator[dict[str, Any]]:
    """What a model hears in each row of a dataset, in order, also of one that streams.

    Args:
        model: of phonemo.load.
        dataset: a Dataset or an IterableDataset.
        audio: the column with the recordings.

    Yields:
        ``label``, ``scores`` and ``error``: a row that cannot be heard has its one line there, and
        None in the others.
    """
    for row in _undecoded(dataset, audio):
        try:
            found = model.predict(_source(row, audio))
        except PhonemoError as error:
            yield {"label": None, "scores": None, "error": str(error)}
        else:
            yield {"label": found.label, "scores": found.scores, "error": None}


def predict_dataset(model: EmotionRecognizer, dataset: Any, *, audio: str = "audio") -> Any:
    """A Dataset with the columns of ``predict_rows`` beside its own.

    Raises:
        UsageError: it streams (``predict_rows`` is for that), or has such columns already.
    """
    if not isinstance(dataset, _datasets().Dataset):
        raise UsageError("a dataset that streams has no columns to add to; use predict_rows")
    there = sorted({"label", "scores", "error"} & set(dataset.column_names))
    if there:
        raise UsageError(f"the dataset has a column {there[0]!r} already; rename it")
    found = list(predict_rows(model, dataset, audio=audio))
    text = _datasets().Value("string")
    numbers = {name: _datasets().Value("float64") for name in model.labels}
    types = {"label": text, "scores": numbers, "error": text}
    for name, kind in types.items():
        column = [one[name] for one in found]
        dataset = dataset.add_column(name, column, feature=kind)
    return dataset


def _datasets() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise MissingExtraError("a Hugging Face dataset", "datasets") from error


def _undecoded(dataset: Any, audio: str) -> Any:
    datasets = _datasets()
    if isinstance(dataset, Mapping):
        raise UsageError(
            f"the dataset has the splits {', '.join(map(str, dataset))}; give one, as "
            "dataset['train']"
        )
    _check_columns(dataset, [audio])
    return dataset.cast_column(audio, datasets.Audio(decode=False))


def _check_columns(dataset: Any, wanted: list[str]) -> None:
    there = dataset.column_names
    missing = [name for name in wanted if there is not None and name not in there]
    if missing:
        raise UsageError(f"no column {missing[0]!r}; there are {', '.join(there)}")


def _names(dataset: Any, emotion: str | None) -> list[str] | None:
    feature: Any = (dataset.features or {}).get(emotion)
    return list(feature.names) if hasattr(feature, "names") else None


def _label(row: Mapping[str, Any], emotion: str | None, names: list[str] | None) -> str | None:
    found = None if emotion is None else row[emotion]
    if found is None or found == "" or (names is not None and not 0 <= int(found) < len(names)):
        return None
    return canonical(str(found) if names is None else names[int(found)])


def _source(row: Mapping[str, Any], audio: str) -> Any:
    found = row[audio] or {}
    if found.get("bytes") is not None:
        return bytes(found["bytes"])
    return str(found.get("path") or "")


def _utterance(
    home: Path,
    number: int,
    row: Mapping[str, Any],
    audio: str,
    emotion: str | None,
    columns: Mapping[str, str],
) -> Utterance:
    found = row[audio] or {}
    name = _file_name(number, str(found.get("path") or ""))
    data = found.get("bytes")
    if data is None and found.get("path"):
        data = _bytes_of(str(found["path"]))
    (home / "audio" / name).write_bytes(data or b"")  # one without is left out by the audit
    texts = {ours: _text(row[theirs]) for ours, theirs in columns.items()}
    known = {"id": name, "file": f"audio/{name}", "emotion": emotion}
    return Utterance.model_validate(known | texts)


def _bytes_of(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):
        return None


def _file_name(number: int, path: str) -> str:
    """Never a path: the number, and what is harmless of the name."""
    pure = PurePosixPath(path.replace("\\", "/"))
    stem = _UNSAFE.sub("-", pure.stem)[:60].strip("-.")
    ending = pure.suffix if _ENDING.fullmatch(pure.suffix) else ".audio"
    return f"{number:06d}{'-' if stem else ''}{stem}{ending}"


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _row(manifest: Manifest, one: Utterance) -> dict[str, Any]:
    return {
        "id": one.id,
        "audio": _audio(manifest, one),
        "emotion": one.emotion,
        "speaker": one.speaker,
        "gender": one.gender,
        "language": one.language,
        "transcript": one.transcript,
        "phonemes": None if one.phonemes is None else list(one.phonemes.symbols),
    }


def _audio(manifest: Manifest, one: Utterance) -> dict[str, Any]:
    path = manifest.audio_path(one)
    if one.start is None and one.end is None:
        load_waveform(path)  # what cannot be heard is told now
        return {"path": one.file, "bytes": path.read_bytes()}
    part = load_waveform(path, start=one.start, end=one.end)
    file = io.BytesIO()
    clipped = np.clip(part.samples, -1, 1)
    soundfile.write(file, clipped, RATE, format="FLAC", subtype="PCM_16")
    return {"path": f"{_UNSAFE.sub('-', one.id)}.flac", "bytes": file.getvalue()}
