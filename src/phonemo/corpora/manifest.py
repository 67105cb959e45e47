"""The manifest: one JSON row an utterance, behind a first line that says where it came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phonemo.errors import ManifestError

Style = Literal["scripted", "improvised"]
STYLES: tuple[Style, ...] = ("scripted", "improvised")


class _Row(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


Row = TypeVar("Row", bound=_Row)


class Phonemes(_Row):
    """The phonemes of an utterance, in one closed alphabet, and who said so."""

    alphabet: Literal["arpabet", "ipa"]
    """Which closed inventory the symbols come from."""
    source: str
    """The backend with its version, or the annotation: "gruut 2.4.0 de", "lablaut", "phseg"."""
    symbols: tuple[str, ...]
    """The phonemes in order, without silences."""
    times: tuple[tuple[float, float], ...] | None = None
    """Start and end of each symbol in seconds from the utterance's start, where known."""

    @model_validator(mode="after")
    def _one_time_a_symbol(self) -> Phonemes:
        if self.times is not None and len(self.times) != len(self.symbols):
            raise ValueError(f"{len(self.times)} times for {len(self.symbols)} symbols")
        return self


class Utterance(_Row):
    """One spoken utterance. Unknown fields are None; a transcript "" is known to have no words."""

    id: str
    """Unique in its manifest."""
    file: str
    """Audio path, relative to the manifest's root, with forward slashes."""
    start: float | None = Field(default=None, ge=0)
    """Start in seconds inside the file; None for its beginning."""
    end: float | None = Field(default=None, gt=0)
    """End in seconds inside the file; None for its end."""
    speaker: str | None = None
    """Who is heard (never who is merely present)."""
    gender: Literal["f", "m"] | None = None
    session: str | None = None
    dialog: str | None = None
    language: str | None = None
    """ISO 639-1 code."""
    transcript: str | None = None
    # not written where it says nothing: it came later, and manifests stay the same
    style: Style | None = Field(default=None, exclude_if=lambda style: style is None)
    """Whether the words were written before; where they were, they may give the emotion away."""
    emotion: str | None = None
    """A canonical name of phonemo.labels.EMOTIONS, or a user's own."""
    phonemes: Phonemes | None = None


class Header(_Row):
    """The first line of a manifest."""

    manifest: Literal[1] = 1
    """Version of this format."""
    corpus: str
    root: str
    """The folder that ``file`` is relative to; absolute, or relative to the manifest's folder."""
    partial: bool = False
    """True where the release's published counts were not met and that was allowed."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """Reason -> how many entries of the release were left out for it."""
    phonemo: str
    """Version of phonemo that wrote it."""


class Manifest(_Row):
    """A header and its utterances."""

    header: Header
    utterances: tuple[Utterance, ...]
    path: Path | None = None

    @property
    def root(self) -> Path:
        """The audio root as a path that can be opened."""
        base = self.path.parent if self.path is not None else Path()
        return base / self.header.root

    def audio_path(self, utterance: Utterance) -> Path:
        """Where an utterance's audio lies."""
        return self.root / utterance.file


def write_manifest(path: Path, header: Header, utterances: Iterable[Utterance]) -> None:
    """Write a manifest whole or not at all: a temporary file, then a rename.

    Raises:
        ManifestError: repeated ids, since no one could read it back.
    """
    rows = tuple(utterances)
    _check_unique([row.id for row in rows], path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    with scratch.open("w", encoding="utf-8") as stream:
        for row in (header, *rows):
            stream.write(json.dumps(row.model_dump(mode="json"), ensure_ascii=False) + "\n")
    scratch.replace(path)


def read_manifest(path: str | Path, root: str | Path | None = None) -> Manifest:
    """Read a manifest; ``root`` overrides the audio root in its header.

    Raises:
        ManifestError: missing file, malformed line (with its number), or repeated ids.
    """
    path = Path(path)
    lines = _json_lines(path)
    if not lines or "manifest" not in lines[0].row:
        raise ManifestError(f"{path}: no manifest header in line 1; write it with: phonemo prepare")
    header = _parse(Header, lines[0], path)
    if root is not None:
        header = header.model_copy(update={"root": str(Path(root).resolve())})
    utterances = tuple(_parse(Utterance, line, path) for line in lines[1:])
    _check_unique([utterance.id for utterance in utterances], path)
    return Manifest(header=header, utterances=utterances, path=path)


@dataclass(frozen=True)
class _Line:
    number: int
    row: dict[str, Any]


def _json_lines(path: Path) -> list[_Line]:
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest; make one with: phonemo prepare")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not a UTF-8 text file; a manifest is JSON lines") from error
    # Not splitlines: it would also cut at U+2028 and U+0085, which JSON allows inside a string.
    lines = enumerate(text.split("\n"), start=1)
    return [_json_line(path, number, line) for number, line in lines if line.strip()]


def _json_line(path: Path, number: int, line: str) -> _Line:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: also integers without end
        raise ManifestError(f"{path}:{number}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ManifestError(f"{path}:{number}: a JSON object is wanted in every line")
    return _Line(number, row)


def _parse(kind: type[Row], line: _Line, path: Path) -> Row:
    try:
        return kind.model_validate(line.row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ManifestError(f"{path}:{line.number}: field {where!r}: {first['msg']}") from error


def _check_unique(ids: Sequence[str], path: Path) -> None:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise ManifestError(f"{path}: id {one!r} is there twice; ids must be unique")
        seen.add(one)
