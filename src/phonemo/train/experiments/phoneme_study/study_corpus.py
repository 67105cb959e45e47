"""A corpus of the phoneme study: its usable utterances, and two outputs of a frozen network.

The convolutions' output depends on some tens of milliseconds of sound and, but for the level to
which a clip is normalized, on nothing else. The highest hidden state has also attended to the rest
of the recording. (The lowest hidden state is no measure of a sound: its positions say when in the
recording the sound was.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phonemo.audio import RATE
from phonemo.audio.frames import FrameGrid
from phonemo.config import ModelConfig
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.phoneme_inventory import PhonemeInventory, make_inventory
from phonemo.errors import ProtocolError, safe_name
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.model.pretrained import build_network
from phonemo.train.experiments.phoneme_study.recognized_posteriors import (
    Posteriors,
    posteriors_of,
)
from phonemo.train.feature_cache import FeatureCache, build_cache
from phonemo.train.freezing import FrozenDepth

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
#: The number of the convolutions' output, among those of hidden states.
CONVOLUTIONS = 0
#: Corpora of fewer sentences are aligned by a recognizer.
FEWEST_SENTENCES = 20


@dataclass(frozen=True)
class StudyCorpus:
    """Utterances with phonemes, a speaker and one of the emotions."""

    name: str
    language: str
    emotions: tuple[str, ...]
    utterances: tuple[Utterance, ...]
    inventory: PhonemeInventory
    """Every phoneme of the IPA alphabet."""
    cache: FeatureCache
    depth: int
    """Number of the highest hidden state."""
    grid: FrameGrid
    posteriors: Posteriors | None = None
    """Computes the posteriors to align an utterance by; None fits a layer on the corpus."""
    aligner: str | None = None
    """The name of the bundle that computes them."""

    @property
    def hop_seconds(self) -> float:
        """Seconds between frames."""
        return self.grid.hop_samples / RATE

    def frames(self, utterance: str, layer: int) -> Floats:
        """A hidden state of an utterance, or the convolutions' output, (frame, feature)."""
        name = "acoustic" if layer == CONVOLUTIONS else f"layer_{layer}"
        return np.asarray(self.cache.read(utterance)[name], dtype=np.float32)

    @property
    def labels(self) -> Integers:
        """The index of each utterance's emotion, (utterance,)."""
        return np.array([self.emotions.index(row.emotion or "") for row in self.utterances])


def open_corpus(
    manifest_path: Path,
    network: str,
    emotions: tuple[str, ...],
    folder: Path,
    most: int,
    progress: Callable[[int, int], None] | None = None,
    aligner: Path | None = None,
) -> StudyCorpus:
    """Read a manifest, and compute the features that are not cached yet.

    Args:
        manifest_path: a manifest with phonemes.
        network: a pretrained backbone.
        emotions: those to tell apart; empty means all of the manifest's.
        folder: the parent of the cached features.
        most: whole sentences are drawn until so many utterances are reached.
        progress: called with (done, total) utterances.
        aligner: a bundle that aligns a corpus of fewer than ``FEWEST_SENTENCES`` sentences.

    Raises:
        ProtocolError: fewer than two emotions or speakers, or no phonemes.
        PhonemoError: the network, the aligner or a recording cannot be read.
    """
    manifest = read_manifest(manifest_path)
    inventory = make_inventory("phonemes", "ipa", ())
    rows = _some_sentences(_usable(manifest, emotions, inventory), most)
    _check(manifest_path, rows)
    names = tuple(sorted({row.emotion for row in rows if row.emotion}))
    model = _model(network, names)
    depth = model.backbone.depth
    cache = build_cache(folder, model, manifest, rows, FrozenDepth(depth), progress)
    languages = {row.language for row in rows if row.language}
    grid = model.backbone.grid
    recognized = aligner if has_few_sentences(rows) else None
    return StudyCorpus(
        name=manifest.header.corpus,
        language="+".join(sorted(languages)),
        emotions=names,
        utterances=tuple(rows),
        inventory=inventory,
        cache=cache,
        depth=depth,
        grid=grid,
        posteriors=(
            None if recognized is None else posteriors_of(recognized, manifest, inventory, grid)
        ),
        aligner=None if recognized is None else recognized.name,
    )


def _usable(
    manifest: Manifest, emotions: tuple[str, ...], inventory: PhonemeInventory
) -> list[Utterance]:
    return [
        row
        for row in manifest.utterances
        if row.emotion
        and (not emotions or row.emotion in emotions)
        and row.speaker
        and inventory.encode(row.phonemes, None, None)
    ]


def _some_sentences(rows: list[Utterance], most: int) -> list[Utterance]:
    """Utterances of sentences in the order of their hashes, in the order of the manifest."""
    texts: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        texts.setdefault(text_of(row), []).append(index)
    kept: list[int] = []
    for text in sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest()):
        if len(kept) < most:
            kept += texts[text]
    return [rows[index] for index in sorted(kept)]


def has_few_sentences(rows: Sequence[Utterance]) -> bool:
    """Whether an aligner fitted on these utterances could learn their sentences by heart."""
    return len({text_of(row) for row in rows}) < FEWEST_SENTENCES


def text_of(row: Utterance) -> str:
    """What was said: the transcript, or else the phonemes."""
    spoken = " ".join(row.phonemes.symbols) if row.phonemes else ""
    return row.transcript or spoken


def _check(path: Path, rows: list[Utterance]) -> None:
    emotions, speakers = {row.emotion for row in rows}, {row.speaker for row in rows}
    if len(emotions) < 2 or len(speakers) < 2:
        raise ProtocolError(
            f"{safe_name(path)}: expected phonemes, 2 emotions and 2 speakers or more, got "
            f"{len(rows)} utterances with phonemes, {len(emotions)} emotions and {len(speakers)} "
            "speakers; prepare the corpus with phonemes, or name other emotions"
        )


def _model(network: str, emotions: tuple[str, ...]) -> PhonemoForAudioClassification:
    """A network without heads for phonemes, whose convolutions and highest state are kept."""
    shallow = ModelConfig(backbone=network, auxiliary=None)
    depth = build_network(shallow, LabelSet(emotions), None).backbone.depth
    config = shallow.model_copy(update={"statistics": (depth,)})
    network_model = build_network(config, LabelSet(emotions), None)
    network_model.eval()
    return network_model
