"""Lhotse's cuts (cuts.jsonl or cuts.jsonl.gz): each supervision with an emotion is an utterance.

Read as the JSON lines that they are, without lhotse: of a recording's sources only files are
opened, never a command or an address.
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
from phonemo.corpora.readers.folders import canonical
from phonemo.errors import CorpusError
from phonemo.files import loads_json

CARD = CorpusCard(
    name="lhotse",
    title="Lhotse's cuts, the emotion in a supervision's custom fields",
    language=None,
    licence="that of the corpus",
    homepage="https://lhotse.readthedocs.io",
    acted=False,
    note="custom: {emotion: ...} of each supervision; speakers are Lhotse's.",
)

_NAMES = ("cuts.jsonl", "cuts.jsonl.gz")
_MOST_BYTES = 2**31
_GENDERS: dict[str, Literal["f", "m"]] = {"f": "f", "female": "f", "m": "m", "male": "m"}
#: Cuts of one channel of one recording; others have no single place to cut from.
_PLAIN = "MonoCut"


def read(root: Path) -> CorpusReading:
    """Read a file of cuts, or cuts.jsonl(.gz) in a folder.

    Raises:
        CorpusError: no such file, a line that is no cut, or audio that is no file.
    """
    path = _file(root)
    rows: list[Utterance] = []
    skipped: Counter[str] = Counter()
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            where = f"{path}:{number}"
            cut = _cut(line, where)
            if cut.get("type", _PLAIN) != _PLAIN:
                skipped[f"{cut.get('type')}: only {_PLAIN} is read"] += 1
                continue
            rows += _utterances(cut, path.parent, where)
    if not rows:
        raise CorpusError(f"{path}: no supervision in any cut; export cuts with supervisions")
    return CorpusReading(unique_ids(rows, path), dict(skipped))


def _file(root: Path) -> Path:
    if root.is_file():
        return root
    if not root.is_dir():
        raise CorpusError(f"{root}: no such file or folder; give cuts.jsonl.gz")
    found = [root / name for name in _NAMES if (root / name).is_file()]
    if not found:
        raise CorpusError(f"{root}: no {' or '.join(_NAMES)} in it ({listing(root)})")
    return found[0]


def _lines(path: Path) -> Iterator[str]:
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(path) as stream:
                data = stream.read(_MOST_BYTES)
        yield from data.decode("utf-8").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: not JSON lines, nor packed by gzip; export it again") from error


def _cut(line: str, where: str) -> dict[str, Any]:
    try:
        found = loads_json(line)
    except ValueError as error:
        raise CorpusError(f"{where}: not JSON; one cut a line is wanted") from error
    if not isinstance(found, dict):
        raise CorpusError(f"{where}: no cut; an object is wanted")
    return found


def _utterances(cut: Mapping[str, Any], folder: Path, where: str) -> Iterator[Utterance]:
    try:
        supervisions = list(cut.get("supervisions") or ())
        file = _source(cut["recording"], folder, where) if supervisions else ""
        for one in supervisions:
            yield _utterance(cut, one, file)
    except (AttributeError, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        raise CorpusError(
            f"{where}: a cut without what is wanted of it ({_first_line(error)}); "
            "export MonoCuts with recordings and supervisions"
        ) from error


def _source(recording: Mapping[str, Any], folder: Path, where: str) -> str:
    """The one file of a recording, relative to the folder of the cuts."""
    sources = recording["sources"]
    kind = sources[0]["type"]
    if len(sources) != 1 or kind != "file":
        raise CorpusError(
            f"{where}: audio from {len(sources)} sources, the first a {str(kind)[:40]}; one file "
            "is wanted: save the audio as files"
        )
    path = Path(str(sources[0]["source"]))
    if not path.is_absolute() and not os.path.exists(folder / path):
        path = path.absolute()  # Lhotse's are relative to where it was run
    return Path(os.path.relpath(folder / path, folder)).as_posix()


def _utterance(cut: Mapping[str, Any], one: Mapping[str, Any], file: str) -> Utterance:
    """A supervision's times are relative to its cut's."""
    start = float(cut["start"]) + float(one["start"])
    end = start + float(one["duration"])
    if not 0 <= max(start, 0.0) < end < math.inf:
        raise ValueError(f"from {start:g} to {end:g} s")
    custom = one.get("custom") or {}
    emotion = custom.get("emotion")
    return Utterance(
        id=f"{cut['id']}/{one['id']}" if one["id"] != cut["id"] else str(cut["id"]),
        file=file,
        start=max(0.0, round(start, 6)),
        end=round(end, 6),
        speaker=one.get("speaker") or None,
        gender=_GENDERS.get(str(one.get("gender") or "").lower()),
        language=_language(one.get("language")),
        transcript=one.get("text"),
        emotion=canonical(str(emotion)) if emotion else None,
    )


def _language(value: object) -> str | None:
    """Lhotse's are free text; ours is a code."""
    text = str(value or "").lower()
    return text if 2 <= len(text) <= 3 and text.isalpha() else None


def _first_line(error: Exception) -> str:
    """The first line: what checks an utterance says more."""
    return f"{type(error).__name__}: {error}".partition("\n")[0][:120]
