"""Which rated dimensions of a manifest fine-tuning learns, and their settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.corpora.manifest import DIMENSIONS, Manifest
from phonemo.files import loads_json
from phonemo.train.model_folder import LABELS

#: A dimension with fewer ratings is not learned.
FEWEST_RATINGS = 20


def rated_dimensions(manifest: Manifest) -> tuple[list[str], list[str]]:
    """Return the dimensions with enough ratings that vary, and notes about the others."""
    names, notes = [], []
    for name in DIMENSIONS:
        values = [row.dimensions[name] for row in manifest.utterances if name in row.dimensions]
        if not values:
            continue
        if len(values) < FEWEST_RATINGS:
            notes.append(f"{name} is left out: {len(values)} ratings, fewer than {FEWEST_RATINGS}")
        elif np.ptp(values) == 0:
            notes.append(f"{name} is left out: all {len(values)} ratings are the same")
        else:
            names.append(name)
    return names, notes


def dimension_settings(names: Sequence[str]) -> dict[str, Any]:
    """The model settings that add these dimensions; none without any."""
    return {"dimensions": {"names": list(names)}} if names else {}


def start_emotions(folder: Path) -> list[str]:
    """The emotions of a model folder; none of a bare backbone."""
    try:
        return [str(name) for name in loads_json((folder / LABELS).read_bytes())["names"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # loading the network reports the error
