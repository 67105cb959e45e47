"""Networks that turn an utterance into vectors, each named by a hash of what it computes.

Vectors of a corpus under a network: computed once, kept as .npy files by what they depend on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.audio import load_waveform
from phonemo.audio.levels import boost_quiet
from phonemo.corpora.manifest import Utterance
from phonemo.errors import AudioError, ConfigError, LeakageError
from phonemo.model.backbone import Backbone
from phonemo.model.masks import mask_of
from phonemo.model.network import EmotionOutput, PhonemoForAudioClassification
from phonemo.model.pooling import statistics
from phonemo.model.pretrained import load_backbone
from phonemo.train.feature_cache import save_array
from phonemo.train.model_folder import LABELS, load_trained
from phonemo.train.provenance import Provenance, provenance_of
from phonemo.train.transfer.corpora import Corpus

Floats32 = npt.NDArray[np.float32]

#: Raised whenever the same weights give other vectors.
VERSION = 1
POOLED = "pooled"
#: Ends the name of statistics over frames that hold speech.
SPEECH = "-speech"
#: Ends the name of statistics without the deviation.
MEAN = "-mean"


@dataclass(frozen=True, eq=False)
class FrozenNetwork:
    """A frozen network.

    Attributes:
        backbone: in evaluation mode.
        model: the whole model; None where there is a backbone alone.
        lineage: what it has learnt from.
        name: the folder's, for messages.
    """

    backbone: Backbone
    model: PhonemoForAudioClassification | None
    lineage: Provenance
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
        louder = boost_quiet(samples) if self.backbone.normalise else samples
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


def open_network(folder: str, start_share: float = 0.0, start: str | None = None) -> FrozenNetwork:
    """A network from its folder.

    Args:
        folder: a backbone's or a model's.
        start_share: how far the backbone's weights go towards those of ``start``, 0 to 1.
        start: the backbone, or the model, that the training started from.

    Raises:
        PhonemoError: it cannot be opened.
    """
    past = provenance_of(folder)
    if (Path(folder) / LABELS).is_file():
        model = load_trained(folder).model
        if start_share and start is not None:
            _move(model.backbone, start, start_share)
        return FrozenNetwork(model.backbone.eval(), model.eval(), past, folder)
    return FrozenNetwork(Backbone(*load_backbone(folder)).eval(), None, past, folder)


def forbid_leaks(
    network: FrozenNetwork, corpus: Corpus, remedy: str = "take the corpus out of left_out"
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


#: Utterances of a block, in which vectors are kept until the whole corpus is done.
_BLOCK = 100
#: By corpus, once it is known: thousands of files are looked at.
_DIGESTS: WeakKeyDictionary[Corpus, str] = WeakKeyDictionary()


def vectors_of(
    home: Path,
    network: FrozenNetwork,
    corpus: Corpus,
    names: Sequence[str],
    progress: Callable[[int, int], None],
) -> dict[str, Floats32]:
    """Vectors (utterance, feature) of ``utterances``, named as by ``FrozenNetwork.vectors``.

    Args:
        home: where vectors are kept; a folder in it is named by network and corpus.
        network: computes what is not there.
        corpus: whose.
        names: which.
        progress: called with (done, total) utterances.

    Raises:
        AudioError: a recording is missing or cannot be decoded.
        RunError: the disk refused.
    """
    folder = home / network.digest / f"{corpus.name}-{recordings_digest(corpus)}"
    paths = {name: folder / f"{name}.npy" for name in names}
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing:
        _compute(paths, network, corpus, missing, progress)
    return {name: np.load(path) for name, path in paths.items()}


def _compute(
    paths: Mapping[str, Path],
    network: FrozenNetwork,
    corpus: Corpus,
    names: Sequence[str],
    progress: Callable[[int, int], None],
) -> None:
    """Block by block, so that an interrupted computation goes on where it stopped."""
    total = len(corpus.utterances)
    blocks: dict[str, list[Path]] = {name: [] for name in names}
    for start in range(0, total, _BLOCK):
        own = {name: paths[name].with_name(f"{name}.{start:07d}.npy") for name in names}
        if not all(path.is_file() for path in own.values()):
            _save_block(own, network, corpus, corpus.utterances[start : start + _BLOCK])
        for name, path in own.items():
            blocks[name].append(path)
        progress(min(start + _BLOCK, total), total)
    for name, parts in blocks.items():
        _save(paths[name], np.concatenate([np.load(part) for part in parts]))
        for part in parts:
            part.unlink()


def _save_block(
    paths: Mapping[str, Path], network: FrozenNetwork, corpus: Corpus, members: Sequence[Utterance]
) -> None:
    rows: dict[str, list[Floats32]] = {name: [] for name in paths}
    for one in members:
        path = corpus.manifest.audio_path(one)
        audio = load_waveform(path, start=one.start, end=one.end)
        for name, vector in network.vectors(np.array(audio.samples), list(paths)).items():
            rows[name].append(vector)
    for name, vectors in rows.items():
        _save(paths[name], np.stack(vectors))


def _save(path: Path, array: Floats32) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.part")
    try:
        save_array(scratch, array)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def recordings_digest(corpus: Corpus) -> str:
    """Of the recordings that have an emotion, not of which; AudioError where one is missing."""
    if corpus not in _DIGESTS:
        found = hashlib.sha256()
        for one in corpus.utterances:
            found.update(json.dumps(_facts(corpus, one)).encode())
        _DIGESTS[corpus] = found.hexdigest()[:12]
    return _DIGESTS[corpus]


def _facts(corpus: Corpus, one: Utterance) -> tuple[str | float | None, ...]:
    path = corpus.manifest.audio_path(one)
    if not path.is_file():
        raise AudioError(
            "missing_file", f"{path}: no such file; {one.id} of the manifest of {corpus.name}"
        )
    facts = path.stat()
    return (one.id, one.file, one.start, one.end, facts.st_size, facts.st_mtime_ns)
