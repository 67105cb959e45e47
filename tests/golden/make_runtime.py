"""Makes the golden files of the runtime: python -m tests.golden.make_runtime (no torch).

They hold what the Python runtime computes from small inputs; the packages for JavaScript and C++
must compute the same. runtime/README.md describes every file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.annotations.doubt import with_doubt
from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment
from phonemo.audio.frames import FrameGrid
from phonemo.audio.levels import LevelMeter, boost_quiet
from phonemo.errors import PhonemoError
from phonemo.evaluation.calibration import flattened, log_softmax, softmax
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import (
    Reference,
    Statistics,
    affine,
    estimate,
    moments,
    shrink_towards,
)
from phonemo.runtime.parts.dimensions import derived_reader, trained_reader
from phonemo.runtime.phonemes.alignment import align, decode_phonemes, time_phonemes
from phonemo.runtime.phonemes.attribution import add_attribution, frames_within
from phonemo.runtime.timeline import Timeline, WindowScore
from phonemo.runtime.vad import CHUNK_SAMPLES, EnergyVad, VadTrack
from phonemo.runtime.windows import SlidingWindows
from tests.golden.make_runtime_decoding import decoding
from tests.golden.runtime_signals import RATE, SIGNALS

FOLDER = Path(__file__).resolve().parent / "runtime"
GRID = FrameGrid(720, 320)
Floats = npt.NDArray[np.float64]


def signals() -> Any:
    """The recordings."""
    return {name: signal.to_dict() for name, signal in SIGNALS.items()}


def levels() -> Any:
    """Amplification of quiet clips, and warnings."""
    names = ("field", "second", "quiet", "faint", "silence", "constant", "dc", "clipped", "noise")
    return [_level(name) for name in names]


def _level(name: str) -> dict[str, Any]:
    samples = SIGNALS[name].make()
    meter = LevelMeter()
    meter.update_raw(samples[:, None])
    meter.update_mono(samples)
    boosted = boost_quiet(samples)
    middle = len(samples) // 2
    return {
        "signal": name,
        "deviation": float(samples.std(dtype=np.float64)),
        "boosted": boosted is not samples,
        "middle": boosted[middle : middle + 4].astype(float).tolist(),
        "warnings": list(meter.warnings(truncated=False)),
    }


#: Signals, and how many samples arrive at once; 0 is a clip that is known as a whole.
_VAD = [
    (name, size)
    for name in ("three_seconds", "quiet", "whisper", "silence", "dc", "noise", "whole")
    for size in (0, 16_000, 777)
]


def vad() -> Any:
    """Voice activity in chunks of 512 samples."""
    return [_activity(*case) for case in _VAD]


def _activity(name: str, size: int) -> dict[str, Any]:
    samples = SIGNALS[name].make()
    if size:
        track = VadTrack(EnergyVad())
        for first in range(0, len(samples), size):
            track.push(samples[first : first + size])
    else:
        track = VadTrack.of_clip(EnergyVad(), samples)
    start, end = len(samples) // 3, 2 * len(samples) // 3
    extent = track.extent(start, end)
    return {
        "signal": name,
        "piece": size,
        "flags": "".join(map(str, track.flags)),
        "share": track.share(0, len(samples)),
        "part": [start, end],
        "seconds": track.seconds(start, end),
        "extent": None if extent is None else list(extent),
    }


def windows() -> Any:
    """First sample and length of every window."""
    lengths = (1, 400, 47_999, 48_000, 48_001, 72_000, 72_001, 479_840, 480_160, 1_520_000)
    cases = [(samples, 3.0, piece) for samples in lengths for piece in (samples, 16_000, 777)]
    return [_cut(*case) for case in [*cases, (100_000, 0.5, 3_000), (100_000, 1.0001, 3_000)]]


def _cut(samples: int, seconds: float, piece: int) -> dict[str, Any]:
    cutter, zeros = SlidingWindows(seconds), np.zeros(samples, np.float32)
    found = []
    for first in range(0, samples, piece):
        found += list(cutter.push(zeros[first : first + piece]))
    found += list(cutter.finish())
    return {
        "samples": samples,
        "window_seconds": seconds,
        "piece": piece,
        "hop": cutter.hop,
        "windows": [[window.start, len(window.samples)] for window in found],
    }


def timeline() -> Any:
    """Segments from window scores and voice activity."""
    labels = ("anger", "neutral", "sadness")
    return [_merge(seed, labels) for seed in range(12)]


def _merge(seed: int, labels: Sequence[str]) -> dict[str, Any]:
    draws = np.random.default_rng(seed)
    samples = int(draws.integers(30_000, 700_000))
    track = VadTrack(EnergyVad())
    track.flags = bytearray(_runs(draws, samples // CHUNK_SAMPLES))
    hop = 24_000
    starts = range(0, max(1, samples - 2 * hop + 1), hop)
    line = Timeline(labels, hop, track.extent, dimensions=derived_reader(labels))
    rows, steps = [], []
    for start in starts:
        weight = track.seconds(start, min(start + 2 * hop, samples))
        scores = softmax(draws.normal(0, 1.5, len(labels))).round(6) if weight >= 0.25 else None
        rows.append(None if scores is None else {"scores": scores.tolist(), "weight": weight})
        closed = line.add(None if scores is None else WindowScore(scores, weight))
        steps.append([segment.to_dict() for segment in closed])
    steps.append([segment.to_dict() for segment in line.finish(samples)])
    flags = "".join(map(str, track.flags))
    return {
        "labels": list(labels),
        "hop": hop,
        "samples": samples,
        "flags": flags,
        "windows": rows,
        "closed": steps,
    }


def _runs(draws: np.random.Generator, chunks: int) -> list[int]:
    flags: list[int] = []
    while len(flags) < chunks:
        flags += [len(flags) % 2 if draws.random() < 0.2 else 1] * int(draws.integers(5, 90))
        flags += [0] * int(draws.integers(2, 70))
    return flags[:chunks]


def alignment() -> Any:
    """CTC: decoded and aligned phonemes, and their samples."""
    cases = [_decoded(seed) for seed in range(8)]
    return {"grid": {"field_samples": 720, "hop_samples": 320}, "cases": cases}


def _posteriors(seed: int) -> Floats:
    """Peaky, as CTC's are: blanks between symbols that last some frames."""
    draws = np.random.default_rng(100 + seed)
    frames, symbols = int(draws.integers(1, 90)), 5
    logits = draws.normal(0, 1, (frames, symbols))
    logits[:, 0] += 2
    for frame in range(int(draws.integers(0, 5)), frames, int(draws.integers(3, 20))):
        logits[frame : frame + int(draws.integers(1, 3)), int(draws.integers(1, symbols))] += 6
    return log_softmax(logits.round(4))


def _decoded(seed: int) -> dict[str, Any]:
    scores = _posteriors(seed).round(8)
    samples = (len(scores) - 1) * 320 + 720 + seed * 37
    decoded = decode_phonemes(scores)
    said = [phoneme.symbol for phoneme in decoded][::2] or [1]
    aligned = align(scores, said)
    return {
        "log_posteriors": scores.tolist(),
        "samples": samples,
        "decoded": [_frames(phoneme) for phoneme in decoded],
        "said": said,
        "aligned": [_frames(phoneme) for phoneme in aligned],
        "timed": {
            rule: [_times(one) for one in time_phonemes(decoded, scores, GRID, samples, rule=rule)]
            for rule in ("posterior", "midpoint", "spike")
        },
        "timed_aligned": [_times(one) for one in time_phonemes(aligned, scores, GRID, samples)],
    }


def _frames(one: Any) -> list[Any]:
    return [one.symbol, one.first, one.last, one.confidence]


def _times(one: Any) -> list[Any]:
    return [one.symbol, one.start_sample, one.end_sample]


def attribution() -> Any:
    """Frames of phonemes, and their shares by a head that is a softmax of a mean."""
    return [_shares(seed) for seed in range(5)]


def _shares(seed: int) -> dict[str, Any]:
    draws = np.random.default_rng(200 + seed)
    frames = int(draws.integers(4, 40))
    features = draws.normal(0, 2, (frames, 3)).round(4)
    edges = np.sort(draws.uniform(0, frames * 0.02 + 0.05, 2 * int(draws.integers(1, 6)))).round(4)
    if seed == 0:
        edges = np.array([0.0, 10.0])
    spans = [PhonemeSpan("a", *pair, 0.5) for pair in edges.reshape(-1, 2).tolist()]

    def decide(kept: npt.NDArray[np.bool_]) -> Floats:
        counts = np.maximum(kept.sum(axis=1, keepdims=True), 1)
        return softmax(kept.astype(np.float64) @ features / counts)

    kept = frames_within(spans, GRID, frames)
    return {
        "features": features.tolist(),
        "spans": edges.reshape(-1, 2).tolist(),
        "frames": [np.flatnonzero(row).tolist() for row in kept],
        "shares": [span.share for span in add_attribution(spans, decide, GRID, frames, 3)],
    }


def calibration() -> Any:
    """Temperature, flattened logits, log-softmax."""
    draws = np.random.default_rng(300)
    cases = []
    for radius, temperature in ((np.inf, 1.0), (2.0, 1.0), (0.8, 1.5), (0.1, 4.566387)):
        logits, vector = draws.normal(0, 4, 4).round(4), draws.normal(0, 1, 6).round(4)
        flat = flattened(logits, vector, radius)
        cases.append(
            {
                "logits": logits.tolist(),
                "standardized": vector.tolist(),
                "radius": None if np.isinf(radius) else radius,
                "temperature": temperature,
                "flattened": flat.tolist(),
                "scores": softmax(flat / temperature).tolist(),
                "log_softmax": log_softmax(flat).tolist(),
            }
        )
    return cases


def _reference() -> Reference:
    draws = np.random.default_rng(400)
    emotions, width = 3, 5

    def values(*shape: int) -> Floats:
        return draws.normal(0, 1, shape).astype(np.float32).astype(np.float64)

    spread = np.abs(values(width)) + np.float64(np.float32(0.25))
    spread = spread.astype(np.float32).astype(np.float64)
    parts = (values(width), spread, values(emotions, width), values(emotions, width))
    return Reference(*parts, values(emotions), 2.0, 8.0, 10, 1.5)


def adaptation() -> Any:
    """Statistics of a pool, shrunk and as a map, and the profile."""
    reference = _reference()
    names = ("centre", "spread", "class_means", "weight", "bias")
    arrays = {name: getattr(reference, name).tolist() for name in names}
    numbers = {name: getattr(reference, name) for name in ("k_mean", "k_spread", "radius")}
    known = {**arrays, **numbers, "em_iterations": 10, "digest": reference.digest}
    cases = [_pool(reference, count) for count in (1, 2, 4, 5, 6, 40)]
    return {"reference": known, "cases": cases, "invalid": _invalid_profiles(reference)}


def _pool(reference: Reference, count: int) -> dict[str, Any]:
    draws = np.random.default_rng(500 + count)
    vectors = (draws.normal(0.7, 1.8, (count, 5))).astype(np.float32).astype(np.float64)
    found = estimate(vectors, reference)
    profile = Profile.of(found, 1.25 * count, reference)
    source = shrink_towards(profile.statistics, reference)
    mapped = affine(source, reference)
    return {
        "vectors": vectors.tolist(),
        "moments": _statistics(moments(vectors, reference)),
        "estimate": _statistics(found),
        "profile": profile.to_dict(),
        "mark": profile.mark.to_dict(),
        "shrunk": _statistics(source),
        "twice": _statistics(shrink_towards(found, reference, source)),
        "scale": mapped.scale.tolist(),
        "shift": mapped.shift.tolist(),
        "logits": reference.logits(vectors[0]).tolist(),
        "adapted_logits": reference.logits(vectors[0], mapped).tolist(),
    }


def _statistics(one: Statistics) -> dict[str, Any]:
    return {
        "count": one.count,
        "mean": one.mean.tolist(),
        "deviation": one.deviation.tolist(),
    }


def _invalid_profiles(reference: Reference) -> list[dict[str, Any]]:
    valid = Profile.of(estimate(np.ones((2, 5)), reference), 2.0, reference).to_dict()
    changes: list[dict[str, Any]] = [
        {"format": 2},
        {"format": True},
        {"model": "x"},
        {"model": "0" * 64},
        {"count": 0},
        {"count": 1.5},
        {"seconds": -1},
        {"mean": 3},
        {"mean": []},
        {"mean": [0.0] * 4, "deviation": [1.0] * 4},
        {"mean": [0.0] * 4},
        {"mean": [1e30] * 5},
        {"deviation": [0.0] * 5},
        {"more": 1},
    ]
    return [_fault_of(valid | change, reference) for change in changes]


def _fault_of(data: dict[str, Any], reference: Reference) -> dict[str, Any]:
    try:
        Profile.from_dict(data).check(reference)
    except PhonemoError as error:
        return {"profile": data, "message": str(error)}
    raise AssertionError(f"expected an invalid profile, got {data}")


def dimensions() -> Any:
    """Arousal and valence from scores, or a head's values behind them."""
    draws = np.random.default_rng(600)
    emotions = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")
    cases: list[tuple[tuple[str, ...], tuple[str, ...] | None]] = [
        (emotions, None),
        (("anger", "frustration"), None),
        (("anger", "neutral"), ("arousal", "valence", "dominance")),
    ]
    return [_read(draws, *case) for case in cases]


def _read(
    draws: np.random.Generator, labels: Sequence[str], names: Sequence[str] | None
) -> dict[str, Any]:
    row = softmax(draws.normal(0, 1, len(labels)))
    if names is not None:
        row = np.concatenate([row, [0.25, 1.5, -0.5][: len(names)]])
    reader = derived_reader(labels) if names is None else trained_reader(labels, names)
    return {
        "labels": list(labels),
        "names": None if names is None else list(names),
        "row": row.tolist(),
        "dimensions": None if reader is None else reader.read(row).to_dict(),
    }


def doubt() -> Any:
    """What a prediction says of its own doubt, of some emotions, and of a mixture."""
    return [_doubtful(seed) for seed in range(8)]


def _doubtful(seed: int) -> dict[str, Any]:
    draws = np.random.default_rng(700 + seed)
    labels = ("anger", "neutral", "sadness")
    count = (0, 1, 1, 2, 5, 5, 9, 4)[seed]
    parts = tuple(_segment(draws, labels, 6.0 * n, 6.0 * n + 5.5) for n in range(count))
    whole = _segment(draws, labels, 0.0, 60.0)
    warnings = (("windowed",), ("no_speech",))[seed == 7]
    spans = (PhonemeSpan("a", 0.12345, 0.34567, 0.99999, 0.0123456),)
    found = Prediction(whole.label, whole.scores, 60.0, spans, warnings, parts, 0.61234)
    done = with_doubt(found, 0.6)
    return {
        "threshold": 0.6,
        "given": found.to_dict(spans=True),
        "done": done.to_dict(spans=True),
        "among": done.among(("sadness", "anger")).to_dict(spans=True),
        "top": done.top(2).to_dict(spans=True),
    }


def _segment(
    draws: np.random.Generator, labels: Sequence[str], start: float, end: float
) -> Segment:
    scores = dict(zip(labels, softmax(draws.normal(0, 1.5, len(labels))).tolist(), strict=True))
    return Segment(start, end, max(scores, key=scores.__getitem__), scores)


def resampling() -> Any:
    """What soxr gives for sums of sines within the band; equal within a level, not bit by bit."""
    import soxr

    cases = []
    for rate in (8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000):
        hertz = [210.0, 1_330.0, min(rate, RATE) * 0.41]
        count = rate // 5 + 7
        time = np.arange(count) / rate
        wave = sum(0.3 * np.sin(2 * np.pi * one * time) for one in hertz)
        samples = soxr.resample(np.asarray(wave, np.float32), rate, RATE, quality="HQ")
        cases.append(
            {
                "rate": rate,
                "count": count,
                "hertz": hertz,
                "samples": len(samples),
                "first": 1_200,
                "expected": [round(float(value), 6) for value in samples[1_200:1_400]],
            }
        )
    return {"tolerance_db": -70.0, "cases": cases}


def write(name: str, make: Callable[[], Any]) -> None:
    """Write a file."""
    text = json.dumps(make(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


#: File name -> what makes its content; predictions.json is made by make_runtime_predictions.
FILES: dict[str, Callable[[], Any]] = {
    "signals": signals,
    "levels": levels,
    "vad": vad,
    "windows": windows,
    "timeline": timeline,
    "alignment": alignment,
    "decoding": decoding,
    "attribution": attribution,
    "calibration": calibration,
    "adaptation": adaptation,
    "dimensions": dimensions,
    "doubt": doubt,
    "resampling": resampling,
}


if __name__ == "__main__":
    from tests.golden.make_runtime_predictions import PREDICTIONS

    for name, make in (FILES | PREDICTIONS).items():
        write(name, make)
