"""Cross-validate a classifier on fixed features: fit on each fold, predict its test part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phonemo.config import ProtocolConfig
from phonemo.corpora.copies.digests import Progress
from phonemo.corpora.copies.groups import find_copies
from phonemo.corpora.folds import Split
from phonemo.corpora.leakage import assert_no_leakage, measure_leakage
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.splits import make_split
from phonemo.errors import LabelError
from phonemo.labels import LabelSet

Rows = list[int]
#: (training rows, test rows) -> a class index for each test row.
Learner = Callable[[Rows, Rows], NDArray[np.int64]]


@dataclass(frozen=True)
class FoldTask:
    """A classification task on folds."""

    utterances: tuple[Utterance, ...]
    labels: LabelSet
    truth: NDArray[np.int64]
    """Class index of each utterance."""
    split: Split


@dataclass(frozen=True)
class FoldPredictions:
    """Truth and predicted class indices of the tested utterances, folds pooled."""

    utterances: tuple[Utterance, ...]
    truth: NDArray[np.int64]
    given: NDArray[np.int64]

    def of_style(self, style: str) -> FoldPredictions:
        """Select the utterances of one speaking style, scripted or improvised."""
        rows = [row for row, utterance in enumerate(self.utterances) if utterance.style == style]
        return FoldPredictions(
            tuple(self.utterances[row] for row in rows), self.truth[rows], self.given[rows]
        )


def select_utterances(
    manifest: Manifest, names: Sequence[str], protocol: ProtocolConfig
) -> list[Utterance]:
    """Select utterances in the protocol's style that have an emotion, or one of these emotions.

    Raises:
        LabelError: an emotion that no utterance has.
    """
    known = {row.emotion for row in manifest.utterances if row.emotion}
    unknown = [name for name in names if name not in known]
    if unknown:
        present = ", ".join(sorted(known)) or "none"
        raise LabelError(
            f"{manifest.path}: no utterance has the emotion {unknown[0]!r}; present: {present}"
        )
    return [
        row
        for row in manifest.utterances
        if row.emotion in (names or known) and protocol.style in (None, row.style)
    ]


def make_task(
    manifest: Manifest,
    utterances: Sequence[Utterance],
    protocol: ProtocolConfig,
    progress: Progress | None = None,
) -> FoldTask:
    """Split utterances that have an emotion into folds.

    Args:
        manifest: locates the audio, which is decoded to find copies.
        utterances: its utterances that are classified.
        protocol: the split protocol.
        progress: called with (done, total) recordings.

    Raises:
        LabelError: fewer than two emotions.
        LeakageError: speakers or recordings leak between train and test.
        ProtocolError: the data does not fit the protocol.
    """
    names = sorted({row.emotion for row in utterances if row.emotion})
    if len(names) < 2:
        known = sorted({row.emotion for row in manifest.utterances if row.emotion})
        raise LabelError(
            f"{manifest.path}: expected at least two emotions, got {', '.join(names) or 'none'}; "
            f"the manifest has {', '.join(known) or 'none'}"
        )
    copies = find_copies(manifest, utterances, progress, near=False)
    split = make_split(utterances, protocol, copies)
    assert_no_leakage(measure_leakage(utterances, split, copies), protocol)
    labels = LabelSet(tuple(names))
    truth = np.array([labels.index(row.emotion or "") for row in utterances])
    return FoldTask(tuple(utterances), labels, truth, split)


def cross_val_predict(task: FoldTask, learner: Learner) -> FoldPredictions:
    """Predict every tested utterance, folds pooled.

    Nothing is selected, so the learner is also fitted on each fold's validation part.

    Raises:
        LabelError: a training part has a single emotion.
    """
    rows = {utterance.id: row for row, utterance in enumerate(task.utterances)}
    given = np.full(len(task.truth), -1)
    for fold in task.split.folds:
        train = [rows[name] for name in (*fold.train, *fold.validation)]
        test = [rows[name] for name in fold.test]
        if len(set(task.truth[train].tolist())) < 2:
            raise LabelError(
                f"fold {fold.name}: expected at least two emotions in the training data, got one; "
                "add data or use another protocol"
            )
        given[test] = learner(train, test)
    tested = np.flatnonzero(given >= 0)
    utterances = tuple(task.utterances[row] for row in tested)
    return FoldPredictions(utterances, task.truth[tested], given[tested])
