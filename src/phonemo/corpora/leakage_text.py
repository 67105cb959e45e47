"""Format a leakage report as text: tables with a row per fold, then notes and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from phonemo.corpora.copies.groups import list_some
from phonemo.corpora.leakage import (
    NEAR,
    NEAR_WORDS,
    FoldLeakage,
    LeakageReport,
    Shared,
    TranscriptOverlap,
)

__all__ = ["copy_warnings", "lines", "warnings"]


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
        *copy_warnings(report),
        *_sentence_warnings(report.folds),
        *_class_warnings(report.folds),
    ]


_REPORT_FIELDS = ("speakers", "sessions", "dialogs", "sentences", "recordings")
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


def copy_warnings(report: LeakageReport) -> list[str]:
    """Warnings about copies and near-copies of recordings."""
    copies, texts = report.copies, []
    unread = max(fold.recordings.unknown for fold in report.folds)
    if copies.compared and unread:
        texts.append(
            f"up to {unread} recordings in a fold are silent or cannot be decoded: copies of them "
            "are unknown"
        )
    if not copies.compared:
        texts.append("the recordings were not compared: copies in train and test are unknown")
    shared = [fold.recordings.train_test or () for fold in report.folds]
    if largest := max(map(len, shared)):
        some = list_some(next(values for values in shared if len(values) == largest))
        texts.append(f"train and test share up to {largest} recordings in a fold: {some}")
    if copies.same:
        texts.append(f"{len(copies.same)} recordings have copies: {list_some(copies.same)}")
    if copies.contradictory:
        some = list_some(copies.contradictory)
        texts.append(f"{len(copies.contradictory)} of them with different emotions: {some}")
    if copies.near:
        texts.append(
            f"{len(copies.near)} pairs of near-copies, {copies.leaking_near} of them in test and "
            f"another part of a fold: {list_some(copies.near)}; keep one of each pair"
        )
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
