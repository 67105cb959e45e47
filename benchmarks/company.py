"""How much a clip's scores change when it is batched: with seven others, or with a longer clip.

    python benchmarks/company.py

Uses real clips and phonemo-small, int8 (the bundle in the package) and fp32 (exported here).
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
from phonemo.runtime.windows import PLAIN
from phonemo.train.export.export import export

MODEL, CLIPS = "models/phonemo-small", 48


def main() -> int:
    """Print the largest score difference of each case; return the exit status."""
    clips = real_clips(CLIPS)
    print(f"{machine()}\nlargest difference of a score on {CLIPS} real clips")
    with tempfile.TemporaryDirectory() as folder:
        export(MODEL, Path(folder) / "fp32", "fp32")
        models = {"fp32": OnnxRecognizer.load(Path(folder) / "fp32"), "int8": OnnxRecognizer.load()}
        for name, model in models.items():
            eight, longer = differences(model, clips)
            print(f"  {name}: in a batch of 8 {eight:.1e}, next to one of 30 s {longer:.1e}")
    return 0


def differences(model: OnnxRecognizer, clips: list[np.ndarray]) -> tuple[float, float]:
    """Compute the largest differences in batches of eight, and next to 30 s of speech."""
    alone = [scores(model, [clip])[0] for clip in clips]
    groups = [clips[first : first + 8] for first in range(0, len(clips), 8)]
    together = [row for group in groups for row in scores(model, group)]
    long = np.resize(np.concatenate(clips), 30 * 16_000)
    beside = [scores(model, [clip, long])[0] for clip in clips]
    return (
        max(
            float(np.abs(single - other).max())
            for single, other in zip(alone, together, strict=True)
        ),
        max(
            float(np.abs(single - other).max()) for single, other in zip(alone, beside, strict=True)
        ),
    )


def scores(model: OnnxRecognizer, clips: list[np.ndarray]) -> list[np.ndarray]:
    """Compute each clip's calibrated probabilities when predicted in one batch."""
    waveforms = [Waveform(np.asarray(clip, np.float32)) for clip in clips]
    results = model.predict_together(waveforms, PLAIN)
    return [np.array(list(row.scores.values())) for row in results if isinstance(row, Prediction)]


if __name__ == "__main__":
    sys.exit(main())
