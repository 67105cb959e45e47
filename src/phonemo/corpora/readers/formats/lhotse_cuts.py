"""Lhotse's cuts (cuts.jsonl or cuts.jsonl.gz): each supervision is an utterance.

The JSON lines are read without lhotse. Only recordings with a file as source are accepted, never
commands or URLs.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.base import CorpusCard, CorpusReading, listing, unique_ids
from phonemo.corpora.readers.emotion_names import EmotionNames
from phonemo.errors import CorpusError
from phonemo.files import loads_json

CARD = CorpusCard(
    name="lhotse",
    title="Lhotse cuts with the emotion in a supervision's custom fields",
    language=None,
    licence="that of the corpus",
    homepage="https://lhotse.readthedocs.io",
    acted=False,
    note="custom: {emotion: ...} of each supervision; speakers are Lhotse's.",
)

_NAMES = ("cuts.jsonl", "cuts.jsonl.gz")
_MAX_BYTES = 2**31
_GENDERS: dict[str, Literal["f", "m"]] = {"f": "f", "female": "f", "m": "m", "male": "m"}
#: Cuts of one channel of one recording; other cuts have no single source.
_CUT_TYPE = "MonoCut"


def read(root: Path) -> CorpusReading:
    """Read a file of cuts, or cuts.jsonl(.gz) in a folder.

    Raises:
        CorpusError: no such file, a line that is not a cut, or audio that is not a file.
    """
    path = _file(root)
    rows: list[Utterance] = []
    skipped: Counter[str] = Counter()
    names = EmotionNames()
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            where = f"{path}:{number}"
            cut = _parse_cut(line, where)
            if cut.get("type", _CUT_TYPE) != _CUT_TYPE:
                skipped[f"{cut.get('type')}: only {_CUT_TYPE} is read"] += 1
                continue
            rows += _utterances(cut, path.parent, names, where)
    if not rows:
        raise CorpusError(f"{path}: expected supervisions, got none; export cuts with supervisions")
    return CorpusReading(unique_ids(rows, path), dict(skipped), names.notes())


def _file(root: Path) -> Path:
    if root.is_file():
        return root
    if not root.is_dir():
        raise CorpusError(f"{root}: no such file or folder; expected cuts.jsonl.gz")
    paths = [root / name for name in _NAMES if (root / name).is_file()]
    if not paths:
        raise CorpusError(f"{root}: expected {' or '.join(_NAMES)} ({listing(root)})")
    return paths[0]


def _lines(path: Path) -> Iterator[str]:
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(path) as stream:
                data = stream.read(_MAX_BYTES)
        yield from data.decode("utf-8").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: expected JSON lines or gzip; export the cuts again") from error


def _parse_cut(line: str, where: str) -> dict[str, Any]:
    try:
        cut = loads_json(line)
    except ValueError as error:
        raise CorpusError(f"{where}: expected one cut per line as JSON") from error
    if not isinstance(cut, dict):
        raise CorpusError(f"{where}: expected a cut as a JSON object")
    return cut


def _utterances(
    cut: Mapping[str, Any], folder: Path, names: EmotionNames, where: str
) -> Iterator[Utterance]:
    try:
        supervisions = list(cut.get("supervisions") or ())
        file = _source_file(cut["recording"], folder, where) if supervisions else ""
        for supervision in supervisions:
            yield _utterance(cut, supervision, names, file)
    except (AttributeError, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        raise CorpusError(
            f"{where}: incomplete cut ({_first_line(error)}); export MonoCuts with recordings and "
            "supervisions"
        ) from error


def _source_file(recording: Mapping[str, Any], folder: Path, where: str) -> str:
    """The only file of a recording, relative to the folder of the cuts."""
    sources = recording["sources"]
    kind = sources[0]["type"]
    if len(sources) != 1 or kind != "file":
        raise CorpusError(
            f"{where}: expected one source of type file, got {len(sources)}, the first of type "
            f"{str(kind)[:40]}; save the audio as files"
        )
    path = Path(str(sources[0]["source"]))
    if not path.is_absolute() and not os.path.exists(folder / path):
        path = path.absolute()  # Lhotse's paths are relative to its working directory
    return Path(os.path.relpath(folder / path, folder)).as_posix()


def _utterance(
    cut: Mapping[str, Any], supervision: Mapping[str, Any], names: EmotionNames, file: str
) -> Utterance:
    """Convert a supervision, whose times are relative to its cut."""
    start = float(cut["start"]) + float(supervision["start"])
    end = start + float(supervision["duration"])
    if not 0 <= max(start, 0.0) < end < math.inf:
        raise ValueError(f"from {start:g} to {end:g} s")
    custom = supervision.get("custom") or {}
    channel = supervision.get("channel", cut.get("channel"))
    emotion = custom.get("emotion")
    return Utterance(
        id=f"{cut['id']}/{supervision['id']}" if supervision["id"] != cut["id"] else str(cut["id"]),
        file=file,
        start=max(0.0, round(start, 6)),
        end=round(end, 6),
        channel=_channel(cut["recording"], channel),
        speaker=supervision.get("speaker") or None,
        gender=_GENDERS.get(str(supervision.get("gender") or "").lower()),
        language=_language(supervision.get("language")),
        transcript=supervision.get("text"),
        emotion=names.convert(str(emotion)) if emotion else None,
    )


def _channel(recording: Mapping[str, Any], channel: Any) -> int | None:
    """The channel from 1 on; None for all of them. Lhotse's numbers begin with 0."""
    channels = recording.get("channel_ids") or recording["sources"][0].get("channels") or [0]
    if isinstance(channel, list):
        channel = channel[0] if len(channel) == 1 else None
    return None if channel is None or len(channels) < 2 else int(channel) + 1


def _language(value: object) -> str | None:
    """The language code, or None, since Lhotse's languages are free text."""
    text = str(value or "").lower()
    return text if 2 <= len(text) <= 3 and text.isalpha() else None


def _first_line(error: Exception) -> str:
    """The first line of an error; pydantic's errors have several."""
    return f"{type(error).__name__}: {error}".partition("\n")[0][:120]
