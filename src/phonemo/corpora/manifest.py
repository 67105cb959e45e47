"""The manifest: JSON lines, a header with the origin followed by one row per utterance."""

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

SplitName = Literal["train", "validation", "test"]

Intensity = Literal["low", "medium", "high", "normal", "strong"]

#: Lowest and highest value of the scale that a release rates on.
Scale = tuple[float, float]
#: The rated dimensions, in the order of all outputs.
DIMENSIONS = ("arousal", "valence", "dominance")

#: Set of given fields -> the set object that all rows with these fields share.
_GIVEN: dict[frozenset[str], set[str]] = {}


class _FrozenRow(BaseModel):
    """A frozen model with little memory, since training keeps every row of its corpora.

    pydantic stores the given fields of each row in a set, which is larger than the rest of the row.
    Rows are immutable, so equal sets can be one object.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        cache_strings="all",  # speakers, emotions, symbols: one string for all rows
    )

    def model_post_init(self, context: Any, /) -> None:
        """Share the set of given fields after every validation."""
        self._share_given()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy as pydantic does, and share the set of given fields."""
        copied = super().model_copy(update=update, deep=deep)
        copied._share_given()
        return copied

    def _share_given(self) -> None:
        given = self.__pydantic_fields_set__
        shared = _GIVEN.setdefault(frozenset(given), given)
        object.__setattr__(self, "__pydantic_fields_set__", shared)


Row = TypeVar("Row", bound=_FrozenRow)


class Phonemes(_FrozenRow):
    """The phonemes of an utterance, in one closed alphabet, and their source."""

    alphabet: Literal["arpabet", "ipa"]
    """The closed inventory of the symbols."""
    source: str
    """The backend with its version, or the annotation: "gruut 2.4.0 de", "lablaut", "phseg"."""
    symbols: tuple[str, ...]
    """The phonemes in order, without silences."""
    times: tuple[tuple[float, float], ...] | None = None
    """Start and end of each symbol in seconds from the utterance's start, if known."""

    @model_validator(mode="after")
    def _times_match_symbols(self) -> Phonemes:
        if self.times is not None and len(self.times) != len(self.symbols):
            raise ValueError(f"expected {len(self.symbols)} times, got {len(self.times)}")
        return self


def _is_none(value: object) -> bool:
    return value is None


class Utterance(_FrozenRow):
    """One utterance. Unknown fields are None; a transcript "" means speech without words."""

    id: str
    """Unique in its manifest."""
    file: str
    """Audio path, relative to the manifest's root, with forward slashes."""
    start: float | None = Field(default=None, ge=0)
    """Start in seconds within the file; None for its beginning."""
    end: float | None = Field(default=None, gt=0)
    """End in seconds within the file; None for its end."""
    # omitted if None, as style and split: added later, and existing manifests must not change
    channel: int | None = Field(default=None, ge=1, exclude_if=lambda channel: channel is None)
    """The channel of the file that is read, from 1 on; None mixes all channels."""
    speaker: str | None = None
    """The person who speaks, not one who is merely present."""
    gender: Literal["f", "m"] | None = None
    session: str | None = None
    dialog: str | None = None
    language: str | None = None
    """ISO 639-1 code."""
    transcript: str | None = None
    style: Style | None = Field(default=None, exclude_if=lambda style: style is None)
    """Whether the text was scripted, and to suit the emotion, which it may then reveal."""
    split: SplitName | None = Field(default=None, exclude_if=lambda split: split is None)
    """The part of the corpus's own split, from its folders or its table."""
    emotion: str | None = None
    """A canonical name of phonemo.labels.EMOTIONS, or a custom one."""
    arousal: float | None = Field(default=None, ge=0, le=1, exclude_if=_is_none)
    """Rated arousal (activation), 0 calm to 1 excited; phonemo.corpora.ratings.scales converts."""
    valence: float | None = Field(default=None, ge=0, le=1, exclude_if=_is_none)
    """Rated valence, 0 negative to 1 positive."""
    dominance: float | None = Field(default=None, ge=0, le=1, exclude_if=_is_none)
    """Rated dominance, 0 submissive to 1 dominant."""
    scale: Scale | None = Field(default=None, exclude_if=_is_none)
    """The scale of the release's own ratings, such as (1, 5)."""
    votes: dict[str, float] | None = Field(default=None, exclude_if=_is_none)
    """Emotion -> number of raters who chose it, or their share; more than one choice may count."""
    intensity: Intensity | None = Field(default=None, exclude_if=_is_none)
    """The strength that the actor was to portray."""
    rated_intensity: float | None = Field(default=None, ge=0, le=1, exclude_if=_is_none)
    """How strong raters found the emotion, 0 to 1."""
    phonemes: Phonemes | None = None

    @model_validator(mode="after")
    def _check_ratings(self) -> Utterance:
        if self.scale is not None and not self.scale[0] < self.scale[1]:
            raise ValueError(f"expected scale (low, high), got {self.scale}")
        votes = self.votes
        if votes is not None and (min(votes.values(), default=0) < 0 or not any(votes.values())):
            raise ValueError("expected votes of 0 or more, and one above 0; omit absent votes")
        return self

    @property
    def dimensions(self) -> dict[str, float]:
        """The rated dimensions that are known, 0 to 1."""
        values = {name: getattr(self, name) for name in DIMENSIONS}
        return {name: value for name, value in values.items() if value is not None}


class Header(_FrozenRow):
    """The first line of a manifest."""

    manifest: Literal[1] = 1
    """Version of the manifest format."""
    corpus: str
    root: str
    """The folder that ``file`` is relative to; absolute, or relative to the manifest's folder."""
    partial: bool = False
    """True if the release's published counts were not met and that was allowed."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """Reason -> number of entries of the release that were skipped."""
    phonemo: str
    """The phonemo version that wrote the manifest."""


class Manifest(_FrozenRow):
    """A header and its utterances."""

    header: Header
    utterances: tuple[Utterance, ...]
    path: Path | None = None

    @property
    def root(self) -> Path:
        """The audio root, resolved against the manifest's folder."""
        base = self.path.parent if self.path is not None else Path()
        return base / self.header.root

    def audio_path(self, utterance: Utterance) -> Path:
        """Path of an utterance's audio."""
        return self.root / utterance.file


@dataclass(frozen=True)
class ManifestStream:
    """A manifest whose utterances are read lazily, line by line.

    It can be iterated repeatedly; each iteration opens the file and closes it at its end, at an
    error, or when the loop is left. Memory use is constant, so repeated ids are not detected
    (read_manifest and write_manifest reject them).
    """

    path: Path
    header: Header

    @property
    def root(self) -> Path:
        """The audio root, resolved against the manifest's folder."""
        return self.path.parent / self.header.root

    def audio_path(self, utterance: Utterance) -> Path:
        """Path of an utterance's audio."""
        return self.root / utterance.file

    def __iter__(self) -> Iterator[Utterance]:
        """Yield the utterances in file order.

        Raises:
            ManifestError: a malformed line, with its number, when it is reached.
        """
        lines = _iter_lines(self.path)
        next(lines, None)  # the header
        for line in lines:
            yield _parse_utterance(line, self.path)


def stream_manifest(path: str | Path, root: str | Path | None = None) -> ManifestStream:
    """Open a manifest for reading row by row; ``root`` overrides the audio root in its header.

    Raises:
        ManifestError: missing file, or a first line that is not a header.
    """
    path = Path(path)
    lines = _iter_lines(path)
    first = next(lines, None)
    lines.close()
    row = {} if first is None else _parse_json(first, path)
    if first is None or "manifest" not in row:
        raise ManifestError(
            f"{path}: expected a manifest header in line 1; write it with: phonemo prepare"
        )
    header = _validate_row(Header, row, first, path)
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
    hashes = array("q", (hash(utterance.id) for utterance in utterances))
    _check_unique(hashes, utterances, stream.path)
    return Manifest(header=stream.header, utterances=utterances, path=stream.path)


def write_manifest(path: Path, header: Header, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically: a temporary file, then a rename.

    Rows are streamed; eight bytes of each are kept to find repeated ids.

    Raises:
        ManifestError: repeated ids, which read_manifest would reject.
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
    """Write the rows and return the hashes of their ids."""
    hashes = array("q")
    with path.open("w", encoding="utf-8") as stream:
        stream.write(_to_line(header))
        for utterance in utterances:
            stream.write(_to_line(utterance))
            hashes.append(hash(utterance.id))
    return hashes


def _to_line(row: _FrozenRow) -> str:
    return dumps_json(row.model_dump(mode="json")) + "\n"


def _check_unique(hashes: array[int], utterances: Iterable[Utterance], path: Path) -> None:
    """Reject repeated ids; the rows are read again only if two ids have the same hash."""
    ordered = np.sort(np.asarray(hashes))
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not suspects:
        return
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise ManifestError(f"{path}: id {utterance.id!r} is repeated; ids must be unique")
        if hash(utterance.id) in suspects:
            seen.add(utterance.id)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str


def _iter_lines(path: Path) -> Generator[_Line, None, None]:
    """Yield the non-blank lines; closing the generator closes the file."""
    if path.is_dir():
        raise ManifestError(f"{path}: expected a manifest, got a folder; {_advice(path)}")
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest; create one with: phonemo prepare")
    # Binary: text mode would also split at U+2028 and U+0085, which JSON allows inside a string.
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ManifestError(
                    f"{path}:{number}: expected UTF-8; a manifest is JSON lines"
                ) from error
            if text.strip():
                yield _Line(number, text)


def _advice(folder: Path) -> str:
    inside = folder / "manifest.jsonl"
    if inside.is_file():
        return f"pass {inside}"
    return f"create one with: phonemo init-corpus {folder}, or phonemo prepare"


def _parse_utterance(line: _Line, path: Path) -> Utterance:
    try:
        return Utterance.model_validate_json(line.text)  # the fast path
    except ValidationError:  # the slow path has better messages and accepts what only Python does
        return _validate_row(Utterance, _parse_json(line, path), line, path)


def _parse_json(line: _Line, path: Path) -> dict[str, Any]:
    try:
        row = loads_json(line.text)
    except ValueError as error:  # including integers with too many digits
        raise ManifestError(f"{path}:{line.number}: expected JSON ({error})") from error
    if not isinstance(row, dict):
        raise ManifestError(f"{path}:{line.number}: expected a JSON object in every line")
    return row


def _validate_row(kind: type[Row], row: dict[str, Any], line: _Line, path: Path) -> Row:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        field = f"field {where!r}: " if where else ""  # a check of several fields names none
        raise ManifestError(f"{path}:{line.number}: {field}{first['msg']}") from error
