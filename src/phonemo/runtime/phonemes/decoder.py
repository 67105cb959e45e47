"""The choice of how phonemes are decoded and where their boundaries lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio.frames import FrameGrid
from phonemo.errors import UsageError, safe_name
from phonemo.runtime.phonemes.alignment import recognized_spans, to_spans

if TYPE_CHECKING:
    from phonemo.runtime.phonemes.language_model import PhonemeModel

BEST_PATH, BEAM_SEARCH, LANGUAGE_MODEL = "best-path", "beam-search", "language-model"
Edges = Literal["posteriors", "waveform"]
DEFAULT_EDGES: Edges = "posteriors"


@dataclass(frozen=True)
class PhonemeOptions:
    """How phonemes are decoded, and where they end."""

    decoding: str | None = None
    """best-path, beam-search (without a language model), language-model (the bundle's), or a
    language of ``language_names``; None uses the bundle's language model where it has one, else the
    best path."""
    edges: Edges = DEFAULT_EDGES
    """Boundaries from the network's frames, or refined from the waveform (``edges``)."""


@dataclass(frozen=True)
class PhonemeDecoder:
    """Decodes phonemes by the best path, or by a beam search with or without a language model."""

    symbols: tuple[str, ...] = ()
    """The model's phonemes, the blank first; empty without a phoneme head."""
    model: PhonemeModel | None = None
    """The bundle's own language model."""
    options: PhonemeOptions = PhonemeOptions()

    def chosen(self, decoding: str | None = None, edges: str | None = None) -> PhonemeDecoder:
        """The same decoder with other options; None keeps one.

        Raises:
            UsageError: an unknown option, a language model that the bundle lacks, a language whose
                phonemes the model lacks, or a model without phonemes.
        """
        if decoding is not None:
            self._check_decoding(decoding)
        _check("edges", edges, get_args(Edges))
        given = {"decoding": decoding, "edges": edges}
        known = {name: value for name, value in given.items() if value is not None}
        other = replace(self, options=replace(self.options, **known))  # type: ignore[arg-type]
        other._searched_with()  # refuses a language whose phonemes are missing
        return other

    @cached_property
    def decodings(self) -> tuple[str, ...]:
        """The values of ``decoding`` that this model supports; none without phonemes."""
        from phonemo.runtime.phonemes.language_model import MOST_SYMBOLS
        from phonemo.runtime.phonemes.languages import lacking_phonemes, language_names

        if not self.symbols:
            return ()
        if len(self.symbols) > MOST_SYMBOLS:
            return (BEST_PATH,)
        unfit = {name for name in language_names() if lacking_phonemes(name, self.symbols)}
        return tuple(name for name in self._known() if name not in unfit)

    def spans(
        self,
        log_posteriors: npt.NDArray[np.floating],
        grid: FrameGrid,
        samples: npt.NDArray[np.floating],
    ) -> tuple[PhonemeSpan, ...]:
        """Decode named phonemes in seconds.

        Args:
            log_posteriors: (frame, phoneme), the blank first.
            grid: frame positions.
            samples: the recording, (sample,) at 16 kHz.
        """
        model = self._searched_with()
        if model is None:
            spans = recognized_spans(log_posteriors, self.symbols, grid, len(samples))
        else:
            from phonemo.runtime.phonemes.beam_search import decode_with

            aligned = decode_with(log_posteriors, model)
            spans = to_spans(aligned, log_posteriors, self.symbols, grid, len(samples))
        return self.refined(spans, samples)

    def refined(
        self, spans: tuple[PhonemeSpan, ...], samples: npt.NDArray[np.floating]
    ) -> tuple[PhonemeSpan, ...]:
        """The spans with refined boundaries, where that was chosen."""
        if self.options.edges == DEFAULT_EDGES:
            return spans
        from phonemo.runtime.phonemes.edges import refine_spans

        return refine_spans(spans, samples)

    def _check_decoding(self, decoding: str) -> None:
        if decoding == LANGUAGE_MODEL and self.model is None:
            raise UsageError(
                "expected a bundle with a phoneme language model, got one without; export it with "
                "--decoder, or choose another decoding"
            )
        _check("decoding", decoding, self._known())
        if decoding != BEST_PATH and not self.symbols:
            raise UsageError(
                f"decoding: {decoding} needs phonemes, and this model has none; open another one"
            )

    def _known(self) -> tuple[str, ...]:
        from phonemo.runtime.phonemes.languages import language_names

        own = () if self.model is None else (LANGUAGE_MODEL,)
        return (BEST_PATH, BEAM_SEARCH, *own, *language_names())

    def _searched_with(self) -> PhonemeModel | None:
        """The language model of the beam search; None is the best path."""
        decoding = self.options.decoding
        if decoding is None or decoding == LANGUAGE_MODEL:
            return self.model
        if decoding == BEST_PATH:
            return None
        from phonemo.runtime.phonemes import language_model, languages

        if decoding == BEAM_SEARCH:
            return language_model.uniform_model(len(self.symbols))
        return languages.language_model(decoding, self.symbols)


def _check(name: str, value: str | None, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        known = f"{', '.join(choices[:-1])} or {choices[-1]}"
        got = repr(safe_name(value))
        raise UsageError(f"{name}: expected {known}, got {got}; choose one")
