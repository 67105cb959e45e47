"""The phoneme language model of a bundle: counted on training speakers, tuned on others.

Nothing is taken from a manifest's test part: neither counts, nor the choice of weight and bonus.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phonemo.audio import load_waveform
from phonemo.config import DecoderConfig
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.phoneme_inventory import PhonemeInventory
from phonemo.errors import ModelError, ProtocolError, safe_name
from phonemo.evaluation.calibration import log_softmax
from phonemo.evaluation.metrics import phoneme_errors
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.beam_search import search
from phonemo.runtime.phonemes.language_model import (
    DecoderSettings,
    PhonemeModel,
    count_phonemes,
)
from phonemo.train.provenance import Provenance

Symbols = tuple[int, ...]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Tuning:
    """An utterance on which weight and bonus are chosen."""

    posteriors: npt.NDArray[np.float64]
    """Natural logarithms, (frame, phoneme)."""
    reference: Symbols


def fit_decoder(
    recognizer: OnnxRecognizer, config: DecoderConfig, lineage: Provenance
) -> PhonemeModel:
    """Count a language model, and choose weight and bonus by the phoneme error rate.

    Args:
        recognizer: the bundle whose phonemes are decoded.
        config: the manifests and what to choose from.
        lineage: what the network was trained on.

    Raises:
        ModelError: the bundle has no phoneme head.
        ProtocolError: no phonemes of training speakers, or no other speakers to tune on.
    """
    inventory = _inventory(recognizer)
    counted: list[Symbols] = []
    tuning: list[_Tuning] = []
    for path in config.manifests:
        manifest = read_manifest(path)
        taught = set(lineage.overlap(manifest.header.corpus, manifest.utterances)[1])
        if not any(row.split == "test" for row in manifest.utterances):
            log.warning(
                "%s: no utterance has split test, so all speakers that the network was not trained "
                "on choose weight and bonus; the phoneme error rate on them is no test any more",
                safe_name(path),
            )
        for row, symbols in _with_phonemes(manifest.utterances, inventory):
            if row.split == "test" or row.speaker is None:
                continue
            if row.speaker in taught:
                counted.append(symbols)
            else:
                tuning.append(_Tuning(_posteriors(recognizer, manifest, row), symbols))
    if not counted or not tuning:
        raise ProtocolError(
            f"expected phonemes of speakers trained on and of others, outside of split test, got "
            f"{len(counted)} and {len(tuning)} utterances; set decoder_speakers of the extra "
            "corpus and train again"
        )
    model = count_phonemes(counted, len(inventory), config.order)
    return _tuned(model, tuning, config)


def error_rate(model: PhonemeModel, tuning: Sequence[_Tuning]) -> float:
    """The phoneme error rate with a model and its settings."""
    decoded = [_named(search(row.posteriors, model)) for row in tuning]
    return phoneme_errors([_named(row.reference) for row in tuning], decoded).rate


def _tuned(model: PhonemeModel, tuning: Sequence[_Tuning], config: DecoderConfig) -> PhonemeModel:
    rates: dict[DecoderSettings, float] = {}
    for weight, bonus in product(config.weights, config.bonuses):
        settings = DecoderSettings(weight, bonus, config.beam)
        rates[settings] = error_rate(model.with_settings(settings), tuning)
        log.info("weight %g, bonus %g: PER %.2f %%", weight, bonus, 100 * rates[settings])
    return model.with_settings(min(rates, key=lambda settings: rates[settings]))


def _with_phonemes(
    rows: Sequence[Utterance], inventory: PhonemeInventory
) -> Iterator[tuple[Utterance, Symbols]]:
    for row in rows:
        symbols = inventory.encode(row.phonemes, row.transcript, row.emotion)
        if symbols:
            yield row, symbols


def _posteriors(
    recognizer: OnnxRecognizer, manifest: Manifest, row: Utterance
) -> npt.NDArray[np.float64]:
    path: Path = manifest.audio_path(row)
    waveform = load_waveform(path, start=row.start, end=row.end, channel=row.channel)
    logits = recognizer.logits(waveform.samples).phonemes
    assert logits is not None
    return log_softmax(logits)


def _inventory(recognizer: OnnxRecognizer) -> PhonemeInventory:
    card = recognizer.card.inventory
    if card is None:
        raise ModelError("this model has no phoneme head; use a model trained with phonemes")
    return PhonemeInventory.from_json(card.model_dump())


def _named(symbols: Symbols) -> list[str]:
    return [str(symbol) for symbol in symbols]
