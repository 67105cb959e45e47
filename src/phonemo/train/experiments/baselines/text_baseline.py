"""A text-only baseline: a bag of n-grams, without audio.

In corpora where sentences go with emotions (IEMOCAP's scripts), a network that recognizes words
scores without recognizing emotion. The baseline's margin above chance is the part of a result that
the script may explain.
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
from phonemo.train.experiments.baselines.crossvalidation import (
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
    """Scores of the text-only baseline, folds pooled, from 0 to 1."""

    ua: float
    wa: float
    chance_ua: float
    chance_wa: float
    utterances: int
    """Tested utterances with a transcript."""
    wordless: int
    """Utterances skipped because they have no transcript."""
    texts: int
    """Number of distinct texts."""
    styles: dict[str, tuple[float, float]]
    """UA and WA of scripted and improvised speech, if the manifest has styles."""


def text_baseline(
    manifest_path: str | Path, protocol: ProtocolConfig, names: Sequence[str] = ()
) -> ScriptScore:
    """Predict the emotion from the transcripts, on the folds of a protocol.

    Args:
        manifest_path: the data.
        protocol: the split protocol.
        names: the emotions to classify; empty means all of the manifest's.

    Raises:
        CorpusError: no utterance has a transcript.
        PhonemoError: the data does not fit the protocol.
    """
    manifest = read_manifest(manifest_path)
    selected = select_utterances(manifest, names, protocol)
    transcribed = [utterance for utterance in selected if sentence(utterance.transcript or "")]
    if selected and not transcribed:
        raise CorpusError(
            f"{manifest.path}: no utterance has a transcript; prepare the corpus with transcripts"
        )
    task = make_task(manifest, transcribed, protocol)
    texts = [sentence(utterance.transcript or "") for utterance in transcribed]

    def learner(train: Rows, test: Rows) -> NDArray[np.int64]:
        known = [texts[row] for row in train]
        return _predict_texts(known, task.truth[train], [texts[row] for row in test])

    predictions = cross_val_predict(task, learner)
    scores = metrics.score_emotions(predictions.truth, predictions.given, len(task.labels))
    chance = metrics.chance_levels(predictions.truth, len(task.labels))
    return ScriptScore(
        ua=scores.ua,
        wa=scores.wa,
        chance_ua=chance.ua,
        chance_wa=chance.majority_wa,
        utterances=len(predictions.truth),
        wordless=len(selected) - len(transcribed),
        texts=len(set(texts)),
        styles=_by_style(predictions, len(task.labels)),
    )


def _by_style(predictions: FoldPredictions, emotions: int) -> dict[str, tuple[float, float]]:
    parts = {style: predictions.of_style(style) for style in STYLES}
    scores = {
        style: metrics.score_emotions(part.truth, part.given, emotions)
        for style, part in parts.items()
        if part.utterances
    }
    return {style: (score.ua, score.wa) for style, score in scores.items()}


def _predict_texts(
    train: Sequence[str], truth: NDArray[np.int64], test: Sequence[str]
) -> NDArray[np.int64]:
    """Fit vocabulary, weights and classifier on the training texts; predict the test texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    grams = TfidfVectorizer(ngram_range=_NGRAMS, token_pattern=r"\S+", sublinear_tf=True)
    classifier = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=5000)
    predicted: NDArray[np.int64] = make_pipeline(grams, classifier).fit(train, truth).predict(test)
    return predicted
