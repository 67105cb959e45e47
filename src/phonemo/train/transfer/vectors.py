"""Frozen networks and their vectors, computed once and cached as .npy files.

Networks and files are named by digests of everything their content depends on.
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

from phonemo.audio.levels import boost_quiet
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import ConfigError, LeakageError
from phonemo.files import file_lock
from phonemo.model.backbone import Backbone
from phonemo.model.masks import mask_of
from phonemo.model.network import EmotionOutput, PhonemoForAudioClassification
from phonemo.model.pooling import statistics
from phonemo.model.pretrained import load_backbone
from phonemo.train.feature_cache import recording_key, save_array
from phonemo.train.model_folder import LABELS, load_trained
from phonemo.train.provenance import Provenance, provenance_of
from phonemo.train.transfer.corpora import Corpus

Floats32 = npt.NDArray[np.float32]

#: Incremented whenever the same weights give other vectors.
VERSION = 1
POOLED = "pooled"
#: Suffix of statistics over frames that hold speech.
SPEECH = "-speech"
#: Suffix of statistics without the deviation.
MEAN = "-mean"


@dataclass(frozen=True, eq=False)
class FrozenNetwork:
    """A frozen network.

    Attributes:
        backbone: in evaluation mode.
        model: the whole model; None if there is only a backbone.
        lineage: its training data.
        name: its folder, for messages.
    """

    backbone: Backbone
    model: PhonemoForAudioClassification | None
    lineage: Provenance
    name: str

    @cached_property
    def digest(self) -> str:
        """Return twelve hexadecimal digits that identify its weights and preprocessing."""
        module = self.backbone if self.model is None else self.model
        digest = hashlib.sha256(f"{VERSION} {self.backbone.normalise}".encode())
        for name, tensor in sorted(module.state_dict().items()):
            if not name.startswith(("head.", "auxiliary.")):
                digest.update(name.encode())
                digest.update(tensor.contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()[:12]

    def check(self, states: Sequence[int], pooled: bool) -> None:
        """Refuse vectors the network does not have.

        Raises:
            ConfigError: a hidden state above its last, or the fusion of a backbone.
        """
        depth = self.backbone.depth
        if missing := [state for state in states if state > depth]:
            raise ConfigError(
                f"{self.name}: expected hidden states 0 to {depth}, got {missing[0]}; change "
                "statistics"
            )
        if pooled and self.model is None:
            raise ConfigError(
                f"{self.name}: expected a model for its pooled fusion, got a backbone; set "
                "pooled=false"
            )

    @torch.inference_mode()
    def vectors(self, samples: Floats32, names: Sequence[str]) -> dict[str, Floats32]:
        """Compute vectors of one clip.

        Args:
            samples: at 16 kHz, (sample,).
            names: "3" is the mean and deviation over time of hidden state 3, "3-speech" those over
                frames that hold speech, "3-mean" and "3-speech-mean" the mean alone, "pooled" the
                fusion.

        Returns:
            Vectors (feature,) by name.
        """
        leveled = boost_quiet(samples) if self.backbone.normalise else samples
        waveform = torch.from_numpy(np.array(leveled))[None]
        vectors = self._statistics(waveform, [name for name in names if name != POOLED])
        if POOLED in names:
            vectors[POOLED] = self._pooled(waveform)
        return {name: tensor[0].numpy() for name, tensor in vectors.items()}

    def _statistics(self, waveform: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        if not names:
            return {}
        samples = torch.tensor([waveform.shape[1]])
        projected = self.backbone.project(self.backbone.convolve(waveform, samples))
        mask = torch.ones(projected.shape[:2], dtype=torch.bool)
        speech_mask = self.backbone.speech(waveform, samples, mask)
        numbers = {name: int(name.partition("-")[0]) for name in names}
        hidden = self.backbone.embed(projected, mask)
        states = self.backbone.run(hidden, mask, 0, set(numbers.values()))
        vectors = {}
        for name, number in numbers.items():
            vector = statistics(states[number], speech_mask if SPEECH in name else mask)
            vectors[name] = vector[:, : vector.shape[1] // 2] if name.endswith(MEAN) else vector
        return vectors

    def _pooled(self, waveform: Tensor) -> Tensor:
        assert self.model is not None
        size = waveform.shape[1]
        mask = mask_of(torch.tensor([size]), size)
        output: EmotionOutput = self.model(waveform, mask, calibrated=False)
        return output.vector[:, : self.model.pooling.features]


def open_network(folder: str, start_share: float = 0.0, start: str | None = None) -> FrozenNetwork:
    """Open a network.

    Args:
        folder: a backbone's or a model's folder.
        start_share: weight of ``start`` in an interpolation of the backbone's weights, 0 to 1.
        start: the backbone, or the model, that the training started from.

    Raises:
        PhonemoError: it cannot be opened.
    """
    provenance = provenance_of(folder)
    if (Path(folder) / LABELS).is_file():
        model = load_trained(folder).model
        if start_share and start is not None:
            _interpolate(model.backbone, start, start_share)
        return FrozenNetwork(model.backbone.eval(), model.eval(), provenance, folder)
    return FrozenNetwork(Backbone(*load_backbone(folder)).eval(), None, provenance, folder)


def forbid_leaks(
    network: FrozenNetwork, corpus: Corpus, remedy: str = "take the corpus out of left_out"
) -> bool:
    """Whether a network was pretrained on a corpus without labels; refuse labeled training.

    Args:
        network: the tested network.
        corpus: the corpus it is tested on.
        remedy: an alternative to naming another network, for the message.

    Raises:
        LeakageError: it was trained on utterances or speakers of the corpus.
    """
    seen, speakers = network.lineage.overlap(corpus.name, corpus.manifest.utterances)
    if seen or speakers:
        raise LeakageError(
            f"{network.name}: expected a network that was not trained on {corpus.name}, got one "
            f"that was trained on {seen} of its utterances and {len(speakers)} of its speakers; "
            f"name another network, or {remedy}"
        )
    return corpus.name in network.lineage.trained_on


def _interpolate(backbone: Backbone, start: str, share: float) -> None:
    """Interpolate trained weights with the start's (WiSE-FT, Wortsman et al. 2022)."""
    start_weights: Mapping[str, Any] = _start_of(start, backbone.depth)
    with torch.no_grad():
        for name, tensor in backbone.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(start_weights[name], share)


def _start_of(start: str, layers: int) -> Mapping[str, Any]:
    network, normalise = load_backbone(start, layers)
    return Backbone(network, normalise).state_dict()


#: Utterances per block; blocks are cached until the corpus is complete.
_BLOCK = 100
#: Digests by corpus, since each requires a stat of thousands of files.
_DIGESTS: WeakKeyDictionary[Corpus, str] = WeakKeyDictionary()


def vectors_of(
    home: Path,
    network: FrozenNetwork,
    corpus: Corpus,
    names: Sequence[str],
    progress: Callable[[int, int], None],
) -> dict[str, Floats32]:
    """Return a corpus' vectors (utterance, feature), by names as in ``FrozenNetwork.vectors``.

    Args:
        home: folder of the cache, with a subfolder for each network and corpus.
        network: computes missing vectors.
        corpus: the corpus.
        names: names of the vectors.
        progress: called with (done, total) utterances.

    Raises:
        AudioError: a recording is missing or cannot be decoded.
        RunError: a file cannot be written, or the folder cannot be locked.
    """
    folder = home / network.digest / f"{corpus.name}-{recordings_digest(corpus)}"
    paths = {name: folder / f"{name}.npy" for name in names}
    if not all(path.is_file() for path in paths.values()):
        with file_lock(folder / ".lock", wait=True):  # another study may be computing them
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
    """Compute vectors in blocks, so that an interrupted computation can be resumed."""
    total = len(corpus.utterances)
    blocks: dict[str, list[Path]] = {name: [] for name in names}
    for start in range(0, total, _BLOCK):
        block_paths = {name: paths[name].with_name(f"{name}.{start:07d}.npy") for name in names}
        if not all(path.is_file() for path in block_paths.values()):
            _save_block(block_paths, network, corpus, corpus.utterances[start : start + _BLOCK])
        for name, path in block_paths.items():
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
    for utterance in members:
        audio = load_utterance(corpus.manifest, utterance)
        for name, vector in network.vectors(np.array(audio.samples), list(paths)).items():
            rows[name].append(vector)
    for name, vectors in rows.items():
        _save(paths[name], np.stack(vectors))


def _save(path: Path, array: Floats32) -> None:
    """Write an array atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.part")
    try:
        save_array(scratch, array)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def recordings_digest(corpus: Corpus) -> str:
    """Digest the recordings with an emotion, not the emotions; AudioError if one is missing."""
    if corpus not in _DIGESTS:
        digest = hashlib.sha256()
        for utterance in corpus.utterances:
            digest.update(json.dumps(recording_key(corpus.manifest, utterance)).encode())
        _DIGESTS[corpus] = digest.hexdigest()[:12]
    return _DIGESTS[corpus]
