"""The manifest: one JSON row an utterance, behind a first line that says where it came from."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phonemo.errors import ManifestError
from phonemo.files import dumps_json, loads_json

Style = Literal["scripted", "improvised", "plain-to-emotional", "emotional-to-emotional"]
STYLES: tuple[Style, ...] = get_args(Style)

#: Which fields were given -> the one set that all rows with just these fields share.
_GIVEN: dict[frozenset[str], set[str]] = {}


class _FrozenRow(BaseModel):
    """Frozen; and light, since a training holds every row of its corpora.

    pydantic notes the fields that were given in a set for each row, which is larger than all
    else in it. Rows cannot change, so that equal sets can be one.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        cache_strings="all",  # speakers, emotions, symbols: one string for all rows
    )

    def model_post_init(self, context: Any, /) -> None:
        """Runs behind every validation."""
        self._share_given()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, whose copy has a set of its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied._share_given()
        return copied

    def _share_given(self) -> None:
        given = self.__pydantic_fields_set__
        shared = _GIVEN.setdefault(frozenset(given), given)
        object.__setattr__(self, "__pydantic_fields_set__", shared)


Row = TypeVar("Row", bound=_FrozenRow)


class Phonemes(_FrozenRow):
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
    def _times_match_symbols(self) -> Phonemes:
        if self.times is not None and len(self.times) != len(self.symbols):
            raise ValueError(f"{len(self.times)} times for {len(self.symbols)} symbols")
        return self


class Utterance(_FrozenRow):
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
    """Whether the words were written before, and to suit the emotion: they may give it away."""
    emotion: str | None = None
    """A canonical name of phonemo.labels.EMOTIONS, or a user's own."""
    phonemes: Phonemes | None = None


class Header(_FrozenRow):
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


class Manifest(_FrozenRow):
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


@dataclass(frozen=True)
class ManifestStream:
    """A manifest whose utterances are read as they are asked for, one line at a time.

    It can be iterated again and again: each time opens the file anew, and closes it at its end,
    at an error, and where the loop is left. Memory does not grow with the manifest, and so
    repeated ids are not noticed (read_manifest and write_manifest refuse them).
    """

    path: Path
    header: Header

    @property
    def root(self) -> Path:
        """The audio root as a path that can be opened."""
        return self.path.parent / self.header.root

    def audio_path(self, utterance: Utterance) -> Path:
        """Where an utterance's audio lies."""
        return self.root / utterance.file

    def __iter__(self) -> Iterator[Utterance]:
        """The utterances in the order of the file.

        Raises:
            ManifestError: a malformed line, with its number, once it is reached.
        """
        lines = _lines(self.path)
        next(lines, None)  # the header
        for line in lines:
            yield _utterance(line, self.path)


def stream_manifest(path: str | Path, root: str | Path | None = None) -> ManifestStream:
    """Open a manifest to go through it row by row; ``root`` overrides the audio root in its header.

    Raises:
        ManifestError: missing file, or a first line that is no header.
    """
    path = Path(path)
    lines = _lines(path)
    first = next(lines, None)
    lines.close()
    row = {} if first is None else _json(first, path)
    if first is None or "manifest" not in row:
        raise ManifestError(f"{path}: no manifest header in line 1; write it with: phonemo prepare")
    header = _parse(Header, row, first, path)
    if root is not None:
        header = header.model_copy(update={"root": str(Path(root).resolve())})
    return ManifestStream(path, header)


def read_manifest(path: str | Path, root: str | Path | None = None) -> Manifest:
    """Read a manifest; ``root`` overrides the audio root in its header.

    Raises:
        ManifestError: missing file, malformed line (with its number), or repeated ids.
    """
    stream = stream_manifest(path, root)
    utterances = tuple(stream)
    hashes = array("q", (hash(one.id) for one in utterances))
    _check_unique(hashes, utterances, stream.path)
    return Manifest(header=stream.header, utterances=utterances, path=stream.path)


def write_manifest(path: Path, header: Header, utterances: Iterable[Utterance]) -> None:
    """Write a manifest whole or not at all: a temporary file, then a rename.

    Rows are written as they come; eight bytes are kept of each, to find repeated ids.

    Raises:
        ManifestError: repeated ids, since no one could read it back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    try:
        hashes = _write_rows(scratch, header, utterances)
        _check_unique(hashes, ManifestStream(scratch, header), path)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _write_rows(path: Path, header: Header, utterances: Iterable[Utterance]) -> array[int]:
    """Write them; the hashes of their ids."""
    hashes = array("q")
    with path.open("w", encoding="utf-8") as stream:
        stream.write(_text(header))
        for one in utterances:
            stream.write(_text(one))
            hashes.append(hash(one.id))
    return hashes


def _text(row: _FrozenRow) -> str:
    return dumps_json(row.model_dump(mode="json")) + "\n"


def _check_unique(hashes: array[int], utterances: Iterable[Utterance], path: Path) -> None:
    """Refuse repeated ids: a look at the rows again, only where two ids have one hash."""
    ordered = np.sort(np.asarray(hashes))
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not suspects:
        return
    seen: set[str] = set()
    for one in utterances:
        if one.id in seen:
            raise ManifestError(f"{path}: id {one.id!r} is there twice; ids must be unique")
        if hash(one.id) in suspects:
            seen.add(one.id)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str


def _lines(path: Path) -> Generator[_Line, None, None]:
    """The lines that are not blank; the file is closed when the generator is."""
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest; make one with: phonemo prepare")
    # As bytes: text would also be cut at U+2028 and U+0085, which JSON allows inside a string.
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ManifestError(
                    f"{path}: not a UTF-8 text file (line {number}); a manifest is JSON lines"
                ) from error
            if text.strip():
                yield _Line(number, text)


def _utterance(line: _Line, path: Path) -> Utterance:
    try:
        return Utterance.model_validate_json(line.text)  # the quick way
    except ValidationError:  # the plain way says what is wrong, or takes what only Python takes
        return _parse(Utterance, _json(line, path), line, path)


def _json(line: _Line, path: Path) -> dict[str, Any]:
    try:
        row = loads_json(line.text)
    except ValueError as error:  # also integers without end
        raise ManifestError(f"{path}:{line.number}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ManifestError(f"{path}:{line.number}: a JSON object is wanted in every line")
    return row


def _parse(kind: type[Row], row: dict[str, Any], line: _Line, path: Path) -> Row:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ManifestError(f"{path}:{line.number}: field {where!r}: {first['msg']}") from error
