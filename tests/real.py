"""Real speech beside the checkout; tests that need it are skipped if it is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phonemo.audio import load_waveform

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"


def real(name: str) -> Path:
    """A file or folder of the corpora."""
    path = CORPORA / name
    if not path.exists():
        pytest.skip(f"{path} is absent: real speech is not part of the repository")
    return path


def speech(name: str) -> np.ndarray:
    """A recording of the corpora as samples, (sample,)."""
    return load_waveform(real(name)).samples
