"""The language model of an export: counted on training speakers, tuned on others, no tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.config import DecoderConfig
from phonemo.corpora.manifest import Header, Phonemes, Utterance, write_manifest
from phonemo.errors import ProtocolError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.export.phoneme_decoder import fit_decoder
from phonemo.train.provenance import Provenance, provenance_from
from tests.tiny_bundle import BUNDLE, RATE, make_clip

SPOKEN = {"s1": "mat", "s2": "sat", "s3": "tas"}


def row(speaker: str) -> Utterance:
    symbols = tuple(SPOKEN[speaker])
    return Utterance(
        id=speaker,
        file=f"{speaker}.wav",
        speaker=speaker,
        split="test" if speaker == "s3" else "train",
        phonemes=Phonemes(alphabet="ipa", source="by hand", symbols=symbols),
    )


def corpus(folder: Path) -> tuple[Path, list[Utterance]]:
    rows = [row(speaker) for speaker in SPOKEN]
    for number, utterance in enumerate(rows):
        soundfile.write(folder / utterance.file, make_clip(8000, 120.0 + 50 * number), RATE)
    path = folder / "manifest.jsonl"
    write_manifest(path, Header(corpus="buzz", root=str(folder), phonemo="0"), rows)
    return path, rows


def config(path: Path) -> DecoderConfig:
    return DecoderConfig(manifests=(str(path),), order=2, weights=(0.0, 1.0), bonuses=(0.0, 2.0))


def test_only_training_speakers_are_counted_and_others_choose_the_settings(tmp_path):
    path, rows = corpus(tmp_path)
    lineage = provenance_from("buzz", rows[:1])
    model = fit_decoder(OnnxRecognizer.load(BUNDLE), config(path), lineage)
    symbols = OnnxRecognizer.load(BUNDLE).card.inventory.symbols
    m, a, t = (symbols.index(symbol) for symbol in "mat")
    np.testing.assert_array_equal(
        sorted(model.grams.tolist()), sorted([[0, m], [m, a], [a, t], [t, 0]])
    )
    assert (model.settings.weight, model.settings.bonus) in {(w, b) for w in (0, 1) for b in (0, 2)}
    assert model.settings.beam == 8


@pytest.mark.parametrize("split", ["test", None])
def test_a_manifest_without_a_test_part_is_pointed_out(tmp_path, caplog, split):
    path, rows = corpus(tmp_path)
    rows[-1] = rows[-1].model_copy(update={"split": split})
    write_manifest(path, Header(corpus="buzz", root=str(tmp_path), phonemo="0"), rows)
    fit_decoder(OnnxRecognizer.load(BUNDLE), config(path), provenance_from("buzz", rows[:1]))
    assert ("is no test any more" in caplog.text) == (split is None)


def test_without_speakers_to_tune_on_there_is_one_clear_error(tmp_path):
    path, rows = corpus(tmp_path)
    for lineage in (provenance_from("buzz", rows), Provenance()):
        with pytest.raises(ProtocolError, match="expected phonemes of speakers trained on and of"):
            fit_decoder(OnnxRecognizer.load(BUNDLE), config(path), lineage)
