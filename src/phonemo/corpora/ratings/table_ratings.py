"""The rating columns of a custom table: arousal, valence, dominance, scale, votes, intensity.

``scale`` declares the scale of a row's values ("1-5", "-1..1"). Without it, the scale of the other
rows is used, or else the narrowest known one that holds all values of the table's dimensions, and a
warning names it. ``votes`` counts raters by emotion: ``anger 3; neutral 2``, or a JSON object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from phonemo.corpora.manifest import DIMENSIONS, Intensity, Scale, Utterance
from phonemo.corpora.ratings.scales import detect_scale, parse_scale, scale_text, to_unit
from phonemo.errors import CorpusError, safe_name
from phonemo.files import loads_json
from phonemo.tables.cells import MISSING, decimal_point

COLUMNS = (*DIMENSIONS, "scale", "votes", "intensity")
_INTENSITIES = get_args(Intensity)
_VOTE = re.compile(r"(?P<name>[^:=]+?)\s*[:= ]\s*(?P<count>\d+(?:\.\d+)?)")

Convert = Callable[[str], str | None]


@dataclass
class TableRatings:
    """Collects the ratings of a table's rows, and adds them once their scale is known.

    Args:
        where: the table, for messages.
        canonical: gives the name of a voted emotion.
    """

    where: str
    canonical: Convert
    _rows: dict[str, _Rated] = field(default_factory=dict)

    def read(self, name: str, cells: Mapping[str, str], where: str) -> dict[str, Any]:
        """Remember the dimensions of the row ``name``; return the fields that need no scale.

        Raises:
            CorpusError: a cell that is no number, scale, votes or intensity; ``where`` is in it.
        """
        values = {column: _number(cells, column, where) for column in DIMENSIONS}
        known = {column: value for column, value in values.items() if value is not None}
        declared = _text(cells, "scale")
        try:
            scale = None if declared is None else parse_scale(declared)
            if known:
                self._rows[name] = _Rated(known, scale, where)
            return {
                "votes": self._votes(_text(cells, "votes")),
                "intensity": _intensity(_text(cells, "intensity")),
            }
        except CorpusError as error:
            raise CorpusError(f"{where}: {error}") from error

    def apply(self, utterances: Iterable[Utterance]) -> Iterator[Utterance]:
        """Yield the utterances with their dimensions, 0 to 1, and the scale.

        Raises:
            CorpusError: a value outside its declared scale, or no known scale holds all values.
        """
        detected = self._detected()
        for utterance in utterances:
            rated = self._rows.get(utterance.id)
            yield utterance if rated is None else rated.add_to(utterance, detected)

    def warnings(self) -> tuple[str, ...]:
        """A warning that names the scale, if it is detected."""
        detected = self._detected()
        if detected is None:
            return ()
        undeclared = [row for row in self._rows.values() if row.scale is None]
        numbers = [value for row in undeclared for value in row.values.values()]
        return (
            f"{self.where}: no scale is declared for {len(undeclared)} rows with ratings from "
            f"{min(numbers):g} to {max(numbers):g}: {scale_text(detected)} is assumed; add a "
            f"column scale, such as {scale_text(detected)}, if it is another",
        )

    def _detected(self) -> Scale | None:
        undeclared = [row.values.values() for row in self._rows.values() if row.scale is None]
        if not undeclared:
            return None
        values = [value for row in undeclared for value in row]
        declared = {row.scale for row in self._rows.values() if row.scale is not None}
        if len(declared) == 1:
            (scale,) = declared
            if scale[0] <= min(values) and max(values) <= scale[1]:
                return scale
        try:
            return detect_scale(values)
        except CorpusError as error:
            raise CorpusError(f"{self.where}: {error}") from error

    def _votes(self, text: str | None) -> dict[str, float] | None:
        if text is None:
            return None
        votes: dict[str, float] = {}
        for word, count in _vote_pairs(text):
            name = self.canonical(word)
            if name is not None:
                votes[name] = votes.get(name, 0.0) + count
        if not any(votes.values()):
            raise CorpusError(f"expected votes above 0, got {safe_name(repr(text))}")
        return {name: count for name, count in votes.items() if count}


@dataclass(frozen=True)
class _Rated:
    """A row's dimensions on its scale; a scale of None is to be detected."""

    values: Mapping[str, float]
    scale: Scale | None
    where: str

    def add_to(self, utterance: Utterance, detected: Scale | None) -> Utterance:
        scale = self.scale or detected
        assert scale is not None
        fields: dict[str, Any] = {"scale": scale}
        for name, value in self.values.items():
            try:
                fields[name] = to_unit(value, scale)
            except CorpusError as error:
                raise CorpusError(f"{self.where}: {name}: {error}") from error
        return utterance.model_copy(update=fields)


def _text(cells: Mapping[str, str], column: str) -> str | None:
    text = cells.get(column, "").strip()
    return None if text.lower() in MISSING else text


def _number(cells: Mapping[str, str], column: str, where: str) -> float | None:
    text = _text(cells, column)
    if text is None:
        return None
    try:
        value = float(decimal_point(text))
    except ValueError:
        value = float("nan")
    if value - value != 0:  # infinite, or not a number
        raise CorpusError(
            f"{where}: expected a number or an empty cell in column {column!r}, got "
            f"{safe_name(repr(text))}"
        )
    return value


def _intensity(text: str | None) -> str | None:
    if text is None:
        return None
    if text.lower() not in _INTENSITIES:
        raise CorpusError(
            f"expected intensity {', '.join(_INTENSITIES)} or an empty cell, got "
            f"{safe_name(repr(text))}"
        )
    return text.lower()


def _vote_pairs(text: str) -> Iterator[tuple[str, float]]:
    """Yield emotions and counts, as written."""
    fault = f"expected votes such as anger 3; neutral 2, got {safe_name(repr(text[:80]))}"
    if text.startswith("{"):
        try:
            pairs = [(str(name), float(count)) for name, count in loads_json(text).items()]
        except (AttributeError, TypeError, ValueError) as error:
            raise CorpusError(fault) from error
    else:
        matches = [_VOTE.fullmatch(part.strip()) for part in re.split("[;,]", text) if part.strip()]
        if None in matches:
            raise CorpusError(fault)
        pairs = [(match["name"], float(match["count"])) for match in matches if match]
    if any(not 0 <= count < float("inf") for _, count in pairs):
        raise CorpusError(fault)
    yield from pairs
