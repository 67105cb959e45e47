"""What waits for the thread of a conversation, without an agent framework."""

from __future__ import annotations

import asyncio
import logging

import pytest

from phonemo.integrations.agents.turn_recognizer import TurnOptions
from phonemo.integrations.agents.turn_worker import MOST_WAITING_SECONDS, TurnWorker
from phonemo.loader import load_model

SECOND = bytes(2 * 16_000)


async def ignore(outcome):
    """No caller."""


def waiting_after(packets):
    """Seconds that wait when packets come faster than the thread takes them, and the emotion."""

    async def run():
        worker = TurnWorker(load_model(threads=1), TurnOptions(), ignore, ignore)
        worker.begin_turn()
        for data in packets:
            worker.push(data, 16_000, 1)
        seconds = [item.seconds for item in worker._items if hasattr(item, "seconds")]
        assert worker._waiting == pytest.approx(sum(seconds))
        emotion = await worker.end_turn()
        await worker.close()
        return sum(seconds), emotion

    return asyncio.run(run())


def test_what_waits_is_bounded_whatever_the_sizes_of_packets(caplog):
    with caplog.at_level(logging.WARNING, "phonemo"):
        seconds, _ = waiting_after([SECOND[:640]] * 1600 + [SECOND] * 20)
    assert MOST_WAITING_SECONDS - 1 < seconds <= MOST_WAITING_SECONDS
    assert len(caplog.records) == 1


def test_a_packet_longer_than_what_may_wait_is_processed(caplog):
    with caplog.at_level(logging.WARNING, "phonemo"):
        seconds, emotion = waiting_after([SECOND * 40])
    assert seconds == 40
    assert emotion.turn == 1
    assert not caplog.records
