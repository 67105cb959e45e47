"""Something fitted anew for every fold and asked about its test part, without a trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phonemo.config import ProtocolConfig
from phonemo.corpora.folds import Split
from phonemo.corpora.leakage import assert_no_leakage, measure_leakage
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.splits import make_split
from phonemo.errors import LabelError
from phonemo.labels import LabelSet

Rows = list[int]
#: Rows to learn from and rows to answer for -> one class index for each of the latter.
Learner = Callable[[Rows, Rows], NDArray[np.int64]]


@dataclass(frozen=True)
class FoldTask:
    """What is told apart, and on which folds."""

    utterances: tuple[Utterance, ...]
    labels: LabelSet
    truth: NDArray[np.int64]
    """Class index of each utterance."""
    split: Split


@dataclass(frozen=True)
class FoldPredictions:
    """Of every tested utterance, folds pooled."""

    utterances: tuple[Utterance, ...]
    truth: NDArray[np.int64]
    given: NDArray[np.int64]

    def of_style(self, style: str) -> FoldPredictions:
        """Those of scripted or of improvised speech alone."""
        rows = [number for number, one in enumerate(self.utterances) if one.style == style]
        return FoldPredictions(
            tuple(self.utterances[n] for n in rows), self.truth[rows], self.given[rows]
        )


def select_utterances(
    manifest: Manifest, names: Sequence[str], protocol: ProtocolConfig
) -> list[Utterance]:
    """The utterances that have an emotion, or one of these, in the protocol's style.

    Raises:
        LabelError: an emotion that none has.
    """
    known = {one.emotion for one in manifest.utterances if one.emotion}
    strays = [name for name in names if name not in known]
    if strays:
        found = ", ".join(sorted(known)) or "none"
        raise LabelError(f"{manifest.path}: no utterance is {strays[0]!r}; found: {found}")
    return [
        one
        for one in manifest.utterances
        if one.emotion in (names or known) and protocol.style in (None, one.style)
    ]


def make_task(
    manifest: Manifest, utterances: Sequence[Utterance], protocol: ProtocolConfig
) -> FoldTask:
    """Divide utterances that have an emotion.

    Raises:
        LabelError: fewer than two emotions.
        LeakageError: the protocol lets speakers through.
        ProtocolError: the data cannot be divided so.
    """
    found = sorted({one.emotion for one in utterances if one.emotion})
    if len(found) < 2:
        known = sorted({one.emotion for one in manifest.utterances if one.emotion})
        raise LabelError(
            f"{manifest.path}: at least two emotions are wanted; found {', '.join(known) or 'none'}"
        )
    split = make_split(utterances, protocol)
    assert_no_leakage(measure_leakage(utterances, split), protocol)
    labels = LabelSet(tuple(found))
    truth = np.array([labels.index(one.emotion or "") for one in utterances])
    return FoldTask(tuple(utterances), labels, truth, split)


def cross_val_predict(task: FoldTask, learner: Learner) -> FoldPredictions:
    """Truth and answers of every tested utterance, folds pooled.

    Nothing is selected, so each fold's validation part is learnt from too.

    Raises:
        LabelError: a training part has a single emotion.
    """
    places = {one.id: number for number, one in enumerate(task.utterances)}
    given = np.full(len(task.truth), -1)
    for fold in task.split.folds:
        learn = [places[one] for one in (*fold.train, *fold.validation)]
        test = [places[one] for one in fold.test]
        if len(set(task.truth[learn].tolist())) < 2:
            raise LabelError(
                f"fold {fold.name}: all it could learn from has one emotion; more data, or another "
                "protocol, is wanted"
            )
        given[test] = learner(learn, test)
    tested = np.flatnonzero(given >= 0)
    utterances = tuple(task.utterances[number] for number in tested)
    return FoldPredictions(utterances, task.truth[tested], given[tested])
