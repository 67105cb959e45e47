"""The self-test: the network's output for a synthetic clip must be that of the release.

It shows that the network computes the same on this processor or card. Outputs differ a little
between processors, since int8 products are rounded in another order. Logits are compared, not
scores: the calibration would flatten differences.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from phonemo.audio import RATE
from phonemo.errors import PhonemoError
from phonemo.files import dumps_json, loads_json
from phonemo.runtime.bundle import PACKAGED, packaged, packaged_names
from phonemo.runtime.checks.findings import Finding, Section
from phonemo.runtime.onnx_recognizer import OnnxRecognizer

#: Largest accepted difference of a logit; with all graph optimizations off it is 0.003.
TOLERANCE = 0.3
_SECONDS, _SPEED_SECONDS = 2.0, 5.0
_EXPECTED = "expected_logits.json"


def self_test(device: str = "cpu") -> Section:
    """Run every model that ships on the clip; the default one also for speed.

    Args:
        device: as for ``phonemo.load``.
    """
    findings: dict[str, Finding] = {}
    for name in packaged_names():
        try:
            recognizer = OnnxRecognizer.load(packaged(name), device=device)
            findings["device"] = Finding(recognizer.device)
            findings[name] = _compared(recognizer)
            if name == PACKAGED:
                findings["speed"] = Finding(_speed(recognizer))
        except PhonemoError as error:
            findings[name] = Finding("failed", str(error))
    return Section("self-test", findings)


def clip(seconds: float = _SECONDS) -> npt.NDArray[np.float32]:
    """A deterministic voiced sound in syllables, (sample,) at 16 kHz."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 150 + 40 * np.sin(2 * np.pi * 0.8 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(number * phase) / number for number in range(1, 13))
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 3.5 * time)
    samples: npt.NDArray[np.float32] = (0.1 * voice * syllables).astype(np.float32)
    return samples


def logits_of(recognizer: OnnxRecognizer) -> dict[str, float]:
    """The emotions' logits for the clip, rounded to four decimals."""
    values = recognizer.logits(clip()).emotions
    return {
        name: round(float(value), 4) for name, value in zip(recognizer.labels, values, strict=True)
    }


def digest_of(recognizer: OnnxRecognizer) -> str:
    """SHA-256 of the card, which contains those of all files."""
    return hashlib.sha256(recognizer.card.model_dump_json().encode()).hexdigest()


def expected_logits() -> dict[str, Mapping[str, float]]:
    """Logits by the digest of the model; the file is written by tests/golden/make_self_test.py."""
    text = resources.files(__package__).joinpath(_EXPECTED).read_text(encoding="utf-8")
    content: dict[str, Mapping[str, float]] = loads_json(text)
    return content


def write_expected(target: Path, recognizers: Mapping[str, OnnxRecognizer]) -> None:
    """Write that file for the models that ship."""
    content = {digest_of(one): logits_of(one) for one in recognizers.values()}
    target.write_text(dumps_json(content, indent=1) + "\n", encoding="utf-8")


def _compared(recognizer: OnnxRecognizer) -> Finding:
    expected = expected_logits().get(digest_of(recognizer))
    if expected is None:
        return Finding("runs; no output of this model is known to compare with")
    actual = logits_of(recognizer)
    largest = max(abs(actual[name] - value) for name, value in expected.items())
    if largest <= TOLERANCE:
        return Finding(f"passed, logits within {largest:.4f}")
    return Finding(
        f"failed, logits differ by {largest:.4f}",
        f"expected the logits of the release within {TOLERANCE}, got a difference of "
        f"{largest:.4f}; update onnxruntime, and report this processor or card with "
        "phonemo doctor --json",
    )


def _speed(recognizer: OnnxRecognizer) -> str:
    samples = clip(_SPEED_SECONDS)
    began = perf_counter()
    recognizer.predict(samples, RATE)
    spent = perf_counter() - began
    return f"{_SPEED_SECONDS / spent:.0f} s of audio per second (one run of {_SPEED_SECONDS:g} s)"
