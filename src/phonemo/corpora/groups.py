"""Group the units that parts of a split must not share, in a cyclic order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from phonemo.corpora.copies.groups import Copies, join_units, list_some
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
    """Units that are tested or validated together; a single unit in leave-one-out."""

    name: str
    units: frozenset[str]
    genders: frozenset[str]


def unit_of(utterance: Utterance, axis: Axis) -> str | None:
    """The speaker, session or normalized sentence; None if unknown.

    All transcripts without words count as one sentence, the empty one.
    """
    if axis == "sentence":
        return None if utterance.transcript is None else sentence(utterance.transcript)
    return utterance.speaker if axis == "speaker" else utterance.session


def units_by_id(utterances: Sequence[Utterance], axis: Axis) -> dict[str, str]:
    """Utterance id -> unit.

    Raises:
        ProtocolError: some utterances have no unit.
    """
    values = {utterance.id: unit_of(utterance, axis) for utterance in utterances}
    units = {utterance: unit for utterance, unit in values.items() if unit is not None}
    if len(units) < len(values):
        example = next(utterance for utterance, unit in values.items() if unit is None)
        raise ProtocolError(
            f"{len(values) - len(units)} of {len(values)} utterances have no {_FIELDS[axis]}, "
            f"such as {example}; fill it in the manifest, remove them, or choose a protocol that "
            "does not need it"
        )
    return units


def join_copies(
    utterances: Sequence[Utterance], axis: Axis, copies: Copies
) -> tuple[Sequence[Utterance], tuple[str, ...]]:
    """Give units that share a recording one name, and return a note on each such group."""
    if not copies.groups:
        return utterances, ()
    units, joined = join_units(units_by_id(utterances, axis), copies)
    rows = [row.model_copy(update={_FIELDS[axis]: units[row.id]}) for row in utterances]
    notes = (
        f"{axis}s {list_some(map(repr, names))} share the same recordings, such as {example}, "
        f"and count as one {axis}"
        for names, example in joined
    )
    return rows if joined else utterances, tuple(notes)


def make_groups(
    utterances: Sequence[Utterance], axis: Axis, folds: int | None, seed: int
) -> tuple[SplitGroup, ...]:
    """Make one group per unit, or ``folds`` groups balanced by number of utterances.

    The cyclic order depends on the seed; speaker genders alternate as far as possible, so that
    neighbors, which validate together, have both.
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
        members = _balance(order, counts, folds, axis)
    groups = [_make_group(name, units, genders) for name, units in members]
    return _interleave_genders(groups)


def choose_validation(rest: Sequence[SplitGroup], count: int) -> tuple[SplitGroup, ...]:
    """Choose the first ``count`` of the groups that follow the tested one in the cyclic order.

    If two or more have only one gender and a later group has the other, it replaces the last.
    """
    selected = list(rest[:count])
    lacking = _BOTH.difference(*(group.genders for group in selected))
    if count >= 2 and len(lacking) == 1:
        other = next((group for group in rest[count:] if lacking <= group.genders), None)
        selected[-1] = other or selected[-1]
    return tuple(selected)


def hold_out_speakers(
    rows: Sequence[Utterance], turn: int, count: int, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids for train, and ids of ``count`` validation speakers.

    Args:
        rows: what a published fold trains on.
        turn: the fold's number. The speakers are those at this turn of the circle of the fold's own
            speakers; circles differ, so two folds may have the same one.
        count: number of validation speakers.
        seed: of the circle's order.

    Raises:
        ProtocolError: a speaker is unknown, or none would be left for train.
    """
    circle = make_groups(rows, "speaker", None, seed)
    if len(circle) <= count:
        raise ProtocolError(
            f"expected at least {count + 1} speakers ({count} for validation, 1 for train), got "
            f"{len(circle)}; lower protocol.validation_units"
        )
    start = turn * count % len(circle)
    selected = choose_validation([*circle[start:], *circle[:start]], count)
    speakers = {unit for group in selected for unit in group.units}
    train = tuple(row.id for row in rows if row.speaker not in speakers)
    return train, tuple(row.id for row in rows if row.speaker in speakers)


def require_enough(found: int, what: str, validation: int) -> None:
    """Raise ProtocolError unless test, validation and train get at least one group each."""
    required = validation + 2
    if found < required:
        raise ProtocolError(
            f"expected at least {required} {what} (1 for test, {validation} for validation, 1 for "
            f"train), got {found}; change protocol.folds or protocol.validation_units, or choose "
            "another protocol"
        )


def _names(units: Sequence[str], axis: Axis) -> dict[str, str]:
    """Group names usable as folder names: the unit's name, or its number otherwise."""
    slugs = {unit: re.sub(r"[^A-Za-z0-9._-]+", "-", unit).strip("-.") for unit in units}
    distinct = len({slug.lower() for slug in slugs.values()}) == len(units)
    if axis != "sentence" and distinct and all(slugs.values()):
        return {unit: f"{axis}-{slug}" for unit, slug in slugs.items()}
    digits = len(str(len(units)))
    return {unit: f"{axis}-{n:0{digits}d}" for n, unit in enumerate(units, start=1)}


def _balance(
    order: Sequence[str], counts: Mapping[str, int], folds: int, axis: Axis
) -> list[tuple[str, list[str]]]:
    """Assign units, largest first, to the group with the fewest utterances so far."""
    if len(order) < folds:
        raise ProtocolError(
            f"expected at least {folds} {axis}s for {folds} folds, got {len(order)}; lower "
            "protocol.folds"
        )
    members: list[list[str]] = [[] for _ in range(folds)]
    sizes = [0] * folds
    for unit in sorted(order, key=lambda unit: -counts[unit]):
        smallest = sizes.index(min(sizes))
        members[smallest].append(unit)
        sizes[smallest] += counts[unit]
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
    """Spread the groups of each gender evenly over the circle, keeping their relative order."""
    kinds = Counter(tuple(sorted(group.genders)) for group in groups)
    seen: Counter[tuple[str, ...]] = Counter()
    places = []
    for number, group in enumerate(groups):
        kind = tuple(sorted(group.genders))
        places.append(((seen[kind] + 0.5) / kinds[kind], number))
        seen[kind] += 1
    return tuple(groups[number] for _, number in sorted(places))
