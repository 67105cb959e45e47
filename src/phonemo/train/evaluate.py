"""A network over a dataset: validation scores while training, prediction rows afterwards.

It also compares manual phoneme times with those aligned to the network's posteriors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phonemo.audio.frames import FrameGrid
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.phoneme_inventory import PhonemeInventory
from phonemo.corpora.ratings.votes import vote_shares
from phonemo.evaluation import metrics
from phonemo.evaluation.calibration import UNCALIBRATED, TemperatureScaling, softmax
from phonemo.evaluation.metrics import Times, boundary_errors
from phonemo.evaluation.prediction_rows import PredictionRow
from phonemo.evaluation.ratings.rating_summary import validation_ratings
from phonemo.labels import LabelSet
from phonemo.model.heads import BLANK, best_path
from phonemo.model.losses import ABSENT
from phonemo.model.network import EmotionOutput, PhonemoForAudioClassification
from phonemo.runtime.phonemes.alignment import align, fewest_frames, time_phonemes
from phonemo.train import distributed
from phonemo.train.dataset import SpeechDataset, batched, collate


def aligned_times(
    utterance: Utterance, inventory: PhonemeInventory | None, logits: Tensor, grid: FrameGrid
) -> Times | None:
    """Align an utterance's phonemes to a network's posteriors, in seconds.

    Args:
        utterance: has the phonemes with their manual times.
        inventory: the units of the phoneme head.
        logits: (frame, phoneme), without padding.
        grid: the times of the frames.

    Returns:
        Start and end of each phoneme; None if there are no manual times, if the inventory has
        other units (they join phonemes), or if there are too few frames.
    """
    symbols = _timed_symbols(utterance, inventory)
    if not symbols or fewest_frames(symbols) > len(logits):
        return None
    posteriors = logits.double().log_softmax(dim=1).cpu().numpy()  # (frame, phoneme)
    aligned = align(posteriors, symbols, BLANK)
    samples = grid.fewest_samples(len(posteriors))
    timed = time_phonemes(aligned, posteriors, grid, samples)
    return [(span.start_seconds, span.end_seconds) for span in timed]


def boundary_errors_ms(utterance: Utterance, times: Times | None) -> list[float] | None:
    """Return the errors of aligned boundaries against manual times; None without alignment."""
    phonemes = utterance.phonemes
    if times is None or phonemes is None or phonemes.times is None:
        return None
    errors = boundary_errors(phonemes.times, times)
    return [round(1000 * float(error), 1) for error in errors]


def _timed_symbols(utterance: Utterance, inventory: PhonemeInventory | None) -> Sequence[int]:
    """Return the indices of the phonemes with manual times."""
    phonemes = utterance.phonemes
    if phonemes is None or phonemes.times is None or inventory is None:
        return ()
    if inventory.name != "phonemes":
        return ()
    return inventory.encode(phonemes, None, None) or ()


@dataclass(frozen=True)
class Outputs:
    """A network's outputs for a dataset, in the dataset's order."""

    logits: Tensor
    """(utterance, emotion)."""
    labels: Tensor
    """(utterance,); ABSENT where unknown."""
    phonemes: tuple[tuple[int, ...], ...] | None
    """Recognized units of each utterance; None without an auxiliary head."""
    references: tuple[tuple[int, ...], ...]
    """Targets of the auxiliary task; empty for utterances without."""
    vectors: Tensor | None = None
    """Inputs of the emotion head, (utterance, feature)."""
    dimensions: Tensor | None = None
    """Rated dimensions that the network gives, (utterance, dimension); None without that task."""
    dimension_names: tuple[str, ...] = ()
    times: tuple[Times | None, ...] = ()
    """Aligned start and end in seconds of each of the manifest's phonemes; None for utterances
    that were not aligned or have no manual times."""


@dataclass(frozen=True)
class _UtteranceOutput:
    logits: Tensor
    label: Tensor
    phonemes: tuple[int, ...]
    reference: tuple[int, ...]
    vector: Tensor
    times: Times | None
    dimensions: Tensor
    """(dimension,); empty without that task."""


def outputs_of(
    model: PhonemoForAudioClassification,
    dataset: SpeechDataset,
    batch_size: int,
    progress: Callable[[int, int], None] | None = None,
    timed: bool = True,
) -> Outputs:
    """Run a network over a dataset, in batches of similar length.

    Several processes share the batches, which are those of one process, and all get all outputs.

    Args:
        model: set to evaluation mode and restored.
        dataset: without augmentation.
        batch_size: utterances in a batch; changes results by at most 1e-4.
        progress: called with (done, total) utterances.
        timed: align the phonemes of utterances with manual times.
    """
    order, here = np.argsort(dataset.lengths(), kind="stable"), distributed.current_rank()
    outputs: dict[int, _UtteranceOutput] = {}
    training = model.training
    model.eval()
    try:
        for number, indices in enumerate(batched(map(int, order), batch_size)):
            if number % here.world == here.number:
                outputs |= dict(zip(indices, _run(model, dataset, indices, timed), strict=True))
            if progress is not None:
                progress(number * batch_size + len(indices), len(order))
    finally:
        model.train(training)
    for others in distributed.gathered(outputs):
        outputs |= others
    rows = [outputs[index] for index in range(len(order))]
    return Outputs(
        logits=torch.stack([row.logits for row in rows]),
        labels=torch.stack([row.label for row in rows]),
        phonemes=None if model.auxiliary is None else tuple(row.phonemes for row in rows),
        references=tuple(row.reference for row in rows),
        vectors=torch.stack([row.vector for row in rows]),
        dimensions=(
            None if model.dimensions is None else torch.stack([row.dimensions for row in rows])
        ),
        dimension_names=tuple(model.config.dimensions),
        times=tuple(row.times for row in rows),
    )


def validation_scores(
    model: PhonemoForAudioClassification, dataset: SpeechDataset, batch_size: int
) -> dict[str, float]:
    """Return the validation scores of the tasks that have targets.

    These are ``ua``, ``wa`` and ``loss`` (plain cross-entropy) of the emotions, ``per`` of the
    phonemes, ``ccc`` (mean over dimensions) and ``rmse`` of rated dimensions. Without emotions
    ``loss`` is 1 - ``ccc``.
    """
    outputs = outputs_of(model, dataset, batch_size, None, False)
    rated = dimension_scores(outputs, dataset)
    scores = {"loss": 1.0 - rated["ccc"]} if rated else {}
    known = outputs.labels != ABSENT
    if bool(known.any()):
        truth = outputs.labels[known].numpy()
        guess = outputs.logits[known].argmax(dim=1).numpy()
        emotions = metrics.score_emotions(truth, guess, outputs.logits.shape[1])
        loss = torch.nn.functional.cross_entropy(outputs.logits[known], outputs.labels[known])
        scores = {"ua": emotions.ua, "wa": emotions.wa, "loss": float(loss)}
    return scores | phoneme_scores(outputs) | rated


def dimension_scores(outputs: Outputs, dataset: SpeechDataset) -> dict[str, float]:
    """Return ``ccc`` and ``rmse``; empty for a network without rated dimensions."""
    if outputs.dimensions is None:
        return {}
    truth = np.stack([dataset.targets.rated(utterance) for utterance in dataset.utterances])
    return validation_ratings(outputs.dimensions.double().numpy(), truth.astype(np.float64))


def phoneme_scores(outputs: Outputs) -> dict[str, float]:
    """Return ``per``, the phoneme error rate of all utterances with a target; empty without any."""
    pairs = [
        pair for pair in zip(outputs.references, outputs.phonemes or (), strict=False) if pair[0]
    ]
    if not pairs:
        return {}
    references, units = ([_words(row) for row in side] for side in zip(*pairs, strict=True))
    return {"per": metrics.phoneme_errors(references, units).rate}


def prediction_rows(
    outputs: Outputs,
    dataset: SpeechDataset,
    labels: LabelSet,
    inventory: PhonemeInventory | None,
    fold: str,
    seed: int,
    calibrated: TemperatureScaling = UNCALIBRATED,
) -> list[PredictionRow]:
    """Return prediction rows for phonemo.evaluation.summary, in the dataset's order.

    Args:
        outputs: the network's outputs.
        dataset: the network's inputs.
        labels: the emotions to choose from: all of the network's, or some; whether a prediction is
            unsure is decided among all of them.
        inventory: decodes the phonemes.
        fold: written into every row.
        seed: written into every row.
        calibrated: applied to the scores; its temperature is written into every row.
    """
    probabilities = _probabilities(outputs, calibrated)
    chosen = _restricted(probabilities, dataset.targets.labels, labels)
    references = None if outputs.phonemes is None else outputs.references
    rows = []
    for index, utterance in enumerate(dataset.utterances):
        row = PredictionRow(
            id=utterance.id,
            fold=fold,
            seed=seed,
            speaker=utterance.speaker,
            gender=utterance.gender,
            truth=_truth(utterance, labels),
            label=labels.names[int(chosen[index].argmax())] if labels.names else None,
            scores=_named(labels.names, chosen[index]),
            phonemes=_decode(outputs.phonemes, index, inventory),
            reference=_decode(references, index, inventory) or None,
        )
        _add_groups(row, dataset, utterance)
        _add_ratings(row, utterance, labels)
        if outputs.dimensions is not None:
            values = outputs.dimensions[index].double().numpy()
            row["dimensions"] = _named(outputs.dimension_names, values)
        _add_confidence(row, dataset.targets.labels, probabilities[index], calibrated)
        if errors := boundary_errors_ms(utterance, outputs.times[index] if outputs.times else None):
            row["boundary_errors_ms"] = errors
        rows.append(row)
    return rows


def _add_groups(row: PredictionRow, dataset: SpeechDataset, utterance: Utterance) -> None:
    """Add the style and, for a merged manifest, whose ids begin with it, the corpus."""
    corpora = dataset.manifest.header.corpus.split("+")
    name = utterance.id.partition("/")[0]
    if len(corpora) > 1 and name in corpora:
        row["corpus"] = name
    if utterance.style is not None:
        row["style"] = utterance.style


def _add_confidence(
    row: PredictionRow,
    known: LabelSet,
    probabilities: NDArray[np.float64],
    calibrated: TemperatureScaling,
) -> None:
    """Add the scores of all the network's emotions, if fewer are tested, and ``unsure``."""
    if not known.names:
        return
    if known.names != tuple(row["scores"]):
        row["all_scores"] = _named(known.names, probabilities)
    if calibrated.utterances:
        row["temperature"] = round(calibrated.temperature, 6)
        row["unsure"] = float(probabilities.max()) < calibrated.abstain_below


def _truth(utterance: Utterance, labels: LabelSet) -> str | None:
    emotion = utterance.emotion
    return labels.merged(emotion) if emotion is not None and emotion in labels else None


def _add_ratings(row: PredictionRow, utterance: Utterance, labels: LabelSet) -> None:
    """Add the utterance's rated dimensions and votes, where it has any."""
    if utterance.dimensions:
        row["rated"] = utterance.dimensions
    shares = vote_shares(utterance, labels)
    if shares is not None:
        row["votes"] = {name: round(share, 6) for name, share in shares.items()}


def _words(indices: Sequence[int]) -> list[str]:
    return [str(index) for index in indices]


def _run(
    model: PhonemoForAudioClassification,
    dataset: SpeechDataset,
    indices: Sequence[int],
    timed: bool,
) -> list[_UtteranceOutput]:
    items = [dataset[index] for index in indices]
    batch = collate(items)
    names = ("input_values", "attention_mask", "frozen")
    device = model.device
    with torch.no_grad():
        inputs = {name: batch[name].to(device) for name in names if name in batch}
        output = model(**inputs, calibrated=False)
    paths: list[list[int]] = [[] for _ in items]
    times: list[Times | None] = [None for _ in items]
    if output.phoneme_logits is not None:
        paths = best_path(output.phoneme_logits, output.frames)
        times = _times(model, dataset, indices, output) if timed else times
    logits = output.logits.float().cpu()
    targets = [tuple(item["phonemes"]) for item in items]
    units = [tuple(path) for path in paths]
    vectors = output.vector.float().cpu()
    dimensions = torch.zeros(len(items), 0)
    if output.dimensions is not None:
        dimensions = output.dimensions.float().cpu()
    columns = (logits, batch["labels"], units, targets, vectors, times, dimensions)
    rows = map(_UtteranceOutput, *columns)
    return list(rows) if distributed.current_rank().world == 1 else [_copied(row) for row in rows]


def _copied(row: _UtteranceOutput) -> _UtteranceOutput:
    """Copy the tensors, so that sending them does not send the whole batch."""
    names = ("logits", "label", "vector", "dimensions")
    copies = {name: getattr(row, name).clone() for name in names}
    return replace(row, **copies)


def _times(
    model: PhonemoForAudioClassification,
    dataset: SpeechDataset,
    indices: Sequence[int],
    output: EmotionOutput,
) -> list[Times | None]:
    assert output.phoneme_logits is not None
    inventory, grid = dataset.targets.inventory, model.backbone.grid
    rows = zip(indices, output.phoneme_logits, output.frames.tolist(), strict=True)
    return [
        aligned_times(dataset.utterances[index], inventory, logits[:frames], grid)
        for index, logits, frames in rows
    ]


def _probabilities(outputs: Outputs, calibrated: TemperatureScaling) -> NDArray[np.float64]:
    """(utterance, emotion); without emotions the second axis is empty."""
    logits = outputs.logits.numpy()
    return softmax(logits / calibrated.temperature) if logits.shape[1] else logits.astype(float)


def _restricted(
    probabilities: NDArray[np.float64], known: LabelSet, tested: LabelSet
) -> NDArray[np.float64]:
    """Select the tested emotions' probabilities and normalize their sum to one."""
    if not tested.names:
        return probabilities
    columns = [known.index(name) for name in tested.names]
    chosen = probabilities[:, columns]
    result: NDArray[np.float64] = chosen / chosen.sum(axis=1, keepdims=True)
    return result


def _named(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in zip(names, values, strict=True)}


def _decode(
    units: Sequence[Sequence[int]] | None, index: int, inventory: PhonemeInventory | None
) -> list[str] | None:
    return None if inventory is None or units is None else list(inventory.decode(units[index]))
