"""Synthetic recordings: the voices of examples/speak.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile

from tests.laws import REPOSITORY


def spoken(path: Path, mood: str = "anger", seconds: float = 3.0) -> Path:
    """A synthetic voice of the given duration, as 16-bit WAV."""
    speak = speaking()
    samples = np.resize(speak.speak(speak.MOODS[mood]), int(seconds * speak.RATE))
    soundfile.write(path, samples, speak.RATE, subtype="PCM_16")
    return path


def speaking() -> ModuleType:
    """The script, as a module."""
    name = "speak_of_the_tests"
    if name not in sys.modules:
        path = REPOSITORY / "examples" / "speak.py"
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules[name])
    return sys.modules[name]
