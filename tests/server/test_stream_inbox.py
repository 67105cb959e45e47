"""The messages of a stream that were received before its end are still processed."""

from __future__ import annotations

import asyncio

import pytest

from phonemo.server.routes.stream_inbox import StreamInbox
from phonemo.server.settings import ServeLimits

PIECE = bytes(2**15)  # pieces of this size are not joined


class Client:
    """A connection on which these messages have arrived."""

    def __init__(self, *messages):
        self.messages = [{"type": "websocket.receive", "bytes": one} for one in messages]

    async def receive(self):
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)


def ended_by_stop(inbox, stopping):
    stopping.set()


def ended_by_close(inbox, stopping):
    inbox.close()


@pytest.mark.parametrize("end", [ended_by_stop, ended_by_close])
def test_what_arrived_before_the_end_is_delivered_and_nothing_later(end):
    async def delivered():
        stopping = asyncio.Event()
        client = Client(PIECE, PIECE)
        inbox = StreamInbox(client, ServeLimits(), stopping)
        with inbox.receiving():
            while client.messages:
                await asyncio.sleep(0)
            end(inbox, stopping)
            client.messages += Client(*[PIECE] * 20).messages
            found = []
            while (one := await inbox.next()) is not None:
                found.append(one)
                await asyncio.sleep(0)
        return [len(one) for one in found]

    assert asyncio.run(asyncio.wait_for(delivered(), 30)) == [len(PIECE)] * 2
