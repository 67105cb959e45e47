"""What the parts of a fold share: speakers, sessions, dialogs, transcripts.

Nothing here decides how a split is made; it measures one, says what it found in plain text, and
refuses a split that leaks what its protocol promises to keep apart. Unknown is never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from phonemo.config import ProtocolConfig
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.leakage_report import (
    NEAR,
    NEAR_WORDS,
    FoldLeakage,
    LeakageReport,
    Part,
    Repeats,
    Shared,
    lines,
)
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.transcripts import near_duplicates
from phonemo.corpora.units import unit_of
from phonemo.errors import LeakageError, ProtocolError

__all__ = [
    "FORBIDDEN",
    "NEAR",
    "NEAR_WORDS",
    "FoldLeakage",
    "LeakageReport",
    "Part",
    "Repeats",
    "Shared",
    "forbid",
    "lines",
    "measure",
]


def measure(utterances: Sequence[Utterance], split: Split) -> LeakageReport:
    """Measure every fold of a split.

    Raises:
        ProtocolError: the split names an utterance that is not among ``utterances``.
    """
    rows = {row.id: row for row in utterances}
    for fold in split.folds:
        _require_known(fold, rows)
    values = {name: _known(utterances, get) for name, get in _FIELDS.items()}
    near = near_duplicates(values["sentences"].values(), NEAR, NEAR_WORDS)
    return LeakageReport(
        protocol=split.protocol.name,
        unit=split.unit,
        notes=split.notes,
        utterances=len(utterances),
        folds=tuple(_measure_fold(fold, rows, values, near) for fold in split.folds),
    )


def forbid(report: LeakageReport, protocol: ProtocolConfig) -> None:
    """Raise if test shares with train or validation what the protocol's name keeps apart.

    Raises:
        LeakageError: it does, or that cannot be told because the field is unknown.
    """
    for fold in report.folds:
        for field in FORBIDDEN[protocol.name]:
            _forbid_shared(fold.name, field, getattr(fold, field), protocol.name)


#: Protocol -> fields of FoldLeakage that test may share with no other part. For session, the
#: speakers follow where they are known.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "speaker": ("speakers",),
    "session": ("sessions", "speakers"),
    "sentence": ("sentences",),
    "speaker-sentence": ("speakers", "sentences"),
    "published": ("speakers",),
    "published-leaky": (),
    "random-leaky": (),
}

_FIELDS: dict[str, Callable[[Utterance], str | None]] = {
    "speakers": lambda row: row.speaker,
    "sessions": lambda row: row.session,
    "dialogs": lambda row: row.dialog,
    "sentences": lambda row: unit_of(row, "sentence"),
}


def _forbid_shared(fold: str, field: str, shared: Shared, protocol: str) -> None:
    for part, found in (("train", shared.train_test), ("validation", shared.validation_test)):
        if found:
            raise LeakageError(
                f"{fold}: {part} and test share {len(found)} {field}, {found[0]!r} for example, "
                f"which protocol {protocol} forbids; make the split with phonemo.corpora.splits, "
                "or name a leaky protocol"
            )
    if shared.unknown and (protocol, field) != ("session", "speakers"):
        raise LeakageError(
            f"{fold}: {shared.unknown} utterances have no known {field[:-1]}, so whether {field} "
            "leak cannot be told; fill them in the manifest, or name a leaky protocol"
        )


def _require_known(fold: Fold, rows: Mapping[str, Utterance]) -> None:
    strays = [one for ids in fold.parts.values() for one in ids if one not in rows]
    if strays:
        raise ProtocolError(
            f"{fold.name}: {len(strays)} utterances of the split are not in the manifest, "
            f"{strays[0]} for example; make the split from this manifest"
        )


def _known(
    utterances: Sequence[Utterance], get: Callable[[Utterance], str | None]
) -> dict[str, str]:
    """Utterance id -> value, for those that have one."""
    found = ((row.id, get(row)) for row in utterances)
    return {one: value for one, value in found if value is not None}


def _measure_fold(
    fold: Fold,
    rows: Mapping[str, Utterance],
    values: Mapping[str, Mapping[str, str]],
    near: Mapping[str, frozenset[str]],
) -> FoldLeakage:
    return FoldLeakage(
        name=fold.name,
        train=_part(fold.train, rows),
        validation=_part(fold.validation, rows),
        test=_part(fold.test, rows),
        speakers=_shared(fold, values["speakers"]),
        sessions=_shared(fold, values["sessions"]),
        dialogs=_shared(fold, values["dialogs"]),
        sentences=_shared(fold, values["sentences"]),
        repeats=_repeats(fold, values["sentences"], near),
    )


def _part(ids: Sequence[str], rows: Mapping[str, Utterance]) -> Part:
    counts = Counter(rows[one].emotion or "unlabelled" for one in ids)
    return Part(utterances=len(ids), emotions=dict(sorted(counts.items())))


def _shared(fold: Fold, values: Mapping[str, str]) -> Shared:
    found = {
        part: {values[one] for one in ids if one in values} for part, ids in fold.parts.items()
    }

    def common(one: str, other: str) -> tuple[str, ...] | None:
        if not found[one] or not found[other]:
            return None
        return tuple(sorted(found[one] & found[other]))

    return Shared(
        train_validation=common("train", "validation"),
        train_test=common("train", "test"),
        validation_test=common("validation", "test"),
        unknown=sum(one not in values for ids in fold.parts.values() for one in ids),
    )


def _repeats(
    fold: Fold, sentences: Mapping[str, str], near: Mapping[str, frozenset[str]]
) -> Repeats:
    """``near`` knows every sentence of four or more words."""
    said = {sentences[one] for one in fold.train if one in sentences}
    tested = [sentences[one] for one in fold.test if one in sentences]
    return Repeats(
        known=len(tested),
        exact=sum(text in said for text in tested),
        long=sum(text in near for text in tested),
        near=sum(text in near and (text in said or bool(near[text] & said)) for text in tested),
    )
