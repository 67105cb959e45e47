"""Emotion recognition with onnxruntime, without torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan, Prediction
from phonemo.audio import Excerpt, Source, load_waveform
from phonemo.audio.levels import boost_quiet
from phonemo.errors import AudioError, CheckpointError, ModelError, UsageError
from phonemo.evaluation.calibration import log_softmax, softmax
from phonemo.runtime.adaptation.profile import unpacked
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.bundle import (
    Bundle,
    BundleCard,
    network_of,
    open_bundle,
    packaged,
    place_of_bundle,
    reopen_bundle,
)
from phonemo.runtime.device import CPU, is_cuda, parse_device
from phonemo.runtime.parts.dimensions import DimensionReader, derived_reader, trained_reader
from phonemo.runtime.phonemes.alignment import aligned_spans
from phonemo.runtime.phonemes.attribution import add_attribution
from phonemo.runtime.phonemes.decoder import PhonemeDecoder
from phonemo.runtime.recognizer import EmotionRecognizer, validate_jobs
from phonemo.runtime.session import Graph, Head, Logits, SharedGraph
from phonemo.runtime.windows import ClipScores, PredictOptions, Samples
from phonemo.runtime.workers import available_cpus

Floats = npt.NDArray[np.float64]

log = logging.getLogger(__name__)


class OnnxRecognizer(EmotionRecognizer):
    """Recognizes emotions with a bundle, in windows of the length given in its card.

    Args:
        bundle: an opened bundle.
        threads: threads per clip; None leaves the choice to onnxruntime.
        device: "cpu", "cuda", "cuda:1" or "auto", which is the card if a session opens there.

    Raises:
        CheckpointError: the bundle's parts do not fit together.
        DeviceError: the requested card is missing, or no session opens there.
        UsageError: an unknown device.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, device: str = CPU) -> None:
        self.card: BundleCard = bundle.card
        self.whole_seconds = bundle.card.window_seconds
        self.abstain_below = bundle.card.abstain_below
        # onnxruntime has the network; 17 MB are not kept for sessions that may never be opened
        self._bundle, self._threads = replace(bundle, model=b""), threads
        self._requested_device = parse_device(device)
        try:
            if bundle.adaptation is not None:
                self.reference = unpacked(bundle.adaptation, len(bundle.card.labels))
            self.graph, self.head = _open_networks(
                bundle, self.reference, threads, self._requested_device
            )
        except CheckpointError as error:
            raise CheckpointError(f"{bundle.folder}: {error}") from error
        self.device = self.graph.device
        self.phoneme_decoder = decoder_of(bundle)
        self._single = _SingleThreaded(self._bundle, self.reference)
        self._check_sizes(bundle.folder)
        self._check_map_width(bundle.folder)
        self._check_dimensions(bundle.folder)
        self.dimensions = _dimension_reader(bundle.card)

    @classmethod
    def load(
        cls, folder: str | Path | None = None, threads: int | None = None, device: str = CPU
    ) -> OnnxRecognizer:
        """Open a bundle's folder, or by default the bundle that ships with phonemo.

        Raises:
            CheckpointError: it is missing, no bundle or corrupt; or none ships with this copy.
            DeviceError: the requested card is missing, or no session opens there.
            UsageError: an unknown device.
        """
        return cls(open_bundle(packaged() if folder is None else folder), threads, device)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the bundle's place and the options; unpickling opens the bundle again."""
        options = {
            name: value for name, value in self.__dict__.items() if name not in _OPENED_ATTRIBUTES
        }
        place = place_of_bundle(self._bundle.folder)
        options["phoneme_decoder"] = self.phoneme_decoder.options
        opening = (self._threads, self._requested_device)
        return _reopened, (type(self), place, self.card.model_dump_json(), opening, options)

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotion labels, in the order of the scores."""
        return self.card.labels

    def align(
        self,
        audio: Source | Excerpt,
        said: Sequence[str],
        rate: int | None = None,
        *,
        shares: bool = True,
    ) -> Prediction:
        """Predict the emotion of a recording with known phonemes, and align the phonemes.

        Args:
            audio: as for ``predict``; at most ``whole_seconds`` long.
            said: the spoken phonemes, as named in the model's inventory.
            rate: samples per second, for an array.
            shares: whether to add each phoneme's contribution to the winning score.

        Raises:
            AudioError: the recording cannot be used, or is too long.
            PhonemeError: phonemes that the model does not know, or more than fit.
            ModelError: the model has no phoneme head.
            UsageError: no phonemes, or text instead of a list.
        """
        if isinstance(said, str) or not said:
            raise UsageError("expected a list of phonemes, such as ['d', 'a', 's']")
        excerpt = audio if isinstance(audio, Excerpt) else Excerpt(audio)
        waveform = load_waveform(
            excerpt.source,
            rate=rate,
            start=excerpt.start,
            end=excerpt.end,
            channel=excerpt.channel,
            limits=self.limits,
        )
        if waveform.seconds > self.whole_seconds:
            raise AudioError(
                "audio_too_long",
                f"expected at most {self.whole_seconds:g} s for alignment, got "
                f"{waveform.seconds:.1f} s; cut the recording",
            )
        (logits,) = self._logits([waveform.samples])
        if self.card.inventory is None or logits.phonemes is None:
            raise ModelError("this model has no phoneme head; use a model trained with phonemes")
        symbols = self.card.inventory.symbols
        posteriors = log_softmax(logits.phonemes)
        spans = aligned_spans(posteriors, symbols, said, self.card.grid, len(waveform.samples))
        spans = self.phoneme_decoder.refined(spans, waveform.samples)
        spans = self._add_attribution(logits, spans) if shares else spans
        scores = softmax(logits.emotions / self.card.temperature)
        clip = ClipScores(scores, spans, dimensions=_dimension_values(logits))
        return self._clip_prediction(waveform, clip)

    def logits(self, samples: Samples) -> Logits:
        """The network's output for one clip, (sample,) at 16 kHz, before the softmax."""
        return self._logits([samples])[0]

    @property
    def supports_batching(self) -> bool:
        """Whether clips may be batched; not in int8, where batching changes rounding.

        Of 320 batched clips of speech, two moved a score by more than 0.001, one by 0.0025.
        """
        return self.card.precision != "int8"

    def for_jobs(self, jobs: int | None) -> tuple[EmotionRecognizer, int]:
        """Return a recognizer for parallel clips: one thread per clip is faster than many.

        On a card all clips share one session: the threads decode while it computes.
        """
        count = validate_jobs(jobs, available_cpus())
        if count == 1 or self._threads == 1 or is_cuda(self.device):
            return self, count
        networks = self._single.networks()
        if networks is None:
            return self, count
        twin = copy(self)
        twin.graph, twin.head = networks
        twin._threads = 1
        return twin, count

    def _recognize_clip(self, samples: Samples, options: PredictOptions) -> ClipScores:
        return self._recognize_clips([samples], options)[0]

    def _recognize_clips(
        self, clips: Sequence[Samples], options: PredictOptions
    ) -> list[ClipScores]:
        if len(clips) > 1 and not self.supports_batching:
            return [self._recognize_clip(clip, options) for clip in clips]
        began = perf_counter()
        batch = self._logits(clips)
        each = (perf_counter() - began) / len(clips)
        return [
            self._clip_scores(logits, clip, options, each)
            for logits, clip in zip(batch, clips, strict=True)
        ]

    def _logits(self, clips: Sequence[Samples]) -> list[Logits]:
        boosted = [boost_quiet(clip) for clip in clips] if self.card.normalise else clips
        return self.graph.recognize_batch(boosted, self.card.fewest_samples, self._affine)

    def _clip_scores(
        self, logits: Logits, samples: Samples, options: PredictOptions, network: float
    ) -> ClipScores:
        began = perf_counter()
        scores = softmax(logits.emotions / self.card.temperature)
        spans = self._spans(logits, samples)
        if options.shares and spans:
            spans = self._add_attribution(logits, spans)
        timings = {"network": network, "phonemes": perf_counter() - began}
        return ClipScores(scores, spans, timings, logits.vector, _dimension_values(logits))

    def _spans(self, logits: Logits, samples: Samples) -> tuple[PhonemeSpan, ...] | None:
        if self.card.inventory is None or logits.phonemes is None:
            return None
        posteriors = log_softmax(logits.phonemes)
        return self.phoneme_decoder.spans(posteriors, self.card.grid, samples)

    def _add_attribution(
        self, logits: Logits, spans: tuple[PhonemeSpan, ...]
    ) -> tuple[PhonemeSpan, ...]:
        if self.head is None or logits.features is None:
            raise CheckpointError(
                f"{self._bundle.folder}: expected head.onnx for the phonemes' shares in the "
                "emotion; export the model again"
            )
        head, features, temperature = self.head, logits.features, self.card.temperature
        affine = self._affine
        return add_attribution(
            spans,
            lambda kept: softmax(head.logits(features, kept, affine) / temperature),
            self.card.grid,
            *features.shape,
        )

    def _check_sizes(self, folder: Path) -> None:
        """Check the number of labels and phonemes, where the network has a fixed one."""
        inventory, graph = self.card.inventory, self.graph
        symbols = 0 if inventory is None else len(inventory.symbols)
        labels = len(self.card.labels)
        same_labels = graph.emotions in (None, labels)
        same_symbols = graph.has_phonemes == (inventory is not None) and (
            graph.symbols in (None, symbols)
        )
        if not (same_labels and same_symbols):
            raise CheckpointError(
                f"{folder}: expected {labels} labels and {symbols or 'no'} phonemes as in the "
                f"card, got a network of {graph.emotions or labels} and "
                f"{graph.symbols if graph.has_phonemes else 'no'}; export the model again"
            )

    def _check_dimensions(self, folder: Path) -> None:
        """Check that the network has the head for dimensions that the card names, or none."""
        card = self.card.dimensions
        named = 0 if card is None else len(card.names)
        if named != self.graph.dimensions:
            raise CheckpointError(
                f"{folder}: expected {named or 'no'} dimensions as in the card, got a network of "
                f"{self.graph.dimensions or 'none'}; export the model again"
            )

    def _check_map_width(self, folder: Path) -> None:
        """Check that network, head and reference map vectors of the same width, or none does."""
        width = self.graph.width
        head = width if self.head is None else self.head.width
        reference = width if self.reference is None else len(self.reference.centre)
        if not width == head == reference:
            raise CheckpointError(
                f"{folder}: a profile maps {width or 'no'} features in model.onnx, "
                f"{head or 'none'} in head.onnx, {reference or 'none'} in adaptation.npz; "
                "export the model again"
            )


def _dimension_values(logits: Logits) -> Floats | None:
    return None if logits.dimensions is None else logits.dimensions.astype(np.float64)


def _dimension_reader(card: BundleCard) -> DimensionReader | None:
    if card.dimensions is None:
        return derived_reader(card.labels)
    return trained_reader(card.labels, card.dimensions.names)


#: Attributes that come from the bundle, and are not pickled.
_OPENED_ATTRIBUTES = frozenset(
    {
        "card",
        "_bundle",
        "_threads",
        "_requested_device",
        "device",
        "graph",
        "head",
        "reference",
        "_single",
        "phoneme_decoder",
        "dimensions",
    }
)


def _reopened(
    kind: type[OnnxRecognizer],
    place: str,
    card: str,
    opening: tuple[int | None, str],
    options: dict[str, Any],
) -> OnnxRecognizer:
    """Open the bundle of a pickled recognizer; CheckpointError where it is gone or another."""
    recognizer = kind(reopen_bundle(place, card), *opening)
    chosen = options.pop("phoneme_decoder")
    recognizer.__dict__.update(options)
    recognizer.phoneme_decoder = replace(recognizer.phoneme_decoder, options=chosen)
    return recognizer


def decoder_of(bundle: Bundle) -> PhonemeDecoder:
    """The default decoder of a bundle; CheckpointError for a language model that does not fit."""
    inventory = bundle.card.inventory
    symbols = () if inventory is None else tuple(inventory.symbols)
    if bundle.decoder is None or not symbols:
        return PhonemeDecoder(symbols)
    from phonemo.runtime.phonemes.language_model import unpacked_model

    try:
        return PhonemeDecoder(symbols, unpacked_model(bundle.decoder, len(symbols)))
    except CheckpointError as error:
        raise CheckpointError(f"{bundle.folder}: {error}") from error


class _SingleThreaded:
    """Single-threaded sessions for parallel clips; copies of a recognizer share them.

    Args:
        bundle: opened; its network is read again.
        reference: the bundle's reference, where it has one.
    """

    def __init__(self, bundle: Bundle, reference: Reference | None) -> None:
        self._bundle, self._reference = bundle, reference
        self._folder = bundle.folder.absolute()
        self._lock = Lock()
        self._opened: tuple[Graph, Head | None] | None = None

    def networks(self) -> tuple[Graph, Head | None] | None:
        """Open the sessions when they are first needed.

        None if the network's file has gone or changed since: the open sessions then serve all jobs.
        """
        with self._lock:
            try:
                self._opened = self._opened or self._open()
            except CheckpointError as error:
                log.warning("clips are not recognized in parallel: %s", error)
        return self._opened

    def _open(self) -> tuple[Graph, Head | None]:
        network = network_of(self._folder, self._bundle.card)
        return _open_networks(replace(self._bundle, model=network), self._reference, threads=1)


def _open_networks(
    bundle: Bundle, reference: Reference | None, threads: int | None, device: str = CPU
) -> tuple[Graph, Head | None]:
    graph: Graph
    if bundle.card.network is None:
        graph = Graph(bundle.model, threads, device)
    elif reference is None:  # excluded by the card's validation
        raise CheckpointError("a shared network needs adaptation.npz; export the model again")
    else:
        graph = SharedGraph(bundle.model, reference, threads, device)
    return graph, None if bundle.head is None else Head(bundle.head, threads, graph.device)
