"""What the parts of a fold share: speakers, sessions, dialogs, transcripts.

Nothing here decides how a split is made; it measures one, says what it found in plain text, and
refuses a split that leaks what its protocol promises to keep apart. Unknown is never zero.

The leakage report: what it holds, and how it reads as plain text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phonemo.config import ProtocolConfig
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.groups import unit_of
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.transcripts import near_duplicates
from phonemo.errors import LeakageError, ProtocolError

#: Sentences of this many words whose sets of words are this near (Jaccard) are near-duplicates.
NEAR = 0.6
NEAR_WORDS = 4


@dataclass(frozen=True)
class PartSize:
    """Size of a part and how many utterances it has of each emotion ("unlabelled" included)."""

    utterances: int
    emotions: dict[str, int]


@dataclass(frozen=True)
class Shared:
    """Values of one field that two parts of a fold have in common.

    A pair is None where one of its parts does not know the field of any utterance; ``unknown``
    counts the utterances without it, in whatever part, so that () with unknown > 0 proves nothing.
    """

    train_validation: tuple[str, ...] | None
    train_test: tuple[str, ...] | None
    validation_test: tuple[str, ...] | None
    unknown: int


@dataclass(frozen=True)
class TranscriptOverlap:
    """How many test utterances repeat a sentence of train; of those whose transcript is known.

    Near-duplicates are looked for among utterances of four or more words, and there an identical
    sentence counts as near too.
    """

    known: int
    exact: int
    long: int
    near: int

    @property
    def exact_share(self) -> float | None:
        """Share of the test utterances whose sentence occurs in train; None if none is known."""
        return self.exact / self.known if self.known else None

    @property
    def near_share(self) -> float | None:
        """The same for near-duplicates among the longer utterances."""
        return self.near / self.long if self.long else None


@dataclass(frozen=True)
class FoldLeakage:
    """One fold: its parts, and what they share."""

    name: str
    train: PartSize
    validation: PartSize
    test: PartSize
    speakers: Shared
    sessions: Shared
    dialogs: Shared
    sentences: Shared
    repeats: TranscriptOverlap


@dataclass(frozen=True)
class LeakageReport:
    """A whole split, fit for ``dataclasses.asdict`` and JSON."""

    protocol: str
    unit: str
    notes: tuple[str, ...]
    utterances: int
    folds: tuple[FoldLeakage, ...]


def lines(report: LeakageReport) -> list[str]:
    """The report as text: two tables with a row for each fold, then notes and warnings."""
    return [
        f"protocol {report.protocol}: {len(report.folds)} folds by {report.unit} of "
        f"{report.utterances} utterances",
        "",
        "shared by train and test / validation and test / train and validation:",
        *_table([_SHARED_HEAD, *(_shared_row(fold) for fold in report.folds)]),
        "",
        "utterances of each emotion in train / validation / test:",
        *_table(_balance(report.folds)),
        "",
        *(f"note: {note}" for note in report.notes if not note.startswith("LEAKY")),
        *(f"warning: {text}" for text in warnings(report)),
    ]


def warnings(report: LeakageReport) -> list[str]:
    """What the reader of a result from this split must know, a sentence each."""
    return [
        *(note for note in report.notes if note.startswith("LEAKY")),
        *_speaker_warnings(report.folds),
        *_dialog_warnings(report.folds),
        *_sentence_warnings(report.folds),
        *_class_warnings(report.folds),
    ]


_REPORT_FIELDS = ("speakers", "sessions", "dialogs", "sentences")
_SHARED_HEAD = ["fold", *_REPORT_FIELDS, "test said in train", "nearly said"]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _shared_row(fold: FoldLeakage) -> list[str]:
    cells = [_shared_cell(getattr(fold, field)) for field in _REPORT_FIELDS]
    shares = (fold.repeats.exact_share, fold.repeats.near_share)
    return [fold.name, *cells, *("unknown" if one is None else _percent(one) for one in shares)]


def _shared_cell(shared: Shared) -> str:
    pairs = (shared.train_test, shared.validation_test, shared.train_validation)
    if all(pair is None for pair in pairs):
        return "unknown"
    text = " / ".join("?" if pair is None else str(len(pair)) for pair in pairs)
    return f"{text} ({shared.unknown} unknown)" if shared.unknown else text


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _balance(folds: Sequence[FoldLeakage]) -> list[list[str]]:
    parts = [(fold.train, fold.validation, fold.test) for fold in folds]
    emotions = sorted({name for three in parts for part in three for name in part.emotions})
    rows = [["fold", *emotions, "all"]]
    for fold, three in zip(folds, parts, strict=True):
        counts = [[part.emotions.get(name, 0) for part in three] for name in emotions]
        counts.append([part.utterances for part in three])
        rows.append([fold.name, *(" / ".join(map(str, cell)) for cell in counts)])
    return rows


def _speaker_warnings(folds: Sequence[FoldLeakage]) -> list[str]:
    found = [fold.speakers for fold in folds]
    most = max(len(shared.train_test or ()) for shared in found)
    unknown = max(shared.unknown for shared in found)
    texts = []
    if most:
        texts.append(f"train and test share up to {most} speakers in a fold")
    if unknown:
        texts.append(f"up to {unknown} utterances in a fold have no speaker: a leak may hide there")
    return texts


def _dialog_warnings(folds: Sequence[FoldLeakage]) -> list[str]:
    most = max(len(fold.dialogs.train_test or ()) for fold in folds)
    if not most:
        return []
    return [
        f"train and test share up to {most} dialogs in a fold, one partner in each: protocol "
        "session keeps them apart"
    ]


def _sentence_warnings(folds: Sequence[FoldLeakage]) -> list[str]:
    """Pooled over the folds."""
    repeats = TranscriptOverlap(
        known=sum(fold.repeats.known for fold in folds),
        exact=sum(fold.repeats.exact for fold in folds),
        long=sum(fold.repeats.long for fold in folds),
        near=sum(fold.repeats.near for fold in folds),
    )
    exact, near = repeats.exact_share, repeats.near_share
    texts = []
    if exact is None:
        texts.append("no test utterance has a transcript: whether train says the same is unknown")
    elif exact > 0:
        texts.append(
            f"{_percent(exact)} of test utterances share their sentence with train: a phoneme "
            "head can learn the script; compare with protocol sentence or speaker-sentence"
        )
    if near and near > (exact or 0):
        texts.append(
            f"{_percent(near)} of test utterances of {NEAR_WORDS} or more words have a "
            f"near-duplicate in train (word Jaccard >= {NEAR}): protocol.drop_near_duplicates "
            "leaves those out of train"
        )
    return texts


def _class_warnings(folds: Sequence[FoldLeakage]) -> list[str]:
    texts = []
    for fold in folds:
        lost = sorted(fold.test.emotions.keys() - fold.train.emotions.keys())
        if lost:
            texts.append(f"{fold.name}: test has {', '.join(lost)}, which train has not")
    thin = [fold.name for fold in folds if fold.train.emotions.keys() - fold.validation.emotions]
    if thin:
        texts.append(
            f"validation lacks an emotion of train in {len(thin)} of {len(folds)} folds "
            f"({thin[0]} for example): raise protocol.validation_units for a steadier choice of "
            "the epoch"
        )
    return texts


__all__ = [
    "FORBIDDEN",
    "NEAR",
    "NEAR_WORDS",
    "FoldLeakage",
    "LeakageReport",
    "PartSize",
    "Shared",
    "TranscriptOverlap",
    "assert_no_leakage",
    "lines",
    "measure_leakage",
]


def measure_leakage(utterances: Sequence[Utterance], split: Split) -> LeakageReport:
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


def assert_no_leakage(report: LeakageReport, protocol: ProtocolConfig) -> None:
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
        repeats=_transcript_overlap(fold, values["sentences"], near),
    )


def _part(ids: Sequence[str], rows: Mapping[str, Utterance]) -> PartSize:
    counts = Counter(rows[one].emotion or "unlabelled" for one in ids)
    return PartSize(utterances=len(ids), emotions=dict(sorted(counts.items())))


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


def _transcript_overlap(
    fold: Fold, sentences: Mapping[str, str], near: Mapping[str, frozenset[str]]
) -> TranscriptOverlap:
    """``near`` knows every sentence of four or more words."""
    said = {sentences[one] for one in fold.train if one in sentences}
    tested = [sentences[one] for one in fold.test if one in sentences]
    return TranscriptOverlap(
        known=len(tested),
        exact=sum(text in said for text in tested),
        long=sum(text in near for text in tested),
        near=sum(text in near and (text in said or bool(near[text] & said)) for text in tested),
    )
