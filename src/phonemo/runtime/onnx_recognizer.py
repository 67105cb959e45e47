"""Emotions from recordings without torch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from threading import Lock
from time import perf_counter

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan, Prediction
from phonemo.audio import Source, load_waveform
from phonemo.audio.levels import boost_quiet
from phonemo.errors import AudioError, CheckpointError, ModelError, UsageError
from phonemo.evaluation.calibration import log_softmax, softmax
from phonemo.runtime.adaptation.profile import unpacked
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.alignment import aligned_spans, recognized_spans
from phonemo.runtime.attribution import add_attribution
from phonemo.runtime.bundle import Bundle, BundleCard, open_bundle, packaged
from phonemo.runtime.recognizer import EmotionRecognizer, validate_jobs
from phonemo.runtime.session import Graph, Head, Logits, SharedGraph
from phonemo.runtime.windows import ClipScores, Samples
from phonemo.runtime.workers import available_cpus

Floats = npt.NDArray[np.float64]


class OnnxRecognizer(EmotionRecognizer):
    """A bundle that answers for recordings, in windows of the length that the bundle says.

    Args:
        bundle: an opened bundle.
        threads: how many threads one clip may use; None leaves it to onnxruntime.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.card: BundleCard = bundle.card
        self.whole_seconds = bundle.card.window_seconds
        self.abstain_below = bundle.card.abstain_below
        self._bundle, self._threads = bundle, threads
        try:
            if bundle.adaptation is not None:
                self.reference = unpacked(bundle.adaptation, len(bundle.card.labels))
            self.graph, self.head = _networks(bundle, self.reference, threads)
        except CheckpointError as error:
            raise CheckpointError(f"{bundle.folder}: {error}") from error
        self._single = _SingleThreaded(bundle, self.reference)
        self._check_fit(bundle.folder)
        self._check_map(bundle.folder)

    @classmethod
    def load(cls, folder: str | Path | None = None, threads: int | None = None) -> OnnxRecognizer:
        """From a bundle's folder, or without one from the bundle that ships with phonemo.

        Raises:
            CheckpointError: it is no bundle, or it is broken; or none ships with this copy.
        """
        return cls(open_bundle(packaged() if folder is None else folder), threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the scores."""
        return self.card.labels

    def align(
        self, audio: Source, said: Sequence[str], rate: int | None = None, *, shares: bool = True
    ) -> Prediction:
        """The emotion of a recording whose phonemes are known, and when each was said.

        Args:
            audio: as for ``predict``; at most ``whole_seconds`` long.
            said: its phonemes, by the names of the model's inventory.
            rate: samples per second, for an array.
            shares: whether every phoneme says what it adds to the winning score.

        Raises:
            AudioError: the recording cannot be used, or is too long.
            PhonemeError: phonemes that the model does not know, or more than fit.
            ModelError: the model has no phoneme head.
            UsageError: no phonemes, or text instead of a list.
        """
        if isinstance(said, str) or not said:
            raise UsageError("a list of phonemes is wanted, as ['d', 'a', 's']")
        waveform = load_waveform(audio, rate=rate, limits=self.limits)
        if waveform.seconds > self.whole_seconds:
            raise AudioError(
                "audio_too_long",
                f"{waveform.seconds:.1f} s cannot be aligned at once, at most "
                f"{self.whole_seconds:g} s can; cut the recording",
            )
        (found,) = self._logits([waveform.samples])
        if self.card.inventory is None or found.phonemes is None:
            raise ModelError("this model has no phoneme head; take one that was trained with it")
        symbols = self.card.inventory.symbols
        posteriors = log_softmax(found.phonemes)
        spans = aligned_spans(posteriors, symbols, said, self.card.grid, len(waveform.samples))
        spans = self._shared(found, spans) if shares else spans
        heard = ClipScores(softmax(found.emotions / self.card.temperature), spans)
        return self._answer(waveform, heard, timeline=False)

    def logits(self, samples: Samples) -> Logits:
        """What the network says of one clip, (sample,) at 16 kHz, before any scores are made."""
        return self._logits([samples])[0]

    @property
    def supports_batching(self) -> bool:
        """Not in int8: sums that differ in their last digit can round to another step of 256.

        Of 320 clips of speech in company two moved a score by more than 0.001, one by 0.0025.
        """
        return self.card.precision != "int8"

    def for_jobs(self, jobs: int | None) -> tuple[EmotionRecognizer, int]:
        """Several clips at once, each by one thread, are quicker than one by all of them."""
        count = validate_jobs(jobs, available_cpus())
        if count == 1 or self._threads == 1:
            return self, count
        twin = copy(self)
        twin.graph, twin.head = self._single.networks()
        twin._threads = 1
        return twin, count

    def _recognize_clip(self, samples: Samples, shares: bool) -> ClipScores:
        return self._recognize_clips([samples], shares)[0]

    def _recognize_clips(self, clips: Sequence[Samples], shares: bool) -> list[ClipScores]:
        if len(clips) > 1 and not self.supports_batching:
            return [self._recognize_clip(one, shares) for one in clips]
        began = perf_counter()
        found = self._logits(clips)
        each = (perf_counter() - began) / len(clips)
        return [
            self._clip_scores(one, len(clip), shares, each)
            for one, clip in zip(found, clips, strict=True)
        ]

    def _logits(self, clips: Sequence[Samples]) -> list[Logits]:
        heard = [boost_quiet(one) for one in clips] if self.card.normalise else clips
        return self.graph.recognize_batch(heard, self.card.fewest_samples, self._affine)

    def _clip_scores(self, found: Logits, samples: int, shares: bool, network: float) -> ClipScores:
        began = perf_counter()
        scores = softmax(found.emotions / self.card.temperature)
        spans = self._spans(found, samples)
        if shares and spans:
            spans = self._shared(found, spans)
        timings = {"network": network, "phonemes": perf_counter() - began}
        return ClipScores(scores, spans, timings, found.vector)

    def _spans(self, found: Logits, samples: int) -> tuple[PhonemeSpan, ...] | None:
        if self.card.inventory is None or found.phonemes is None:
            return None
        symbols = self.card.inventory.symbols
        return recognized_spans(log_softmax(found.phonemes), symbols, self.card.grid, samples)

    def _shared(self, found: Logits, spans: tuple[PhonemeSpan, ...]) -> tuple[PhonemeSpan, ...]:
        if self.head is None or found.features is None:
            raise CheckpointError(
                f"{self._bundle.folder}: has no head.onnx, so it cannot say which phonemes carry "
                "the emotion; export the model again"
            )
        head, features, heat = self.head, found.features, self.card.temperature
        mapped = self._affine
        return add_attribution(
            spans,
            lambda kept: softmax(head.logits(features, kept, mapped) / heat),
            self.card.grid,
            *features.shape,
        )

    def _check_fit(self, folder: Path) -> None:
        inventory = self.card.inventory
        said = (len(self.card.labels), None if inventory is None else len(inventory.symbols))
        emotions, symbols = self.graph.emotions, self.graph.symbols
        if (inventory is not None) != self.graph.has_phonemes or said != (
            emotions or said[0],
            symbols or said[1],
        ):
            raise CheckpointError(
                f"{folder}: its card has {said[0]} labels and {said[1] or 'no'} phoneme symbols, "
                f"its network {emotions} and {symbols or 'no'}; export the model again"
            )

    def _check_map(self, folder: Path) -> None:
        """The network, its head and the reference map a vector of one width, or none does."""
        width = self.graph.width
        head = width if self.head is None else self.head.width
        reference = width if self.reference is None else len(self.reference.centre)
        if not width == head == reference:
            raise CheckpointError(
                f"{folder}: a profile maps {width or 'no'} features in model.onnx, "
                f"{head or 'none'} in head.onnx, {reference or 'none'} in adaptation.npz; "
                "export the model again"
            )


class _SingleThreaded:
    """The networks of a bundle once more, for clips side by side; copies of a recognizer share it.

    Args:
        bundle: opened.
        reference: of its adaptation, where it has one.
    """

    def __init__(self, bundle: Bundle, reference: Reference | None) -> None:
        self._bundle, self._reference = bundle, reference
        self._lock = Lock()
        self._made: tuple[Graph, Head | None] | None = None

    def networks(self) -> tuple[Graph, Head | None]:
        """Opened when they are first needed."""
        with self._lock:
            self._made = self._made or _networks(self._bundle, self._reference, threads=1)
        return self._made


def _networks(
    bundle: Bundle, reference: Reference | None, threads: int | None
) -> tuple[Graph, Head | None]:
    head = None if bundle.head is None else Head(bundle.head, threads)
    if bundle.card.network is None:
        return Graph(bundle.model, threads), head
    if reference is None:  # no card that was checked says so
        raise CheckpointError("shares a network and has no head of its own; export it again")
    return SharedGraph(bundle.model, reference, threads), head
