"""A network in onnxruntime: waveforms in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from phonemo.errors import CheckpointError, ModelError, UsageError

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

#: (batch, sample) float32, padded with anything; (batch,) int64, the length of each.
INPUTS = ("waveform", "samples")
#: (batch, emotion); valid frames (batch,); each frame's share in the decision (batch, frame).
OUTPUTS = ("emotion_logits", "frames", "frame_weights")
#: (batch, frame, phoneme); absent where the network has no phoneme head.
PHONEMES = "phoneme_logits"

_ERRORS = (
    *(native.Fail, native.InvalidArgument, native.InvalidGraph, native.InvalidProtobuf),
    *(native.NotImplemented, native.NoSuchFile, native.RuntimeException),
)
_FATAL_ONLY = 4  # errors are raised; they need not be logged as well


@dataclass(frozen=True)
class Logits:
    """What the network says of one clip."""

    emotions: Floats
    """(emotion,)."""
    phonemes: Floats | None
    """(frame, phoneme); None without a phoneme head."""
    frame_weights: Floats
    """(frame,): each frame's share in the decision."""


class Graph:
    """An opened model.onnx.

    Args:
        model: the content of the file.
        threads: how many threads one clip may use; None leaves it to onnxruntime.

    Raises:
        CheckpointError: onnxruntime cannot open it, or it has other inputs or outputs.
        UsageError: less than one thread.
    """

    def __init__(self, model: bytes, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        if threads is not None:
            if threads < 1:
                raise UsageError(f"threads={threads}; 1 or more are wanted")
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except _ERRORS as error:
            raise CheckpointError(
                f"onnxruntime {onnxruntime.__version__} cannot open the network "
                f"({_first_line(error)}); update onnxruntime, or export the model again"
            ) from error
        self._check_names()

    @property
    def has_phonemes(self) -> bool:
        """Whether there is a phoneme head."""
        return PHONEMES in self._outputs

    @property
    def emotions(self) -> int | None:
        """How many emotions are told apart; None where the graph leaves it open."""
        return self._last_axis(OUTPUTS[0])

    @property
    def symbols(self) -> int | None:
        """Width of the phoneme head; None without one, or where the graph leaves it open."""
        return self._last_axis(PHONEMES) if self.has_phonemes else None

    def run(self, waveform: Floats, samples: Counts) -> dict[str, Any]:
        """All outputs by name, for a padded batch (batch, sample) with lengths (batch,).

        With int8 a clip's neighbours change its scores, as the scale of what is quantised is
        taken over the whole batch: :meth:`hear` is for one clip.

        Raises:
            ModelError: onnxruntime fails, for want of memory or because the network is broken.
        """
        names = list(self._outputs)
        try:
            found = self._session.run(names, dict(zip(INPUTS, (waveform, samples), strict=True)))
        except _ERRORS as error:
            raise ModelError(
                f"onnxruntime fails on {waveform.shape[1]} samples ({_first_line(error)}); free "
                "memory, or export the model again"
            ) from error
        return dict(zip(names, found, strict=True))

    def hear(self, samples: Floats, fewest_samples: int) -> Logits:
        """One clip, (sample,), by itself; padded to ``fewest_samples`` where it is shorter."""
        padded = np.zeros((1, max(len(samples), fewest_samples)), dtype=np.float32)
        padded[0, : len(samples)] = samples
        found = self.run(padded, np.array([len(samples)], dtype=np.int64))
        emotions, frames, weights = (found[name][0] for name in OUTPUTS)
        phonemes = found[PHONEMES][0, :frames] if self.has_phonemes else None
        return Logits(emotions, phonemes, weights[:frames])

    def _check_names(self) -> None:
        self._outputs = {one.name: one.shape for one in self._session.get_outputs()}
        given = {one.name for one in self._session.get_inputs()}
        if given != set(INPUTS) or set(self._outputs) - {PHONEMES} != set(OUTPUTS):
            raise CheckpointError(
                f"the network takes {', '.join(sorted(given))} and gives "
                f"{', '.join(sorted(self._outputs))}; {', '.join(INPUTS)} and "
                f"{', '.join(OUTPUTS)} are wanted: export the model again"
            )

    def _last_axis(self, name: str) -> int | None:
        size = self._outputs[name][-1]
        return size if isinstance(size, int) else None


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
