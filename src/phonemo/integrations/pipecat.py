"""A processor for Pipecat that adds the emotion of each user turn to a pipeline.

    pipeline = Pipeline([transport.input(), EmotionProcessor(), stt, user_aggregator, llm, ...])

Speech stays on the machine. Tell the people who speak that their emotions are recognized, and get
their consent (docs/voice-agents.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from phonemo.annotations.dimensions import Dimensions
from phonemo.annotations.prediction import Prediction
from phonemo.errors import MissingExtraError, PhonemoError, UsageError
from phonemo.integrations.agents.turn_emotion import TurnEmotion
from phonemo.integrations.agents.turn_recognizer import TurnOptions
from phonemo.integrations.agents.turn_worker import TurnWorker
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.recognizer import EmotionRecognizer

try:
    from pipecat.frames import frames
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
except ImportError as _error:
    raise MissingExtraError("the processor for Pipecat", "pipecat") from _error

__all__ = ["EmotionFrame", "EmotionProcessor", "LiveEmotionFrame", "TurnEmotion", "TurnOptions"]

_ENDS = {
    "turn": frames.UserStoppedSpeakingFrame,
    "vad": frames.VADUserStoppedSpeakingFrame,
}
_BEGINS = (frames.UserStartedSpeakingFrame, frames.VADUserStartedSpeakingFrame)


@dataclass
class EmotionFrame(frames.SystemFrame):  # type: ignore[misc, unused-ignore]
    """The emotion of a finished user turn.

    A system frame: it is processed at once, and an interruption does not drop it.

    Attributes:
        emotion: the emotion, with its prediction.
    """

    emotion: TurnEmotion

    @property
    def label(self) -> str | None:
        """The emotion with the highest score; None if there was too little speech."""
        return self.emotion.label

    @property
    def scores(self) -> dict[str, float]:
        """Probability of every emotion."""
        return self.emotion.scores

    @property
    def unsure(self) -> bool:
        """Whether the label is in doubt."""
        return self.emotion.unsure

    @property
    def dimensions(self) -> Dimensions | None:
        """Arousal and valence; None for a model without them."""
        return self.emotion.dimensions

    @property
    def prediction(self) -> Prediction | None:
        """The prediction of the turn, with its phonemes; None if there was too little speech."""
        return self.emotion.prediction

    def __str__(self) -> str:
        return f"{self.name}({self.emotion.describe()})"


@dataclass
class LiveEmotionFrame(EmotionFrame):
    """The emotion of a user turn so far: up to a pause, or of a window of 3 s."""


class EmotionProcessor(FrameProcessor):  # type: ignore[misc, unused-ignore]
    """Passes every frame on, and pushes an EmotionFrame downstream after each user turn.

    It belongs behind the transport's input. A turn begins with UserStartedSpeakingFrame or the
    detector's VADUserStartedSpeakingFrame, and ends with UserStoppedSpeakingFrame, from whichever
    direction they come. At each pause, LiveEmotionFrames follow with the emotion so far. Each turn
    has exactly one EmotionFrame, or an ErrorFrame where it could not be recognized. While the user
    is muted, nothing is collected.

    The event handler ``on_emotion`` is called with every TurnEmotion, live ones included.

    Args:
        recognizer: a recognizer, as returned by phonemo.load, which several processors may share;
            None loads phonemo-small when the pipeline starts.
        options: how turns are recognized.
        ends: "turn": a turn ends with UserStoppedSpeakingFrame; "vad": with the
            VADUserStoppedSpeakingFrame of a pipeline that has no turn detection.
        user_id: only audio of this participant (UserAudioRawFrame.user_id) is collected; None takes
            all input audio, which must then be of one person.
        name: of the processor.

    Raises:
        UsageError: another ``ends``.
    """

    def __init__(
        self,
        recognizer: EmotionRecognizer | None = None,
        *,
        options: TurnOptions | None = None,
        ends: str = "turn",
        user_id: str | None = None,
        name: str | None = None,
    ) -> None:
        if ends not in _ENDS:
            raise UsageError(f"expected ends of {', '.join(_ENDS)}, got {ends!r}; choose one")
        super().__init__(name=name)
        self._ends, self._user_id = _ENDS[ends], user_id
        self._is_muted = False
        self._worker = TurnWorker(recognizer, options or TurnOptions(), self._emit, self._report)
        self._register_event_handler("on_emotion")

    @property
    def profile(self) -> Profile | None:
        """The profile of the speaker so far, which is personal data; None without ``adapt``."""
        return self._worker.profile

    def discard_turn(self) -> None:
        """Drop the turn, as when the user withdraws consent."""
        self._worker.discard_turn()

    async def process_frame(self, frame: Any, direction: Any) -> None:
        """Collect the audio of turns; every frame is passed on, and an EndFrame only afterwards."""
        await super().process_frame(frame, direction)
        if isinstance(frame, frames.EndFrame):
            self._worker.end_turn()
            await self._worker.settle()
        await self.push_frame(frame, direction)
        self._follow(frame)

    async def cleanup(self) -> None:
        """Stop the thread."""
        await self._worker.close()
        await super().cleanup()

    def _follow(self, frame: Any) -> None:
        if isinstance(frame, frames.InputAudioRawFrame):
            self._collect(frame)
        elif isinstance(frame, frames.StartFrame):
            self._worker.open()
        elif isinstance(frame, _BEGINS) and not self._is_muted:
            self._worker.begin_turn()
        elif isinstance(frame, self._ends):
            self._worker.end_turn()
        elif isinstance(frame, frames.UserMuteStartedFrame | frames.UserMuteStoppedFrame):
            self._is_muted = isinstance(frame, frames.UserMuteStartedFrame)
            self._worker.discard_turn()
        elif isinstance(frame, frames.CancelFrame):
            self._worker.discard_turn()

    def _collect(self, frame: Any) -> None:
        is_other = self._user_id not in (None, getattr(frame, "user_id", self._user_id))
        if not self._is_muted and not is_other:
            self._worker.push(bytes(frame.audio), frame.sample_rate, frame.num_channels)

    async def _emit(self, emotion: TurnEmotion) -> None:
        frame = EmotionFrame(emotion) if emotion.is_final else LiveEmotionFrame(emotion)
        await self.push_frame(frame, FrameDirection.DOWNSTREAM)
        await self._call_event_handler("on_emotion", emotion)

    async def _report(self, error: PhonemoError) -> None:
        await self.push_error(str(error), exception=error)
