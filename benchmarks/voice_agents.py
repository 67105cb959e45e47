"""Latency that the emotion of a user's turn adds to a voice agent.

    .venv-agents/bin/python benchmarks/voice_agents.py [ROUNDS]              default: 9

A turn of 3 s of real speech arrives in packets of 20 ms, in real time. Measured is the time from
its last packet, with which the turn ends, to its emotion: at the end of a pipeline of Pipecat, as
the result of end_turn() in an agent of livekit-agents, and of recognizer.predict on the whole turn.
A turn ends after 0.2 s of silence (the default of Pipecat's voice activity detector, before its
turn detection), after 0.5 s (the default of livekit-agents), or within speech, as with a button.
The engines alternate, and the first round is not counted.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter

import numpy as np
import soundfile
from measuring import machine, ratio

from phonemo.audio import RATE
from phonemo.integrations.livekit import TurnEmotions, TurnOptions
from phonemo.loader import load_model
from phonemo.runtime.recognizer import EmotionRecognizer

SECONDS, PACKET, BAR = 3.0, RATE // 50, 0.060
#: Silence at the end of the turn, in seconds.
ENDS = {"after 0.5 s": 0.5, "after 0.2 s": 0.2, "within speech": 0.0}
SAMPLE = "src/phonemo/web/samples/english-slow.flac"

Engine = Callable[[list[bytes]], Awaitable[float]]


def main(rounds: int) -> int:
    """Print a table; return the exit status."""
    try:
        import livekit.agents  # noqa: F401
        import pipecat  # noqa: F401
    except ImportError as error:
        print(f"skipped: needs {error.name}; make test-agents installs it into .venv-agents")
        return 0
    silence_logs()
    print(f"{machine()}; load before {load()}")
    times = asyncio.run(measure(rounds))
    print(f"{rounds} rounds, load after {load()}; bar {1000 * BAR:.0f} ms\n")
    print("| end | engine | median ms | range | / predict | bar |\n|---|---|---|---|---|---|")
    for (end, name), seconds in times.items():
        print(row(end, name, seconds, times[end, "predict, all at the end"]))
    return 0


async def measure(rounds: int) -> dict[tuple[str, str], list[float]]:
    """Seconds by end and engine, a value per round."""
    recognizer = load_model(threads=1)
    turns = {end: packets_of(silence) for end, silence in ENDS.items()}
    works: dict[str, Engine] = {
        "predict, all at the end": lambda turn: predict(recognizer, turn),
        "pipecat": lambda turn: in_pipecat(recognizer, TurnOptions(), turn),
        "pipecat, live windows": lambda turn: in_pipecat(recognizer, TurnOptions(live=True), turn),
        "livekit": lambda turn: in_livekit(recognizer, turn),
    }
    times: dict[tuple[str, str], list[float]] = {(e, n): [] for e in turns for n in works}
    for number in range(rounds + 1):
        for end, turn in turns.items():
            for name in list(works)[:: -1 if number % 2 else 1]:
                seconds = await works[name](turn)
                times[end, name] += [seconds] * bool(number)
    return times


async def predict(recognizer: EmotionRecognizer, turn: list[bytes]) -> float:
    """What an agent that collects the turn itself would wait for."""
    samples = np.frombuffer(b"".join(turn), dtype=np.int16)
    began = perf_counter()
    recognizer.predict(samples, RATE)
    return perf_counter() - began


async def in_livekit(recognizer: EmotionRecognizer, turn: list[bytes]) -> float:
    """The frames of an agent's stt_node, then end_turn() as in on_user_turn_completed."""
    from livekit import rtc

    emotions = TurnEmotions(recognizer)
    emotions.begin_turn()

    async def frames():
        async for packet in paced(turn):
            yield rtc.AudioFrame(packet, RATE, 1, len(packet) // 2)

    async for _ in emotions.audio(frames()):
        began = perf_counter()
    emotion = await emotions.end_turn(timeout=30)
    seconds = perf_counter() - began
    assert emotion is not None
    assert emotion.label is not None
    await emotions.aclose()
    return seconds


async def in_pipecat(
    recognizer: EmotionRecognizer, options: TurnOptions, turn: list[bytes]
) -> float:
    """The frames of a pipeline, up to the emotion frame at its end."""
    from pipecat.frames import frames
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.workers.runner import WorkerRunner

    from phonemo.integrations.pipecat import EmotionFrame, EmotionProcessor

    arrived, ready = asyncio.get_running_loop().create_future(), asyncio.Event()

    class Sink(FrameProcessor):
        async def process_frame(self, frame, direction):
            await super().process_frame(frame, direction)
            if isinstance(frame, frames.TextFrame):
                ready.set()
            if type(frame) is EmotionFrame:
                arrived.set_result(perf_counter())
            await self.push_frame(frame, direction)

    pipeline = Pipeline([EmotionProcessor(recognizer, options=options), Sink()])
    worker = PipelineWorker(pipeline, enable_rtvi=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frames([frames.UserStartedSpeakingFrame(), frames.TextFrame("")])
    await ready.wait()
    async for packet in paced(turn):
        frame = frames.InputAudioRawFrame(audio=packet, sample_rate=RATE, num_channels=1)
        await worker.queue_frame(frame)
    began = perf_counter()
    await worker.queue_frame(frames.UserStoppedSpeakingFrame())
    seconds = await arrived - began
    await worker.queue_frame(frames.EndFrame())
    await running
    return seconds


async def paced(turn: list[bytes]):
    """Yield the packets when a microphone would: each at the end of its 20 ms."""
    began = perf_counter()
    for number, packet in enumerate(turn, start=1):
        await asyncio.sleep(max(0.0, began + number * PACKET / RATE - perf_counter()))
        yield packet


def packets_of(silence: float) -> list[bytes]:
    """A turn of SECONDS whose end is silent."""
    samples, rate = soundfile.read(SAMPLE, dtype="int16")
    assert rate == RATE
    turn = np.resize(samples, int(SECONDS * RATE))
    turn[len(turn) - int(silence * RATE) :] = 0
    return [turn[start : start + PACKET].tobytes() for start in range(0, len(turn), PACKET)]


def row(end: str, name: str, seconds: list[float], bare: list[float]) -> str:
    """A row of the table."""
    ranked = sorted(1000 * value for value in seconds)
    median = statistics.median(ranked)
    met = "met" if median <= 1000 * BAR else "missed"
    spread = f"{ranked[0]:.1f} to {ranked[-1]:.1f}"
    return f"| {end} | {name} | {median:.1f} | {spread} | {ratio(seconds, bare)} | {met} |"


def load() -> str:
    """The load averages of the machine."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def silence_logs() -> None:
    """Pipecat logs every step to standard error."""
    from loguru import logger

    logger.remove()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
