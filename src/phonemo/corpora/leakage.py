"""Measure which speakers, sessions, dialogs, transcripts and recordings the parts of a fold share.

The report is plain data, which leakage_text.py formats. A split that shares what its protocol keeps
apart is rejected. Unknown values are never counted as zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phonemo.config import ProtocolConfig
from phonemo.corpora.copies.groups import (
    MOST_LISTED,
    NO_COPIES,
    Copies,
    NearCopy,
)
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.groups import unit_of
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.transcripts import near_duplicates
from phonemo.errors import LeakageError, ProtocolError

#: Near-duplicates: sentences of at least NEAR_WORDS words with a word Jaccard index of NEAR.
NEAR = 0.6
NEAR_WORDS = 4


@dataclass(frozen=True)
class PartSize:
    """Number of utterances of a part, in total and per emotion (including "unlabelled")."""

    utterances: int
    emotions: dict[str, int]


@dataclass(frozen=True)
class Shared:
    """Values of one field that two parts of a fold have in common.

    A pair is None if the field is unknown for all utterances of one part. ``unknown`` counts the
    utterances of all parts without the field, so () with unknown > 0 does not prove separation.
    """

    train_validation: tuple[str, ...] | None
    train_test: tuple[str, ...] | None
    validation_test: tuple[str, ...] | None
    unknown: int


@dataclass(frozen=True)
class TranscriptOverlap:
    """Number of test utterances with a known transcript that repeat a sentence of train.

    Near-duplicates are searched among utterances of four or more words; identical sentences count
    as near-duplicates there.
    """

    known: int
    exact: int
    long: int
    near: int

    @property
    def exact_share(self) -> float | None:
        """Fraction of test utterances whose sentence occurs in train; None if none is known."""
        return self.exact / self.known if self.known else None

    @property
    def near_share(self) -> float | None:
        """Fraction of the longer test utterances with a near-duplicate in train."""
        return self.near / self.long if self.long else None


@dataclass(frozen=True)
class FoldLeakage:
    """The parts of one fold and what they share."""

    name: str
    train: PartSize
    validation: PartSize
    test: PartSize
    speakers: Shared
    sessions: Shared
    dialogs: Shared
    sentences: Shared
    recordings: Shared
    """A value names the files with the same samples; unknown if the audio was not compared."""
    repeats: TranscriptOverlap


@dataclass(frozen=True)
class LeakageReport:
    """The leakage of a split, serializable with ``dataclasses.asdict``."""

    protocol: str
    unit: str
    notes: tuple[str, ...]
    utterances: int
    folds: tuple[FoldLeakage, ...]
    copies: CopyReport


@dataclass(frozen=True)
class CopyReport:
    """Copies and near-copies among the utterances of all folds, as text."""

    compared: bool
    """Whether any recording was compared with another."""
    same: tuple[str, ...]
    """Files with the same samples."""
    contradictory: tuple[str, ...]
    """Those with different emotions."""
    near: tuple[str, ...]
    """Pairs of near-copies, and the first fold that has one in test and one in another part."""
    leaking_near: int
    """Number of such pairs."""


__all__ = [
    "FORBIDDEN",
    "NEAR",
    "NEAR_WORDS",
    "CopyReport",
    "FoldLeakage",
    "LeakageReport",
    "PartSize",
    "Shared",
    "TranscriptOverlap",
    "assert_no_leakage",
    "measure_leakage",
]


def measure_leakage(
    utterances: Sequence[Utterance], split: Split, copies: Copies = NO_COPIES
) -> LeakageReport:
    """Measure every fold of a split.

    Args:
        utterances: the utterances.
        split: their folds.
        copies: the copies among them; without any, recordings are unknown.

    Raises:
        ProtocolError: the split contains an utterance that is not in ``utterances``.
    """
    rows = {row.id: row for row in utterances}
    for fold in split.folds:
        _require_known(fold, rows)
    values = {name: _values_by_id(utterances, get) for name, get in _FIELDS.items()}
    values["recordings"] = copies.titles()
    near = near_duplicates(values["sentences"].values(), NEAR, NEAR_WORDS)
    return LeakageReport(
        protocol=split.protocol.name,
        unit=split.unit,
        notes=split.notes,
        utterances=len(utterances),
        folds=tuple(_measure_fold(fold, rows, values, near) for fold in split.folds),
        copies=_copy_report(rows, split.folds, copies),
    )


def assert_no_leakage(report: LeakageReport, protocol: ProtocolConfig) -> None:
    """Raise if test shares recordings, or what the protocol keeps apart, with another part.

    Recordings that were not compared are no error.

    Raises:
        LeakageError: it does, or the field is unknown for some utterances.
    """
    for fold in report.folds:
        for field in FORBIDDEN[protocol.name]:
            _forbid_shared(fold.name, field, getattr(fold, field), protocol.name)


#: Protocol -> fields of FoldLeakage that test must not share with another part. For session, known
#: speakers are checked too.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "speaker": ("speakers", "recordings"),
    "session": ("sessions", "speakers", "recordings"),
    "sentence": ("sentences", "recordings"),
    "speaker-sentence": ("speakers", "sentences", "recordings"),
    "published": ("speakers", "recordings"),
    "published-leaky": (),
    "given": ("speakers", "recordings"),
    "given-leaky": (),
    "random-leaky": (),
}

_FIELDS: dict[str, Callable[[Utterance], str | None]] = {
    "speakers": lambda row: row.speaker,
    "sessions": lambda row: row.session,
    "dialogs": lambda row: row.dialog,
    "sentences": lambda row: unit_of(row, "sentence"),
}


def _forbid_shared(fold: str, field: str, shared: Shared, protocol: str) -> None:
    for part, values in (("train", shared.train_test), ("validation", shared.validation_test)):
        if values:
            raise LeakageError(
                f"{fold}: {part} and test share {len(values)} {field}, such as "
                f"{', '.join(map(repr, values[:MOST_LISTED]))}, which protocol {protocol} forbids; "
                f"{_REMEDIES.get(field, _NEW_SPLIT)}"
            )
    required = (protocol, field) != ("session", "speakers") and field != "recordings"
    if shared.unknown and required:
        raise LeakageError(
            f"{fold}: {shared.unknown} utterances have no known {field[:-1]}, so leakage of "
            f"{field} cannot be checked; fill them in the manifest, or use a leaky protocol"
        )


_NEW_SPLIT = "make the split with phonemo.corpora.splits, or use a leaky protocol"
_REMEDIES = {"recordings": "these files have the same samples: remove the copies from the manifest"}


def _copy_report(
    rows: Mapping[str, Utterance], folds: Sequence[Fold], copies: Copies
) -> CopyReport:
    titles, groups = copies.titles(), copies.groups
    emotions = [{rows[name].emotion for name in ids if name in rows} for ids in groups]
    parts = [
        (fold.name, {name: part for part, ids in fold.parts.items() for name in ids})
        for fold in (folds if copies.near else ())
    ]
    leaks = {pair: _leaking_fold(pair, parts) for pair in copies.near}
    return CopyReport(
        compared=bool(titles),
        same=tuple(titles[ids[0]] for ids in groups),
        contradictory=tuple(
            titles[ids[0]] for ids, names in zip(groups, emotions, strict=True) if len(names) > 1
        ),
        near=tuple(
            f"{copies.pair(pair.first, pair.second)} ({100 * pair.bit_errors:.3g} % of bits differ"
            f"{f'; {fold}' if fold else ''})"
            for pair, fold in sorted(leaks.items(), key=lambda item: item[1] is None)
        ),
        leaking_near=sum(fold is not None for fold in leaks.values()),
    )


def _leaking_fold(pair: NearCopy, parts: Sequence[tuple[str, Mapping[str, str]]]) -> str | None:
    """The first fold that has one of a pair in test and the other in another part."""
    for fold, part_of in parts:
        roles = {part_of.get(pair.first), part_of.get(pair.second)}
        if len(roles) == 2 and "test" in roles and None not in roles:
            other = next(role for role in roles if role != "test")
            return f"{other} and test of {fold}"
    return None


def _require_known(fold: Fold, rows: Mapping[str, Utterance]) -> None:
    unknown = [
        utterance for ids in fold.parts.values() for utterance in ids if utterance not in rows
    ]
    if unknown:
        raise ProtocolError(
            f"{fold.name}: {len(unknown)} utterances of the split are not in the manifest, "
            f"such as {unknown[0]}; make the split from this manifest"
        )


def _values_by_id(
    utterances: Sequence[Utterance], get: Callable[[Utterance], str | None]
) -> dict[str, str]:
    """Utterance id -> value, for utterances that have one."""
    pairs = ((row.id, get(row)) for row in utterances)
    return {utterance: value for utterance, value in pairs if value is not None}


def _measure_fold(
    fold: Fold,
    rows: Mapping[str, Utterance],
    values: Mapping[str, Mapping[str, str]],
    near: Mapping[str, frozenset[str]],
) -> FoldLeakage:
    return FoldLeakage(
        name=fold.name,
        train=_part_size(fold.train, rows),
        validation=_part_size(fold.validation, rows),
        test=_part_size(fold.test, rows),
        speakers=_shared_values(fold, values["speakers"]),
        sessions=_shared_values(fold, values["sessions"]),
        dialogs=_shared_values(fold, values["dialogs"]),
        sentences=_shared_values(fold, values["sentences"]),
        recordings=_shared_values(fold, values["recordings"]),
        repeats=_transcript_overlap(fold, values["sentences"], near),
    )


def _part_size(ids: Sequence[str], rows: Mapping[str, Utterance]) -> PartSize:
    counts = Counter(rows[utterance].emotion or "unlabelled" for utterance in ids)
    return PartSize(utterances=len(ids), emotions=dict(sorted(counts.items())))


def _shared_values(fold: Fold, values: Mapping[str, str]) -> Shared:
    by_part = {
        part: {values[utterance] for utterance in ids if utterance in values}
        for part, ids in fold.parts.items()
    }

    def common(first: str, second: str) -> tuple[str, ...] | None:
        if not by_part[first] or not by_part[second]:
            return None
        return tuple(sorted(by_part[first] & by_part[second]))

    return Shared(
        train_validation=common("train", "validation"),
        train_test=common("train", "test"),
        validation_test=common("validation", "test"),
        unknown=sum(utterance not in values for ids in fold.parts.values() for utterance in ids),
    )


def _transcript_overlap(
    fold: Fold, sentences: Mapping[str, str], near: Mapping[str, frozenset[str]]
) -> TranscriptOverlap:
    """Compare test with train; ``near`` has every sentence of four or more words as a key."""
    trained = {sentences[utterance] for utterance in fold.train if utterance in sentences}
    tested = [sentences[utterance] for utterance in fold.test if utterance in sentences]
    return TranscriptOverlap(
        known=len(tested),
        exact=sum(text in trained for text in tested),
        long=sum(text in near for text in tested),
        near=sum(
            text in near and (text in trained or bool(near[text] & trained)) for text in tested
        ),
    )
