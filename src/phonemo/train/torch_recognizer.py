"""Speech emotion recognition with torch, from a model folder."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.audio.levels import boost_quiet
from phonemo.errors import CheckpointError, DeviceError
from phonemo.evaluation.calibration import softmax
from phonemo.files import CHECKSUMS
from phonemo.runtime.device import AUTO, CPU, CUDA, is_cuda, parse_device
from phonemo.runtime.parts.dimensions import derived_reader, trained_reader
from phonemo.runtime.phonemes.attribution import add_attribution
from phonemo.runtime.phonemes.decoder import PhonemeDecoder
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import ClipScores, PredictOptions, Samples
from phonemo.train.calibrate import stored_calibration
from phonemo.train.dataset import pad_audio
from phonemo.train.heads.linear_head import reference_of
from phonemo.train.model_folder import LoadedModel, load_trained


class TorchRecognizer(EmotionRecognizer):
    """Recognizes emotions with the torch model in a model folder.

    Args:
        trained: the opened folder; its model is moved to the device.
        device: "cpu", "cuda", "cuda:1" or "auto".

    Raises:
        DeviceError: torch does not find the requested card.
        UsageError: an unknown device.
    """

    def __init__(self, trained: LoadedModel, device: str = CPU) -> None:
        self.trained = trained
        self._requested_device = parse_device(device)
        self.device = torch_device(self._requested_device)
        self.calibrated = stored_calibration(trained.model)
        self.abstain_below = self.calibrated.abstain_below
        self.reference = reference_of(trained.model)
        if trained.inventory is not None:
            self.phoneme_decoder = PhonemeDecoder(tuple(trained.inventory.symbols))
        rated = trained.model.config.dimensions
        self.dimensions = (
            trained_reader(self.labels, rated) if rated else derived_reader(self.labels)
        )
        torch.nn.Module.to(trained.model, self.device)

    @classmethod
    def load(
        cls, folder: str | Path, threads: int | None = None, device: str = CPU
    ) -> TorchRecognizer:
        """Open a model folder of ``phonemo train``; raise CheckpointError if it is not one.

        Args:
            folder: the model.
            threads: torch's threads, for the whole process; None leaves them unchanged.
            device: "cpu", "cuda", "cuda:1" or "auto".
        """
        if threads is not None:
            torch.set_num_threads(threads)
        return cls(load_trained(folder), device)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model's folder and the options; unpickling opens the folder again."""
        folder = self.trained.folder.absolute()
        options = {
            name: value for name, value in self.__dict__.items() if name not in _LOADED_ATTRIBUTES
        }
        opening = (folder, self._requested_device)
        return _reopened, (type(self), opening, _digest(folder), options)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the emotions, in the order of the scores."""
        return self.trained.labels.names

    def _recognize_clip(self, samples: Samples, options: PredictOptions) -> ClipScores:
        leveled = boost_quiet(samples) if self.trained.model.config.normalise else samples
        with torch.inference_mode():
            batch = {name: value.to(self.device) for name, value in pad_audio([leveled]).items()}
            output = self.trained.model(**batch, calibrated=False)
            logits = output.logits if self._affine is None else self._mapped(output.vector)
        scores = softmax(logits[0].cpu().numpy() / self.calibrated.temperature)
        spans = None
        if output.phoneme_logits is not None and self.trained.inventory is not None:
            frames = output.phoneme_logits[0, : int(output.frames[0])].cpu()
            posteriors = frames.double().log_softmax(1)
            grid = self.trained.model.backbone.grid
            spans = self.phoneme_decoder.spans(posteriors.numpy(), grid, samples)
            if options.shares and spans:
                features = output.features[:, : int(output.frames[0])]
                decide = partial(self._decide, features)
                spans = add_attribution(spans, decide, grid, *features.shape[1:])
        dimensions = output.dimensions
        values = None if dimensions is None else dimensions[0].double().cpu().numpy()
        vector = output.vector[0].cpu().numpy()
        return ClipScores(scores, spans, vector=vector, dimensions=values)

    def _decide(self, features: Tensor, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.floating]:
        """Return probabilities (batch, emotion) for one clip with some of its frames left out."""
        keep = torch.from_numpy(kept).to(self.device)
        with torch.inference_mode():
            rows = features.expand(len(keep), -1, -1)
            logits, pooled = self.trained.model.classify_frames(rows, torch.ones_like(keep), keep)
            logits = logits if self._affine is None else self._mapped(pooled.vector)
        return softmax(logits.cpu().numpy() / self.calibrated.temperature)

    def _mapped(self, vector: Tensor) -> Tensor:
        """Map vectors (batch, feature) to logits (batch, emotion) under the applied profile."""
        assert self._affine is not None
        scale, shift = (torch.from_numpy(part).float().to(self.device) for part in self._affine)
        logits: Tensor = self.trained.model.head(vector * scale + shift)
        return logits


#: Attributes that come from the model folder, and are not pickled.
_LOADED_ATTRIBUTES = frozenset(
    {"trained", "calibrated", "reference", "dimensions", "device", "_requested_device"}
)


def torch_device(device: str) -> str:
    """The device for torch: "auto" becomes "cuda" where torch finds a card, else "cpu".

    Raises:
        DeviceError: torch does not find the requested card.
    """
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == AUTO:
        return CUDA if cards else CPU
    number = int(device.partition(":")[2] or 0)
    if is_cuda(device) and number >= cards:
        raise DeviceError(
            f"expected a card for device {device}, got {cards or 'none'} from torch "
            f"{torch.__version__}; run nvidia-smi, install the torch of its CUDA version "
            "(https://pytorch.org/get-started), or use device cpu"
        )
    return device


def describe_torch() -> dict[str, str]:
    """Versions of torch and CUDA, the device that "auto" stands for and the names of the cards."""
    found = {"torch": torch.__version__, "auto": torch_device(AUTO)}
    found["cuda"] = torch.version.cuda or "a build for the processor"
    cards = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return found | {f"cuda:{number}": torch.cuda.get_device_name(number) for number in cards}


def _reopened(
    kind: type[TorchRecognizer], opening: tuple[Path, str], digest: str, options: dict[str, Any]
) -> TorchRecognizer:
    """Open the folder of a pickled recognizer; CheckpointError where it is gone or another."""
    folder, device = opening
    if _digest(folder) != digest:
        raise CheckpointError(
            f"{folder}: the model has changed since the recognizer was pickled; load it again"
        )
    recognizer = kind(load_trained(folder), device)
    recognizer.__dict__.update(options)
    return recognizer


def _digest(folder: Path) -> str:
    """SHA-256 of the file that lists the hashes of all others."""
    try:
        return hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{folder}: expected the model folder of a pickled recognizer; put it back, or load "
            "the model in this process"
        ) from error
