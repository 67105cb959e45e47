"""The phoneme options of requests: how phonemes are decoded, and where they end."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from phonemo.errors import UsageError
from phonemo.runtime.phonemes.decoder import DEFAULT_EDGES
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
        edges = None if edges == DEFAULT_EDGES else edges
        if decoding is None and edges is None:
            return recognizer
        copies = self._copies.setdefault(recognizer, {})
        if (decoding, edges) not in copies:
            copies[decoding, edges] = _with_options(recognizer, decoding, edges)
        return copies[decoding, edges]


def _with_options(
    recognizer: EmotionRecognizer, decoding: str | None, edges: str | None
) -> EmotionRecognizer:
    for name, value in (("decoding", decoding), ("edges", edges)):
        try:
            recognizer = recognizer.with_phonemes(**{name: value})
        except UsageError as error:
            raise ApiError(400, "invalid_value", str(error), name) from error
    return recognizer
