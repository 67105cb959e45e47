"""Emotional phonemes: those whose sound says most about the emotion, measured on a training part.

The paper recognizes "emotion-related phonemes" beside the emotion. This is the literal reading:
each phoneme's frames in an utterance are found by forced alignment, their mean embedding is
classified, and the information that it holds about the emotion is

    I(emotion; embedding) >= H(emotion) - cross-entropy of the classifier,

a lower bound in bits (Barber and Agakov 2003), with both terms measured on speakers of the training
part that the classifier was not fitted on. Neither validation nor test is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.phoneme_inventory import PhonemeInventory, make_inventory
from phonemo.errors import PhonemeError, ProtocolError
from phonemo.evaluation.metrics_schema import PhonemeBits
from phonemo.model.losses import ABSENT
from phonemo.runtime.phonemes.alignment import align
from phonemo.train.experiments.experiment_data import Experiment
from phonemo.train.feature_cache import FeatureCache

#: The alignment's linear probe: passes over the training part, rate and utterances a step.
_EPOCHS, _RATE, _BATCH = 8, 0.01, 16
#: Principal components of an embedding that the classifier reads, and its inverse penalty.
_COMPONENTS, _INVERSE_PENALTY = 32, 0.1
_FOLDS = 5
#: Frames that a phoneme extends to either side of those that CTC emits it in: 40 ms.
_REACH = 2
#: A phoneme in fewer utterances is not measured: its bits are zero.
_LEAST_UTTERANCES = 40

Floats = npt.NDArray[np.float32]


@dataclass
class _PhonemeExamples:
    """The mean embeddings of one phoneme, a row for each utterance."""

    vectors: list[Floats]
    emotions: list[int]
    speakers: list[str]


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
        ProtocolError: no cache, or too few speakers.
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
    chosen = [row.symbol for row in measured[: auxiliary.emotional_phonemes]]
    measured = tuple(row.model_copy(update={"chosen": row.symbol in chosen}) for row in measured)
    inventory = make_inventory(
        "emotional", auxiliary.alphabet, experiment.targets.labels.names, chosen=chosen
    )
    targets = replace(experiment.targets, inventory=inventory)
    return replace(experiment, targets=targets), measured


def measure_information(
    experiment: Experiment, ids: Sequence[str], cache: FeatureCache, seed: int
) -> tuple[PhonemeBits, ...]:
    """Measure all phonemes on a training part, the most informative first."""
    auxiliary = experiment.config.model.auxiliary
    assert auxiliary is not None
    every = make_inventory("phonemes", auxiliary.alphabet, experiment.targets.labels.names)
    rows = [
        row
        for row in experiment.part(ids)
        if every.encode(row.phonemes, None, None) and experiment.targets.label(row) != ABSENT
    ]
    if len({row.speaker for row in rows}) < 2:
        raise ProtocolError(
            "inventory emotional: expected phonemes and emotions of 2 speakers or more in the "
            "training part"
        )
    features = {row.id: _embedding(cache, row.id) for row in rows}
    examples = _aligned_examples(experiment, rows, features, every, seed)
    measured = [_information(symbol, found) for symbol, found in examples.items()]
    return tuple(sorted(measured, key=lambda row: (-row.bits, row.symbol)))


def _embedding(cache: FeatureCache, utterance: str) -> Floats:
    """The highest cached hidden state, (frame, feature)."""
    named = cache.read(utterance)
    layers = {name: state for name, state in named.items() if name.startswith("layer_")}
    if not layers:
        raise ProtocolError(
            "inventory emotional: expected a cached hidden state; use strategy frozen or top_k"
        )
    highest = max(layers, key=lambda name: int(name.removeprefix("layer_")))
    return np.asarray(layers[highest], dtype=np.float32)


def _aligned_examples(
    experiment: Experiment,
    rows: Sequence[Utterance],
    features: Mapping[str, Floats],
    inventory: PhonemeInventory,
    seed: int,
) -> dict[str, _PhonemeExamples]:
    """Align every utterance, and average each of its phonemes' frames."""
    probe = fit_probe(rows, features, inventory, seed)
    examples: dict[str, _PhonemeExamples] = {}
    for row in rows:
        embedding, units = features[row.id], inventory.encode(row.phonemes, None, None) or ()
        frames = _frames_of(probe, embedding, units)
        for symbol, indices in frames.items():
            found = examples.setdefault(inventory.symbols[symbol], _PhonemeExamples([], [], []))
            found.vectors.append(embedding[indices].mean(axis=0))
            found.emotions.append(experiment.targets.label(row))
            found.speakers.append(row.speaker or row.id)
    return examples


def _frames_of(probe: nn.Module, embedding: Floats, units: Sequence[int]) -> dict[int, list[int]]:
    """Symbol -> its frames; empty where the recording has fewer frames than phonemes."""
    with torch.no_grad():
        scores = probe(torch.from_numpy(embedding)).log_softmax(dim=1).numpy()
    try:
        aligned = align(scores, units)
    except PhonemeError:
        return {}
    frames: dict[int, list[int]] = {}
    middles = [(a.last + b.first) / 2 for a, b in pairwise(aligned)]  # CTC emits at a peak
    edges = [-1.0, *middles, float(len(embedding))]
    for phoneme, left, right in zip(aligned, edges[:-1], edges[1:], strict=True):
        first = max(phoneme.first - _REACH, round(left + 0.5), 0)
        last = min(phoneme.last + _REACH, round(right - 0.5), len(embedding) - 1)
        frames.setdefault(phoneme.symbol, []).extend(range(first, max(first, last) + 1))
    return frames


def fit_probe(
    rows: Sequence[Utterance],
    features: Mapping[str, Floats],
    inventory: PhonemeInventory,
    seed: int,
) -> nn.Module:
    """Fit a linear CTC layer on frozen frames, for the alignment only.

    Args:
        rows: utterances with phonemes.
        features: by utterance id, (frame, feature).
        inventory: the phonemes.
        seed: of the initialization and the order of the utterances.

    Returns:
        A module from (frame, feature) to logits (frame, phoneme).
    """
    torch.manual_seed(seed)
    every = np.concatenate([features[row.id] for row in rows])
    probe = _Probe(every.mean(axis=0), every.std(axis=0) + 1e-5, len(inventory))
    optimizer = torch.optim.Adam(probe.parameters(), lr=_RATE)
    targets = {row.id: torch.tensor(inventory.encode(row.phonemes, None, None)) for row in rows}
    order = np.random.default_rng(seed)
    for _ in range(_EPOCHS):
        shuffled = order.permutation(len(rows))
        for first in range(0, len(rows), _BATCH):
            batch = [rows[index].id for index in shuffled[first : first + _BATCH]]
            optimizer.zero_grad()
            _ctc_loss(
                probe, [features[name] for name in batch], [targets[n] for n in batch]
            ).backward()
            optimizer.step()
    return probe.eval()


class _Probe(nn.Module):
    """Standardized frames to phoneme logits, (frame, feature) to (frame, phoneme)."""

    def __init__(self, mean: Floats, spread: Floats, symbols: int) -> None:
        super().__init__()
        self.mean, self.spread = torch.from_numpy(mean), torch.from_numpy(spread)
        self.output = nn.Linear(len(mean), symbols)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.output((frames - self.mean) / self.spread)
        return logits


def _ctc_loss(
    probe: nn.Module, clips: Sequence[Floats], targets: Sequence[torch.Tensor]
) -> torch.Tensor:
    lengths = torch.tensor([len(clip) for clip in clips])
    padded = nn.utils.rnn.pad_sequence([torch.from_numpy(clip) for clip in clips])
    return nn.functional.ctc_loss(
        probe(padded).log_softmax(dim=2),  # (frame, batch, phoneme)
        torch.cat(list(targets)),
        lengths,
        torch.tensor([len(target) for target in targets]),
        zero_infinity=True,
    )


def _information(symbol: str, examples: _PhonemeExamples) -> PhonemeBits:
    count = len(examples.emotions)
    few = len(set(examples.speakers)) < 2 or len(set(examples.emotions)) < 2
    if count < _LEAST_UTTERANCES or few:
        return PhonemeBits(symbol=symbol, utterances=count, bits=0.0, chosen=False)
    vectors = _without_speakers(np.array(examples.vectors), np.array(examples.speakers))
    bits = _held_out_bits(vectors, np.array(examples.emotions), np.array(examples.speakers))
    return PhonemeBits(symbol=symbol, utterances=count, bits=round(bits, 4), chosen=False)


def _without_speakers(vectors: Floats, speakers: npt.NDArray[np.str_]) -> Floats:
    """Subtract each speaker's mean, so that a voice is no evidence."""
    centred = vectors.copy()
    for speaker in np.unique(speakers):
        centred[speakers == speaker] -= vectors[speakers == speaker].mean(axis=0)
    return centred


def _held_out_bits(vectors: Floats, emotions: Any, speakers: Any) -> float:
    """Entropy minus cross-entropy on held-out speakers, in bits per utterance."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    gains: list[float] = []
    folds = GroupKFold(min(_FOLDS, len(np.unique(speakers))))
    for train, test in folds.split(vectors, emotions, speakers):
        if len(np.unique(emotions[train])) < 2:
            continue  # one emotion: nothing to tell apart
        parts = min(_COMPONENTS, len(train) - 1, vectors.shape[1])
        classifier = make_pipeline(
            StandardScaler(),
            PCA(parts, whiten=True, random_state=0),
            LogisticRegression(C=_INVERSE_PENALTY, max_iter=500),
        )
        classifier.fit(vectors[train], emotions[train])
        known = {emotion: column for column, emotion in enumerate(classifier.classes_)}
        kept = [index for index in test if emotions[index] in known]
        if not kept:
            continue
        columns = [known[emotion] for emotion in emotions[kept]]
        scores = classifier.predict_log_proba(vectors[kept])[np.arange(len(kept)), columns]
        counts = np.array([np.sum(emotions[train] == emotion) for emotion in classifier.classes_])
        prior = np.log(counts / counts.sum())[columns]
        gains.extend((scores - prior) / np.log(2))
    return float(np.mean(gains)) if gains else 0.0
