"""The messages of a live stream: received while earlier ones are processed, within limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import WebSocket
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from phonemo.server.api_errors import ApiError
from phonemo.server.request_handling import race_tasks
from phonemo.server.settings import ServeLimits

#: Messages that wait are joined up to so many bytes: a flood of tiny ones is a few pieces of work.
_JOINED_BYTES = 2**15
#: For so many bytes, 10 ms of telephone audio, a client may send a message beside those per second.
_BYTES_PER_MESSAGE = 80
_BURST_SECONDS = 2.0


class MessageAllowance:
    """How many messages a stream may still send.

    Args:
        per_second: messages per second, beside those that carry audio.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second, self._most = per_second, _BURST_SECONDS * per_second
        self._left = self._most
        self._at = asyncio.get_running_loop().time()

    def spend(self, size: int) -> None:
        """Count a message of so many bytes.

        Raises:
            ApiError: it is one too many (400).
        """
        now = asyncio.get_running_loop().time()
        earned = (now - self._at) * self._per_second + size / _BYTES_PER_MESSAGE
        self._left, self._at = min(self._most, self._left + earned) - 1, now
        if self._left < 0:
            message = f"expected at most {self._per_second:g} messages per second, or at least "
            message += f"{_BYTES_PER_MESSAGE} bytes in each, got more; send larger messages"
            raise ApiError(400, "too_many_messages", message)


class StreamInbox:
    """Messages that wait to be processed; binary ones are joined.

    Args:
        websocket: an accepted connection.
        limits: server limits.
        stopping: ends the messages when it is set.
    """

    def __init__(self, websocket: WebSocket, limits: ServeLimits, stopping: asyncio.Event) -> None:
        self._websocket, self._limits, self._stopping = websocket, limits, stopping
        self._items: deque[bytearray | str] = deque()
        self._bytes = 0
        self._failure: ApiError | WebSocketDisconnect | None = None
        self._closed = False
        self._arrived, self._taken = asyncio.Event(), asyncio.Event()
        self._allowance = MessageAllowance(limits.stream_messages_per_second)
        self.active_at = asyncio.get_running_loop().time()
        """When samples or a command arrived last."""

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Receive messages during the block."""
        task = asyncio.ensure_future(self._receive_all())
        try:
            yield
        finally:
            task.cancel()

    def close(self) -> None:
        """End the messages: another client gets the place of the stream."""
        self._closed = True
        self._arrived.set()

    @property
    def _ended(self) -> bool:
        """Whether no further messages are received; those that wait are still delivered."""
        return self._failure is not None or self._closed or self._stopping.is_set()

    async def next(self) -> bytes | str | None:
        """Return the next samples or text; None after the last: idle, closed or stopping.

        Raises:
            ApiError: a message is too large (413), or there are too many (400).
            WebSocketDisconnect: the client has left.
        """
        while not (self._items or self._ended):
            if not await self._wait():
                return None
        if self._failure is not None:
            raise self._failure
        if not self._items:
            return None
        item = self._items.popleft()
        self._bytes -= len(item)
        self._taken.set()
        return bytes(item) if isinstance(item, bytearray) else item

    async def _wait(self) -> bool:
        """Wait for a message; False when there was none for too long."""
        self._arrived.clear()
        idle_at = self.active_at + self._limits.stream_idle_seconds
        left = max(0.0, idle_at - asyncio.get_running_loop().time())
        async with race_tasks(self._arrived.wait(), self._stopping.wait()) as tasks:
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    async def _receive_all(self) -> None:
        while not self._ended:
            self._taken.clear()
            if self._bytes > self._limits.stream_message_bytes:
                await self._taken.wait()
            message = await self._websocket.receive()
            try:
                self._add(message)
            except (ApiError, WebSocketDisconnect) as error:
                self._failure = error
            if self._items or self._failure:
                self._arrived.set()

    def _add(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        data, text = message.get("bytes"), message.get("text") or ""
        size = len(text) if data is None else len(data)
        self._allowance.spend(size)
        if data is None:
            self._items.append(text)
        elif size > self._limits.stream_message_bytes:
            raise _too_large(self._limits)
        elif size:
            self._join(data)
        if size:  # an empty message is no reason to stay
            self._bytes += size
            self.active_at = asyncio.get_running_loop().time()

    def _join(self, data: bytes) -> None:
        last = self._items[-1] if self._items else None
        if isinstance(last, bytearray) and len(last) + len(data) <= _JOINED_BYTES:
            last += data
        else:
            self._items.append(bytearray(data))


def _too_large(limits: ServeLimits) -> ApiError:
    limit = limits.stream_message_bytes
    message = f"the message is too large; send at most {limit} bytes at once"
    return ApiError(413, "message_too_large", message)
