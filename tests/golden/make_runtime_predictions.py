"""The golden files of whole recordings: predictions, streams, errors; used by make_runtime."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from phonemo.errors import AudioError, PhonemoError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from tests.golden.runtime_signals import RATE, SIGNALS
from tests.tiny_bundle import ADAPTABLE, BUNDLE, SHARED

BUNDLES = {folder.name: folder for folder in (BUNDLE, ADAPTABLE, SHARED)}

_SHORT = ("empty", "one", "below_frame", "frame", "below_field", "field", "odd", "second")
_LEVELS = ("quiet", "faint", "whisper", "silence", "constant", "dc", "clipped", "noise")
_LONG = ("below_whole", "whole", "above_whole", "long")

#: Bundle, signal, options.
_CASES: list[tuple[str, str, dict[str, Any]]] = [
    *((BUNDLE.name, name, {"phonemes": True}) for name in (*_SHORT, "three_seconds")),
    *((ADAPTABLE.name, name, {}) for name in (*_SHORT, *_LEVELS, *_LONG)),
    *((SHARED.name, name, {}) for name in ("field", "three_seconds", "above_whole")),
    (ADAPTABLE.name, "above_whole", {"phonemes": True}),
    (ADAPTABLE.name, "below_whole", {"timeline": True}),
    (ADAPTABLE.name, "three_seconds", {"timeline": True, "profile": True}),
    (ADAPTABLE.name, "above_whole", {"profile": True}),
    (SHARED.name, "three_seconds", {"phonemes": True, "profile": True}),
    (ADAPTABLE.name, "three_seconds", {"emotions": ["neutral", "anger"]}),
    (ADAPTABLE.name, "three_seconds", {"emotions": ["Wut", "Neutral"]}),
    (ADAPTABLE.name, "three_seconds", {"emotions": ["anger", "qqqq"]}),
    (ADAPTABLE.name, "three_seconds", {"emotions": ["anger"]}),
    (ADAPTABLE.name, "three_seconds", {"top_k": 1}),
    (BUNDLE.name, "three_seconds", {"phonemes": True, "decoding": "beam-search"}),
    (ADAPTABLE.name, "above_whole", {"decoding": "beam-search"}),
    (SHARED.name, "three_seconds", {"profile": True, "decoding": "beam-search"}),
    (BUNDLE.name, "second", {"decoding": "best-path"}),
    (BUNDLE.name, "second", {"decoding": "language-model"}),
]
#: Bundle, signal, samples pushed at once, options.
_STREAMS: list[tuple[str, str, int, dict[str, Any]]] = [
    (ADAPTABLE.name, "three_seconds", 1_600, {}),
    (ADAPTABLE.name, "below_whole", 48_000, {"phonemes": True}),
    (ADAPTABLE.name, "above_whole", 7_777, {}),
    (ADAPTABLE.name, "above_whole", 16_000, {"profile": True}),
    (ADAPTABLE.name, "long", 16_000, {"adapt": True}),
    (SHARED.name, "silence", 5_000, {}),
    (ADAPTABLE.name, "whisper", 4_096, {}),
    (BUNDLE.name, "empty", 1, {}),
    (BUNDLE.name, "one", 1, {}),
    (ADAPTABLE.name, "three_seconds", 16_000, {"decoding": "beam-search"}),
]


@cache
def recognizer(bundle: str) -> OnnxRecognizer:
    """The opened bundle, with one thread."""
    return OnnxRecognizer.load(BUNDLES[bundle], threads=1)


@cache
def profile_of(bundle: str) -> Profile:
    """A profile that differs from the training sources."""
    reference = recognizer(bundle).adaptable()
    mean = reference.centre + 0.5 * reference.spread * np.where(np.arange(8) % 2, 1, -1)
    rounded = tuple(float(f"{value:.6g}") for value in mean)
    wider = tuple(float(f"{value:.6g}") for value in 1.5 * reference.spread)
    return Profile(reference.digest, 12, 34.5, rounded, wider)


def _chosen(bundle: str, options: dict[str, Any]) -> OnnxRecognizer:
    """The recognizer with a case's profile and decoding."""
    chosen = recognizer(bundle).with_phonemes(options.get("decoding"))
    return chosen.with_profile(profile_of(bundle)) if options.get("profile") else chosen


def predictions() -> Any:
    """Whole recordings."""
    profiles = {name: profile_of(name).to_dict() for name in (ADAPTABLE.name, SHARED.name)}
    return {"profiles": profiles, "cases": [_prediction(*case) for case in _CASES]}


def _prediction(bundle: str, signal: str, options: dict[str, Any]) -> dict[str, Any]:
    given = {"bundle": bundle, "signal": signal, "options": options}
    shares, timeline = options.get("phonemes", False), options.get("timeline", False)
    samples = SIGNALS[signal].make()

    def predict() -> Any:
        chosen = _chosen(bundle, options)
        found = chosen.predict(samples, RATE, shares=shares, timeline=timeline)
        names = LabelSet(chosen.labels).resolved(options.get("emotions", ()))
        found = found.narrowed(names, options.get("top_k"))
        return found.to_dict(spans=True)

    return given | _outcome(predict)


def streams() -> Any:
    """Events of streams, and their predictions."""
    return [_stream(*case) for case in _STREAMS]


def _stream(bundle: str, signal: str, piece: int, options: dict[str, Any]) -> dict[str, Any]:
    given = {"bundle": bundle, "signal": signal, "piece": piece, "options": options}
    chosen = _chosen(bundle, options)
    adapt = options.get("adapt", False)
    shares = options.get("phonemes", False)
    stream = StreamingRecognizer(chosen, RATE, shares=shares, adapt=adapt)
    samples, events = SIGNALS[signal].make(), []
    for number, first in enumerate(range(0, len(samples), piece)):
        events += [[number, _event(one)] for one in stream.push(samples[first : first + piece])]

    def finish() -> Any:
        last, prediction = stream.finish()
        profile = stream.profile
        return {
            "last": [_event(one) for one in last],
            "prediction": prediction.to_dict(spans=True),
            "profile": None if profile is None else profile.to_dict(),
        }

    return given | {"events": events} | _outcome(finish)


def _event(event: Any) -> dict[str, Any]:
    data = {"type": event.kind, "segment": event.segment.to_dict()}
    data["speech_ratio"] = event.speech_ratio
    return data | ({} if event.profile is None else {"profile": event.profile.to_dict()})


def errors() -> Any:
    """Samples and rates that are refused."""
    good = [0.0] * 800
    cases: list[tuple[list[Any], Any]] = [
        ([], RATE),
        ([0.1] * 399, RATE),
        ([*good, None], RATE),
        ([*good, 4e9], RATE),
        (good, 3_999),
        (good, 384_001),
        (good, 16_000.5),
        (good, None),
        (good, 400_000),
        ([0.1] * 700, 48_000),
    ]
    return [_refused(*case) for case in cases]


def _refused(samples: list[Any], rate: Any) -> dict[str, Any]:
    values = np.array([np.nan if value is None else value for value in samples], np.float32)
    given = {"count": len(samples), "fill": samples[0] if samples else 0.0, "rate": rate}
    given["last"] = samples[-1] if samples else 0.0
    found = _outcome(lambda: recognizer(BUNDLE.name).predict(values, rate).to_dict(spans=True))
    return given | found


def _outcome(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"result": call()}
    except AudioError as error:
        return {"error": {"code": error.code, "message": str(error)}}
    except PhonemoError as error:
        return {"error": {"code": type(error).__name__, "message": str(error)}}


#: File name -> what makes its content.
PREDICTIONS: dict[str, Callable[[], Any]] = {
    "predictions": predictions,
    "streams": streams,
    "errors": errors,
}
