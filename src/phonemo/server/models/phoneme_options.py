"""The phoneme options of requests: how phonemes are decoded, and where they end."""

from __future__ import annotations

from typing import get_args
from weakref import WeakKeyDictionary

from phonemo.errors import safe_name
from phonemo.runtime.phonemes.decoder import Edges
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.server.api_errors import ApiError

Options = tuple[str | None, str | None]


class PhonemeRecognizers:
    """Copies of recognizers by decoding and edges.

    Requests with the same options share a copy, because only requests of one recognizer share a
    batch. The copies of a recognizer that belongs to one request end with it.
    """

    def __init__(self) -> None:
        self._copies: WeakKeyDictionary[EmotionRecognizer, dict[Options, EmotionRecognizer]]
        self._copies = WeakKeyDictionary()

    def chosen(
        self, recognizer: EmotionRecognizer, decoding: str | None, edges: str | None
    ) -> EmotionRecognizer:
        """Return the recognizer with these options, itself for none.

        Raises:
            ApiError: an unknown option, or one that the model does not support (400).
        """
        if decoding is None and edges is None:
            return recognizer
        known = recognizer.phoneme_decoder.decodings
        _check("decoding", decoding, known)
        _check("edges", edges, get_args(Edges) if known else ())
        copies = self._copies.setdefault(recognizer, {})
        if (decoding, edges) not in copies:
            copies[decoding, edges] = recognizer.with_phonemes(decoding, edges)
        return copies[decoding, edges]


def _check(name: str, value: str | None, supported: tuple[str, ...]) -> None:
    if value is None or value in supported:
        return
    if supported:
        known = " or ".join(supported)
        message = f"{name}: expected {known} for this model, got {safe_name(value)!r}"
    else:
        message = f"{name}: this model recognizes no phonemes; leave it out, or name another model"
    raise ApiError(400, "invalid_value", message, name)
