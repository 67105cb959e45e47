"""Measure which speakers, sessions, dialogs and transcripts the parts of a fold share.

The report is plain data or text. A split that shares what its protocol keeps apart is rejected.
Unknown values are never counted as zero.
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
    repeats: TranscriptOverlap


@dataclass(frozen=True)
class LeakageReport:
    """The leakage of a split, serializable with ``dataclasses.asdict``."""

    protocol: str
    unit: str
    notes: tuple[str, ...]
    utterances: int
    folds: tuple[FoldLeakage, ...]


def lines(report: LeakageReport) -> list[str]:
    """Format the report as text: two tables with a row per fold, then notes and warnings."""
    return [
        f"protocol {report.protocol}: {len(report.folds)} folds by {report.unit} of "
        f"{report.utterances} utterances",
        "",
        "shared by train and test / validation and test / train and validation:",
        *_table([_SHARED_HEAD, *(_shared_row(fold) for fold in report.folds)]),
        "",
        "utterances of each emotion in train / validation / test:",
        *_table(_class_table(report.folds)),
        "",
        *(f"note: {note}" for note in report.notes if not note.startswith("LEAKY")),
        *(f"warning: {text}" for text in warnings(report)),
    ]


def warnings(report: LeakageReport) -> list[str]:
    """Warnings to report with any result of this split, one sentence each."""
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
    """Align the first column left and the others right, two spaces apart."""
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
    return [
        fold.name,
        *cells,
        *("unknown" if share is None else _percent(share) for share in shares),
    ]


def _shared_cell(shared: Shared) -> str:
    pairs = (shared.train_test, shared.validation_test, shared.train_validation)
    if all(pair is None for pair in pairs):
        return "unknown"
    text = " / ".join("?" if pair is None else str(len(pair)) for pair in pairs)
    return f"{text} ({shared.unknown} unknown)" if shared.unknown else text


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _class_table(folds: Sequence[FoldLeakage]) -> list[list[str]]:
    parts = [(fold.train, fold.validation, fold.test) for fold in folds]
    emotions = sorted({name for three in parts for part in three for name in part.emotions})
    rows = [["fold", *emotions, "all"]]
    for fold, three in zip(folds, parts, strict=True):
        counts = [[part.emotions.get(name, 0) for part in three] for name in emotions]
        counts.append([part.utterances for part in three])
        rows.append([fold.name, *(" / ".join(map(str, cell)) for cell in counts)])
    return rows


def _speaker_warnings(folds: Sequence[FoldLeakage]) -> list[str]:
    speakers = [fold.speakers for fold in folds]
    largest = max(len(shared.train_test or ()) for shared in speakers)
    unknown = max(shared.unknown for shared in speakers)
    texts = []
    if largest:
        texts.append(f"train and test share up to {largest} speakers in a fold")
    if unknown:
        texts.append(f"up to {unknown} utterances in a fold have no speaker and may leak")
    return texts


def _dialog_warnings(folds: Sequence[FoldLeakage]) -> list[str]:
    largest = max(len(fold.dialogs.train_test or ()) for fold in folds)
    if not largest:
        return []
    return [
        f"train and test share up to {largest} dialogs in a fold, one partner in each: protocol "
        "session keeps them apart"
    ]


def _sentence_warnings(folds: Sequence[FoldLeakage]) -> list[str]:
    repeats = TranscriptOverlap(
        known=sum(fold.repeats.known for fold in folds),
        exact=sum(fold.repeats.exact for fold in folds),
        long=sum(fold.repeats.long for fold in folds),
        near=sum(fold.repeats.near for fold in folds),
    )
    exact, near = repeats.exact_share, repeats.near_share
    texts = []
    if exact is None:
        texts.append("no test utterance has a transcript: overlap with train is unknown")
    elif exact > 0:
        texts.append(
            f"{_percent(exact)} of test utterances share their sentence with train: a phoneme "
            "head can memorize the script; compare with protocol sentence or speaker-sentence"
        )
    if near and near > (exact or 0):
        texts.append(
            f"{_percent(near)} of test utterances of {NEAR_WORDS} or more words have a "
            f"near-duplicate in train (word Jaccard >= {NEAR}): protocol.drop_near_duplicates "
            "removes those from train"
        )
    return texts


def _class_warnings(folds: Sequence[FoldLeakage]) -> list[str]:
    texts = []
    for fold in folds:
        lost = sorted(fold.test.emotions.keys() - fold.train.emotions.keys())
        if lost:
            texts.append(f"{fold.name}: test has {', '.join(lost)}, which train lacks")
    thin = [fold.name for fold in folds if fold.train.emotions.keys() - fold.validation.emotions]
    if thin:
        texts.append(
            f"validation lacks an emotion of train in {len(thin)} of {len(folds)} folds "
            f"(such as {thin[0]}): raise protocol.validation_units for a more stable choice of the "
            "epoch"
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
        ProtocolError: the split contains an utterance that is not in ``utterances``.
    """
    rows = {row.id: row for row in utterances}
    for fold in split.folds:
        _require_known(fold, rows)
    values = {name: _values_by_id(utterances, get) for name, get in _FIELDS.items()}
    near = near_duplicates(values["sentences"].values(), NEAR, NEAR_WORDS)
    return LeakageReport(
        protocol=split.protocol.name,
        unit=split.unit,
        notes=split.notes,
        utterances=len(utterances),
        folds=tuple(_measure_fold(fold, rows, values, near) for fold in split.folds),
    )


def assert_no_leakage(report: LeakageReport, protocol: ProtocolConfig) -> None:
    """Raise if test shares with train or validation what the protocol keeps apart.

    Raises:
        LeakageError: it does, or the field is unknown for some utterances.
    """
    for fold in report.folds:
        for field in FORBIDDEN[protocol.name]:
            _forbid_shared(fold.name, field, getattr(fold, field), protocol.name)


#: Protocol -> fields of FoldLeakage that test must not share with another part. For session, known
#: speakers are checked too.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "speaker": ("speakers",),
    "session": ("sessions", "speakers"),
    "sentence": ("sentences",),
    "speaker-sentence": ("speakers", "sentences"),
    "published": ("speakers",),
    "published-leaky": (),
    "given": ("speakers",),
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
                f"{fold}: {part} and test share {len(values)} {field}, such as {values[0]!r}, "
                f"which protocol {protocol} forbids; make the split with phonemo.corpora.splits, "
                "or use a leaky protocol"
            )
    if shared.unknown and (protocol, field) != ("session", "speakers"):
        raise LeakageError(
            f"{fold}: {shared.unknown} utterances have no known {field[:-1]}, so leakage of "
            f"{field} cannot be checked; fill them in the manifest, or use a leaky protocol"
        )


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
