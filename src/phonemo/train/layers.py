"""Access to a network's layers by name: a phonemo model's, or a transformers backbone's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.audio.levels import boost_quiet
from phonemo.model.backbone import Backbone
from phonemo.model.masks import mask_of
from phonemo.model.network import EmotionOutput, PhonemoForAudioClassification
from phonemo.model.pretrained import load_backbone
from phonemo.train.model_folder import LABELS, load_trained

Floats = npt.NDArray[np.float32]
_Reader = Callable[[Tensor], Tensor]

#: Layers that only a phonemo model has, and how to get each from its output.
_ABOVE: dict[str, Callable[[EmotionOutput], Tensor | None]] = {
    "features": lambda output: output.features[0],
    "fusion": lambda output: None,
    "pooled": lambda output: output.vector,
    "emotions": lambda output: output.logits,
    "phonemes": lambda output: output.phoneme_logits,
}


class Layers:
    """A network whose layers are read by name.

    Names are ``cnn`` (the convolutions' output after its norm), ``layer.0`` (the Transformer's
    input) to the last layer, and for a phonemo model ``fusion`` (the fused sequence), ``features``
    (the input of pooling: fusion and the hidden states that bypass it), ``phonemes`` (logits),
    ``pooled`` (the emotion head's input) and ``emotions`` (logits); the last two have one frame.
    """

    def __init__(
        self, backbone: Backbone, model: PhonemoForAudioClassification | None = None
    ) -> None:
        self._backbone, self._model = backbone.eval(), model
        self._readers: dict[str, _Reader] = {"cnn": self._cnn}
        for number in range(backbone.depth + 1):
            self._readers[f"layer.{number}"] = partial(self._layer, number)
        if model is not None:
            model.eval()
            names = [name for name in _ABOVE if name != "phonemes" or model.auxiliary is not None]
            self._readers |= {name: partial(self._above, name) for name in names}

    @classmethod
    def load(cls, folder: str | Path) -> Layers:
        """Open a model folder, or a backbone that transformers can load.

        Raises:
            PhonemoError: the folder is neither, or broken.
        """
        if (Path(folder) / LABELS).is_file():
            model = load_trained(folder).model
            return cls(model.backbone, model)
        return cls(Backbone(*load_backbone(str(folder))))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the layers, from the bottom."""
        return tuple(self._readers)

    @torch.inference_mode()
    def frames(self, name: str, samples: Floats) -> Floats:
        """Compute a layer's output for one clip.

        Args:
            name: one of ``names``.
            samples: the clip at 16 kHz, (sample,).

        Returns:
            (frame, feature).
        """
        leveled = boost_quiet(samples) if self._backbone.normalise else samples
        output: Floats = self._readers[name](torch.from_numpy(np.array(leveled))[None]).numpy()
        return output

    def _convolved(self, waveform: Tensor) -> Tensor:
        return self._backbone.convolve(waveform, torch.tensor([waveform.shape[1]]))

    def _cnn(self, waveform: Tensor) -> Tensor:
        return self._backbone.acoustic(self._convolved(waveform))[0]

    def _layer(self, number: int, waveform: Tensor) -> Tensor:
        projected = self._backbone.project(self._convolved(waveform))
        mask = torch.ones(projected.shape[:2], dtype=torch.bool)
        hidden = self._backbone.embed(projected, mask)
        return self._backbone.run(hidden, mask, 0, [number])[number][0]

    def _above(self, name: str, waveform: Tensor) -> Tensor:
        assert self._model is not None
        mask = mask_of(torch.tensor([waveform.shape[1]]), waveform.shape[1])
        output: EmotionOutput = self._model(waveform, mask, calibrated=False)
        if name == "fusion":
            return output.features[0, :, : int(self._model.config.width)]
        values = _ABOVE[name](output)
        assert values is not None
        return values[0] if name == "phonemes" else values
