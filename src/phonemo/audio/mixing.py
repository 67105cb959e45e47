"""Mix the channels of a recording to mono, or take one of them.

Internal to :mod:`phonemo.audio`. Channels in opposite phase cancel each other when they are mixed;
this is recognized while the recording is decoded, and the loudest channel is used instead: from
there on if most of the sound is lost, else in those parts of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from phonemo.audio.channels import mean_of_channels
from phonemo.audio.decode import Audio, Block

Floats = npt.NDArray[np.float64]

#: A frame of the envelopes, in seconds.
FRAME_SECONDS = 0.016
#: Power of sound, relative to full scale (-80 dB): less is silence.
SOUND_POWER = 1e-8
#: Sound that is collected before the first sample is given away, and the most that is held for it.
DECIDE_SECONDS, HELD_SECONDS = 1.0, 4.0
#: Power of the mix, relative to that of independent channels, below which channels cancel: two
#: channels of one level do at a correlation of -0.7 or less.
CANCELLED = 0.3
#: The same for one part of a recording, as where a plug was turned, the length of parts in seconds,
#: and the least power of such a part, relative to the mean.
CANCELLED_PART, PART_SECONDS, PART_POWER = 0.1, 1.0, 0.01
#: Two channels hold different sounds if the correlation of their levels in dB is below this ...
DIFFERENT = 0.6
#: ... while both levels vary by this many dB, as those of speech do and those of noise do not.
LIVELY_DB = 3.0


class ChannelMixer:
    """Turns blocks of (frame, channel) into mono blocks of (frame,).

    Args:
        audio: gives the rate and the number of channels.
        channel: the channel to take, from 1 on; None mixes all.
    """

    def __init__(self, audio: Audio, channel: int | None = None) -> None:
        self._channel, self._count = channel, audio.channels
        self._relation = ChannelRelation(audio.channels, audio.rate)
        self._held: list[Block] = []
        self._held_frames = 0
        self._rate = audio.rate
        self._loudest: int | None = None
        self._loudest_of_part: int | None = None
        self._parts_cancel = self._decided = False

    def used(self, block: Block) -> Block:
        """Of (frame, channel), the channels that the result is made of."""
        if self._channel is None:
            return block
        return block[:, self._channel - 1 : self._channel]

    def push(self, block: Block) -> Iterator[Block]:
        """Yield the mono blocks that are decided once this block is known."""
        if self._channel is not None:
            yield block[:, self._channel - 1]
        elif self._count == 1:
            yield mean_of_channels(block)
        else:
            yield from self._push_mix(block)

    def finish(self) -> Iterator[Block]:
        """Yield the blocks that are still held."""
        yield from self._release()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Names from ``phonemo.audio.WARNINGS`` that the relation of the channels causes."""
        if self._loudest is not None or self._parts_cancel:
            return ("opposite_phase",)
        return ("channels_differ",) if self._relation.differ else ()

    def _push_mix(self, block: Block) -> Iterator[Block]:
        self._relation.add(block)
        self._held.append(block)
        self._held_frames += len(block)
        sound = self._relation.sound_seconds
        enough = sound >= DECIDE_SECONDS or self._held_frames >= HELD_SECONDS * self._rate
        if self._decided or not sound or enough:
            self._decided = self._decided or enough
            yield from self._release()

    def _release(self) -> Iterator[Block]:
        if self._loudest is None and self._relation.cancel:
            self._loudest = self._relation.loudest
        held, self._held, self._held_frames = self._held, [], 0
        for block in held:
            yield self._mixed(block) if self._loudest is None else block[:, self._loudest]

    def _mixed(self, block: Block) -> Block:
        """The mean; where the channels of a part cancel each other, the loudest of them."""
        mono = mean_of_channels(block)
        size = min(round(PART_SECONDS * self._rate), len(block)) if self._count > 1 else 0
        for first in range(0, len(block) if size else 0, size or 1):
            part = slice(first, first + size)
            if 2 * len(mono[part]) >= size:  # else as before it
                self._loudest_of_part = self._relation.cancelled_by(block[part], mono[part])
            if self._loudest_of_part is not None:
                mono[part] = block[part, self._loudest_of_part]
                self._parts_cancel = True
        return mono


class ChannelRelation:
    """How alike the channels of a recording are, from their sums so far.

    Constant offsets count as silence.

    Args:
        channels: number of channels.
        rate: frames per second.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self._frame = max(1, round(FRAME_SECONDS * rate))
        self._rest = np.zeros((0, channels), dtype=np.float32)
        self._power = np.zeros(channels)
        self._mixed = 0.0
        self._frames = 0
        self._levels = np.zeros(channels)
        self._products = np.zeros((channels, channels))

    def add(self, block: Block) -> None:
        """Add frames, (frame, channel); an incomplete frame is kept for the next call."""
        pending = np.concatenate([self._rest, block])
        size = len(pending) // self._frame * self._frame
        self._rest = pending[size:]
        with np.errstate(over="ignore", invalid="ignore"):  # checked once the audio is mixed
            frames = pending[:size].reshape(-1, self._frame, pending.shape[1]).astype(np.float64)
            power = frames.var(axis=1)  # (frame, channel)
            has_sound = power.max(axis=1, initial=0.0) >= SOUND_POWER
            self._power += power[has_sound].sum(axis=0)
            self._mixed += float(frames[has_sound].mean(axis=2).var(axis=1).sum())
            levels = 10 * np.log10(power[has_sound] + SOUND_POWER / 10)
            self._levels += levels.sum(axis=0)
            self._products += levels.T @ levels
        self._frames += len(levels)

    @property
    def sound_seconds(self) -> float:
        """Seconds in which a channel has sound."""
        return self._frames * FRAME_SECONDS

    @property
    def loudest(self) -> int:
        """Index of the channel with the most power."""
        return int(self._power.argmax())

    @property
    def cancel(self) -> bool:
        """Whether most of the channels' sound is lost in their mix."""
        independent = float(self._power.sum()) / len(self._power) ** 2
        return self._frames > 0 and self._mixed < CANCELLED * independent

    def cancelled_by(self, part: Block, mixed: Block) -> int | None:
        """Index of the loudest channel of a part, (frame, channel), whose mix lacks its sound.

        Args:
            part: with frames that were added.
            mixed: its mix, (frame,).
        """
        with np.errstate(over="ignore", invalid="ignore"):
            power = part.var(axis=0, dtype=np.float64)
            usual = float(self._power.max()) / max(1, self._frames)
            has_sound = power.max() >= max(SOUND_POWER, PART_POWER * usual)
            limit = CANCELLED_PART * float(power.sum()) / len(power) ** 2
            lost = has_sound and float(mixed.var(dtype=np.float64)) < limit
        return int(power.argmax()) if lost else None

    @property
    def differ(self) -> bool:
        """Whether two channels with sound vary independently, as the two sides of a call do."""
        if self.sound_seconds < DECIDE_SECONDS:
            return False
        mean = self._levels / self._frames
        covariance = self._products / self._frames - np.outer(mean, mean)
        deviation = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
        lively = deviation >= LIVELY_DB
        limit = DIFFERENT * np.outer(deviation, deviation)
        return bool((covariance < limit)[lively][:, lively].any())
