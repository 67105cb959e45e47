"""Something that answers for recordings, whatever network it holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from phonemo.audio import Source, Waveform, load_waveform
from phonemo.prediction import Prediction
from phonemo.runtime.windows import WINDOW_SECONDS, Heard, Samples, cut, merge


class Listener(ABC):
    """Emotions from files, bytes or arrays.

    Every clip is heard by itself, so its scores do not depend on what else is asked. A recording
    longer than the window (30 s) is cut into equal windows of at most that; its scores are the
    windows' mean, and it carries the warning "windowed". Where the highest score is below the
    model's threshold, it carries the warning "unsure": the answer is better not relied upon.
    """

    window_seconds: float = WINDOW_SECONDS
    abstain_below: float = 0.0

    @property
    @abstractmethod
    def labels(self) -> Sequence[str]:
        """The emotions, in the order of the scores."""

    def predict(self, audio: Source, rate: int | None = None) -> Prediction:
        """The emotion of one recording.

        Args:
            audio: a path, the bytes or an open binary file of one, or samples (sample,) or
                (channel, sample).
            rate: samples per second, for an array.

        Raises:
            AudioError: the recording cannot be used.
        """
        return self.predict_waveform(load_waveform(audio, rate=rate))

    def predict_many(self, audio: Iterable[Source], rate: int | None = None) -> list[Prediction]:
        """The emotions of many recordings, in their order; the first that cannot be used raises.

        One after the other: in a batch of int8 the neighbours would change a clip's scores.
        """
        return [self.predict(one, rate) for one in audio]

    def predict_waveform(self, waveform: Waveform) -> Prediction:
        """The emotion of decoded audio."""
        windows = cut(waveform.samples, self.window_seconds)
        answer = merge(waveform, self.labels, [self._hear(window) for window in windows])
        return answer.doubted(self.abstain_below)

    @abstractmethod
    def _hear(self, samples: Samples) -> Heard:
        """What is heard in one window (sample,)."""
