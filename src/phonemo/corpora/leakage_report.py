"""The leakage report: what it holds, and how it reads as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Sentences of this many words whose sets of words are this near (Jaccard) are near-duplicates.
NEAR = 0.6
NEAR_WORDS = 4


@dataclass(frozen=True)
class Part:
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
class Repeats:
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
    train: Part
    validation: Part
    test: Part
    speakers: Shared
    sessions: Shared
    dialogs: Shared
    sentences: Shared
    repeats: Repeats


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


_FIELDS = ("speakers", "sessions", "dialogs", "sentences")
_SHARED_HEAD = ["fold", *_FIELDS, "test said in train", "nearly said"]


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
    cells = [_shared_cell(getattr(fold, field)) for field in _FIELDS]
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
    repeats = Repeats(
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
