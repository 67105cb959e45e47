"""Any layer of a network by its name: a phonemo model, or a backbone of transformers."""

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

#: What only a phonemo model has, and what of its output it is.
_ABOVE: dict[str, Callable[[EmotionOutput], Tensor | None]] = {
    "features": lambda output: output.features[0],
    "fusion": lambda output: None,
    "pooled": lambda output: output.vector,
    "emotions": lambda output: output.logits,
    "phonemes": lambda output: output.phoneme_logits,
}


class Layers:
    """A network whose layers are asked for by name.

    Names are ``cnn`` (the convolutions' output behind its norm), ``layer.0`` (the input of the
    Transformer) to the last layer, and of a phonemo model ``fusion`` (the fused sequence),
    ``features`` (what pooling reads: that and the hidden states that pass by it), ``phonemes``
    (logits), ``pooled`` (what the emotion head reads) and ``emotions`` (logits); the last two have
    one frame.
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
            names = [one for one in _ABOVE if one != "phonemes" or model.auxiliary is not None]
            self._readers |= {name: partial(self._above, name) for name in names}

    @classmethod
    def load(cls, folder: str | Path) -> Layers:
        """Of a model folder, or of a backbone that transformers opens.

        Raises:
            PhonemoError: it is neither, or it is broken.
        """
        if (Path(folder) / LABELS).is_file():
            model = load_trained(folder).model
            return cls(model.backbone, model)
        return cls(Backbone(*load_backbone(str(folder))))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, from the bottom."""
        return tuple(self._readers)

    @torch.inference_mode()
    def frames(self, name: str, samples: Floats) -> Floats:
        """A layer's output for one clip.

        Args:
            name: one of ``names``.
            samples: the clip at 16 kHz, (sample,).

        Returns:
            (frame, feature).
        """
        heard = boost_quiet(samples) if self._backbone.normalise else samples
        found: Floats = self._readers[name](torch.from_numpy(np.array(heard))[None]).numpy()
        return found

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
        ones = mask_of(torch.tensor([waveform.shape[1]]), waveform.shape[1])
        output: EmotionOutput = self._model(waveform, ones, calibrated=False)
        if name == "fusion":
            return output.features[0, :, : int(self._model.config.width)]
        found = _ABOVE[name](output)
        assert found is not None
        return found[0] if name == "phonemes" else found
