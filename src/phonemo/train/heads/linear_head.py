"""The linear emotion head: fitting, and the training statistics that profiles need.

The head is a logistic regression on the vectors of a trained network, which stays unchanged. The
problem is convex, so the result does not depend on epochs or seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from phonemo.errors import ModelError
from phonemo.evaluation.calibration import (
    UNCALIBRATED,
    Floats,
    TemperatureScaling,
    calibrate_grouped,
)
from phonemo.model.heads import LinearHead, Standardise
from phonemo.model.losses import ABSENT
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.train.calibrate import speakers_of
from phonemo.train.dataset import SpeechDataset
from phonemo.train.evaluate import outputs_of

#: Default shrinkage of a pool's statistics.
SHRINKAGE = {"k_mean": 5.0, "k_spread": 20.0, "em_iterations": 10}
_RADIUS = "radius"


def keep_reference(
    model: PhonemoForAudioClassification,
    class_means: Any,
    radius: float = np.inf,
    **shrinkage: float,
) -> None:
    """Write class means and shrinkage into a network, from which folder and bundle get them.

    Args:
        model: has a linear head.
        class_means: (emotion, feature), of standardized vectors; zeros without an example.
        radius: see phonemo.runtime.adaptation.statistics.Reference.
        **shrinkage: values that differ from ``SHRINKAGE``.

    Raises:
        ModelError: another head, or means of another shape.
    """
    head = model.head
    if not isinstance(head, LinearHead):
        raise ModelError(
            "expected a linear head for class means, got another; set model.head=linear"
        )
    means = torch.as_tensor(np.asarray(class_means), dtype=torch.float32)
    if means.shape != head.linear.weight.shape:
        expected = tuple(head.linear.weight.shape)
        raise ModelError(f"expected class means of shape {expected}, got {tuple(means.shape)}")
    head.class_means = means.to(head.linear.weight.device)
    head.radius = None if np.isinf(radius) else float(radius)  # JSON has no infinity
    adaptation = {**SHRINKAGE, **(model.config.adaptation or {}), **shrinkage}
    model.config.adaptation = {**adaptation, _RADIUS: head.radius}


def reference_of(model: PhonemoForAudioClassification) -> Reference | None:
    """Return a network's reference; None for a network that does not support profiles."""
    head, adaptation = model.head, model.config.adaptation
    if adaptation is None or not isinstance(head, LinearHead) or head.class_means is None:
        return None
    standardise: Standardise = head.standardise
    tensors = {
        "centre": standardise.centre,
        "spread": standardise.spread,
        "class_means": head.class_means,
        "weight": head.linear.weight,
        "bias": head.linear.bias,
    }
    arrays: dict[str, Any] = {
        name: tensor.detach().cpu().double().numpy() for name, tensor in tensors.items()
    }
    return Reference(
        **arrays,
        k_mean=float(adaptation["k_mean"]),
        k_spread=float(adaptation["k_spread"]),
        em_iterations=int(adaptation["em_iterations"]),
        radius=np.inf if head.radius is None else head.radius,
    )


def keep_head(model: PhonemoForAudioClassification, reference: Reference) -> None:
    """Write a reference into a network: its linear head, class means and shrinkage.

    Args:
        model: has a linear head of the same width and emotions.
        reference: in the space of the network's vectors.

    Raises:
        ModelError: another head, or a reference of another shape.
    """
    keep_reference(
        model,
        reference.class_means,
        reference.radius,
        k_mean=reference.k_mean,
        k_spread=reference.k_spread,
        em_iterations=reference.em_iterations,
    )
    head = model.head
    assert isinstance(head, LinearHead)
    pairs = (
        (head.standardise.centre, reference.centre),
        (head.standardise.spread, reference.spread),
        (head.linear.weight, reference.weight),
        (head.linear.bias, reference.bias),
    )
    with torch.no_grad():
        for tensor, values in pairs:
            tensor.copy_(torch.from_numpy(values))


#: Far more than the solver needs.
_MOST_STEPS = 5000
#: Added to the logit of an emotion that is never predicted.
_NEVER = -30.0
#: Folds over speakers, for calibration.
_PARTS = 5


def fit_head(
    model: PhonemoForAudioClassification,
    training: SpeechDataset,
    inverse_penalty: float,
    batch_size: int,
) -> TemperatureScaling:
    """Standardize the emotion head's input and fit its weights, with an L2 penalty.

    Args:
        model: has a linear head, which is overwritten.
        training: the data, without augmentation; utterances without an emotion are skipped.
        inverse_penalty: C of scikit-learn's LogisticRegression.
        batch_size: utterances processed at once.

    Returns:
        The calibration, from heads cross-validated over speakers.
    """
    assert isinstance(model.head, LinearHead)
    outputs = outputs_of(model, training, batch_size, timed=False)
    assert outputs.vectors is not None
    known = outputs.labels != ABSENT
    vectors, labels = outputs.vectors[known].numpy(), outputs.labels[known].numpy()
    pipeline = fitted(vectors, labels, inverse_penalty)
    _write(model.head, pipeline)
    emotions = len(training.targets.labels)
    keep_reference(model, class_means(pipeline[0].transform(vectors), labels, emotions))
    labeled = [
        utterance
        for utterance, is_known in zip(training.utterances, known.tolist(), strict=True)
        if is_known
    ]
    return _cross_calibrate(vectors, labels, speakers_of(labeled), emotions, inverse_penalty)


def fitted(vectors: Any, labels: Any, inverse_penalty: float) -> Any:
    """Fit a pipeline on features (utterance, feature): scaler, then logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    classifier = LogisticRegression(C=inverse_penalty, max_iter=_MOST_STEPS)
    with threadpool_limits(1):  # more threads are slower for products this small
        return make_pipeline(StandardScaler(), classifier).fit(vectors, labels)


def class_means(standardised: Any, labels: Any, emotions: int) -> Floats:
    """Return the mean vector of each emotion, (emotion, feature); zeros without an example."""
    means = np.zeros((emotions, standardised.shape[1]))
    for emotion in np.unique(labels):
        means[emotion] = standardised[labels == emotion].mean(axis=0)
    return means


def _write(head: LinearHead, pipeline: Any) -> None:
    scaler, classifier = pipeline
    standardise, linear = head.standardise, head.linear
    with torch.no_grad():
        standardise.centre.copy_(torch.from_numpy(scaler.mean_))
        standardise.spread.copy_(torch.from_numpy(scaler.scale_))
        # an emotion without an example has zero weights and is never predicted
        linear.weight.zero_()
        linear.bias.fill_(float(np.min(classifier.intercept_)) + _NEVER)
        rows = torch.from_numpy(classifier.classes_)
        linear.weight[rows] = torch.from_numpy(_row_per_class(classifier.coef_)).float()
        linear.bias[rows] = torch.from_numpy(_row_per_class(classifier.intercept_)).float()


def _cross_calibrate(
    vectors: Any, labels: Any, speakers: Sequence[str], emotions: int, inverse_penalty: float
) -> TemperatureScaling:
    """Fit temperature and threshold on cross-validated logits, split by speaker."""
    from sklearn.model_selection import GroupKFold

    groups = min(_PARTS, len(set(speakers)))
    if groups < 2:
        return UNCALIBRATED
    logits = np.full((len(labels), emotions), _NEVER)
    for train_rows, test_rows in GroupKFold(groups).split(vectors, labels, speakers):
        if len(set(labels[train_rows].tolist())) < 2:
            return UNCALIBRATED
        pipeline = fitted(vectors[train_rows], labels[train_rows], inverse_penalty)
        logits[np.ix_(test_rows, pipeline.classes_)] = _logits(pipeline, vectors[test_rows])
    return calibrate_grouped(logits, labels, speakers)


def _logits(pipeline: Any, vectors: Any) -> Floats:
    """Return (utterance, emotion) for the fitted emotions; for two, halves of the one logit."""
    decision = pipeline.decision_function(vectors)
    logits: Floats = decision if decision.ndim == 2 else np.stack([-decision, decision], axis=1) / 2
    return logits


def _row_per_class(values: Any) -> Any:
    """Expand scikit-learn's single row for two classes: halved, with either sign."""
    return np.concatenate([-values, values]) / 2 if len(values) == 1 else values
