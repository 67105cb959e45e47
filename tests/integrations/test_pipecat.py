"""The processor for Pipecat in real pipelines, on recorded turns, without a network."""

from __future__ import annotations

import asyncio
import logging
import threading

import numpy as np
import pytest

from phonemo.errors import CheckpointError, UsageError
from phonemo.loader import load_model
from tests.integrations.recorded_turns import BrokenRecognizer, packets, recorded_turn

frames = pytest.importorskip("pipecat.frames.frames", reason="needs pipecat-ai: make test-agents")

from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.worker import PipelineWorker  # noqa: E402
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor  # noqa: E402
from pipecat.tests.utils import run_test  # noqa: E402
from pipecat.workers.runner import WorkerRunner  # noqa: E402

from phonemo.integrations.pipecat import (  # noqa: E402
    EmotionFrame,
    EmotionProcessor,
    LiveEmotionFrame,
    TurnOptions,
)

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")

STARTED, STOPPED = frames.UserStartedSpeakingFrame, frames.UserStoppedSpeakingFrame
UPSTREAM = FrameDirection.UPSTREAM
VAD_STARTED, VAD_STOPPED = frames.VADUserStartedSpeakingFrame, frames.VADUserStoppedSpeakingFrame


@pytest.fixture(scope="module")
def recognizer():
    return load_model(threads=1)


def audio(pcm=None, rate=16_000, channels=1):
    pcm = recorded_turn(rate=rate) if pcm is None else pcm
    return [
        frames.InputAudioRawFrame(audio=packet, sample_rate=rate, num_channels=channels)
        for packet in packets(pcm, rate, channels=channels)
    ]


def run(processor, to_send, **options):
    """What comes out downstream and upstream."""
    down, up = asyncio.run(run_test(processor, frames_to_send=to_send, **options))
    return list(down), list(up)


def finals(down):
    return [frame for frame in down if type(frame) is EmotionFrame]


def test_a_turn_has_one_emotion_and_every_frame_passes(recognizer):
    sent = [STARTED(), *audio(), STOPPED(), frames.TextFrame("after")]
    down, up = run(EmotionProcessor(recognizer), sent)
    passed = [frame for frame in down if not isinstance(frame, EmotionFrame)]
    assert passed == sent, "in their order"
    (emotion,) = finals(down)
    assert emotion.label == "anger"
    assert emotion.unsure
    assert sum(emotion.scores.values()) == pytest.approx(1, abs=1e-3)
    assert emotion.prediction.spans
    assert emotion.dimensions == emotion.prediction.dimensions
    assert "classifier" in str(emotion)
    assert up == []


def test_the_emotion_so_far_comes_before_the_end_of_the_turn(recognizer):
    collected = asyncio.run(_live_before_end(recognizer))
    assert collected.index("live") < collected.index("stop") < collected.index("final")


async def _live_before_end(recognizer):
    """Send the end of the turn once the emotion at its last pause is there."""
    order, is_live = [], asyncio.Event()

    class Sink(FrameProcessor):
        async def process_frame(self, frame, direction):
            await super().process_frame(frame, direction)
            names = {LiveEmotionFrame: "live", EmotionFrame: "final", STOPPED: "stop"}
            order.append(names.get(type(frame), ""))
            if type(frame) is LiveEmotionFrame:
                is_live.set()
            await self.push_frame(frame, direction)

    worker = PipelineWorker(Pipeline([EmotionProcessor(recognizer), Sink()]), enable_rtvi=False)
    await worker.queue_frames([VAD_STARTED(), *audio()])
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(is_live.wait(), 30)
    await worker.queue_frames([STOPPED(), frames.EndFrame()])
    await asyncio.wait_for(running, 30)
    return order


def test_windows_follow_on_request(recognizer):
    pcm = np.concatenate([recorded_turn("english-slow", pause_seconds=0)] * 2)
    options = TurnOptions(live=True, pauses=False)
    processor = EmotionProcessor(recognizer, options=options)
    down, _ = asyncio.run(_paced(processor, [STARTED(), *audio(pcm)], [STOPPED()]))
    kinds = [frame.emotion.kind for frame in down if isinstance(frame, EmotionFrame)]
    assert kinds[-1] == "turn"
    assert set(kinds[:-1]) == {"window"}


async def _paced(processor, first, last):
    """Send the last frames when the processor is done with the first ones."""
    collected = []

    class Sink(FrameProcessor):
        async def process_frame(self, frame, direction):
            await super().process_frame(frame, direction)
            collected.append(frame)
            if frame is first[-1]:
                await processor._worker.settle()
                await worker.queue_frames([*last, frames.EndFrame()])
            await self.push_frame(frame, direction)

    worker = PipelineWorker(Pipeline([processor, Sink()]), enable_rtvi=False)
    await worker.queue_frames(first)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await asyncio.wait_for(runner.run(), 60)
    return collected, None


def test_turn_frames_may_come_from_behind(recognizer):
    """Pipecat's user aggregator, which decides about turns, is behind the processor."""
    processor, emotions = EmotionProcessor(recognizer), []
    begun, ended = asyncio.Event(), asyncio.Event()

    @processor.event_handler("on_after_process_frame")
    async def on_frame(processor, frame):
        event = {STARTED: begun, STOPPED: ended}.get(type(frame))
        if event is not None:
            event.set()

    class Aggregator(FrameProcessor):
        async def process_frame(self, frame, direction):
            await super().process_frame(frame, direction)
            if isinstance(frame, frames.TextFrame):
                await self.push_frame({"": STARTED, "bye": STOPPED}[frame.text](), UPSTREAM)
            emotions.extend([frame] if type(frame) is EmotionFrame else [])
            await self.push_frame(frame, direction)

    async def conversation():
        worker = PipelineWorker(Pipeline([processor, Aggregator()]), enable_rtvi=False)
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        await worker.queue_frame(frames.TextFrame(""))
        await asyncio.wait_for(begun.wait(), 30)
        await worker.queue_frames([*audio(), frames.TextFrame("bye")])
        await asyncio.wait_for(ended.wait(), 30)
        await worker.queue_frame(frames.EndFrame())
        await asyncio.wait_for(running, 30)

    asyncio.run(conversation())
    assert [emotion.label for emotion in emotions] == ["anger"]


def test_the_audio_before_the_begin_belongs_to_the_turn(recognizer):
    packets_of_turn = audio()
    sent = [*packets_of_turn[:10], STARTED(), *packets_of_turn[10:], STOPPED()]
    (late,) = finals(run(EmotionProcessor(recognizer), sent)[0])
    sent = [STARTED(), *packets_of_turn, STOPPED()]
    (early,) = finals(run(EmotionProcessor(recognizer), sent)[0])
    assert late.scores == early.scores


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (24_000, 2), (48_000, 1)])
def test_any_rate_and_channels(recognizer, rate, channels):
    sent = [STARTED(), *audio(rate=rate, channels=channels), STOPPED()]
    (emotion,) = finals(run(EmotionProcessor(recognizer), sent)[0])
    assert emotion.label == "anger"


def test_several_turns_with_an_interruption_between(recognizer):
    turn = [VAD_STARTED(), STARTED(), *audio(), VAD_STOPPED(), STOPPED()]
    sent = [*turn, frames.InterruptionFrame(), VAD_STARTED(), *audio(), VAD_STOPPED(), STOPPED()]
    down, _ = run(EmotionProcessor(recognizer), sent)
    assert [frame.emotion.turn for frame in finals(down)] == [1, 2]
    assert len({frame.label for frame in finals(down)}) == 1


def test_a_pipeline_without_turn_detection_uses_the_detector(recognizer):
    sent = [VAD_STARTED(), *audio(), VAD_STOPPED()]
    assert len(finals(run(EmotionProcessor(recognizer, ends="vad"), sent)[0])) == 1
    with pytest.raises(UsageError, match="expected ends of turn, vad, got 'bot'"):
        EmotionProcessor(recognizer, ends="bot")


def test_a_turn_that_the_end_of_the_call_cuts_has_its_emotion(recognizer):
    down, _ = run(EmotionProcessor(recognizer), [STARTED(), *audio()])
    assert len(finals(down)) == 1, "before the EndFrame"


@pytest.mark.parametrize("pcm", [np.zeros(0, np.int16), np.zeros(16_000, np.int16)])
def test_a_turn_without_speech_has_no_label(recognizer, pcm):
    (emotion,) = finals(run(EmotionProcessor(recognizer), [STARTED(), *audio(pcm), STOPPED()])[0])
    assert (emotion.label, emotion.unsure) == (None, True)


def test_nothing_is_collected_while_the_user_is_muted(recognizer):
    muted = [frames.UserMuteStartedFrame(), STARTED(), *audio(), STOPPED()]
    down, _ = run(EmotionProcessor(recognizer), [*muted, frames.UserMuteStoppedFrame()])
    assert finals(down) == []


def test_a_discarded_turn_has_no_emotion(recognizer):
    processor = EmotionProcessor(recognizer)

    @processor.event_handler("on_before_process_frame")
    async def on_frame(processor, frame):
        if isinstance(frame, STOPPED):
            processor.discard_turn()

    assert finals(run(processor, [STARTED(), *audio(), STOPPED()])[0]) == []


def test_only_the_chosen_participant_is_collected(recognizer):
    other = [
        frames.UserAudioRawFrame(
            audio=frame.audio, sample_rate=16_000, num_channels=1, user_id="other"
        )
        for frame in audio()
    ]
    sent = [STARTED(), *other, STOPPED()]
    (nothing,) = finals(run(EmotionProcessor(recognizer, user_id="user"), sent)[0])
    assert nothing.label is None
    (emotion,) = finals(run(EmotionProcessor(recognizer, user_id="other"), sent)[0])
    assert emotion.label == "anger"


def test_the_event_handler_gets_every_emotion(recognizer):
    processor, kinds = EmotionProcessor(recognizer), []

    @processor.event_handler("on_emotion")
    async def on_emotion(processor, emotion):
        kinds.append(emotion.kind)

    run(processor, [STARTED(), *audio(), STOPPED()])
    assert kinds[-1] == "turn"


def test_the_profile_of_the_speaker_is_off_by_default(recognizer):
    plain, adapting = EmotionProcessor(recognizer), None
    adapting = EmotionProcessor(recognizer, options=TurnOptions(adapt=True))
    turn = [STARTED(), *audio(), STOPPED()]
    run(plain, turn)
    run(adapting, turn)
    assert plain.profile is None
    assert adapting.profile.count == 1


def test_a_failure_is_an_error_frame_and_the_pipeline_goes_on():
    sent = [STARTED(), *audio(), STOPPED(), frames.TextFrame("after")]
    down, up = run(EmotionProcessor(BrokenRecognizer()), sent)
    assert [frame for frame in down if not isinstance(frame, EmotionFrame)] == sent
    (error,) = up
    assert isinstance(error, frames.ErrorFrame)
    assert not error.fatal
    assert error.error.startswith("the emotion of a turn could not be recognized (RuntimeError: ")
    assert "\n" not in error.error


def test_a_model_that_cannot_be_opened_is_one_error_frame(monkeypatch):
    def fail(**options):
        raise CheckpointError("models/none: no such model folder; expected a bundle")

    monkeypatch.setattr("phonemo.integrations.agents.turn_worker.load_model", fail)
    turn = [STARTED(), *audio(), STOPPED()]
    down, up = run(EmotionProcessor(), [*turn, *turn])
    assert [frame.error for frame in up] == ["models/none: no such model folder; expected a bundle"]
    assert len(down) == 2 * len(turn)


def test_packets_that_are_no_audio_are_dropped_with_one_error(recognizer):
    bad = frames.InputAudioRawFrame(audio=b"\0" * 641, sample_rate=16_000, num_channels=1)
    down, up = run(EmotionProcessor(recognizer), [STARTED(), bad, *audio(), bad, STOPPED()])
    (emotion,) = finals(down)
    assert emotion.label == "anger"
    assert ["641 bytes" in frame.error for frame in up] == [True]


def test_recognition_leaves_the_event_loop_free(recognizer):
    """The network runs in another thread, and its threads end with the pipeline."""
    seen = set()
    predict = type(recognizer).predict_waveform

    class Spy:
        def __getattr__(self, name):
            return getattr(recognizer, name)

        def predict_waveform(self, waveform, *options):
            seen.add(threading.current_thread().name)
            return predict(recognizer, waveform, *options)

    run(EmotionProcessor(Spy()), [STARTED(), *audio(), STOPPED()])
    assert {name.partition("_")[0] for name in seen} == {"phonemo-turns"}


def test_audio_that_waits_for_the_thread_is_bounded(recognizer, caplog, monkeypatch):
    monkeypatch.setattr("phonemo.integrations.agents.turn_worker.MOST_WAITING_SECONDS", 0.1)
    release = threading.Event()

    class Blocked:
        def __getattr__(self, name):
            return getattr(recognizer, name)

        def predict_waveform(self, *arguments):
            release.wait(30)
            return recognizer.predict_waveform(*arguments)

    processor = EmotionProcessor(Blocked())

    @processor.event_handler("on_after_process_frame")
    async def on_frame(processor, frame):
        if isinstance(frame, STOPPED):
            release.set()

    with caplog.at_level(logging.WARNING, "phonemo"):
        down, _ = run(processor, [STARTED(), *audio(), *audio(), STOPPED()])
    assert len(finals(down)) == 1
    behind = [record for record in caplog.records if "behind" in record.getMessage()]
    assert len(behind) == 1
