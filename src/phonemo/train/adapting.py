"""What a trained network knows of its training sources, for profiles of other ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from phonemo.errors import ModelError
from phonemo.model.heads import LinearHead, Standardise
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.adaptation import Reference

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
        radius: of phonemo.runtime.adaptation.Reference.
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
