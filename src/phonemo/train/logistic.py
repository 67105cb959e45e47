"""The emotion head as a logistic regression: convex, so that no epoch and no seed decides.

Fitted on what a finished network makes of the training part; everything below stays as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from phonemo.model.heads import LinearHead
from phonemo.model.losses import ABSENT
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.train.batches import SpeechDataset
from phonemo.train.evaluate import outputs_of

#: The solver ends long before.
_MOST_STEPS = 5000


def fit_head(
    model: PhonemoForAudioClassification,
    training: SpeechDataset,
    inverse_penalty: float,
    batch_size: int,
) -> None:
    """Standardise what the emotion head reads and fit its weights, with an L2 penalty.

    Args:
        model: with a linear head, which is overwritten.
        training: what to learn from, unchanged by augmentation; without an emotion it is left out.
        inverse_penalty: C of scikit-learn's LogisticRegression.
        batch_size: utterances heard at once.
    """
    assert isinstance(model.head, LinearHead)
    layers: Any = model.head.layers
    found = outputs_of(model, training, batch_size, timed=False)
    assert found.vectors is not None
    known = found.labels != ABSENT
    vectors, labels = found.vectors[known].numpy(), found.labels[known].numpy()
    scaler, classifier = fitted(vectors, labels, inverse_penalty)
    standardise, _, linear = layers
    with torch.no_grad():
        standardise.centre.copy_(torch.from_numpy(scaler.mean_))
        standardise.spread.copy_(torch.from_numpy(scaler.scale_))
        # an emotion without an example keeps no weights and is never answered
        linear.weight.zero_()
        linear.bias.fill_(float(np.min(classifier.intercept_)) - 30.0)
        rows = torch.from_numpy(classifier.classes_)
        linear.weight[rows] = torch.from_numpy(_both(classifier.coef_)).float()
        linear.bias[rows] = torch.from_numpy(_both(classifier.intercept_)).float()


def fitted(vectors: Any, labels: Any, inverse_penalty: float) -> Any:
    """Features (utterance, feature) standardised, then a logistic regression: a pipeline."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    classifier = LogisticRegression(C=inverse_penalty, max_iter=_MOST_STEPS)
    with threadpool_limits(1):  # products this small are slower on more
        return make_pipeline(StandardScaler(), classifier).fit(vectors, labels)


def _both(values: Any) -> Any:
    """Of two classes scikit-learn gives one row, the second's; halved, it serves for both."""
    return np.concatenate([-values, values]) / 2 if len(values) == 1 else values
