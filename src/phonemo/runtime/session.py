"""ONNX sessions: model.onnx (waveforms to logits), head.onnx (frames to emotions), shared networks.

onnxruntime is imported only here, with its telemetry disabled.
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
from phonemo.runtime.device import AUTO, CPU, device_of, failed, providers_of
from phonemo.runtime.heap import return_free_pages

#: Read when onnxruntime is imported. Without it, 1.32 stores a device id and an event database in
#: the user's cache folder, for telemetry to its vendor.
_TELEMETRY_VARIABLE = "ORT_DISABLE_TELEMETRY"


def onnxruntime() -> ModuleType:
    """Import the package with telemetry disabled; a value the user has set is kept."""
    os.environ.setdefault(_TELEMETRY_VARIABLE, "1")
    import onnxruntime as ort

    module: ModuleType = ort
    return module


@cache
def onnx_errors() -> tuple[type[Exception], ...]:
    """The exceptions that onnxruntime raises."""
    onnxruntime()
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    return (
        *(native.Fail, native.InvalidArgument, native.InvalidGraph, native.InvalidProtobuf),
        *(native.NotImplemented, native.NoSuchFile, native.RuntimeException),
        UnicodeDecodeError,  # error messages quote raw bytes of the file
    )


Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

#: (batch, sample) float32, padded with anything; (batch,) int64, the length of each.
INPUTS = ("waveform", "samples")
#: (batch, emotion); valid frames (batch,); each frame's pooling weight (batch, frame).
OUTPUTS = ("emotion_logits", "frames", "frame_weights")
#: (batch, frame, phoneme); absent where the network has no phoneme head.
PHONEMES = "phoneme_logits"
#: (batch, frame, feature), the input of pooling; absent from bundles without a head.
FEATURES = "features"
#: (batch, feature), the emotion head's input before a profile's map; absent from older bundles.
VECTOR = "vector"
#: (batch, dimension), 0 to 1, of a head trained on ratings; absent from other bundles.
DIMENSIONS_OUTPUT = "dimensions"
#: (feature,) float32 each, a profile's map of that vector; present only with the vector.
MAP = ("scale", "shift")
_OPTIONAL = {PHONEMES, FEATURES, VECTOR, DIMENSIONS_OUTPUT}

#: Folder of external weights, by default the working directory; set to a place without files.
_EXTERNAL_DATA_KEY = "session.model_external_initializers_file_folder_path"
_FATAL_ONLY = 4  # errors are raised, so they are not logged


@dataclass(frozen=True)
class Logits:
    """The network's output for one clip."""

    emotions: Floats
    """(emotion,)."""
    phonemes: Floats | None
    """(frame, phoneme); None without a phoneme head."""
    frame_weights: Floats
    """(frame,): each frame's pooling weight."""
    features: Floats | None = None
    """(frame, feature): input of pooling; None where the network does not output it."""
    vector: Floats | None = None
    """(feature,): the emotion head's input before a profile's map; None likewise."""
    dimensions: Floats | None = None
    """(dimension,), 0 to 1; None without a head for dimensions."""


def open_session(model: bytes, threads: int | None = None, device: str = CPU) -> Any:
    """Open a network in onnxruntime.

    Args:
        model: content of an ONNX file.
        threads: threads per run; None leaves the choice to onnxruntime.
        device: as in ``phonemo.runtime.device``; "auto" is the card if a session opens there.

    Raises:
        CheckpointError: onnxruntime cannot open it.
        DeviceError: the card is missing, or no session opens there.
        UsageError: fewer than one thread.
    """
    return _open_on(model, threads, device)[0]


def _open_on(model: bytes, threads: int | None, device: str) -> tuple[Any, str]:
    """Open a session; return it with the device that it runs on."""
    ort = onnxruntime()
    options, providers = _session_options(ort, threads), providers_of(device, ort)
    try:
        # the fallback would only retry the same provider and print to standard output
        session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except onnx_errors() as error:
        if len(providers) > 1:  # the card or the network: the processor shows which
            if device == AUTO:
                return _open_on(model, threads, CPU)
            _open_on(model, threads, CPU)
            raise failed(device, _first_line(error), ort) from error
        raise CheckpointError(
            f"onnxruntime {ort.__version__} cannot open the network "
            f"({_first_line(error)}); update onnxruntime, or export the model again"
        ) from error
    session._model_bytes = None  # kept for a change of providers, which never happens
    return_free_pages()  # 15 MB of the parsed file
    return session, device_of(session, device, ort)


def _session_options(ort: ModuleType, threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry(_EXTERNAL_DATA_KEY, os.devnull)
    options.enable_mem_pattern = False  # it would store a plan for every input length
    if threads is not None:
        if threads < 1:
            raise UsageError(f"expected 1 or more threads, got threads={threads}")
        options.intra_op_num_threads = threads
    return options


def names_of(session: Any) -> tuple[set[str], dict[str, Any]]:
    """A network's input names, and its output names with their shapes.

    Raises:
        CheckpointError: a name is not valid text.
    """
    try:
        inputs = {node.name for node in session.get_inputs()}
        return inputs, {node.name: node.shape for node in session.get_outputs()}
    except UnicodeDecodeError as error:
        raise CheckpointError(
            "expected UTF-8 names of the network's inputs and outputs; export the model again"
        ) from error


def map_width(session: Any) -> int | None:
    """Width of the vector that MAP maps; None for a network without these inputs.

    Raises:
        CheckpointError: only one of the two inputs, or unequal or unknown widths.
    """
    shapes = {node.name: node.shape for node in session.get_inputs() if node.name in MAP}
    if not shapes:
        return None
    shape = shapes.get(MAP[0], [])
    if len(shape) != 1 or not isinstance(shape[0], int) or shape != shapes.get(MAP[1]):
        raise CheckpointError(
            f"expected inputs {' and '.join(MAP)} of one width, got {shapes}; export the model "
            "again"
        )
    return int(shape[0])


def map_of(affine: Affine | None, width: int | None) -> dict[str, Floats]:
    """Values for the inputs MAP, where the network has them; without a map, the identity."""
    if width is None:
        return {}
    if affine is None:
        affine = Affine(np.ones(width), np.zeros(width))
    return {name: part.astype(np.float32) for name, part in zip(MAP, affine, strict=True)}


def run_session(session: Any, names: Iterable[str], feed: dict[str, Any], size: str) -> list[Any]:
    """Run a session for the named outputs; ``size`` describes the input in error messages.

    Raises:
        ModelError: onnxruntime fails, out of memory or on a corrupt network.
    """
    try:
        outputs: list[Any] = session.run(list(names), feed)
    except onnx_errors() as error:
        raise ModelError(
            f"onnxruntime fails on {size} ({_first_line(error)}); free memory, or export the "
            "model again"
        ) from error
    return outputs


class Graph:
    """An opened model.onnx.

    Args:
        model: content of the file.
        threads: threads per clip; None leaves the choice to onnxruntime.
        device: as in ``phonemo.runtime.device``.

    Raises:
        CheckpointError: onnxruntime cannot open it, or it has other inputs or outputs.
        DeviceError: no session opens on the requested card.
        UsageError: fewer than one thread.
    """

    def __init__(self, model: bytes, threads: int | None = None, device: str = CPU) -> None:
        #: the device that it really runs on, never "auto"
        self._session, self.device = _open_on(model, threads, device)
        self._check_names()

    @property
    def has_phonemes(self) -> bool:
        """Whether there is a phoneme head."""
        return PHONEMES in self._outputs

    @property
    def has_features(self) -> bool:
        """Whether it outputs the input of pooling."""
        return FEATURES in self._outputs

    @property
    def emotions(self) -> int | None:
        """Number of emotions; None where the graph's axis is dynamic."""
        return self._last_axis(OUTPUTS[0])

    @property
    def dimensions(self) -> int:
        """Number of dimensions of a trained head, 0 without one."""
        return (
            (self._last_axis(DIMENSIONS_OUTPUT) or 0) if DIMENSIONS_OUTPUT in self._outputs else 0
        )

    @property
    def symbols(self) -> int | None:
        """Width of the phoneme head; None without one, or where the axis is dynamic."""
        return self._last_axis(PHONEMES) if self.has_phonemes else None

    def run(
        self, waveform: Floats, samples: Counts, affine: Affine | None = None
    ) -> dict[str, Any]:
        """Run a padded batch (batch, sample) with lengths (batch,); return all outputs by name.

        Args:
            waveform: padding values do not matter.
            samples: true length of each clip.
            affine: a profile's map; only for a network with a ``width``.

        Raises:
            ModelError: onnxruntime fails, out of memory or on a corrupt network.
        """
        feed: dict[str, Any] = dict(zip(INPUTS, (waveform, samples), strict=True))
        feed |= map_of(affine, self.width)
        outputs = run_session(self._session, self._outputs, feed, f"{waveform.shape[1]} samples")
        return dict(zip(self._outputs, outputs, strict=True))

    def recognize(
        self, samples: Floats, fewest_samples: int, affine: Affine | None = None
    ) -> Logits:
        """Process one clip, (sample,), padded to ``fewest_samples`` where it is shorter."""
        return self.recognize_batch([samples], fewest_samples, affine)[0]

    def recognize_batch(
        self, clips: Sequence[Floats], fewest_samples: int, affine: Affine | None = None
    ) -> list[Logits]:
        """Process several clips, each (sample,), as one padded batch."""
        lengths = np.array([len(clip) for clip in clips], dtype=np.int64)
        padded = np.zeros((len(clips), max(*lengths, fewest_samples)), dtype=np.float32)
        for row, clip in zip(padded, clips, strict=True):
            row[: len(clip)] = clip
        outputs = self.run(padded, lengths, affine)
        return [self._clip(outputs, number) for number in range(len(clips))]

    def _clip(self, outputs: dict[str, Any], number: int) -> Logits:
        emotions, frames, weights = (outputs[name][number] for name in OUTPUTS)
        phonemes, features = (
            outputs[name][number, :frames] if name in outputs else None
            for name in (PHONEMES, FEATURES)
        )
        vector, dimensions = (
            outputs[name][number] if name in outputs else None
            for name in (VECTOR, DIMENSIONS_OUTPUT)
        )
        return Logits(emotions, phonemes, weights[:frames], features, vector, dimensions)

    def _check_names(self) -> None:
        names, self._outputs = names_of(self._session)
        #: width of the vector that a profile maps; None where the network takes no map
        self.width = map_width(self._session)
        inputs, outputs = names - set(MAP), set(self._outputs) - _OPTIONAL
        unpaired_map = (self.width is None) == (VECTOR in self._outputs)
        if inputs != set(INPUTS) or outputs != set(OUTPUTS) or unpaired_map:
            raise CheckpointError(
                f"expected a network from {', '.join(INPUTS)} to {', '.join(OUTPUTS)}, got one "
                f"from {', '.join(sorted(names))} to {', '.join(sorted(self._outputs))}; export "
                "the model again"
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
        model: content of the file.
        threads: threads per run; None leaves the choice to onnxruntime.
        device: as in ``phonemo.runtime.device``.

    Raises:
        CheckpointError: onnxruntime cannot open it, or it has other inputs or outputs.
        DeviceError: no session opens on the requested card.
    """

    def __init__(self, model: bytes, threads: int | None = None, device: str = CPU) -> None:
        self._session = open_session(model, threads, device)
        inputs, outputs = names_of(self._session)
        #: width of the vector that a profile maps; None where the head takes no map
        self.width = map_width(self._session)
        if inputs - set(MAP) != set(HEAD_INPUTS) or set(outputs) != {HEAD_OUTPUT}:
            raise CheckpointError(
                f"expected a head from {', '.join(HEAD_INPUTS)} to {HEAD_OUTPUT}, got one from "
                f"{', '.join(sorted(inputs))} to {', '.join(sorted(outputs))}; export the model "
                "again"
            )

    def logits(self, features: Floats, kept: Kept, affine: Affine | None = None) -> Floats:
        """Emotion logits when only some frames are pooled.

        Args:
            features: of one clip, (frame, feature).
            kept: (batch, frame), False where a frame is left out.
            affine: a profile's map.

        Returns:
            (batch, emotion).

        Raises:
            CheckpointError: the head computes something else.
            ModelError: onnxruntime fails.
        """
        feed = dict(zip(HEAD_INPUTS, (features[None], kept), strict=True))
        feed |= map_of(affine, self.width)
        logits: Floats
        (logits,) = run_session(self._session, [HEAD_OUTPUT], feed, f"{kept.shape[1]} frames")
        if logits.ndim != 2 or len(logits) != len(kept):
            raise CheckpointError(
                f"expected a row of {HEAD_OUTPUT} for each of {len(kept)}, got shape "
                f"{logits.shape}; export the model again"
            )
        return logits


#: Allowed names of a bundle whose network is shared: a plain name, never a path.
NETWORK_NAME = "^[a-z0-9][a-z0-9-]*$"


def place_of(folder: Path, file: str, network: str | None) -> Path:
    """Path of a bundle's network: in its own folder, or in the bundle that it shares one with.

    Args:
        folder: of the bundle.
        file: the network's file name.
        network: name of the adjacent bundle, as in ``NETWORK_NAME``; None: nothing is shared.

    Raises:
        CheckpointError: the other bundle is missing, has no network, or is a link.
    """
    own = folder / file
    if network is None or own.exists():  # a copy of the network makes the bundle complete
        return own
    other = Path(os.path.abspath(folder)).parent / network
    path = other / file
    if other.is_symlink() or path.is_symlink():
        raise CheckpointError(
            f"{folder}: expected the network in {path}, got a link; copy the bundle {network} "
            "itself beside this one"
        )
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: expected the network in {path}, got no such file; copy the bundle "
            f"{network} beside this one"
        )
    return path


class SharedGraph(Graph):
    """A shared network with the emotion head of a reference; other outputs are unchanged.

    Args:
        model: content of model.onnx.
        reference: holds the head, and thereby the number of emotions.
        threads: threads per clip; None leaves the choice to onnxruntime.
        device: as in ``phonemo.runtime.device``.

    Raises:
        CheckpointError: the network outputs no vector, or one of another width.
        DeviceError: no session opens on the requested card.
    """

    def __init__(
        self,
        model: bytes,
        reference: Reference,
        threads: int | None = None,
        device: str = CPU,
    ) -> None:
        super().__init__(model, threads, device)
        self._reference = reference
        width = len(reference.centre)
        if self.width != width:
            raise CheckpointError(
                f"expected a shared network with a vector of {width} features, got "
                f"{self.width or 'none'}; export the model again"
            )

    @property
    def emotions(self) -> int:
        """Number of emotions of the head."""
        return len(self._reference.bias)

    def run(
        self, waveform: Floats, samples: Counts, affine: Affine | None = None
    ) -> dict[str, Any]:
        """Run as ``Graph.run``, with the emotion logits of the head."""
        outputs = super().run(waveform, samples)
        logits = self._reference.logits(outputs[VECTOR], affine)
        return outputs | {OUTPUTS[0]: logits.astype("float32")}
