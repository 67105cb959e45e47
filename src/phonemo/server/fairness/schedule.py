"""When the audio of a request is decoded and processed, and whether that is in time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from phonemo.audio import RATE
from phonemo.audio.decode import BYTES_PER_SAMPLE
from phonemo.server.api_errors import ApiError
from phonemo.server.fairness.audio_budget import AudioBudget, AudioLease
from phonemo.server.fairness.backlog import Backlog, Remaining, WorkRate
from phonemo.server.fairness.clients import CLIENT
from phonemo.server.fairness.deadlines import DEADLINE, Deadline
from phonemo.server.middleware import Meters
from phonemo.server.settings import ServeLimits

_LONGEST_RETRY_SECONDS = 3600.0


class Schedule:
    """The work of all requests.

    Args:
        limits: server limits.
        workers: number of recordings that are processed at the same time.
        meters: has the gauges of the backlog.
    """

    def __init__(self, limits: ServeLimits, workers: int, meters: Meters) -> None:
        self.rate = WorkRate()
        """The measured speed of a worker."""
        self.backlog = Backlog(workers, self.rate)
        """The audio that is not processed yet."""
        self.budget = AudioBudget(limits.waiting_audio_bytes, meters.audio_bytes.set)
        """The memory for decoded audio."""
        meters.backlog.set_function(lambda: self.backlog.audio_seconds)
        meters.rate.set_function(lambda: self.rate.now)

    @contextmanager
    def admission(self) -> Iterator[ScheduledWork]:
        """The work of one request, which counts until the end of the block."""
        with self.budget.lease() as lease, self.backlog.holding(CLIENT.get()) as remaining:
            yield ScheduledWork(self, lease, remaining)

    def check(self, audio_seconds: float) -> None:
        """Move the deadline of the current request; refuse work that cannot be done before it.

        Without other work, a recording is refused only for what this machine does at best: the
        present speed is measured by work alone, and after a slow moment would refuse it forever.

        Raises:
            ApiError: too long for this server (413), or for what it has to do already (503).
        """
        deadline = DEADLINE.get()
        if deadline is None:
            return
        deadline.add_audio(audio_seconds)
        late = self.backlog.seconds_until_done(CLIENT.get(), audio_seconds) - deadline.left
        if late <= 0:
            return
        alone = self.backlog.seconds_alone(audio_seconds)
        if alone > deadline.seconds:
            raise _too_long(deadline, alone)
        if not self.backlog.audio_seconds:
            return
        raise busy(f"it would take {late:.0f} s longer than the {deadline.seconds:.0f} s that this "
                   "recording has", late)  # fmt: skip

    def missed(self, deadline: Deadline) -> ApiError:
        """Return the error of a request that was not done in time."""
        if self.backlog.seconds_alone(deadline.audio_seconds) > deadline.seconds:
            return ApiError(
                504,
                "deadline_exceeded",
                f"no answer within {deadline.seconds:.3g} s, which the recording is too long for; "
                "send a shorter one",
                "file",
            )
        wait = self.backlog.seconds_until_done("", deadline.audio_seconds)
        return busy(f"no answer within {deadline.seconds:.3g} s", wait)


class ScheduledWork:
    """The work of one request."""

    def __init__(self, schedule: Schedule, lease: AudioLease, remaining: Remaining) -> None:
        self._schedule, self._lease, self._remaining = schedule, lease, remaining
        self._checked = False

    async def admit_long(self, audio_seconds: float) -> None:
        """Wait until a long recording, or its channels together, may be decoded.

        Raises:
            ApiError: as Schedule.check.
        """
        self.admit(audio_seconds)
        await self._lease.reserve(math.ceil(audio_seconds * RATE) * BYTES_PER_SAMPLE)

    def admit(self, audio_seconds: float) -> None:
        """Count so much audio as work, once; the first call checks the deadline.

        Raises:
            ApiError: as Schedule.check.
        """
        if not self._checked:
            self._schedule.check(audio_seconds)
        self._checked = True
        self._remaining.audio_seconds = audio_seconds

    def progress(self, audio_seconds: float, seconds: float) -> None:
        """Count audio that was processed in so many seconds."""
        self._schedule.rate.measured(audio_seconds, seconds)
        left = self._remaining.audio_seconds - audio_seconds
        self._remaining.audio_seconds = max(0.0, left)


def busy(reason: str, seconds: float) -> ApiError:
    """Return a 503: the recording is not too long, but other work comes first."""
    retry = max(1, math.ceil(min(seconds, _LONGEST_RETRY_SECONDS)))
    message = f"the server is busy: {reason}; try again in {retry} s"
    return ApiError(503, "busy", message, headers={"Retry-After": str(retry)})


def _too_long(deadline: Deadline, alone: float) -> ApiError:
    message = (
        f"expected a recording that is processed within {deadline.seconds:.0f} s, got "
        f"{deadline.audio_seconds:.0f} s of audio, which take {alone:.0f} s; send a shorter one"
    )
    return ApiError(413, "audio_too_long", message, "file")
