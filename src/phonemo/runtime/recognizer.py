"""Emotion recognition for recordings, independent of the network behind it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from itertools import chain
from time import perf_counter
from typing import Self

import numpy as np

from phonemo.annotations.doubt import with_doubt
from phonemo.annotations.prediction import Prediction, Segment
from phonemo.annotations.turn_rows import Turn
from phonemo.audio import (
    RATE,
    AudioLimits,
    Channels,
    Excerpt,
    Source,
    Waveform,
    channel_count,
    open_waveform,
    parse_channels,
)
from phonemo.audio.arrays import is_single
from phonemo.audio.each_channel import chosen_excerpt, reopened
from phonemo.errors import PhonemoError, UsageError
from phonemo.runtime.adaptation.adaptable import Adaptable
from phonemo.runtime.adaptation.streaming import GrowingProfile
from phonemo.runtime.batching import Opened, Outcome, map_ordered
from phonemo.runtime.parts.channel_predictions import on_channel
from phonemo.runtime.parts.dimensions import DimensionReader
from phonemo.runtime.parts.opened_recordings import LongRecording, SplitRecording
from phonemo.runtime.parts.speaker_turns import (
    Party,
    Turns,
    predict_turns,
    resolve_turns,
    speakers_adapted,
    turns_on,
)
from phonemo.runtime.phonemes.decoder import PhonemeDecoder
from phonemo.runtime.sliding import SlidingInference
from phonemo.runtime.timeline import segment_of
from phonemo.runtime.vad import VadTrack, detector_of
from phonemo.runtime.windows import (
    PLAIN,
    WHOLE_SECONDS,
    WINDOW_SECONDS,
    ClipScores,
    PredictOptions,
    Samples,
)


class EmotionRecognizer(Adaptable):
    """Recognizes emotions in files, bytes or arrays.

    A recording of up to ``whole_seconds`` is processed in one pass. A longer one is processed in
    windows of ``window_seconds`` that overlap by half, while it is decoded: its scores are the
    windows' mean weighted by their speech, its ``segments`` are the timeline, and it carries the
    warning "windowed". Where the highest score is below the model's threshold, the prediction
    carries the warning "unsure"; without the warning it may still be wrong, on voices and languages
    that the model did not learn often (docs/runtime.md). "no_speech" means that no voice was found,
    and the label is None. A timeline of one segment has the scores of the whole.
    """

    whole_seconds: float = WHOLE_SECONDS
    window_seconds: float = WINDOW_SECONDS
    abstain_below: float = 0.0
    device: str = "cpu"
    """Where the network runs: "cpu", or a card, "cuda" or "cuda:1"; never "auto"."""
    activity: str = "energy"
    """The voice activity: a key of phonemo.runtime.vad.DETECTORS."""
    phoneme_decoder: PhonemeDecoder = PhonemeDecoder()
    """How phonemes are decoded and where they end; ``with_phonemes`` sets other options."""
    limits: AudioLimits = AudioLimits()
    dimensions: DimensionReader | None = None
    """Reads arousal and valence from the scores; None for a model without them."""

    @property
    @abstractmethod
    def labels(self) -> Sequence[str]:
        """The emotion labels, in the order of the scores."""

    def predict(
        self,
        audio: Source | Excerpt,
        rate: int | None = None,
        *,
        shares: bool = False,
        timeline: bool = False,
        turns: Turns | None = None,
        by_speaker: bool = False,
        channels: Channels = "mix",
    ) -> Prediction:
        """Predict the emotion of one recording.

        Args:
            audio: a path, the bytes of a file, an open binary file, samples (sample,) or
                (channel, sample), or an Excerpt of any of these.
            rate: samples per second, for an array.
            shares: whether to add each phoneme's contribution to the winning score.
            timeline: whether to add a timeline, in ``segments``, for a short recording too.
            turns: who speaks when: Turns, a file with turns, or what a diarizer or transcriber
                returns (phonemo.annotations.turn_objects). ``segments`` are then these, each
                recognized separately, with the emotions of its words if they are given; the scores
                are their mean weighted by length. Turns of no length, too short, without finite
                times or after the end are skipped, with the warning "turns_skipped", and counted
                in ``turns_skipped``.
            by_speaker: whether the turns of a speaker with enough speech
                (phonemo.runtime.parts.speaker_turns) are adapted by that speaker's statistics,
                shrunk towards the applied profile or the training sources. It decodes the turns
                twice.
            channels: "mix" averages the channels; a number from 1 on takes one of them; "split"
                predicts each channel with sound, and combines them (``Prediction.channels``). The
                channel of an Excerpt or of a Turn precedes it.

        Raises:
            AudioError: the recording cannot be used.
            UsageError: no valid turns, turns with an excerpt or a timeline, ``by_speaker``
                without turns, unknown channels, or "split" with turns that name no channel.
            ModelError: ``by_speaker`` with a model that takes no profile.
        """
        channels = parse_channels(channels)
        if by_speaker and turns is None:
            raise UsageError("by_speaker needs turns; pass who speaks when: turns=FILE")
        if turns is not None:
            if isinstance(audio, Excerpt):
                raise UsageError("turns expect a recording, got an excerpt; pass the recording")
            if timeline:
                raise UsageError("turns and timeline are mutually exclusive; pass one of them")
            turns = resolve_turns(turns, audio)
            options = PredictOptions(shares)
            return self._predict_by_turns(audio, rate, turns, options, by_speaker, channels)
        began, options = perf_counter(), PredictOptions(shares, timeline)
        opened = self._open_channels(audio, rate, options, channels)
        if not isinstance(opened, Waveform):
            return opened.predict()
        decoding = {"decode": perf_counter() - began}
        answer = self.predict_waveform(opened, options)
        return replace(answer, timings=decoding | answer.timings)

    def predict_many(
        self,
        audio: Iterable[Source | Excerpt | PhonemoError],
        rate: int | None = None,
        *,
        jobs: int | None = None,
        shares: bool = False,
        timeline: bool = False,
        batch_seconds: float = 4.0,
        channels: Channels = "mix",
    ) -> Iterator[Outcome]:
        """Predict the emotions of many recordings, in order, as results become ready.

        Only a few recordings are held at a time, so the input may be endless. Short recordings of
        similar length share a batch where that does not change the scores (``supports_batching``).

        Args:
            audio: recordings as for ``predict``. An error among them (of a recording that could
                not be fetched) is yielded in its place.
            rate: samples per second, for arrays.
            jobs: recordings processed at once; None is one per processor.
            shares: as for ``predict``.
            timeline: as for ``predict``.
            batch_seconds: seconds of audio per batch; 0 processes every recording separately.
            channels: as for ``predict``.

        Yields:
            A Prediction, or the error of a recording that cannot be used.

        Raises:
            UsageError: a single recording instead of several, or unknown channels.
        """
        channels = parse_channels(channels)
        if is_single(audio):
            raise UsageError(
                "predict_many expected an iterable of recordings, got a single one; "
                "pass a list, or call predict"
            )
        recognizer, count = self.for_jobs(jobs)
        options = PredictOptions(shares, timeline)

        def open_source(item: Source | Excerpt | PhonemoError) -> Opened:
            if isinstance(item, PhonemoError):
                return item
            try:
                return recognizer._open_channels(item, rate, options, channels)
            except PhonemoError as error:
                return error

        def recognize(clips: Sequence[Waveform]) -> list[Outcome]:
            return recognizer.predict_together(clips, options)

        longest = int(batch_seconds * RATE) if self.supports_batching else 0
        return map_ordered(audio, open_source, recognize, jobs=count, batch_samples=longest)

    def predict_waveform(self, waveform: Waveform, options: PredictOptions = PLAIN) -> Prediction:
        """Predict the emotion of decoded audio."""
        if len(waveform.samples) > self.whole_seconds * RATE:
            prediction = self.predict_chunks([waveform.samples], options)
            warnings = (*waveform.warnings, *prediction.warnings)
            return on_channel(replace(prediction, warnings=warnings), waveform.channel)
        scores = self._recognize_clip(waveform.samples, options)
        return self._clip_prediction(waveform, scores, options)

    def predict_streamed(
        self, waveform: Waveform, timeline: Sequence[Segment], options: PredictOptions
    ) -> Prediction:
        """Predict a short recording whose windows are processed already, as one with a timeline.

        Args:
            waveform: decoded audio, not longer than ``whole_seconds``.
            timeline: its segments.
            options: of the pass over the whole.
        """
        scores = self._recognize_clip(waveform.samples, options)
        return self._clip_prediction(waveform, scores, options, timeline)

    def predict_together(self, clips: Sequence[Waveform], options: PredictOptions) -> list[Outcome]:
        """Predict the emotions of several short recordings of similar length in one batch.

        Args:
            clips: decoded audio, none longer than ``whole_seconds``.
            options: of all of them.
        """
        try:
            scores = self._recognize_clips([clip.samples for clip in clips], options)
        except PhonemoError as error:
            return [error for _ in clips]
        return [
            self._clip_prediction(clip, clip_scores, options)
            for clip, clip_scores in zip(clips, scores, strict=True)
        ]

    def predict_chunks(
        self, pieces: Iterable[Samples], options: PredictOptions = PLAIN
    ) -> Prediction:
        """Predict the emotion of a long recording in windows, as its pieces arrive.

        Args:
            pieces: (sample,) at 16 kHz each, in order; an exception they raise is propagated.
            options: ``timeline`` changes nothing.

        Raises:
            AudioError: there are no samples.
        """
        inference = self.sliding_inference(options)
        for piece in pieces:
            inference.push(piece)
        inference.finish()
        return with_doubt(inference.answer(), self.abstain_below)

    def sliding_inference(
        self, options: PredictOptions = PLAIN, growing: GrowingProfile | None = None
    ) -> SlidingInference:
        """Create the windowed inference for a long recording or a stream.

        Args:
            options: of each window.
            growing: a profile of this recognizer that each window updates for the next ones.
        """
        recognize = self._recognize_clip if growing is None else growing.recognize
        return SlidingInference(
            lambda samples: recognize(samples, options),
            self.labels,
            detector_of(self.activity),
            self.window_seconds,
            self.applied,
            growing,
            self.abstain_below,
            self.dimensions,
        )

    @property
    def supports_batching(self) -> bool:
        """Whether a clip's scores are the same in a batch as on its own."""
        return True

    def for_jobs(self, jobs: int | None) -> tuple[EmotionRecognizer, int]:
        """The recognizer for several recordings at once, and their number."""
        return self, validate_jobs(jobs, 1)

    def with_phonemes(self, decoding: str | None = None, edges: str | None = None) -> Self:
        """Return a recognizer with other phoneme options that shares this one's network.

        Args:
            decoding: one of ``phoneme_decoder.decodings``; None keeps it.
            edges: "posteriors" or "waveform"; None keeps it.

        Raises:
            UsageError: an unknown option, or one that the model does not support.
        """
        other = copy(self)
        other.phoneme_decoder = self.phoneme_decoder.chosen(decoding, edges)
        return other

    @abstractmethod
    def _recognize_clip(self, samples: Samples, options: PredictOptions) -> ClipScores:
        """Process one clip (sample,)."""

    def _recognize_clips(
        self, clips: Sequence[Samples], options: PredictOptions
    ) -> list[ClipScores]:
        """Process several clips of similar length."""
        return [self._recognize_clip(clip, options) for clip in clips]

    def _open_channels(
        self,
        audio: Source | Excerpt,
        rate: int | None,
        options: PredictOptions,
        channels: Channels,
    ) -> Waveform | LongRecording | SplitRecording:
        """Open a recording, or its chosen channel; split leaves the decoding to its prediction."""
        excerpt = chosen_excerpt(audio, channels)
        if channels == "split" and excerpt.channel is None:
            return SplitRecording(self, excerpt, rate, options)
        return self._open_audio(excerpt, rate, options)

    def _open_audio(
        self, audio: Source | Excerpt, rate: int | None, options: PredictOptions
    ) -> Waveform | LongRecording:
        """Decode a short recording, or the beginning of a long one."""
        excerpt = audio if isinstance(audio, Excerpt) else Excerpt(audio)
        with ExitStack() as stack:
            reader = stack.enter_context(
                open_waveform(
                    excerpt.source,
                    rate=rate,
                    start=excerpt.start,
                    end=excerpt.end,
                    channel=excerpt.channel,
                    limits=self.limits,
                )
            )
            pieces, buffered = iter(reader), []
            for piece in pieces:
                buffered.append(piece)
                if reader.samples > self.whole_seconds * RATE:
                    all_pieces = chain(buffered, pieces)
                    return LongRecording(self, reader, all_pieces, options, stack.pop_all())
            return Waveform(np.concatenate(buffered), reader.warnings, reader.channel)

    def _predict_by_turns(
        self,
        audio: Source,
        rate: int | None,
        turns: Sequence[Turn],
        options: PredictOptions,
        by_speaker: bool,
        channels: Channels,
    ) -> Prediction:
        """Predict turn by turn, for some speakers with an adapted recognizer."""
        adapted: Mapping[Party, EmotionRecognizer] = {}

        def predict(waveform: Waveform, turn: Turn) -> Prediction:
            chosen = adapted.get((turn.speaker, turn.channel), self)
            return chosen.predict_waveform(waveform, options)

        with ExitStack() as stack:
            rewind = reopened(audio, self.limits, stack)
            turns = turns_on(channels, turns, channel_count(rewind(), rate, self.limits))
            if by_speaker:
                adapted = speakers_adapted(self, rewind(), rate, turns)
            prediction = predict_turns(
                predict, rewind(), rate, turns, self.limits, self.window_seconds
            )
        segments = tuple(
            replace(segment, profile=adapted[segment.speaker, segment.channel].applied)
            if (segment.speaker, segment.channel) in adapted
            else segment
            for segment in prediction.segments
        )
        prediction = replace(prediction, segments=segments, profile=self.applied)
        return with_doubt(prediction, self.abstain_below)

    def _clip_prediction(
        self,
        waveform: Waveform,
        clip: ClipScores,
        options: PredictOptions = PLAIN,
        timeline: Sequence[Segment] = (),
    ) -> Prediction:
        """Build the prediction of a recording processed in one pass; its timeline may be known."""
        size = len(waveform.samples)
        track = VadTrack.of_clip(detector_of(self.activity), waveform.samples)
        ratio = track.share(0, size)
        segment = segment_of(0, size, self.labels, clip.row, dimensions=self.dimensions)
        if options.timeline and ratio:
            timeline = self.predict_chunks([waveform.samples]).segments
        prediction = Prediction(
            label=segment.label,
            scores=segment.scores,
            seconds=waveform.seconds,
            spans=clip.spans,
            warnings=(*waveform.warnings, *(() if ratio else ("no_speech",))),
            # too little speech for a window leaves the whole
            segments=(tuple(timeline) or (segment,)) * bool(ratio),
            speech_ratio=ratio,
            timings=clip.timings,
            profile=self.applied,
            dimensions=segment.dimensions,
        )
        return on_channel(with_doubt(prediction, self.abstain_below), waveform.channel)


def validate_jobs(jobs: int | None, usual: int) -> int:
    """Return the number of jobs; UsageError below 1."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"expected 1 or more jobs, got jobs={jobs}")
    return usual if jobs is None else jobs
