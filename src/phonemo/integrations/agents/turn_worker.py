"""Recognizes turns in a thread, so that the event loop of an agent is never blocked."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter

from phonemo.errors import AudioError, PhonemoError
from phonemo.integrations.agents.turn_emotion import TurnEmotion
from phonemo.integrations.agents.turn_recognizer import TurnOptions, TurnRecognizer
from phonemo.loader import load_model
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.recognizer import EmotionRecognizer

_LOG = logging.getLogger("phonemo")


@dataclass(frozen=True)
class _Packet:
    data: bytes
    rate: int
    channels: int

    @property
    def seconds(self) -> float:
        return len(self.data) / max(1, 2 * self.channels * self.rate)


@dataclass(frozen=True)
class _Mark:
    """The begin, end or discard of a turn, in the order of its audio."""

    kind: str
    moment: float = 0.0
    ending: asyncio.Future[TurnEmotion | None] | None = None


@dataclass(frozen=True)
class _Ended:
    """Follows whatever the end of a turn gave."""

    ending: asyncio.Future[TurnEmotion | None]
    emotion: TurnEmotion | None


_Item = _Packet | _Mark
_Outcome = TurnEmotion | PhonemoError | _Ended

_MOST_LEAD_PACKETS = 1000
#: Seconds of packets that wait for the thread before the oldest are dropped.
MOST_WAITING_SECONDS = 30.0


class TurnWorker:
    """Passes packets and the limits of turns to a thread, and delivers what it finds.

    Its methods must be called on one event loop. Nothing raises: what goes wrong is delivered as an
    error, once per turn, and the turn or the unusable packet is dropped.

    Args:
        recognizer: a recognizer, which may be shared; None loads phonemo-small in the thread, with
            one thread per pass, which suits a machine with several conversations.
        options: how turns are recognized.
        deliver: is awaited for each emotion, in order.
        fail: is awaited for each error.
        lead_seconds: audio before the begin of a turn that belongs to it, since voice activity
            detectors report it late.
    """

    def __init__(
        self,
        recognizer: EmotionRecognizer | None,
        options: TurnOptions,
        deliver: Callable[[TurnEmotion], Awaitable[None]],
        fail: Callable[[PhonemoError], Awaitable[None]],
        lead_seconds: float = 1.0,
    ) -> None:
        self._given, self._options = recognizer, options
        self._deliver, self._fail = deliver, fail
        self._lead_seconds = lead_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="phonemo-turns")
        self._lead: deque[_Packet] = deque(maxlen=_MOST_LEAD_PACKETS)
        self._items: list[_Item] = [_Mark("open")]
        self._waiting = 0.0  # seconds of audio in the items
        self._drain: asyncio.Task[None] | None = None
        self._in_turn = self._is_closed = self._is_late = False
        self._endings: list[asyncio.Future[TurnEmotion | None]] = []
        # of the thread
        self._turns: TurnRecognizer | None = None
        self._has_failed = False

    @property
    def in_turn(self) -> bool:
        """Whether a turn has begun and not ended."""
        return self._in_turn

    @property
    def profile(self) -> Profile | None:
        """The profile of the speaker so far; None without ``adapt``."""
        adaptation = None if self._turns is None else self._turns.adaptation
        return None if adaptation is None else adaptation.profile

    def open(self) -> None:
        """Load the model now, not with the first turn."""
        self._wake()

    def push(self, data: bytes, rate: int, channels: int) -> None:
        """Add a packet of interleaved 16-bit PCM."""
        packet = _Packet(data, rate, channels)
        if not data or self._is_closed:
            return
        if self._in_turn:
            self._put(packet)
            self._drop_oldest()
            return
        self._lead.append(packet)
        while sum(lead.seconds for lead in self._lead) - self._lead[0].seconds > self._lead_seconds:
            self._lead.popleft()

    def begin_turn(self) -> None:
        """Begin a turn, unless there is one, with the audio before it."""
        if self._in_turn or self._is_closed:
            return
        self._in_turn, self._is_late = True, False
        self._put(_Mark("begin"))
        for packet in self._lead:
            self._put(packet)
        self._lead.clear()

    def end_turn(self) -> asyncio.Future[TurnEmotion | None]:
        """End the turn, if there is one.

        Returns:
            The emotion, as soon as it is delivered; None without one.
        """
        ending: asyncio.Future[TurnEmotion | None] = asyncio.get_running_loop().create_future()
        if self._in_turn:
            self._in_turn = False
            self._endings = [other for other in self._endings if not other.done()] + [ending]
            self._put(_Mark("end", perf_counter(), ending))
        else:
            ending.set_result(None)
        return ending

    def discard_turn(self) -> None:
        """Drop the turn and the audio before the next one."""
        self._lead.clear()
        if self._in_turn:
            self._in_turn = False
            self._put(_Mark("discard"))

    async def settle(self, timeout: float = 30.0) -> None:
        """Wait until all that was passed is processed and delivered, or for ``timeout`` seconds."""
        latest = perf_counter() + timeout
        while self._drain is not None and not self._drain.done() and perf_counter() < latest:
            await asyncio.wait([self._drain], timeout=latest - perf_counter())

    async def close(self) -> None:
        """Stop; a pass that runs in the thread ends on its own, and its result is dropped."""
        self._is_closed = True
        self._items.clear()
        self._lead.clear()
        self._in_turn = False
        for ending in self._endings:
            if not ending.done():
                ending.set_result(None)
        self._thread.shutdown(wait=False, cancel_futures=True)
        # a callback that closes is part of the task, which then ends by itself
        if self._drain is not None and self._drain is not asyncio.current_task():
            self._drain.cancel()
            await asyncio.wait([self._drain])

    def _put(self, item: _Item) -> None:
        self._items.append(item)
        self._waiting += item.seconds if isinstance(item, _Packet) else 0.0
        self._wake()

    def _wake(self) -> None:
        if not self._is_closed and (self._drain is None or self._drain.done()):
            self._drain = asyncio.get_running_loop().create_task(self._drain_items())

    def _drop_oldest(self) -> None:
        while self._waiting > MOST_WAITING_SECONDS:
            packets = ((n, item) for n, item in enumerate(self._items) if isinstance(item, _Packet))
            place, oldest = next(packets)
            if place == len(self._items) - 1:
                return  # a single packet of any length is processed
            del self._items[place]
            self._waiting -= oldest.seconds
            self._warn_of_drop()

    def _warn_of_drop(self) -> None:
        if not self._is_late:
            self._is_late = True
            _LOG.warning(
                "recognition is %g s behind, the oldest audio of the turn is dropped; use a faster "
                "machine, fewer conversations or live=False",
                MOST_WAITING_SECONDS,
            )

    async def _drain_items(self) -> None:
        loop = asyncio.get_running_loop()
        is_due = False
        while not self._is_closed and (self._items or is_due):
            items, self._items, self._waiting = self._items, [], 0.0
            outcomes, is_due = await loop.run_in_executor(self._thread, self._process, items)
            for outcome in outcomes:
                if not self._is_discarded(outcome):
                    await self._pass_on(outcome)

    def _is_discarded(self, outcome: _Outcome) -> bool:
        """Whether it is a live emotion of a turn that was discarded in the meantime."""
        is_live = isinstance(outcome, TurnEmotion) and not outcome.is_final
        marks = [item.kind for item in self._items if isinstance(item, _Mark)] if is_live else []
        return "discard" in marks

    async def _pass_on(self, outcome: _Outcome) -> None:
        if isinstance(outcome, _Ended):
            if not outcome.ending.done():
                outcome.ending.set_result(outcome.emotion)
            return
        try:
            if isinstance(outcome, TurnEmotion):
                await self._deliver(outcome)
            else:
                await self._fail(outcome)
        except Exception as error:  # of the caller's code
            _LOG.warning("a callback for the emotion of a turn failed: %s", _line_of(error))

    def _process(self, items: Sequence[_Item]) -> tuple[list[_Outcome], bool]:
        """Process the items in order and then one pass of the network; runs in the thread."""
        outcomes: list[_Outcome] = []
        for item in items:
            self._guarded(item, outcomes)
            if isinstance(item, _Mark) and item.ending is not None:
                last = outcomes[-1] if outcomes else None
                emotion = last if isinstance(last, TurnEmotion) and last.is_final else None
                outcomes.append(_Ended(item.ending, emotion))
        if not outcomes:
            self._guarded(None, outcomes)
        return outcomes, self._turns is not None and self._turns.is_due

    def _guarded(self, item: _Item | None, outcomes: list[_Outcome]) -> None:
        try:
            outcomes += self._step(item)
        except Exception as error:
            is_packet = isinstance(item, _Packet) and isinstance(error, AudioError)
            if self._turns is not None and not is_packet:
                self._turns.discard()
            if not self._has_failed:
                outcomes.append(_problem_of(error))
            self._has_failed = True

    def _step(self, item: _Item | None) -> list[TurnEmotion]:
        if isinstance(item, _Mark) and item.kind == "open":
            recognizer = self._given or load_model(threads=1)
            self._turns = TurnRecognizer(recognizer, self._options)
        turns = self._turns
        if turns is None:  # the model cannot be opened, which was reported
            return []
        if item is None:
            return turns.advance()
        if isinstance(item, _Packet):
            turns.push(item.data, item.rate, item.channels)
            return []
        return self._limit(turns, item)

    def _limit(self, turns: TurnRecognizer, mark: _Mark) -> list[TurnEmotion]:
        if mark.kind == "begin":
            self._has_failed = False
            turns.begin()
        if mark.kind == "discard":
            turns.discard()
        emotion = turns.end() if mark.kind == "end" else None
        if emotion is None:
            return []
        return [replace(emotion, latency=perf_counter() - mark.moment)]


def _problem_of(error: Exception) -> PhonemoError:
    if isinstance(error, PhonemoError):
        return error
    return PhonemoError(
        f"the emotion of a turn could not be recognized ({_line_of(error)}); please report this"
    )


def _line_of(error: Exception) -> str:
    return f"{type(error).__name__}: {PhonemoError(str(error))}"
