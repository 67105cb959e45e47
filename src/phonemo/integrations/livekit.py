"""The emotion of each user turn for an agent of livekit-agents; livekit itself is not imported.

    class Assistant(Agent):
        async def on_enter(self):
            self.emotions = TurnEmotions()
            self.emotions.attach(self.session)

        def stt_node(self, audio, model_settings):
            return Agent.default.stt_node(self, self.emotions.audio(audio), model_settings)

        async def on_user_turn_completed(self, turn_ctx, new_message):
            emotion = await self.emotions.end_turn()

Speech stays on the machine. Tell the people who speak that their emotions are recognized, and get
their consent (docs/voice-agents.md).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

from phonemo.errors import PhonemoError
from phonemo.integrations.agents.turn_emotion import TurnEmotion
from phonemo.integrations.agents.turn_recognizer import TurnOptions
from phonemo.integrations.agents.turn_worker import TurnWorker
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.recognizer import EmotionRecognizer

__all__ = ["TurnEmotion", "TurnEmotions", "TurnOptions"]

_LOG = logging.getLogger("phonemo")

Callback = Callable[[TurnEmotion], Awaitable[None] | None]


class TurnEmotions:
    """Recognizes the emotion of each user turn of an AgentSession.

    ``audio`` goes around the frames of ``Agent.stt_node``; ``attach`` follows the session: a turn
    begins when the user's state becomes "speaking", and ends when ``end_turn`` is called or the
    user's message is added to the conversation. Nothing raises into the agent; an error is one line
    in the log "phonemo".

    Args:
        recognizer: a recognizer, as returned by phonemo.load, which several agents may share; None
            loads phonemo-small with the first frame.
        options: how turns are recognized.
        on_emotion: is called, and awaited if it is a coroutine function, with every TurnEmotion, on
            the agent's event loop: that of each turn, and before it those at each pause.
    """

    def __init__(
        self,
        recognizer: EmotionRecognizer | None = None,
        *,
        options: TurnOptions | None = None,
        on_emotion: Callback | None = None,
    ) -> None:
        self._on_emotion = on_emotion
        self._worker = TurnWorker(recognizer, options or TurnOptions(), self._emit, self._report)
        self._session: Any = None

    @property
    def profile(self) -> Profile | None:
        """The profile of the speaker so far, which is personal data; None without ``adapt``."""
        return self._worker.profile

    def attach(self, session: Any) -> None:
        """Follow an AgentSession: call it once, in ``Agent.on_enter``."""
        if self._session is session:
            return
        self.detach()
        self._session = session
        session.on("user_state_changed", self._on_user_state)
        session.on("conversation_item_added", self._on_item)
        self._worker.open()
        if session.user_state == "speaking":
            self.begin_turn()

    def detach(self) -> None:
        """Stop following the session."""
        session, self._session = self._session, None
        if session is not None:
            session.off("user_state_changed", self._on_user_state)
            session.off("conversation_item_added", self._on_item)

    async def audio(self, frames: AsyncIterable[Any]) -> AsyncIterator[Any]:
        """Yield every rtc.AudioFrame unchanged and at once, and collect those of turns."""
        async for frame in frames:
            self._worker.push(bytes(frame.data), frame.sample_rate, frame.num_channels)
            yield frame

    def begin_turn(self) -> None:
        """Begin a turn, with up to a second of audio before it; ``attach`` does so by itself."""
        self._worker.begin_turn()

    async def end_turn(self, timeout: float = 2.0) -> TurnEmotion | None:
        """End the turn and return its emotion, for ``Agent.on_user_turn_completed``.

        Args:
            timeout: seconds after which None is returned, and the emotion goes to ``on_emotion``
                only.

        Returns:
            None without a turn, after the timeout, or if the turn could not be recognized.
        """
        ending = self._worker.end_turn()
        if self._session is not None and self._session.user_state == "speaking":
            self._worker.begin_turn()
        done, _ = await asyncio.wait([ending], timeout=timeout)
        if not done:
            _LOG.warning(
                "expected the emotion of a turn within %g s; use fewer agents per machine", timeout
            )
        return ending.result() if done else None

    def discard_turn(self) -> None:
        """Drop the turn, as when the user withdraws consent."""
        self._worker.discard_turn()

    async def aclose(self) -> None:
        """Stop, in ``Agent.on_exit``."""
        self.detach()
        await self._worker.close()

    def _on_user_state(self, event: Any) -> None:
        if event.new_state == "speaking":
            self._worker.begin_turn()

    def _on_item(self, event: Any) -> None:
        if getattr(event.item, "role", None) == "user":
            self._worker.end_turn()

    async def _emit(self, emotion: TurnEmotion) -> None:
        if self._on_emotion is None:
            return
        result = self._on_emotion(emotion)
        if inspect.isawaitable(result):
            await result

    async def _report(self, error: PhonemoError) -> None:
        _LOG.warning("%s", error)
