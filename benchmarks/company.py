"""How far a clip's scores move with its company: alone, in a batch of eight, beside a longer one.

    python benchmarks/company.py

On real clips of phonemo-small, int8 (the bundle in the package) and fp32 (exported here).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import machine, real_clips

from phonemo.annotations.prediction import Prediction
from phonemo.audio import Waveform
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.export.export import export

MODEL, CLIPS = "models/phonemo-small", 48


def main() -> int:
    """The exit status; prints the largest difference of a score for each case."""
    clips = real_clips(CLIPS)
    print(f"{machine()}\nlargest difference of a score on {CLIPS} real clips")
    with tempfile.TemporaryDirectory() as home:
        export(MODEL, Path(home) / "fp32", "fp32")
        models = {"fp32": OnnxRecognizer.load(Path(home) / "fp32"), "int8": OnnxRecognizer.load()}
        for name, model in models.items():
            eight, longer = differences(model, clips)
            print(f"  {name}: in a batch of 8 {eight:.1e}, beside one of 30 s {longer:.1e}")
    return 0


def differences(model: OnnxRecognizer, clips: list[np.ndarray]) -> tuple[float, float]:
    """In a batch of eight as they come, and beside half a minute of speech."""
    alone = [scores(model, [clip])[0] for clip in clips]
    groups = [clips[first : first + 8] for first in range(0, len(clips), 8)]
    together = [row for group in groups for row in scores(model, group)]
    long = np.resize(np.concatenate(clips), 30 * 16_000)
    beside = [scores(model, [clip, long])[0] for clip in clips]
    return (
        max(float(np.abs(one - other).max()) for one, other in zip(alone, together, strict=True)),
        max(float(np.abs(one - other).max()) for one, other in zip(alone, beside, strict=True)),
    )


def scores(model: OnnxRecognizer, clips: list[np.ndarray]) -> list[np.ndarray]:
    """Calibrated probabilities of each clip of those that are asked together."""
    asked = [Waveform(np.asarray(one, np.float32)) for one in clips]
    found = model.predict_together(asked, shares=False, timeline=False)
    return [np.array(list(one.scores.values())) for one in found if isinstance(one, Prediction)]


if __name__ == "__main__":
    sys.exit(main())
