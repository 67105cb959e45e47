"""Recognizes the emotion of a user's turns, mostly while the user speaks.

The network needs the whole turn, so at each pause the turn so far is recognized: if the turn ends
there, its result is known when the voice activity detector of the agent reports the end, which
takes it 0.2 s of silence or more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from phonemo.annotations.doubt import with_doubt
from phonemo.annotations.prediction import Prediction
from phonemo.audio import RATE, Waveform
from phonemo.audio.levels import LevelMeter
from phonemo.errors import UsageError
from phonemo.integrations.agents.speaker_adaptation import SpeakerAdaptation
from phonemo.integrations.agents.turn_audio import PacketDecoder, Samples, TurnAudio
from phonemo.integrations.agents.turn_emotion import (
    TurnEmotion,
    emotion_of_nothing,
    emotion_of_prediction,
    emotion_of_segment,
)
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.sliding import SlidingInference
from phonemo.runtime.windows import LEAST_SECONDS, LEAST_SPEECH_SECONDS

_MOST_SECONDS = 3600


@dataclass(frozen=True)
class TurnOptions:
    """How turns are recognized.

    Raises:
        UsageError: a length that is too short or too long.
    """

    live: bool = False
    """Windows of 3 s while the user speaks, one every 1.5 s. They cost about as much time again."""
    pauses: bool = True
    """The turn so far at each pause. Without it, all work is left to the end of the turn."""
    one_pass_seconds: float = 10.0
    """Turns of up to this length are recognized in one pass, as files are; longer ones have the
    mean of windows, most of which are processed while the user speaks."""
    longest_seconds: float = 300.0
    """The rest of a longer turn is not recognized: its prediction has the warning "truncated"."""
    adapt: bool = False
    """Each turn adapts the recognizer to the speaker, who must have agreed."""

    def __post_init__(self) -> None:
        for seconds in (self.one_pass_seconds, self.longest_seconds):
            if not LEAST_SECONDS <= seconds <= _MOST_SECONDS:
                raise UsageError(
                    f"expected lengths of {LEAST_SECONDS:g} to {_MOST_SECONDS} s, since a turn is "
                    f"kept in memory, got one_pass_seconds={self.one_pass_seconds} and "
                    f"longest_seconds={self.longest_seconds}; choose others"
                )


class TurnRecognizer:
    """Recognizes one turn after another; not thread-safe.

    ``push`` is cheap. ``advance`` runs what is due, at most one pass of the network; ``end`` runs
    what is still missing.

    Args:
        recognizer: the recognizer; it may be shared.
        options: how turns are recognized.

    Raises:
        ModelError: ``adapt`` with a model that takes no profile.
    """

    def __init__(self, recognizer: EmotionRecognizer, options: TurnOptions) -> None:
        self._first, self._options = recognizer, options
        self._adaptation = SpeakerAdaptation(recognizer) if options.adapt else None
        self._number = 0
        self._turn: _Turn | None = None
        self._learnt: tuple[TurnAudio, Prediction] | None = None

    @property
    def adaptation(self) -> SpeakerAdaptation | None:
        """The adaptation to the speaker; None without ``adapt``."""
        return self._adaptation

    def begin(self) -> None:
        """Begin a turn, unless there is one."""
        if self._turn is None:
            self._number += 1
            adapted = self._adaptation
            recognizer = self._first if adapted is None else adapted.recognizer
            self._turn = _Turn(recognizer, self._options, self._number)

    def push(self, data: bytes, rate: int, channels: int) -> None:
        """Add a packet of interleaved 16-bit PCM to the turn; without a turn it is dropped.

        Raises:
            AudioError: the packet is no such thing; it is dropped.
        """
        if self._turn is not None:
            self._turn.push(data, rate, channels)

    def discard(self) -> None:
        """Drop the turn."""
        self._turn = None

    @property
    def is_due(self) -> bool:
        """Whether ``advance`` has something to do."""
        return self._learnt is not None or (self._turn is not None and self._turn.is_due)

    def advance(self) -> list[TurnEmotion]:
        """Run at most one pass of the network, and return the live emotions."""
        if self._turn is not None and self._turn.is_due:
            return self._turn.advance()
        learnt, self._learnt = self._learnt, None
        if learnt is not None and self._adaptation is not None:
            audio, prediction = learnt
            self._adaptation.add(audio.beginning(), prediction)
        return []

    def end(self) -> TurnEmotion | None:
        """End the turn and return its emotion; None without a turn."""
        turn, self._turn = self._turn, None
        if turn is None:
            return None
        emotion = turn.end()
        if self._adaptation is not None and emotion.prediction is not None:
            self._learnt = turn.audio, emotion.prediction
        return emotion


class _Turn:
    def __init__(self, recognizer: EmotionRecognizer, options: TurnOptions, number: int) -> None:
        self._recognizer, self._options, self._number = recognizer, options, number
        self._decoder = PacketDecoder()
        self._most = int(options.one_pass_seconds * RATE)
        self.audio = TurnAudio(self._most)
        self._inference: SlidingInference | None = None
        self._at_pause: tuple[int, Prediction] | None = None
        self._decoded = 0
        self._level = LevelMeter()

    def push(self, data: bytes, rate: int, channels: int) -> None:
        if self._is_full:
            return
        self._add(self._decoder.decode(data, rate, channels))

    @property
    def is_due(self) -> bool:
        return self._pause_is_due or self._windows_are_due

    def advance(self) -> list[TurnEmotion]:
        """The pause precedes the windows: the turn may end there."""
        if self._pause_is_due:
            return [emotion_of_prediction(self._recognize(), "pause", self._number)]
        return self._recognize_windows()

    def end(self) -> TurnEmotion:
        if not self._is_full:
            self._add(self._decoder.finish())
        if self.audio.speech_seconds < LEAST_SPEECH_SECONDS:
            return emotion_of_nothing(self._number)
        prediction = self._whole() if self._is_long else self._recognize()
        of_audio = self._level.warnings(truncated=self._is_full)
        prediction = replace(prediction, warnings=(*of_audio, *prediction.warnings))
        return emotion_of_prediction(prediction, "turn", self._number)

    def _add(self, samples: Samples) -> None:
        kept = samples[: int(self._options.longest_seconds * RATE) - self._decoded]
        self._decoded += len(samples)
        self._level.update_raw(kept[:, None])
        self._level.update_mono(kept)
        self.audio.push(kept)

    @property
    def _is_full(self) -> bool:
        return self._decoded > self._options.longest_seconds * RATE

    @property
    def _is_long(self) -> bool:
        return self.audio.length > self._most

    @property
    def _pause_is_due(self) -> bool:
        audio = self.audio
        is_wanted = self._options.pauses and audio.in_pause and not self._is_long
        has_speech = is_wanted and audio.speech_seconds >= LEAST_SPEECH_SECONDS
        return has_speech and (self._at_pause is None or self._at_pause[0] != audio.length)

    @property
    def _windows_are_due(self) -> bool:
        hop = int(self._recognizer.window_seconds * RATE) // 2
        return (self._options.live or self._is_long) and self.audio.untaken >= hop

    def _recognize(self) -> Prediction:
        """The prediction of the turn so far, in one pass."""
        length = self.audio.length
        if self._at_pause is None or self._at_pause[0] != length:
            waveform = Waveform(self.audio.beginning(), ())
            self._at_pause = length, self._recognizer.predict_waveform(waveform)
        return self._at_pause[1]

    def _recognize_windows(self) -> list[TurnEmotion]:
        if self._inference is None:
            self._inference = self._recognizer.sliding_inference()
        events = self._inference.push(self.audio.take())
        if not self._options.live:
            return []
        windows = [event.segment for event in events if event.kind == "window"]
        return [emotion_of_segment(segment, self._number) for segment in windows]

    def _whole(self) -> Prediction:
        """The prediction of a long turn: the mean of its windows."""
        self._recognize_windows()
        assert self._inference is not None
        self._inference.finish()
        return with_doubt(self._inference.answer(), self._recognizer.abstain_below)
