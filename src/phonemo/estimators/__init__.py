"""phonemo as scikit-learn estimators."""

from __future__ import annotations

from phonemo.estimators.classifier import EmotionClassifier, ReadyEmotionClassifier
from phonemo.estimators.embedding import SpeechEmbedding
from phonemo.estimators.standardizer import SourceStandardizer

__all__ = ["EmotionClassifier", "ReadyEmotionClassifier", "SourceStandardizer", "SpeechEmbedding"]
