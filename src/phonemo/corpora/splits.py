"""Split utterances into folds by speaker, session or sentence, or as published.

The parts of a fold never share the protocol's unit, and validation is separate from test, so that
nothing is selected on test. Protocols in which speakers leak have "leaky" in their name. Copies of
a recording stay in one part, unless the folds are published.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product
from random import Random

from phonemo.config import ProtocolConfig
from phonemo.corpora.copies.groups import NO_COPIES, Copies
from phonemo.corpora.folds import PARTS, Fold, Split
from phonemo.corpora.given_split import split_as_given
from phonemo.corpora.groups import (
    Axis,
    SplitGroup,
    choose_validation,
    hold_out_speakers,
    join_copies,
    make_groups,
    require_enough,
    units_by_id,
)
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.published_folds import split_as_published
from phonemo.corpora.transcripts import near_duplicates
from phonemo.errors import LeakageError, ProtocolError

__all__ = ["AXES", "PARTS", "Fold", "Split", "make_split"]

#: Protocol -> the units that two parts of a fold must not share.
AXES: dict[str, tuple[Axis, ...]] = {
    "speaker": ("speaker",),
    "session": ("session",),
    "sentence": ("sentence",),
    "speaker-sentence": ("speaker", "sentence"),
}

_NEW_SENTENCES = (
    "speakers are shared between train and test: this split measures new sentences, not new "
    "speakers"
)


def make_split(
    utterances: Sequence[Utterance], protocol: ProtocolConfig, copies: Copies = NO_COPIES
) -> Split:
    """Split utterances according to a protocol, deterministically.

    Units that share a recording are one unit, which a note says.

    Args:
        utterances: the utterances.
        protocol: the protocol.
        copies: the copies among them.

    Raises:
        ProtocolError: too few units, an unknown unit, an empty part, or invalid fold files.
        LeakageError: train and test would share speakers under a protocol that forbids it, or too
            few units are left that share no recording.
    """
    if not utterances:
        raise ProtocolError("expected utterances to split, got none; check manifest and labels")
    _require_unique(utterances)
    split = _MAKERS[protocol.name](utterances, protocol, copies)
    if protocol.drop_near_duplicates is not None:
        split = _without_near_duplicates(split, utterances, protocol.drop_near_duplicates)
    for fold in split.folds:
        _require_parts(fold)
    return split


def _require_unique(utterances: Sequence[Utterance]) -> None:
    repeated = [
        utterance for utterance, count in Counter(row.id for row in utterances).items() if count > 1
    ]
    if repeated:
        raise ProtocolError(f"id {repeated[0]} is repeated; ids must be unique")


def _require_parts(fold: Fold) -> None:
    for part, ids in fold.parts.items():
        if not ids:
            raise ProtocolError(
                f"{fold.name}: no utterance is left for {part}; choose fewer protocol.folds or "
                "another protocol"
            )


# By unit ------------------------------------------------------------------------------------------


def _by_unit(utterances: Sequence[Utterance], protocol: ProtocolConfig, copies: Copies) -> Split:
    """One fold per group, or per pair of groups for two crossed axes."""
    axes = AXES[protocol.name]
    joined = [join_copies(utterances, axis, copies) for axis in axes]
    circles = [
        _ordered_groups(rows, axis, protocol, notes)
        for axis, (rows, notes) in zip(axes, joined, strict=True)
    ]
    units = [units_by_id(rows, axis) for axis, (rows, _) in zip(axes, joined, strict=True)]
    folds = []
    for indices in product(*(range(len(circle)) for circle in circles)):
        positions = list(zip(circles, indices, strict=True))
        roles = [
            _assign_parts(circle, position, protocol.validation_units)
            for circle, position in positions
        ]
        parts = _split_ids(utterances, units, roles)
        if parts["test"]:
            name = "_".join(circle[position].name for circle, position in positions)
            folds.append(Fold(name, *(tuple(parts[part]) for part in PARTS)))
    folds.sort(key=lambda fold: fold.name)
    if protocol.name == "session":
        _require_speakers_apart(folds, utterances)
    unit = " and ".join(axes)
    notes = _unit_notes(protocol, folds, utterances)
    same = (note for _, notes in joined for note in notes)
    return Split(protocol, unit, tuple(folds), (*notes, *same))


def _by_sentence(
    utterances: Sequence[Utterance], protocol: ProtocolConfig, copies: Copies
) -> Split:
    """By unit; with only two sentences (RAVDESS), validation is split off by speaker."""
    sentences = units_by_id(utterances, "sentence")
    if len(set(sentences.values())) != 2 or protocol.folds not in (None, 2):
        return _by_unit(utterances, protocol, copies)
    folds = []
    for turn, tested in enumerate(sorted(set(sentences.values()))):
        rows = [row for row in utterances if sentences[row.id] != tested]
        train, validation = hold_out_speakers(rows, turn, protocol.validation_units, protocol.seed)
        test = tuple(row.id for row in utterances if sentences[row.id] == tested)
        folds.append(Fold(f"sentence-{turn + 1}", train, validation, test))
    note = "there are only two sentences: validation has the sentence of train and other speakers"
    return Split(protocol, "sentence", tuple(folds), (_NEW_SENTENCES, note))


def _ordered_groups(
    utterances: Sequence[Utterance], axis: Axis, protocol: ProtocolConfig, joined: Sequence[str]
) -> tuple[SplitGroup, ...]:
    try:
        groups = make_groups(utterances, axis, protocol.folds, protocol.seed)
        what = f"{axis}s" if protocol.folds is None else f"groups of {axis}s"
        require_enough(len(groups), what, protocol.validation_units)
    except ProtocolError as error:
        if not joined:
            raise
        raise LeakageError(
            f"{joined[0]}; remove the copies or correct their {axis}s ({error})"
        ) from error
    return groups


def _assign_parts(
    circle: Sequence[SplitGroup], position: int, validation_units: int
) -> dict[str, str]:
    """Unit -> part; validation is next in the circle, so that it rotates over the folds."""
    rest = [*circle[position + 1 :], *circle[:position]]
    roles = {unit: "train" for group in rest for unit in group.units}
    roles |= dict.fromkeys(circle[position].units, "test")
    for group in choose_validation(rest, validation_units):
        roles |= dict.fromkeys(group.units, "validation")
    return roles


def _split_ids(
    utterances: Sequence[Utterance],
    units: Sequence[Mapping[str, str]],
    roles: Sequence[Mapping[str, str]],
) -> dict[str, list[str]]:
    """Ids by part; an utterance is dropped if two axes disagree about its part."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for utterance in utterances:
        assigned = {role[unit[utterance.id]] for role, unit in zip(roles, units, strict=True)}
        if len(assigned) == 1:
            parts[assigned.pop()].append(utterance.id)
    return parts


def _unit_notes(
    protocol: ProtocolConfig, folds: Sequence[Fold], utterances: Sequence[Utterance]
) -> tuple[str, ...]:
    if protocol.name == "sentence":
        return (_NEW_SENTENCES,)
    if protocol.name == "session" and any(row.speaker is None for row in utterances):
        missing = sum(row.speaker is None for row in utterances)
        return (f"{missing} utterances have no speaker: speaker leakage is not checked for them",)
    if protocol.name == "speaker-sentence":
        used = sum(len(ids) for fold in folds for ids in fold.parts.values())
        share = 1 - used / (len(folds) * len(utterances))
        return (
            f"{100 * share:.0f} % of the utterances are excluded from a fold on average, because "
            "their speaker is in one part and their sentence in another",
        )
    return ()


def _require_speakers_apart(folds: Sequence[Fold], utterances: Sequence[Utterance]) -> None:
    """Raise if a speaker is in two sessions and therefore in two parts."""
    speakers = {row.id: row.speaker for row in utterances if row.speaker is not None}
    for fold in folds:
        speakers_of = {
            part: {speakers.get(utterance) for utterance in ids} for part, ids in fold.parts.items()
        }
        for first, second in combinations(PARTS, 2):
            shared = sorted(
                speaker for speaker in speakers_of[first] & speakers_of[second] if speaker
            )
            if shared:
                raise LeakageError(
                    f"{fold.name}: speaker {shared[0]} is in {first} and in {second}, in more than "
                    "one session; correct the manifest, or use protocol speaker"
                )


# At random ----------------------------------------------------------------------------------------


def _at_random(utterances: Sequence[Utterance], protocol: ProtocolConfig, copies: Copies) -> Split:
    """Folds stratified by emotion, ignoring speakers."""
    count = protocol.folds or 5
    require_enough(count, "folds", protocol.validation_units)
    if len(utterances) < count:
        raise ProtocolError(
            f"expected at least {count} utterances for {count} folds, got {len(utterances)}"
        )
    originals = {name: ids[0] for ids in copies.groups for name in ids[1:]}
    deck = _shuffled_by_emotion(
        [row for row in utterances if row.id not in originals], protocol.seed
    )
    fold_of = {utterance: number % count for number, utterance in enumerate(deck)}
    fold_of |= {copy: fold_of[original] for copy, original in originals.items()}
    folds = []
    for number in range(count):
        role = {(number + n) % count: "validation" for n in range(1, protocol.validation_units + 1)}
        role[number] = "test"
        parts: dict[str, list[str]] = {part: [] for part in PARTS}
        for row in utterances:
            parts[role.get(fold_of[row.id], "train")].append(row.id)
        folds.append(Fold(f"random-{number + 1}", *(tuple(parts[part]) for part in PARTS)))
    note = (
        "LEAKY: a random split that does not keep speakers apart; on IEMOCAP this adds about +6.6 "
        "points of WA (arXiv 2111.02735)"
    )
    return Split(protocol, "utterance", tuple(folds), (note,))


def _shuffled_by_emotion(utterances: Sequence[Utterance], seed: int) -> list[str]:
    """Ids ordered by emotion, so that round-robin assignment stratifies the folds."""
    random = Random(seed)
    strata: defaultdict[str, list[str]] = defaultdict(list)
    for row in utterances:
        strata[row.emotion or ""].append(row.id)
    deck = []
    for emotion in sorted(strata):
        ids = sorted(strata[emotion])
        random.shuffle(ids)
        deck += ids
    return deck


# Near-duplicates ----------------------------------------------------------------------------------


def _without_near_duplicates(
    split: Split, utterances: Sequence[Utterance], threshold: float
) -> Split:
    """Drop train and validation utterances with a near-duplicate in test."""
    sentences = units_by_id(utterances, "sentence")
    near = near_duplicates(sentences.values(), threshold)
    emotions = {row.id: row.emotion for row in utterances}
    folds, notes = [], []
    for fold in split.folds:
        tested = {sentences[utterance] for utterance in fold.test} - {""}
        banned = tested.union(*(near[text] for text in tested))
        train, validation = (
            tuple(utterance for utterance in ids if sentences[utterance] not in banned)
            for ids in (fold.train, fold.validation)
        )
        thinner = replace(fold, train=train, validation=validation)
        _require_classes(fold, thinner, emotions, split.protocol)
        folds.append(thinner)
        notes.append(
            f"{fold.name}: {len(fold.train) - len(train)} of {len(fold.train)} train and "
            f"{len(fold.validation) - len(validation)} of {len(fold.validation)} validation "
            f"utterances dropped, near-duplicates of a test transcript (word Jaccard >= "
            f"{threshold:g})"
        )
    return replace(split, folds=tuple(folds), notes=(*split.notes, *notes))


def _require_classes(
    before: Fold, after: Fold, emotions: Mapping[str, str | None], protocol: ProtocolConfig
) -> None:
    dropping = f"{before.name}: drop_near_duplicates {protocol.drop_near_duplicates:g}"
    advice = "; all speakers share the same sentences"
    if protocol.name == "speaker":
        advice += ": use protocol speaker-sentence, which is disjoint in both"
    for part in ("train", "validation"):
        if before.parts[part] and not after.parts[part]:
            raise ProtocolError(
                f"{dropping} leaves no {part} utterance of {len(before.parts[part])}{advice}"
            )
    lost = {emotions[utterance] for utterance in before.train} - {
        emotions[utterance] for utterance in after.train
    }
    if lost:
        names = ", ".join(sorted(str(name) for name in lost))
        raise ProtocolError(
            f"{dropping} leaves no {names} in train; raise the value, or set it to null"
        )


def _as_published(
    utterances: Sequence[Utterance], protocol: ProtocolConfig, copies: Copies
) -> Split:
    """The folds are given: assert_no_leakage refuses copies in them."""
    return split_as_published(utterances, protocol)


def _as_given(utterances: Sequence[Utterance], protocol: ProtocolConfig, copies: Copies) -> Split:
    """The parts are given in the same way."""
    return split_as_given(utterances, protocol)


_MAKERS: dict[str, Callable[[Sequence[Utterance], ProtocolConfig, Copies], Split]] = {
    **dict.fromkeys(AXES, _by_unit),
    "sentence": _by_sentence,
    "published": _as_published,
    "published-leaky": _as_published,
    "given": _as_given,
    "given-leaky": _as_given,
    "random-leaky": _at_random,
}
