"""phonemo as scikit-learn estimators."""

from __future__ import annotations

from phonemo.estimators.classifier import EmotionClassifier, ReadyEmotionClassifier
from phonemo.estimators.embedding import SpeechEmbedding

__all__ = ["EmotionClassifier", "ReadyEmotionClassifier", "SpeechEmbedding"]
