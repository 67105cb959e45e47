"""Recordings for the page that the project made itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile

from tests.laws import REPOSITORY


def spoken(path: Path, mood: str = "anger", seconds: float = 3.0) -> Path:
    """A synthetic voice of so many seconds, as 16-bit WAV."""
    speak = _speak()
    samples = np.resize(speak.speak(speak.MOODS[mood]), int(seconds * speak.RATE))
    soundfile.write(path, samples, speak.RATE, subtype="PCM_16")
    return path


def _speak() -> ModuleType:
    name = "speak_of_the_page"
    if name not in sys.modules:
        place = REPOSITORY / "examples" / "speak.py"
        specification = importlib.util.spec_from_file_location(name, place)
        assert specification is not None
        assert specification.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules[name])
    return sys.modules[name]
