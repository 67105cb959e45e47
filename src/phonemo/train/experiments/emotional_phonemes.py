"""Emotional phonemes: those whose own sound says most about the emotion in a training part.

The paper recognizes "emotion-related phonemes" beside the emotion. This is the literal reading:
each phoneme's frames in an utterance are found by forced alignment, their mean embedding is
classified, and the information that it holds about the emotion is

    I(emotion; embedding) >= H(emotion) - cross-entropy of the classifier,

a lower bound in bits (Barber and Agakov 2003), with both terms measured on speakers of the training
part that the classifier was not fitted on. Neither validation nor test is read. Embeddings and
classifier are those of ``phonemo phonemes`` (phoneme_study).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from phonemo.audio.frames import FrameGrid
from phonemo.config import AuxiliaryConfig, ModelConfig
from phonemo.corpora.phoneme_inventory import PhonemeInventory, make_inventory
from phonemo.errors import ModelError, ProtocolError
from phonemo.evaluation.metrics_schema import PhonemeBits
from phonemo.model.losses import ABSENT
from phonemo.model.pretrained import build_network
from phonemo.runtime.bundle import packaged
from phonemo.train.experiments.experiment_data import Experiment
from phonemo.train.experiments.phoneme_study.phoneme_bits import (
    centered,
    measurable,
    utterance_bits,
    whitened,
)
from phonemo.train.experiments.phoneme_study.phoneme_segments import (
    Segments,
    align_corpus,
    make_segments,
)
from phonemo.train.experiments.phoneme_study.recognized_posteriors import (
    Posteriors,
    posteriors_of,
)
from phonemo.train.experiments.phoneme_study.study_corpus import (
    CONVOLUTIONS,
    StudyCorpus,
    has_few_sentences,
)
from phonemo.train.feature_cache import FeatureCache

#: The bundle that aligns training parts of few sentences.
_ALIGNER = "phonemo-open"
#: A phoneme in fewer utterances is neither measured nor chosen: its bits are zero.
_LEAST_UTTERANCES = 40


def with_emotional_phonemes(
    experiment: Experiment, ids: Sequence[str], cache: FeatureCache | None, seed: int
) -> tuple[Experiment, tuple[PhonemeBits, ...]]:
    """Return the experiment with the inventory of a fold, and what it was chosen by.

    Args:
        experiment: a config whose inventory is ``emotional``; any other is returned as it is.
        ids: the fold's training part.
        cache: the frozen layers' output.
        seed: of the alignment's probe.

    Raises:
        ProtocolError: no cache, too few speakers, or too few phonemes to choose from.
    """
    auxiliary = experiment.config.model.auxiliary
    if auxiliary is None or auxiliary.inventory != "emotional":
        return experiment, ()
    if cache is None:
        raise ProtocolError(
            "inventory emotional: expected frozen layers to measure the phonemes in; set "
            "train.strategy to frozen or top_k, train.cache to true, and no noise, gain or speed"
        )
    measured = measure_information(experiment, ids, cache, seed)
    chosen = _chosen(measured, auxiliary)
    measured = tuple(row.model_copy(update={"chosen": row.symbol in chosen}) for row in measured)
    inventory = make_inventory(
        "emotional", auxiliary.alphabet, experiment.targets.labels.names, chosen=chosen
    )
    targets = replace(experiment.targets, inventory=inventory)
    return replace(experiment, targets=targets), measured


def _chosen(measured: Sequence[PhonemeBits], auxiliary: AuxiliaryConfig) -> list[str]:
    """The phonemes with most information or, as a control without those, with least."""
    known = [row.symbol for row in measured if row.utterances >= _LEAST_UTTERANCES]
    count, highest = auxiliary.emotional_phonemes, auxiliary.emotional_choice == "highest"
    needed = count if highest else 2 * count
    if len(known) < needed:
        raise ProtocolError(
            f"inventory emotional: expected {needed} phonemes in {_LEAST_UTTERANCES} utterances or "
            f"more of the training part, got {len(known)}; lower model.auxiliary.emotional_phonemes"
        )
    return known[:count] if highest else known[-count:]


def measure_information(
    experiment: Experiment, ids: Sequence[str], cache: FeatureCache, seed: int
) -> tuple[PhonemeBits, ...]:
    """Measure all phonemes on a training part, the most informative first."""
    corpus = _corpus(experiment, ids, cache)
    layer = CONVOLUTIONS if _has_convolutions(corpus) else corpus.depth
    segments = make_segments(corpus, align_corpus(corpus, seed), (layer,))
    measured = _measured(segments, layer, corpus)
    return tuple(sorted(measured, key=lambda row: (-row.bits, row.symbol)))


def _measured(segments: Segments, layer: int, corpus: StudyCorpus) -> list[PhonemeBits]:
    vectors, labels = whitened(centered(segments, layer)), corpus.labels
    found = dict(measurable(segments, 1))
    enough = dict(measurable(segments, _LEAST_UTTERANCES)) if len(np.unique(labels)) > 1 else {}
    return [
        PhonemeBits(
            symbol=segments.symbols[symbol],
            utterances=len(np.unique(segments.utterance[rows])),
            bits=(
                round(utterance_bits(segments, vectors, rows, labels), 4)
                if symbol in enough
                else 0.0
            ),
            chosen=False,
        )
        for symbol, rows in found.items()
    ]


def _corpus(experiment: Experiment, ids: Sequence[str], cache: FeatureCache) -> StudyCorpus:
    """The labeled utterances of the training part that have phonemes, as a corpus of the study."""
    model, labels = experiment.config.model, experiment.targets.labels
    assert model.auxiliary is not None
    inventory = make_inventory("phonemes", model.auxiliary.alphabet, labels.names)
    rows = [
        row
        for row in experiment.part(ids)
        if inventory.encode(row.phonemes, None, None) and experiment.targets.label(row) != ABSENT
    ]
    if len({row.speaker for row in rows}) < 2:
        raise ProtocolError(
            "inventory emotional: expected phonemes and emotions of 2 speakers or more in the "
            "training part"
        )
    bare = ModelConfig(backbone=model.backbone, layers=model.layers, auxiliary=None)
    grid = build_network(bare, labels, None).backbone.grid
    return StudyCorpus(
        name=experiment.manifest.header.corpus,
        language="",
        emotions=tuple(labels.names),
        utterances=tuple(rows),
        inventory=inventory,
        cache=cache,
        depth=_highest(cache, rows[0].id),
        grid=grid,
        posteriors=_posteriors(experiment, inventory, grid) if has_few_sentences(rows) else None,
    )


def _highest(cache: FeatureCache, utterance: str) -> int:
    """Number of the highest cached hidden state."""
    names = [name for name in cache.read(utterance) if name.startswith("layer_")]
    if not names:
        raise ProtocolError(
            "inventory emotional: expected a cached hidden state; use strategy frozen or top_k"
        )
    return max(int(name.removeprefix("layer_")) for name in names)


def _has_convolutions(corpus: StudyCorpus) -> bool:
    """Whether the network reads the convolutions' output, so that it is cached."""
    return "acoustic" in corpus.cache.read(corpus.utterances[0].id)


def _posteriors(
    experiment: Experiment, inventory: PhonemeInventory, grid: FrameGrid
) -> Posteriors | None:
    """Posteriors of the packaged aligner, if its phonemes and frames are these."""
    try:
        return posteriors_of(packaged(_ALIGNER), experiment.manifest, inventory, grid)
    except ModelError:  # another alphabet, or other frames: a layer is fitted instead
        return None
