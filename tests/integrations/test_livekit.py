"""Turn emotions in a real AgentSession of livekit-agents, on recorded turns, without a server."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from phonemo.loader import load_model
from tests.integrations.recorded_turns import BrokenRecognizer, packets, recorded_turn

pytest.importorskip("livekit.agents", reason="needs livekit-agents: make test-agents")

from livekit import rtc
from livekit.agents import Agent, AgentSession, StopResponse, io, stt

from phonemo.integrations.livekit import TurnEmotions, TurnOptions

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def recognizer():
    return load_model(threads=1)


def audio_frames(pcm=None, rate=16_000, channels=1):
    pcm = recorded_turn(rate=rate) if pcm is None else pcm
    return [
        rtc.AudioFrame(packet, rate, channels, len(packet) // 2 // channels)
        for packet in packets(pcm, rate, channels=channels)
    ]


async def stream(frames):
    for frame in frames:
        yield frame


class Microphone(io.AudioInput):
    """Recorded turns; each follows when the one before is completed."""

    def __init__(self, frames, turns):
        super().__init__(label="recorded")
        self._turns = iter([list(frames) for _ in range(turns)])
        self._frames = next(self._turns)
        self._completed = asyncio.Event()

    def complete(self):
        self._completed.set()

    async def __anext__(self):
        while not self._frames:
            self._completed.clear()
            await self._completed.wait()
            self._frames = next(self._turns, [])
        await asyncio.sleep(0)
        return self._frames.pop(0)


class Recorded(stt.STT):
    """Transcribes with "word" and detects turns: from the first frame to a given number of them."""

    def __init__(self, count):
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))
        self.count = count

    async def _recognize_impl(self, buffer, *, language, conn_options):
        raise NotImplementedError

    def stream(self, *, language=None, conn_options):
        return RecordedStream(stt=self, conn_options=conn_options)


class RecordedStream(stt.RecognizeStream):
    async def _run(self):
        kinds, number = stt.SpeechEventType, 0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            number += 1
            if number % self._stt.count == 1:
                self._event_ch.send_nowait(stt.SpeechEvent(kinds.START_OF_SPEECH))
            if number % self._stt.count == 0:
                word = stt.SpeechData(language="en", text="word")
                self._event_ch.send_nowait(
                    stt.SpeechEvent(kinds.FINAL_TRANSCRIPT, alternatives=[word])
                )
                self._event_ch.send_nowait(stt.SpeechEvent(kinds.END_OF_SPEECH))


class Assistant(Agent):
    """As in docs/voice-agents.md; it collects what the language model would see."""

    def __init__(self, emotions):
        super().__init__(instructions="Be kind.")
        self.emotions, self.turns = emotions, asyncio.Queue()

    async def on_enter(self):
        self.emotions.attach(self.session)

    def stt_node(self, audio, model_settings):
        return Agent.default.stt_node(self, self.emotions.audio(audio), model_settings)

    async def on_user_turn_completed(self, turn_ctx, new_message):
        emotion = await self.emotions.end_turn(timeout=60)
        if emotion is not None:
            turn_ctx.add_message(role="system", content=emotion.describe())
        self.turns.put_nowait((emotion, new_message.text_content, turn_ctx))
        raise StopResponse  # there is no language model


async def converse(emotions, turns=1):
    """Run a session until its turns are completed."""
    frames = audio_frames()
    handling = {"turn_detection": "stt", "endpointing": {"min_delay": 0.0}}
    session = AgentSession(stt=Recorded(len(frames)), vad=None, turn_handling=handling)
    session.input.audio = microphone = Microphone(frames, turns)
    agent, completed = Assistant(emotions), []
    await session.start(agent, record=False)
    try:
        while len(completed) < turns:
            completed.append(await asyncio.wait_for(agent.turns.get(), 60))
            microphone.complete()
    finally:
        await session.aclose()
        await emotions.aclose()
    return completed


def test_the_emotion_of_a_turn_is_known_before_the_language_model_responds(recognizer):
    async def run():
        return await converse(TurnEmotions(recognizer))

    ((emotion, text, context),) = asyncio.run(run())
    assert (emotion.kind, emotion.label, emotion.unsure) == ("turn", "anger", True)
    assert emotion.prediction.spans
    assert text == "word"
    assert "unsure (closest: anger" in context.items[-1].text_content


def test_each_turn_of_a_session_has_its_emotion(recognizer):
    async def run():
        seen = []
        emotions = TurnEmotions(recognizer, on_emotion=seen.append)
        return await converse(emotions, turns=2), seen

    turns, seen = asyncio.run(run())
    assert [emotion.turn for emotion, _, _ in turns] == [1, 2]
    assert [emotion for emotion in seen if emotion.is_final] == [turn[0] for turn in turns]


async def one_turn(emotions, frames):
    """Without a session: the begin and the end are given."""
    emotions.begin_turn()
    passed = [frame async for frame in emotions.audio(stream(frames))]
    emotion = await emotions.end_turn(timeout=60)
    await emotions.aclose()
    return passed, emotion


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (24_000, 1), (48_000, 2)])
def test_every_frame_passes_unchanged_at_any_rate(recognizer, rate, channels):
    frames = audio_frames(rate=rate, channels=channels)
    passed, emotion = asyncio.run(one_turn(TurnEmotions(recognizer), frames))
    assert all(one is other for one, other in zip(passed, frames, strict=True))
    assert emotion.label == "anger"


def test_the_end_of_a_stream_is_that_of_the_node(recognizer):
    passed, emotion = asyncio.run(one_turn(TurnEmotions(recognizer), []))
    assert passed == []
    assert (emotion.label, emotion.warnings) == (None, ("too_short",))


def test_windows_and_an_awaited_callback(recognizer):
    kinds = []

    async def on_emotion(emotion):
        kinds.append(emotion.kind)

    async def run():
        options = TurnOptions(live=True, pauses=False)
        emotions = TurnEmotions(recognizer, options=options, on_emotion=on_emotion)
        emotions.begin_turn()
        pcm = np.concatenate([recorded_turn("english-slow", pause_seconds=0)] * 2)
        async for _ in emotions.audio(stream(audio_frames(pcm))):
            pass
        await emotions._worker.settle()
        await emotions.end_turn(timeout=60)
        await emotions.aclose()

    asyncio.run(run())
    assert kinds[-1] == "turn"
    assert set(kinds[:-1]) == {"window"}


class Session(rtc.EventEmitter):
    """The events of a session."""

    user_state = "listening"

    def say(self, state):
        self.user_state = state
        self.emit("user_state_changed", SimpleNamespace(new_state=state))

    def add(self, role):
        self.emit("conversation_item_added", SimpleNamespace(item=SimpleNamespace(role=role)))


def test_without_a_hook_the_user_message_ends_the_turn(recognizer):
    async def run():
        final = asyncio.get_running_loop().create_future()
        emotions = TurnEmotions(
            recognizer, on_emotion=lambda found: found.is_final and final.set_result(found)
        )
        session = Session()
        emotions.attach(session)
        emotions.attach(session)
        session.say("speaking")
        async for _ in emotions.audio(stream(audio_frames())):
            pass
        session.say("listening")
        session.add("assistant")
        assert not final.done()
        session.add("user")
        emotion = await asyncio.wait_for(final, 60)
        await emotions.aclose()
        session.say("speaking")
        assert not emotions._worker.in_turn
        return emotion

    assert asyncio.run(run()).label == "anger"


def test_a_user_who_speaks_on_begins_the_next_turn(recognizer):
    async def run():
        emotions, session = TurnEmotions(recognizer), Session()
        session.say("speaking")
        emotions.attach(session)
        first = await emotions.end_turn(timeout=60)
        session.say("listening")
        second = await emotions.end_turn(timeout=60)
        third = await emotions.end_turn(timeout=60)
        await emotions.aclose()
        return first.turn, second.turn, third

    assert asyncio.run(run()) == (1, 2, None)


def test_a_failure_is_one_line_in_the_log(caplog):
    with caplog.at_level(logging.WARNING, "phonemo"):
        passed, emotion = asyncio.run(one_turn(TurnEmotions(BrokenRecognizer()), audio_frames()))
    assert (len(passed), emotion) == (len(audio_frames()), None)
    (record,) = [record for record in caplog.records if record.name == "phonemo"]
    assert "could not be recognized (RuntimeError: " in record.getMessage()
    assert record.exc_info is None


def test_a_failing_callback_does_not_reach_the_agent(recognizer, caplog):
    def on_emotion(emotion):
        raise ValueError("of the caller")

    with caplog.at_level(logging.WARNING, "phonemo"):
        emotions = TurnEmotions(recognizer, on_emotion=on_emotion)
        _, emotion = asyncio.run(one_turn(emotions, audio_frames()))
    assert emotion.label == "anger"
    assert "ValueError: of the caller" in caplog.text


def test_an_agent_is_not_held_up_by_a_late_emotion(recognizer, caplog):
    async def run():
        emotions = TurnEmotions(recognizer)
        emotions.begin_turn()
        emotion = await emotions.end_turn(timeout=0)
        emotions.discard_turn()
        await emotions.aclose()
        return emotion

    with caplog.at_level(logging.WARNING, "phonemo"):
        assert asyncio.run(run()) is None
    assert "expected the emotion of a turn within 0 s" in caplog.text


def test_closing_releases_who_waits_for_an_emotion(recognizer):
    async def run():
        emotions = TurnEmotions(recognizer)
        emotions.begin_turn()
        waiting = asyncio.create_task(emotions.end_turn(timeout=60))
        await asyncio.sleep(0)
        await emotions.aclose()
        return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(run()) is None


def test_closing_releases_all_who_wait(recognizer):
    async def run():
        emotions, waiting = TurnEmotions(recognizer), []
        for _ in range(3):
            emotions.begin_turn()
            waiting.append(asyncio.create_task(emotions.end_turn(timeout=60)))
            await asyncio.sleep(0)
        await emotions.aclose()
        return await asyncio.wait_for(asyncio.gather(*waiting), 30)

    assert asyncio.run(run()) == [None] * 3


def test_a_callback_may_close(recognizer):
    """Closing would otherwise wait for the callback, which waits for the closing."""

    async def run():
        closed = asyncio.Event()

        async def on_emotion(emotion):
            await emotions.aclose()
            closed.set()

        emotions = TurnEmotions(recognizer, on_emotion=on_emotion)
        await one_turn(emotions, audio_frames())
        await asyncio.wait_for(closed.wait(), 30)
        return emotions._worker

    worker = asyncio.run(run())
    assert worker._thread._shutdown


def test_a_discarded_turn_has_no_live_emotion_either(recognizer):
    """Not even one that is being computed when the turn is discarded."""
    computing, discarded, received = threading.Event(), threading.Event(), []

    class Blocked:
        def __getattr__(self, name):
            return getattr(recognizer, name)

        def predict_waveform(self, *arguments):
            computing.set()
            discarded.wait(30)
            return recognizer.predict_waveform(*arguments)

    async def run():
        emotions = TurnEmotions(Blocked(), on_emotion=received.append)
        emotions.begin_turn()
        async for _ in emotions.audio(stream(audio_frames())):
            await asyncio.sleep(0)
        await asyncio.to_thread(computing.wait, 30)
        emotions.discard_turn()
        discarded.set()
        await emotions._worker.settle()
        await emotions.aclose()

    asyncio.run(run())
    assert received == []
