"""The units that parts of a split may not share, grouped and put into a cyclic order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.transcripts import sentence
from phonemo.errors import ProtocolError

Axis = Literal["speaker", "session", "sentence"]

_FIELDS: dict[Axis, str] = {
    "speaker": "speaker",
    "session": "session",
    "sentence": "transcript",
}
_BOTH = frozenset(("f", "m"))


@dataclass(frozen=True)
class SplitGroup:
    """Units that are tested, or validated, together; one unit alone in leave-one-out."""

    name: str
    units: frozenset[str]
    genders: frozenset[str]


def unit_of(utterance: Utterance, axis: Axis) -> str | None:
    """The speaker, the session or the sentence in normal form; None where it is unknown.

    Transcripts without words are one sentence, the empty one.
    """
    if axis == "sentence":
        return None if utterance.transcript is None else sentence(utterance.transcript)
    return utterance.speaker if axis == "speaker" else utterance.session


def units_by_id(utterances: Sequence[Utterance], axis: Axis) -> dict[str, str]:
    """Utterance id -> unit.

    Raises:
        ProtocolError: some utterances lack it; says how many and which field.
    """
    found = {utterance.id: unit_of(utterance, axis) for utterance in utterances}
    units = {one: unit for one, unit in found.items() if unit is not None}
    if len(units) < len(found):
        example = next(one for one, unit in found.items() if unit is None)
        raise ProtocolError(
            f"{len(found) - len(units)} of {len(found)} utterances have no {_FIELDS[axis]}, "
            f"{example} for example; fill it in the manifest, leave them out, or choose a "
            "protocol that does not need it"
        )
    return units


def make_groups(
    utterances: Sequence[Utterance], axis: Axis, folds: int | None, seed: int
) -> tuple[SplitGroup, ...]:
    """One group for each unit, or ``folds`` groups balanced by their utterances.

    The order is cyclic and comes from the seed; genders of speakers alternate in it as far as
    they can, so that neighbours, which validate together, have both.
    """
    units = units_by_id(utterances, axis)
    counts = Counter(units.values())
    order = sorted(counts)
    names = _names(order, axis)
    Random(f"{seed} {axis}").shuffle(order)
    genders = _genders(utterances, units) if axis == "speaker" else {}
    if folds is None:
        members = [(names[unit], [unit]) for unit in order]
    else:
        members = _balanced(order, counts, folds, axis)
    groups = [_make_group(name, units, genders) for name, units in members]
    return _interleave_genders(groups)


def choose_validation(rest: Sequence[SplitGroup], count: int) -> tuple[SplitGroup, ...]:
    """The first ``count`` of the groups left, which follow the tested one in the cyclic order.

    Where two or more have but one gender and another group could mend that, it replaces the last.
    """
    chosen = list(rest[:count])
    lacking = _BOTH.difference(*(group.genders for group in chosen))
    if count >= 2 and len(lacking) == 1:
        mend = next((group for group in rest[count:] if lacking <= group.genders), None)
        chosen[-1] = mend or chosen[-1]
    return tuple(chosen)


def hold_out_speakers(
    rows: Sequence[Utterance], turn: int, count: int, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids left for train, and ids of ``count`` validation speakers, who move on with ``turn``.

    Raises:
        ProtocolError: a speaker is unknown, or none would be left for train.
    """
    circle = make_groups(rows, "speaker", None, seed)
    if len(circle) <= count:
        raise ProtocolError(
            f"{len(circle)} speakers to take validation from, at least {count + 1} wanted "
            f"({count} for validation, 1 for train); lower protocol.validation_units"
        )
    start = turn * count % len(circle)
    chosen = choose_validation([*circle[start:], *circle[:start]], count)
    speakers = {unit for group in chosen for unit in group.units}
    train = tuple(row.id for row in rows if row.speaker not in speakers)
    return train, tuple(row.id for row in rows if row.speaker in speakers)


def require_enough(found: int, what: str, validation: int) -> None:
    """Raise ProtocolError unless test, validation and train get at least one group each."""
    wanted = validation + 2
    if found < wanted:
        raise ProtocolError(
            f"{found} {what} found, at least {wanted} wanted (1 for test, {validation} for "
            "validation, 1 for train); change protocol.folds or protocol.validation_units, or "
            "choose another protocol"
        )


def _names(units: Sequence[str], axis: Axis) -> dict[str, str]:
    """Names fit for folders: the unit's own, or its number where that is no name."""
    slugs = {unit: re.sub(r"[^A-Za-z0-9._-]+", "-", unit).strip("-.") for unit in units}
    distinct = len({slug.lower() for slug in slugs.values()}) == len(units)
    if axis != "sentence" and distinct and all(slugs.values()):
        return {unit: f"{axis}-{slug}" for unit, slug in slugs.items()}
    digits = len(str(len(units)))
    return {unit: f"{axis}-{n:0{digits}d}" for n, unit in enumerate(units, start=1)}


def _balanced(
    order: Sequence[str], counts: Mapping[str, int], folds: int, axis: Axis
) -> list[tuple[str, list[str]]]:
    """Largest unit first, each into the group that has the fewest utterances so far."""
    if len(order) < folds:
        raise ProtocolError(
            f"{len(order)} {axis}s found, too few for {folds} folds; lower protocol.folds"
        )
    members: list[list[str]] = [[] for _ in range(folds)]
    sizes = [0] * folds
    for unit in sorted(order, key=lambda unit: -counts[unit]):
        least = sizes.index(min(sizes))
        members[least].append(unit)
        sizes[least] += counts[unit]
    digits = len(str(folds))
    return [(f"{axis}s-{n:0{digits}d}", units) for n, units in enumerate(members, start=1)]


def _genders(utterances: Sequence[Utterance], units: Mapping[str, str]) -> dict[str, set[str]]:
    genders: dict[str, set[str]] = {unit: set() for unit in units.values()}
    for utterance in utterances:
        if utterance.gender is not None:
            genders[units[utterance.id]].add(utterance.gender)
    return genders


def _make_group(name: str, units: Sequence[str], genders: Mapping[str, set[str]]) -> SplitGroup:
    known = frozenset(gender for unit in units for gender in genders.get(unit, ()))
    return SplitGroup(name=name, units=frozenset(units), genders=known)


def _interleave_genders(groups: Sequence[SplitGroup]) -> tuple[SplitGroup, ...]:
    """Groups of each kind of gender spread evenly over the circle; order within a kind stays."""
    kinds = Counter(tuple(sorted(group.genders)) for group in groups)
    seen: Counter[tuple[str, ...]] = Counter()
    places = []
    for number, group in enumerate(groups):
        kind = tuple(sorted(group.genders))
        places.append(((seen[kind] + 0.5) / kinds[kind], number))
        seen[kind] += 1
    return tuple(groups[number] for _, number in sorted(places))
