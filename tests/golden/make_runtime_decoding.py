"""The golden file of phoneme decoding: language models and beam search; used by make_runtime."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import PhonemoError
from phonemo.evaluation.calibration import log_softmax
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.beam_search import decode_with
from phonemo.runtime.phonemes.language_model import (
    DecoderSettings,
    PhonemeModel,
    count_phonemes,
    packed_model,
    uniform_model,
)
from phonemo.runtime.phonemes.languages import language_content, model_of_content
from tests.golden.runtime_signals import RATE, SIGNALS
from tests.tiny_bundle import BUNDLE

Floats = npt.NDArray[np.float64]
SYMBOLS = ("-", "a", "b", "d", "s", "t")
#: Order and settings.
_MODELS = (
    (2, DecoderSettings(0.5, 0.5, 8)),
    (3, DecoderSettings(0.8, 1.0, 8)),
    (3, DecoderSettings(2.0, -0.5, 1)),
    (2, DecoderSettings(0.0, 0.0, 3)),
)


def decoding() -> Any:
    """Language models, and phonemes decoded with and without them."""
    cases = [_case(seed) for seed in range(8)]
    return {"cases": cases, "invalid": _refused_contents(), "bundle": _bundle()}


def _bundle() -> dict[str, Any]:
    """A language model of tiny-bundle, and the phonemes of a signal with it."""
    recognizer = OnnxRecognizer.load(BUNDLE, threads=1)
    decoder = recognizer.phoneme_decoder
    strings = [[1, 2, 3, 1], [2, 3, 1, 2], [3, 1, 2]]
    settings = DecoderSettings(weight=2.0, bonus=1.5)
    model = count_phonemes(strings, len(decoder.symbols), 3, settings)
    recognizer.phoneme_decoder = replace(decoder, model=model)
    found = recognizer.predict(SIGNALS["three_seconds"].make(), RATE)
    return {
        "packed": base64.b64encode(packed_model(model)).decode(),
        "phonemes": [span.symbol for span in found.spans or ()],
    }


def _case(seed: int) -> dict[str, Any]:
    draws = np.random.default_rng(800 + seed)
    model = _counted(draws, *_MODELS[seed % len(_MODELS)])
    scores = _posteriors(draws, seed)
    content = language_content(model, SYMBOLS, "golden")
    # the same phonemes in another order, and one that was never counted
    other = ("_", *SYMBOLS[:0:-1], "x")
    shuffled = np.insert(scores[:, [0, *range(len(SYMBOLS) - 1, 0, -1)]], len(SYMBOLS), -30.0, 1)
    return {
        "symbols": list(SYMBOLS),
        "packed": base64.b64encode(packed_model(model)).decode(),
        "content": content,
        "other_symbols": list(other),
        "contexts": {str(context): model.table[context].tolist() for context in (0, 1, 7 % 6, 5)},
        "log_posteriors": scores.tolist(),
        "other_log_posteriors": shuffled.tolist(),
        "without": _decoded(scores, uniform_model(len(SYMBOLS))),
        "with": _decoded(scores, model),
        "other": _decoded(shuffled, model_of_content(content, other, "golden")),
    }


def _counted(draws: np.random.Generator, order: int, settings: DecoderSettings) -> PhonemeModel:
    """Counts of strings in which some phonemes follow others more often."""
    strings = []
    for _ in range(20):
        string = [int(draws.integers(1, len(SYMBOLS)))]
        while draws.random() < 0.85:
            likely = string[-1] % (len(SYMBOLS) - 1) + 1
            unlikely = int(draws.integers(1, len(SYMBOLS)))
            string.append(likely if draws.random() < 0.7 else unlikely)
        strings.append(string)
    return count_phonemes(strings, len(SYMBOLS), order, settings)


def _posteriors(draws: np.random.Generator, seed: int) -> Floats:
    """Undecided: symbols compete in every peak, and the last case has no frames."""
    frames = 0 if seed == 7 else int(draws.integers(1, 70))
    logits = draws.normal(0, 1.5, (frames, len(SYMBOLS)))
    logits[:, 0] += 1
    for frame in range(2, frames, 5):
        logits[frame, draws.integers(1, len(SYMBOLS), 2)] += 3
    return log_softmax(logits.round(4)).round(8).reshape(frames, len(SYMBOLS))


def _decoded(scores: Floats, model: PhonemeModel) -> list[list[Any]]:
    found = decode_with(scores, model)
    return [[one.symbol, one.first, one.last, one.confidence] for one in found]


def _refused_contents() -> list[dict[str, Any]]:
    """Language contents that do not fit, with the message of the error."""
    good = language_content(count_phonemes([[1, 2, 3]], len(SYMBOLS)), SYMBOLS, "golden")
    cases: list[tuple[Any, Sequence[str]]] = [
        (good, ("-", "a", "x", "y")),
        (good | {"settings": {"weight": -1.0, "bonus": 0.0, "beam": 8}}, SYMBOLS),
        (good | {"settings": {"weight": 1.0, "bonus": 0.0, "beam": 0}}, SYMBOLS),
        (good | {"settings": {"weight": 1.0, "bonus": 0.0, "beam": 1, "more": 1}}, SYMBOLS),
        (good | {"ngrams": {"a": 1}}, SYMBOLS),
        (good | {"ngrams": {"a b": 1, "a b d": 1}}, SYMBOLS),
        (good | {"ngrams": {"a b": -1}}, SYMBOLS),
        (good | {"ngrams": {"a b": 1.5}}, SYMBOLS),
        (good | {"ngrams": {}}, SYMBOLS),
        (good | {"ngrams": {"a b": 0}}, SYMBOLS),
        (good | {"ngrams": {"x y": 0}}, SYMBOLS),
        ({"ngrams": {"a b": 1}}, SYMBOLS),
        ([], SYMBOLS),
    ]
    return [_refused(*case) for case in cases]


def _refused(content: Any, symbols: Sequence[str]) -> dict[str, Any]:
    try:
        model_of_content(content, tuple(symbols), "golden")
    except PhonemoError as error:
        return {"content": content, "symbols": list(symbols), "message": str(error)}
    raise AssertionError(f"expected a refused content, got {content}")
