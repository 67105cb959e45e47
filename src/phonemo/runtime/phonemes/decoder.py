"""The choice of how phonemes are decoded and where their boundaries lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio.frames import FrameGrid
from phonemo.errors import UsageError
from phonemo.runtime.phonemes.alignment import recognized_spans, to_spans

if TYPE_CHECKING:
    from phonemo.runtime.phonemes.language_model import PhonemeModel

Decoding = Literal["best-path", "language-model"]
Edges = Literal["posteriors", "waveform"]


@dataclass(frozen=True)
class PhonemeOptions:
    """How phonemes are decoded, and where they end."""

    decoding: Decoding | None = None
    """None uses the bundle's language model where it has one, else the best path."""
    edges: Edges = "posteriors"
    """Boundaries from the network's frames, or refined from the waveform (``edges``)."""


@dataclass(frozen=True)
class PhonemeDecoder:
    """Decodes phonemes with a bundle's language model, if it has one."""

    model: PhonemeModel | None = None
    options: PhonemeOptions = PhonemeOptions()

    def chosen(self, decoding: str | None = None, edges: str | None = None) -> PhonemeDecoder:
        """The same decoder with other options; None keeps one.

        Raises:
            UsageError: an unknown option, or a language model that the bundle lacks.
        """
        _check("decoding", decoding, get_args(Decoding))
        _check("edges", edges, get_args(Edges))
        if decoding == "language-model" and self.model is None:
            raise UsageError(
                "expected a bundle with a phoneme language model, got one without; export it with "
                "--decoder, or choose best-path"
            )
        given = {"decoding": decoding, "edges": edges}
        known = {name: value for name, value in given.items() if value is not None}
        return replace(self, options=replace(self.options, **known))  # type: ignore[arg-type]

    def spans(
        self,
        log_posteriors: npt.NDArray[np.floating],
        symbols: Sequence[str],
        grid: FrameGrid,
        samples: npt.NDArray[np.floating],
    ) -> tuple[PhonemeSpan, ...]:
        """Decode named phonemes in seconds.

        Args:
            log_posteriors: (frame, phoneme), the blank first.
            symbols: phoneme names, (phoneme,).
            grid: frame positions.
            samples: the recording, (sample,) at 16 kHz.
        """
        if self.model is None or self.options.decoding == "best-path":
            spans = recognized_spans(log_posteriors, symbols, grid, len(samples))
        else:
            from phonemo.runtime.phonemes.beam_search import decode_with

            aligned = decode_with(log_posteriors, self.model)
            spans = to_spans(aligned, log_posteriors, symbols, grid, len(samples))
        return self.refined(spans, samples)

    def refined(
        self, spans: tuple[PhonemeSpan, ...], samples: npt.NDArray[np.floating]
    ) -> tuple[PhonemeSpan, ...]:
        """The spans with refined boundaries, where that was chosen."""
        if self.options.edges == "posteriors":
            return spans
        from phonemo.runtime.phonemes.edges import refine_spans

        return refine_spans(spans, samples)


def _check(name: str, value: str | None, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        raise UsageError(f"{name}: expected {' or '.join(choices)}, got {value!r}; choose one")
