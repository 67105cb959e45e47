"""Networks that turn an utterance into vectors, each named by a hash of what it computes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.errors import ConfigError, LeakageError
from phonemo.levels import raised
from phonemo.model.backbone import Backbone
from phonemo.model.build import load_backbone
from phonemo.model.lengths import mask_of
from phonemo.model.network import EmotionOutput, PhonemoForAudioClassification
from phonemo.model.pooling import statistics
from phonemo.train.folder import LABELS, load_trained
from phonemo.train.lineage import Lineage, lineage_of
from phonemo.train.transfer.sources import Corpus

Floats32 = npt.NDArray[np.float32]

#: Raised whenever the same weights give other vectors.
VERSION = 1
POOLED = "pooled"
#: Ends the name of statistics over frames that hold speech.
SPEECH = "-speech"
#: Ends the name of statistics without the deviation.
MEAN = "-mean"


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen network.

    Attributes:
        backbone: in evaluation mode.
        model: the whole model; None where there is a backbone alone.
        lineage: what it has learnt from.
        name: the folder's, for messages.
    """

    backbone: Backbone
    model: PhonemoForAudioClassification | None
    lineage: Lineage
    name: str

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits of its weights and of how it is run."""
        module = self.backbone if self.model is None else self.model
        found = hashlib.sha256(f"{VERSION} {self.backbone.normalise}".encode())
        for name, tensor in sorted(module.state_dict().items()):
            if not name.startswith(("head.", "auxiliary.")):
                found.update(name.encode())
                found.update(tensor.contiguous().cpu().numpy().tobytes())
        return found.hexdigest()[:12]

    def check(self, states: Sequence[int], pooled: bool) -> None:
        """Refuse what the network does not have.

        Raises:
            ConfigError: a hidden state above its last, or the fusion of a backbone.
        """
        depth = self.backbone.depth
        if strays := [one for one in states if one > depth]:
            raise ConfigError(
                f"{self.name}: expected hidden states 0 to {depth}, got {strays[0]}; change "
                "statistics"
            )
        if pooled and self.model is None:
            raise ConfigError(
                f"{self.name}: expected a model for its pooled fusion, got a backbone; set "
                "pooled=false"
            )

    @torch.inference_mode()
    def vectors(self, samples: Floats32, names: Sequence[str]) -> dict[str, Floats32]:
        """What a head may read of one clip.

        Args:
            samples: at 16 kHz, (sample,).
            names: "3" is the mean and deviation over time of hidden state 3, "3-speech" those over
                frames that hold speech, "3-mean" and "3-speech-mean" the mean alone, "pooled" the
                fusion.

        Returns:
            By name, (feature,).
        """
        louder = raised(samples) if self.backbone.normalise else samples
        waveform = torch.from_numpy(np.array(louder))[None]
        found = self._statistics(waveform, [one for one in names if one != POOLED])
        if POOLED in names:
            found[POOLED] = self._pooled(waveform)
        return {name: tensor[0].numpy() for name, tensor in found.items()}

    def _statistics(self, waveform: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        if not names:
            return {}
        samples = torch.tensor([waveform.shape[1]])
        projected = self.backbone.project(self.backbone.convolve(waveform, samples))
        mask = torch.ones(projected.shape[:2], dtype=torch.bool)
        spoken = self.backbone.speech(waveform, samples, mask)
        numbers = {name: int(name.partition("-")[0]) for name in names}
        hidden = self.backbone.embed(projected, mask)
        states = self.backbone.run(hidden, mask, 0, set(numbers.values()))
        found = {}
        for name, number in numbers.items():
            both = statistics(states[number], spoken if SPEECH in name else mask)
            found[name] = both[:, : both.shape[1] // 2] if name.endswith(MEAN) else both
        return found

    def _pooled(self, waveform: Tensor) -> Tensor:
        assert self.model is not None
        size = waveform.shape[1]
        ones = mask_of(torch.tensor([size]), size)
        output: EmotionOutput = self.model(waveform, ones, calibrated=False)
        return output.vector[:, : self.model.pooling.features]


def open_network(folder: str, start_share: float = 0.0, start: str | None = None) -> Network:
    """A network from its folder.

    Args:
        folder: a backbone's or a model's.
        start_share: how far the backbone's weights go towards those of ``start``, 0 to 1.
        start: the backbone, or the model, that the training started from.

    Raises:
        PhonemoError: it cannot be opened.
    """
    past = lineage_of(folder)
    if (Path(folder) / LABELS).is_file():
        model = load_trained(folder).model
        if start_share and start is not None:
            _move(model.backbone, start, start_share)
        return Network(model.backbone.eval(), model.eval(), past, folder)
    return Network(Backbone(*load_backbone(folder)).eval(), None, past, folder)


def forbid_leaks(
    network: Network, corpus: Corpus, remedy: str = "take the corpus out of left_out"
) -> bool:
    """Whether it was pretrained on the corpus, unlabelled; one that learnt its labels is refused.

    Args:
        network: the one that is tested.
        corpus: what it is tested on.
        remedy: what can be done besides naming another network.

    Raises:
        LeakageError: it has learnt from utterances or speakers of the corpus.
    """
    seen, speakers = network.lineage.overlap(corpus.name, corpus.manifest.utterances)
    if seen or speakers:
        raise LeakageError(
            f"{network.name}: expected a network that has not learnt from {corpus.name}, got one "
            f"that learnt from {seen} of its utterances and {len(speakers)} of its speakers; name "
            f"another network, or {remedy}"
        )
    return corpus.name in network.lineage.heard


def _move(backbone: Backbone, start: str, share: float) -> None:
    """Weights between the trained ones and those of the start (WiSE-FT, Wortsman et al. 2022)."""
    before: Mapping[str, Any] = _start_of(start, backbone.depth)
    with torch.no_grad():
        for name, tensor in backbone.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(before[name], share)


def _start_of(start: str, layers: int) -> Mapping[str, Any]:
    network, normalise = load_backbone(start, layers)
    return Backbone(network, normalise).state_dict()
