"""How much the words alone give away: a bag of n-grams, and no sound.

In corpora where a sentence goes with an emotion (IEMOCAP's scripts), a network that recognises the
words scores without hearing any emotion. What this control scores above chance is the part of a
result that the script may explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phonemo.config import ProtocolConfig
from phonemo.corpora.manifest import STYLES, read_manifest
from phonemo.corpora.transcripts import sentence
from phonemo.errors import CorpusError
from phonemo.evaluation import metrics
from phonemo.train.experiments.crossvalidation import (
    FoldPredictions,
    Rows,
    cross_val_predict,
    make_task,
    select_utterances,
)

#: Words and pairs of words.
_NGRAMS = (1, 2)
#: Inverse penalty; fixed, so that nothing is tuned.
STRENGTH = 1.0


@dataclass(frozen=True)
class ScriptScore:
    """What the words alone score, folds pooled, as shares from 0 to 1."""

    ua: float
    wa: float
    chance_ua: float
    chance_wa: float
    utterances: int
    """Tested, and with words."""
    wordless: int
    """Left out, because nobody wrote down what was said."""
    texts: int
    """Different texts."""
    styles: dict[str, tuple[float, float]]
    """UA and WA of scripted and of improvised speech, where utterances say which they are."""


def text_baseline(
    manifest_path: str | Path, protocol: ProtocolConfig, names: Sequence[str] = ()
) -> ScriptScore:
    """Recognise the emotion from the transcripts, on the folds of a protocol.

    Args:
        manifest_path: the data.
        protocol: how it is divided.
        names: the emotions to tell apart; none means all of the manifest.

    Raises:
        CorpusError: no utterance has a transcript.
        PhonemoError: of the data or the protocol, in one line.
    """
    manifest = read_manifest(manifest_path)
    wanted = select_utterances(manifest, names, protocol)
    spoken = [one for one in wanted if sentence(one.transcript or "")]
    if wanted and not spoken:
        raise CorpusError(
            f"{manifest.path}: no utterance has a transcript; this control needs them"
        )
    task = make_task(manifest, spoken, protocol)
    texts = [sentence(one.transcript or "") for one in spoken]

    def learner(learn: Rows, test: Rows) -> NDArray[np.int64]:
        return _fitted(
            [texts[row] for row in learn], task.truth[learn], [texts[row] for row in test]
        )

    given = cross_val_predict(task, learner)
    found = metrics.score_emotions(given.truth, given.given, len(task.labels))
    chance = metrics.chance_levels(given.truth, len(task.labels))
    return ScriptScore(
        ua=found.ua,
        wa=found.wa,
        chance_ua=chance.ua,
        chance_wa=chance.majority_wa,
        utterances=len(given.truth),
        wordless=len(wanted) - len(spoken),
        texts=len(set(texts)),
        styles=_by_style(given, len(task.labels)),
    )


def _by_style(given: FoldPredictions, emotions: int) -> dict[str, tuple[float, float]]:
    parts = {style: given.of_style(style) for style in STYLES}
    scores = {
        style: metrics.score_emotions(part.truth, part.given, emotions)
        for style, part in parts.items()
        if part.utterances
    }
    return {style: (one.ua, one.wa) for style, one in scores.items()}


def _fitted(
    known: Sequence[str], truth: NDArray[np.int64], asked: Sequence[str]
) -> NDArray[np.int64]:
    """The n-grams of the training part alone make the vocabulary and its weights."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    grams = TfidfVectorizer(ngram_range=_NGRAMS, token_pattern=r"\S+", sublinear_tf=True)
    classifier = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=5000)
    found: NDArray[np.int64] = make_pipeline(grams, classifier).fit(known, truth).predict(asked)
    return found
