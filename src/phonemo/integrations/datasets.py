"""Convert Hugging Face datasets to and from manifests, and predict their rows.

datasets never decodes audio (which needs torchcodec): phonemo.audio reads the encoded bytes, with
its usual limits.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from phonemo.audio import RATE, load_waveform
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.prepare import Prepared, prepare_reading
from phonemo.corpora.readers.base import CorpusCard, CorpusReading
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import CorpusError, MissingExtraError, PhonemoError, UsageError
from phonemo.labels import canonical_emotion as canonical
from phonemo.runtime.recognizer import EmotionRecognizer

CARD = CorpusCard(
    name="csv",  # provenance treats a dataset like a user's own table
    title="A Hugging Face dataset",
    language=None,
    licence="that of the dataset",
    homepage="",
    acted=False,
)

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}")
#: Utterance fields that dataset columns can be mapped to.
_TEXT_FIELDS = ("speaker", "transcript", "language")
#: What ``predict_rows`` yields.
_RESULTS = ("label", "unsure", "scores", "error")


def from_datasets(
    dataset: Any,
    folder: str | Path,
    *,
    audio: str = "audio",
    emotion: str | None = "emotion",
    columns: Mapping[str, str] | None = None,
    g2p: bool = True,
) -> Prepared:
    """Write a dataset's recordings and their manifest into a folder.

    Args:
        dataset: one split, a ``datasets.Dataset`` or an ``IterableDataset``.
        folder: the folder for ``audio/`` and ``manifest.jsonl``, which must not exist yet.
        audio: the column with the recordings.
        emotion: the column with the emotions, as text or as ClassLabel; None without emotions.
        columns: the dataset's columns for speaker, transcript and language.
        g2p: convert transcripts to phonemes, if the language is known.

    Returns:
        Counts of what went into the manifest; unusable recordings are skipped.

    Raises:
        UsageError: several splits, or a missing column.
        CorpusError: the folder is not empty, or no recording is usable.
        MissingExtraError: datasets is not installed.
    """
    mapping = dict(columns or {})
    unknown = sorted(set(mapping) - set(_TEXT_FIELDS))
    if unknown:
        raise UsageError(f"columns: expected keys {', '.join(_TEXT_FIELDS)}, got {unknown[0]!r}")
    encoded = _without_decoding(dataset, audio)
    names = _class_names(encoded, emotion)
    _check_columns(encoded, [*mapping.values(), *([emotion] if emotion else [])])
    root = Path(folder)
    target = root / "audio"
    if target.exists():
        raise CorpusError(f"{target}: already exists; use a new folder")
    target.mkdir(parents=True)
    rows = [
        _utterance(root, number, row, audio, _label(row, emotion, names), mapping)
        for number, row in enumerate(encoded)
    ]
    reading = CorpusReading(tuple(rows))
    return prepare_reading(
        CARD, reading, root.resolve(), root / "manifest.jsonl", allow_partial=True, g2p=g2p
    )


def to_datasets(manifest: Manifest) -> Any:
    """Convert a manifest to a ``datasets.Dataset`` with embedded audio.

    Columns: id, audio (Audio without decoding; a part of a file is cut out as FLAC at 16 kHz),
    emotion (ClassLabel, None if unknown), speaker, gender, language, transcript, and phonemes (a
    list of symbols, None if unknown).

    Raises:
        AudioError: a recording cannot be read.
        MissingExtraError: datasets is not installed.
    """
    datasets = _datasets()
    value, text = datasets.Value, datasets.Value("string")
    names = sorted({row.emotion for row in manifest.utterances if row.emotion})
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
    rows = [_row(manifest, utterance) for utterance in manifest.utterances]
    data = {name: [row[name] for row in rows] for name in features}
    dataset = datasets.Dataset.from_dict(data, features=features)
    # cast afterwards: filling an Audio column directly needs torchcodec, even without decoding
    return dataset.cast_column("audio", datasets.Audio(decode=False))


def predict_rows(
    model: EmotionRecognizer, dataset: Any, *, audio: str = "audio"
) -> Iterator[dict[str, Any]]:
    """Predict each row of a dataset, in order; streaming datasets work too.

    Args:
        model: a model from phonemo.load.
        dataset: a Dataset or an IterableDataset.
        audio: the column with the recordings.

    Yields:
        A dictionary with ``label``, ``unsure``, ``scores`` and ``error``. Without speech, the label
        is None. A failed row has a one-line error and None in the others.
    """
    for row in _without_decoding(dataset, audio):
        try:
            prediction = model.predict(_source(row, audio))
        except PhonemoError as error:
            yield {"label": None, "unsure": None, "scores": None, "error": str(error)}
        else:
            found = {"label": prediction.label, "unsure": prediction.unsure}
            yield {**found, "scores": prediction.scores, "error": None}


def predict_dataset(
    model: EmotionRecognizer, dataset: Any, *, audio: str = "audio", prefix: str | None = None
) -> Any:
    """Add the columns of ``predict_rows`` to a Dataset.

    Args:
        model: a model from phonemo.load.
        dataset: one split, a Dataset.
        audio: the column with the recordings.
        prefix: goes before the names of these columns; None is "predicted_" for a dataset
            that has one of them, and nothing for any other.

    Raises:
        UsageError: the dataset streams (use ``predict_rows``), or already has such columns.
    """
    if not isinstance(dataset, _datasets().Dataset):
        _check_one_split(dataset)
        raise UsageError("expected a Dataset, got a streaming one; use predict_rows")
    names = _result_columns(dataset.column_names, prefix)
    results = list(predict_rows(model, dataset, audio=audio))
    text = _datasets().Value("string")
    numbers = {name: _datasets().Value("float64") for name in model.labels}
    flag = _datasets().Value("bool")
    types = {"label": text, "unsure": flag, "scores": numbers, "error": text}
    for name, kind in types.items():
        column = [result[name] for result in results]
        dataset = dataset.add_column(names[name], column, feature=kind)
    return dataset


def _result_columns(existing: list[str], prefix: str | None) -> dict[str, str]:
    """The name of each result's column."""
    if prefix is None:
        prefix = "predicted_" if set(_RESULTS) & set(existing) else ""
    names = {name: prefix + name for name in _RESULTS}
    if taken := sorted(set(names.values()) & set(existing)):
        raise UsageError(f"the dataset already has a column {taken[0]!r}; pass another prefix=")
    return names


def _datasets() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise MissingExtraError("a Hugging Face dataset", "datasets") from error


def _without_decoding(dataset: Any, audio: str) -> Any:
    datasets = _datasets()
    _check_one_split(dataset)
    _check_columns(dataset, [audio])
    feature = (dataset.features or {}).get(audio)
    if feature is not None and not isinstance(feature, datasets.Audio):
        return dataset  # paths as text, bytes, or samples with their rate
    return dataset.cast_column(audio, datasets.Audio(decode=False))


def _check_one_split(dataset: Any) -> None:
    if isinstance(dataset, Mapping):
        splits = ", ".join(map(str, dataset))
        raise UsageError(f"expected one split, got {splits}; pass one, e.g. dataset['train']")


def _check_columns(dataset: Any, names: list[str]) -> None:
    columns = dataset.column_names
    missing = [name for name in names if columns is not None and name not in columns]
    if missing:
        raise UsageError(f"no column {missing[0]!r}; the columns are {', '.join(columns)}")


def _class_names(dataset: Any, emotion: str | None) -> list[str] | None:
    feature: Any = (dataset.features or {}).get(emotion)
    return list(feature.names) if hasattr(feature, "names") else None


def _label(row: Mapping[str, Any], emotion: str | None, names: list[str] | None) -> str | None:
    value = None if emotion is None else row[emotion]
    if value is None or value == "" or (names is not None and not 0 <= int(value) < len(names)):
        return None
    return canonical(str(value) if names is None else names[int(value)])


def _source(row: Mapping[str, Any], audio: str) -> Any:
    """What ``load_waveform`` takes: a column may hold dicts, paths or bytes."""
    recording = row[audio]
    if recording is None or recording == {"bytes": None, "path": None}:
        return ""  # reported as a missing file
    return recording


def _utterance(
    root: Path,
    number: int,
    row: Mapping[str, Any],
    audio: str,
    emotion: str | None,
    columns: Mapping[str, str],
) -> Utterance:
    path, data = _encoded(row[audio])
    name = _file_name(number, path)
    (root / "audio" / name).write_bytes(data or b"")  # the audit skips empty files
    texts = {field: _text(row[column]) for field, column in columns.items()}
    fields = {"id": name, "file": f"audio/{name}", "emotion": emotion}
    return Utterance.model_validate(fields | texts)


def _encoded(recording: Any) -> tuple[str, bytes | None]:
    """A recording's path, which may be empty, and its encoded bytes; None if it has none."""
    if isinstance(recording, bytes):
        return "", recording
    if not isinstance(recording, Mapping):
        recording = {"path": recording}
    path = str(recording.get("path") or "")
    if recording.get("array") is not None:
        return f"{PurePosixPath(path).stem}.flac", _as_flac(load_waveform(recording).samples)
    data = recording.get("bytes")
    return path, _read_bytes(path) if data is None and path else data


def _as_flac(samples: npt.NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _read_bytes(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):
        return None


def _file_name(number: int, path: str) -> str:
    """The row number and the safe characters of the name, never a path."""
    pure = PurePosixPath(path.replace("\\", "/"))
    stem = _UNSAFE.sub("-", pure.stem)[:60].strip("-.")
    ending = pure.suffix if _ENDING.fullmatch(pure.suffix) else ".audio"
    return f"{number:06d}{'-' if stem else ''}{stem}{ending}"


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _row(manifest: Manifest, utterance: Utterance) -> dict[str, Any]:
    return {
        "id": utterance.id,
        "audio": _audio(manifest, utterance),
        "emotion": utterance.emotion,
        "speaker": utterance.speaker,
        "gender": utterance.gender,
        "language": utterance.language,
        "transcript": utterance.transcript,
        "phonemes": None if utterance.phonemes is None else list(utterance.phonemes.symbols),
    }


def _audio(manifest: Manifest, utterance: Utterance) -> dict[str, Any]:
    path = manifest.audio_path(utterance)
    if utterance.start is None and utterance.end is None and utterance.channel is None:
        load_waveform(path)  # unreadable audio fails here
        return {"path": utterance.file, "bytes": path.read_bytes()}
    part = load_utterance(manifest, utterance)
    return {"path": f"{_UNSAFE.sub('-', utterance.id)}.flac", "bytes": _as_flac(part.samples)}
