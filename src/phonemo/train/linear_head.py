"""What a trained network knows of its training sources, for profiles of other ones.

The emotion head as a logistic regression: convex, so that no epoch and no seed decides.

Fitted on what a finished network makes of the training part; everything below stays as it is.
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

#: How much a pool is trusted where nothing was chosen yet.
SHRINKAGE = {"k_mean": 5.0, "k_spread": 20.0, "em_iterations": 10}
_RADIUS = "radius"


def keep_reference(
    model: PhonemoForAudioClassification,
    class_means: Any,
    radius: float = np.inf,
    **shrinkage: float,
) -> None:
    """Write class means and shrinkage into a network, from where its folder and bundle get them.

    Args:
        model: with a linear head.
        class_means: (emotion, feature), of standardised vectors; zeros without an example.
        radius: of phonemo.runtime.adaptation.statistics.Reference.
        **shrinkage: those of ``SHRINKAGE`` that are not the usual ones.

    Raises:
        ModelError: another head, or means of another shape.
    """
    head = model.head
    if not isinstance(head, LinearHead):
        raise ModelError("class means belong to a linear head; set model.head=linear")
    means = torch.as_tensor(np.asarray(class_means), dtype=torch.float32)
    if means.shape != head.linear.weight.shape:
        expected = tuple(head.linear.weight.shape)
        raise ModelError(f"class means of shape {tuple(means.shape)}, {expected} is expected")
    head.class_means = means.to(head.linear.weight.device)
    head.radius = None if np.isinf(radius) else float(radius)  # JSON has no infinity
    known = {**SHRINKAGE, **(model.config.adaptation or {}), **shrinkage}
    model.config.adaptation = {**known, _RADIUS: head.radius}


def reference_of(model: PhonemoForAudioClassification) -> Reference | None:
    """The reference of a network; None for one that takes no profile."""
    head, known = model.head, model.config.adaptation
    if known is None or not isinstance(head, LinearHead) or head.class_means is None:
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
        name: one.detach().cpu().double().numpy() for name, one in tensors.items()
    }
    return Reference(
        **arrays,
        k_mean=float(known["k_mean"]),
        k_spread=float(known["k_spread"]),
        em_iterations=int(known["em_iterations"]),
        radius=np.inf if head.radius is None else head.radius,
    )


def keep_head(model: PhonemoForAudioClassification, reference: Reference) -> None:
    """Write a whole reference into a network: its linear head, class means and shrinkage.

    Args:
        model: with a linear head of the same width and emotions.
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


#: The solver ends long before.
_MOST_STEPS = 5000
#: Added to the logit of an emotion that is never answered.
_NEVER = -30.0
#: Parts that speakers are put into, to calibrate on those that a head has not learnt from.
_PARTS = 5


def fit_head(
    model: PhonemoForAudioClassification,
    training: SpeechDataset,
    inverse_penalty: float,
    batch_size: int,
) -> TemperatureScaling:
    """Standardise what the emotion head reads and fit its weights, with an L2 penalty.

    Args:
        model: with a linear head, which is overwritten.
        training: what to learn from, unchanged by augmentation; without an emotion it is left out.
        inverse_penalty: C of scikit-learn's LogisticRegression.
        batch_size: utterances heard at once.

    Returns:
        How sure its answers are, from heads like it that had not learnt from the speaker.
    """
    assert isinstance(model.head, LinearHead)
    found = outputs_of(model, training, batch_size, timed=False)
    assert found.vectors is not None
    known = found.labels != ABSENT
    vectors, labels = found.vectors[known].numpy(), found.labels[known].numpy()
    pipeline = fitted(vectors, labels, inverse_penalty)
    _write(model.head, pipeline)
    emotions = len(training.targets.labels)
    keep_reference(model, class_means(pipeline[0].transform(vectors), labels, emotions))
    said = [one for one, has in zip(training.utterances, known.tolist(), strict=True) if has]
    return _crosswise(vectors, labels, speakers_of(said), emotions, inverse_penalty)


def fitted(vectors: Any, labels: Any, inverse_penalty: float) -> Any:
    """Features (utterance, feature) standardised, then a logistic regression: a pipeline."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    classifier = LogisticRegression(C=inverse_penalty, max_iter=_MOST_STEPS)
    with threadpool_limits(1):  # products this small are slower on more
        return make_pipeline(StandardScaler(), classifier).fit(vectors, labels)


def class_means(standardised: Any, labels: Any, emotions: int) -> Floats:
    """The mean vector of every emotion, (emotion, feature); zeros without an example."""
    means = np.zeros((emotions, standardised.shape[1]))
    for emotion in np.unique(labels):
        means[emotion] = standardised[labels == emotion].mean(axis=0)
    return means


def _write(head: LinearHead, pipeline: Any) -> None:
    """The fitted weights into the head."""
    scaler, classifier = pipeline
    standardise, linear = head.standardise, head.linear
    with torch.no_grad():
        standardise.centre.copy_(torch.from_numpy(scaler.mean_))
        standardise.spread.copy_(torch.from_numpy(scaler.scale_))
        # an emotion without an example keeps no weights and is never answered
        linear.weight.zero_()
        linear.bias.fill_(float(np.min(classifier.intercept_)) + _NEVER)
        rows = torch.from_numpy(classifier.classes_)
        linear.weight[rows] = torch.from_numpy(_both(classifier.coef_)).float()
        linear.bias[rows] = torch.from_numpy(_both(classifier.intercept_)).float()


def _crosswise(
    vectors: Any, labels: Any, speakers: Sequence[str], emotions: int, inverse_penalty: float
) -> TemperatureScaling:
    """Temperature and threshold from heads that each left some speakers out, all in turn."""
    from sklearn.model_selection import GroupKFold

    groups = min(_PARTS, len(set(speakers)))
    if groups < 2:
        return UNCALIBRATED
    logits = np.full((len(labels), emotions), _NEVER)
    for learn, test in GroupKFold(groups).split(vectors, labels, speakers):
        if len(set(labels[learn].tolist())) < 2:
            return UNCALIBRATED
        pipeline = fitted(vectors[learn], labels[learn], inverse_penalty)
        logits[np.ix_(test, pipeline.classes_)] = _logits(pipeline, vectors[test])
    return calibrate_grouped(logits, labels, speakers)


def _logits(pipeline: Any, vectors: Any) -> Floats:
    """(utterance, emotion) for the emotions that were learnt; of two, halves of the one."""
    found = pipeline.decision_function(vectors)
    logits: Floats = found if found.ndim == 2 else np.stack([-found, found], axis=1) / 2
    return logits


def _both(values: Any) -> Any:
    """Of two classes scikit-learn gives one row, the second's; halved, it serves for both."""
    return np.concatenate([-values, values]) / 2 if len(values) == 1 else values
