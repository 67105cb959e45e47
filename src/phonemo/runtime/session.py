"""onnxruntime, imported so that it tells nobody: the one place that does.

A network in onnxruntime: waveforms in, logits out.

The upper end of a network by itself: from frames to the emotion, with frames left out.

Bundles that share a network: where it lies, and how it gets another emotion head.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import CheckpointError, ModelError, UsageError
from phonemo.runtime.adaptation.statistics import Affine, Reference

#: Read when onnxruntime is imported. Without it, 1.32 keeps a device id and a database of events
#: below the user's cache folder, for a telemetry that goes to its maker.
_SILENCE = "ORT_DISABLE_TELEMETRY"


def onnxruntime() -> ModuleType:
    """The package; whoever sets the variable himself, to whatever, is left his choice."""
    os.environ.setdefault(_SILENCE, "1")
    import onnxruntime as ort

    module: ModuleType = ort
    return module


@cache
def onnx_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises."""
    onnxruntime()
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    return (
        *(native.Fail, native.InvalidArgument, native.InvalidGraph, native.InvalidProtobuf),
        *(native.NotImplemented, native.NoSuchFile, native.RuntimeException),
        UnicodeDecodeError,  # its message names a part of the file, in whatever bytes are there
    )


Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

#: (batch, sample) float32, padded with anything; (batch,) int64, the length of each.
INPUTS = ("waveform", "samples")
#: (batch, emotion); valid frames (batch,); each frame's share in the decision (batch, frame).
OUTPUTS = ("emotion_logits", "frames", "frame_weights")
#: (batch, frame, phoneme); absent where the network has no phoneme head.
PHONEMES = "phoneme_logits"
#: (batch, frame, feature), what pooling reads; absent from bundles without a head.
FEATURES = "features"
#: (batch, feature), what the emotion head reads before a profile's map; absent from older bundles.
VECTOR = "vector"
#: (feature,) float32 each, a profile's map of that vector; with the vector, or absent like it.
MAP = ("scale", "shift")
_OPTIONAL = {PHONEMES, FEATURES, VECTOR}

#: Where weights outside the file are looked for, which would be the working directory: nowhere.
_ELSEWHERE = "session.model_external_initializers_file_folder_path"
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
    features: Floats | None = None
    """(frame, feature): what pooling reads; None where the network does not give it."""
    vector: Floats | None = None
    """(feature,): what the emotion head reads before a profile's map; None likewise."""


def open_session(model: bytes, threads: int | None = None) -> Any:
    """A network in onnxruntime.

    Args:
        model: the content of an ONNX file.
        threads: how many threads a run may use; None leaves it to onnxruntime.

    Raises:
        CheckpointError: onnxruntime cannot open it.
        UsageError: less than one thread.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry(_ELSEWHERE, os.devnull)
    options.enable_mem_pattern = False  # it would keep a plan for every length that was ever heard
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads={threads}; 1 or more are wanted")
        options.intra_op_num_threads = threads
    try:
        # no fallback, which would be the same again, told on standard output
        return ort.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except onnx_errors() as error:
        raise CheckpointError(
            f"onnxruntime {ort.__version__} cannot open the network "
            f"({_first_line(error)}); update onnxruntime, or export the model again"
        ) from error


def names_of(session: Any) -> tuple[set[str], dict[str, Any]]:
    """What a network takes, and what it gives, with the shape of each.

    Raises:
        CheckpointError: a name is no text.
    """
    try:
        taken = {one.name for one in session.get_inputs()}
        return taken, {one.name: one.shape for one in session.get_outputs()}
    except UnicodeDecodeError as error:
        raise CheckpointError(
            "the network's inputs and outputs have names that are no text; export the model again"
        ) from error


def map_width(session: Any) -> int | None:
    """Features of the vector that MAP maps; None where a network does not take it.

    Raises:
        CheckpointError: one of the two alone, or of unequal or unknown width.
    """
    shapes = {one.name: one.shape for one in session.get_inputs() if one.name in MAP}
    if not shapes:
        return None
    shape = shapes.get(MAP[0], [])
    if len(shape) != 1 or not isinstance(shape[0], int) or shape != shapes.get(MAP[1]):
        raise CheckpointError(
            f"the network takes {shapes}; {' and '.join(MAP)} of one and the same width are "
            "expected: export the model again"
        )
    return int(shape[0])


def map_of(affine: Affine | None, width: int | None) -> dict[str, Floats]:
    """What a network that takes MAP is given; without a map, the one that changes nothing."""
    if width is None:
        return {}
    if affine is None:
        affine = Affine(np.ones(width), np.zeros(width))
    return {name: part.astype(np.float32) for name, part in zip(MAP, affine, strict=True)}


def run_session(session: Any, names: Iterable[str], feed: dict[str, Any], size: str) -> list[Any]:
    """The outputs of these names; ``size`` says in an error how much there was to do.

    Raises:
        ModelError: onnxruntime fails, for want of memory or because the network is broken.
    """
    try:
        found: list[Any] = session.run(list(names), feed)
    except onnx_errors() as error:
        raise ModelError(
            f"onnxruntime fails on {size} ({_first_line(error)}); free memory, or export the "
            "model again"
        ) from error
    return found


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
        self._session = open_session(model, threads)
        self._check_names()

    @property
    def has_phonemes(self) -> bool:
        """Whether there is a phoneme head."""
        return PHONEMES in self._outputs

    @property
    def has_features(self) -> bool:
        """Whether it gives what pooling reads."""
        return FEATURES in self._outputs

    @property
    def emotions(self) -> int | None:
        """How many emotions are told apart; None where the graph leaves it open."""
        return self._last_axis(OUTPUTS[0])

    @property
    def symbols(self) -> int | None:
        """Width of the phoneme head; None without one, or where the graph leaves it open."""
        return self._last_axis(PHONEMES) if self.has_phonemes else None

    def run(
        self, waveform: Floats, samples: Counts, affine: Affine | None = None
    ) -> dict[str, Any]:
        """All outputs by name, for a padded batch (batch, sample) with lengths (batch,).

        Args:
            waveform: padded with anything.
            samples: length of each.
            affine: a profile's map; only for a network with a ``width``.

        Raises:
            ModelError: onnxruntime fails, for want of memory or because the network is broken.
        """
        feed: dict[str, Any] = dict(zip(INPUTS, (waveform, samples), strict=True))
        feed |= map_of(affine, self.width)
        found = run_session(self._session, self._outputs, feed, f"{waveform.shape[1]} samples")
        return dict(zip(self._outputs, found, strict=True))

    def recognize(
        self, samples: Floats, fewest_samples: int, affine: Affine | None = None
    ) -> Logits:
        """One clip, (sample,), by itself; padded to ``fewest_samples`` where it is shorter."""
        return self.recognize_batch([samples], fewest_samples, affine)[0]

    def recognize_batch(
        self, clips: Sequence[Floats], fewest_samples: int, affine: Affine | None = None
    ) -> list[Logits]:
        """Several clips, each (sample,), as one padded batch."""
        lengths = np.array([len(one) for one in clips], dtype=np.int64)
        padded = np.zeros((len(clips), max(*lengths, fewest_samples)), dtype=np.float32)
        for row, clip in zip(padded, clips, strict=True):
            row[: len(clip)] = clip
        found = self.run(padded, lengths, affine)
        return [self._clip(found, number) for number in range(len(clips))]

    def _clip(self, found: dict[str, Any], number: int) -> Logits:
        emotions, frames, weights = (found[name][number] for name in OUTPUTS)
        phonemes, features = (
            found[name][number, :frames] if name in found else None for name in (PHONEMES, FEATURES)
        )
        vector = found[VECTOR][number] if VECTOR in found else None
        return Logits(emotions, phonemes, weights[:frames], features, vector)

    def _check_names(self) -> None:
        given, self._outputs = names_of(self._session)
        #: features of the vector that a profile maps; None where the network takes no map
        self.width = map_width(self._session)
        inputs, outputs = given - set(MAP), set(self._outputs) - _OPTIONAL
        odd = (self.width is None) == (VECTOR in self._outputs)
        if inputs != set(INPUTS) or outputs != set(OUTPUTS) or odd:
            raise CheckpointError(
                f"the network takes {', '.join(sorted(given))} and gives "
                f"{', '.join(sorted(self._outputs))}; {', '.join(INPUTS)} and "
                f"{', '.join(OUTPUTS)} are wanted: export the model again"
            )

    def _last_axis(self, name: str) -> int | None:
        size = self._outputs[name][-1]
        return size if isinstance(size, int) else None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


Kept = npt.NDArray[np.bool_]

#: (1, frame, feature) float32 and (batch, frame) bool; MAP too where model.onnx takes it.
HEAD_INPUTS = ("features", "kept")
#: (batch, emotion).
HEAD_OUTPUT = "emotion_logits"


class Head:
    """An opened head.onnx.

    Args:
        model: the content of the file.
        threads: how many threads a run may use; None leaves it to onnxruntime.

    Raises:
        CheckpointError: onnxruntime cannot open it, or it has other inputs or outputs.
    """

    def __init__(self, model: bytes, threads: int | None = None) -> None:
        self._session = open_session(model, threads)
        given, gives = names_of(self._session)
        #: features of the vector that a profile maps; None where the head takes no map
        self.width = map_width(self._session)
        if given - set(MAP) != set(HEAD_INPUTS) or set(gives) != {HEAD_OUTPUT}:
            raise CheckpointError(
                f"the head takes {', '.join(sorted(given))} and gives {', '.join(sorted(gives))}; "
                f"{', '.join(HEAD_INPUTS)} and {HEAD_OUTPUT} are wanted: export the model again"
            )

    def logits(self, features: Floats, kept: Kept, affine: Affine | None = None) -> Floats:
        """The emotion when only some frames count.

        Args:
            features: of one clip, (frame, feature).
            kept: (batch, frame), False where a frame is left out.
            affine: a profile's map.

        Returns:
            (batch, emotion).

        Raises:
            ModelError: onnxruntime fails.
        """
        feed = dict(zip(HEAD_INPUTS, (features[None], kept), strict=True))
        feed |= map_of(affine, self.width)
        found: Floats
        (found,) = run_session(self._session, [HEAD_OUTPUT], feed, f"{kept.shape[1]} frames")
        return found


#: What the bundle that holds a network for others may be called: a name, and never a path.
NETWORK_NAME = "^[a-z0-9][a-z0-9-]*$"


def place_of(folder: Path, file: str, network: str | None) -> Path:
    """Where a bundle's network lies: in its own folder, or in that of the bundle it shares one of.

    Args:
        folder: of the bundle.
        file: the network's name in it.
        network: the name of the bundle beside it, as ``NETWORK_NAME`` allows; None: it is whole.

    Raises:
        CheckpointError: the other bundle is absent, has no network, or is a link.
    """
    own = folder / file
    if network is None or own.exists():  # a copy of the network makes a sharing bundle whole
        return own
    home = Path(os.path.abspath(folder)).parent / network
    found = home / file
    if home.is_symlink() or found.is_symlink():
        raise CheckpointError(
            f"{folder}: expected the network in {found}, got a link; copy the bundle {network} "
            "itself beside this one"
        )
    if not found.is_file():
        raise CheckpointError(
            f"{folder}: expected the network in {found}, got no such file; copy the bundle "
            f"{network} beside this one"
        )
    return found


class SharedGraph(Graph):
    """A network under another emotion head, that of a reference; all other outputs are its own.

    Args:
        model: the content of model.onnx.
        reference: holds the head, and with it how many emotions there are.
        threads: how many threads one clip may use; None leaves it to onnxruntime.

    Raises:
        CheckpointError: the network gives no vector, or one of another width.
    """

    def __init__(self, model: bytes, reference: Reference, threads: int | None = None) -> None:
        super().__init__(model, threads)
        self._reference = reference
        width = len(reference.centre)
        if self.width != width:
            raise CheckpointError(
                f"expected a shared network with a vector of {width} features, got "
                f"{self.width or 'none'}; export the model again"
            )

    @property
    def emotions(self) -> int:
        """How many emotions the head tells apart."""
        return len(self._reference.bias)

    def run(
        self, waveform: Floats, samples: Counts, affine: Affine | None = None
    ) -> dict[str, Any]:
        """As of ``Graph``, with the emotion logits of the head."""
        found = super().run(waveform, samples)
        logits = self._reference.logits(found[VECTOR], affine)
        return found | {OUTPUTS[0]: logits.astype("float32")}
