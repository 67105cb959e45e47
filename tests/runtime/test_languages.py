"""Phoneme language models that ship: their counts, other inventories, and how they are chosen."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from phonemo.audio.frames import FrameGrid
from phonemo.cli.main import app
from phonemo.errors import UsageError
from phonemo.runtime.bundle import open_bundle, packaged
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.beam_search import search
from phonemo.runtime.phonemes.decoder import PhonemeDecoder
from phonemo.runtime.phonemes.language_model import (
    DecoderSettings,
    count_phonemes,
    uniform_model,
)
from phonemo.runtime.phonemes.languages import language_content, language_model, language_names
from tests.tiny_bundle import BUNDLE, RATE, make_clip

GRID = FrameGrid(field_samples=320, hop_samples=320)
ENGLISH = ("--decoding", "english")
SYMBOLS = tuple(open_bundle(packaged()).card.inventory.symbols)


def noise(symbols: int, frames: int = 60) -> np.ndarray:
    logits = np.random.default_rng(3).normal(size=(frames, symbols)) * 2
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_the_packaged_models_know_every_language_that_ships():
    assert language_names() == ("english",)
    model = language_model("english", SYMBOLS)
    assert model.order == 3
    assert model.counts.sum() > 20_000
    np.testing.assert_allclose(np.exp(model.table).sum(axis=1), 1, rtol=1e-4)


def test_english_prefers_english_words():
    model = language_model("english", SYMBOLS)
    the, reverse = ([SYMBOLS.index(name) for name in word] for word in ("ðə", "əð"))
    probability = {}
    for word in (the, reverse):
        context = model.context_after(0, word[0])
        start, rest = model.table[0, word[0]], model.table[context, word[1]]
        probability[tuple(word)] = start + rest
    assert probability[tuple(the)] > probability[tuple(reverse)] + 2


def test_the_order_of_an_inventory_does_not_matter():
    order = [0, *(1 + np.random.default_rng(1).permutation(len(SYMBOLS) - 1))]
    other = tuple(SYMBOLS[place] for place in order)
    scores = noise(len(SYMBOLS))
    plain = [SYMBOLS[item] for item in search(scores, language_model("english", SYMBOLS))]
    moved = [other[item] for item in search(scores[:, order], language_model("english", other))]
    assert plain == moved
    assert len(plain) > 5


def test_content_written_is_content_read(tmp_path, monkeypatch):
    settings = DecoderSettings(0.7, 1.5, 4)
    model = count_phonemes([(1, 2, 1), (2, 2)] * 4, 3, 3, settings)
    content = language_content(model, ("-", "a", "b"), "two strings")
    (tmp_path / "toy.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr("phonemo.runtime.phonemes.languages._FOLDER", tmp_path)
    assert language_names() == ("toy",)
    again = language_model("toy", ("-", "a", "b"))
    assert again.settings == settings
    assert content["source"] == "two strings"
    np.testing.assert_array_equal(again.table, model.table)


def test_an_inventory_without_the_phonemes_is_refused_before_any_recording():
    decoder = PhonemeDecoder(("-", "a", "b"))
    with pytest.raises(UsageError, match="expected a model with the phonemes of english, got one"):
        decoder.chosen(decoding="english")
    with pytest.raises(UsageError, match="expected best-path, beam-search or english, got 'x'"):
        decoder.chosen(decoding="x")


@pytest.mark.parametrize(("lacking", "fits"), [("ʒ", True), ("t", False)])
def test_a_rare_phoneme_may_be_missing_and_a_frequent_one_may_not(lacking, fits):
    symbols = tuple(name for name in SYMBOLS if name != lacking)
    if fits:
        model = language_model("english", symbols)
        assert model.counts.sum() < language_model("english", SYMBOLS).counts.sum()
        return
    with pytest.raises(UsageError, match="got one without t;"):
        language_model("english", symbols)


@pytest.mark.parametrize(
    ("language", "symbols", "message"),
    [
        ("german", SYMBOLS, "expected one of english, got 'german'"),
        ("english", SYMBOLS + tuple(map(str, range(300))), "expected a model of at most 255"),
    ],
)
def test_an_unknown_language_and_too_many_symbols_are_usage_errors(language, symbols, message):
    with pytest.raises(UsageError, match=message):
        language_model(language, symbols)


@pytest.mark.parametrize("decoding", ["english", "beam-search", "language-model"])
def test_a_model_without_phonemes_refuses_to_decode_them(decoding):
    with pytest.raises(UsageError, match=r"this model has none|got one without"):
        PhonemeDecoder().chosen(decoding=decoding)


def test_a_beam_search_without_knowledge_adds_up_the_paths():
    """Both best paths spell "-", but most of the probability spells "a"."""
    scores = np.log(np.array([[0.5, 0.26, 0.24], [0.5, 0.26, 0.24]]))
    decoder = PhonemeDecoder(("-", "a", "b"))
    spans = {
        name: decoder.chosen(decoding=name).spans(scores, GRID, np.zeros(640))
        for name in ("best-path", "beam-search")
    }
    assert spans["best-path"] == ()
    assert [span.symbol for span in spans["beam-search"]] == ["a"]
    assert uniform_model(3).settings.weight == uniform_model(3).settings.bonus == 0


def test_a_recognizer_decodes_with_the_language_and_keeps_it_when_copied():
    shared, clip = OnnxRecognizer.load(), make_clip(32_000, 120.0)
    plain = shared.predict(clip, rate=RATE)
    recognizer = shared.with_phonemes("english")
    chosen = recognizer.predict(clip, rate=RATE)
    assert chosen.spans != plain.spans
    assert chosen.scores == plain.scores
    assert shared.predict(clip, rate=RATE).spans == plain.spans
    assert copy.deepcopy(recognizer).predict(clip, rate=RATE).spans == chosen.spans


def test_the_decodings_of_a_model_are_those_that_it_accepts():
    assert PhonemeDecoder(SYMBOLS).decodings == ("best-path", "beam-search", "english")
    assert PhonemeDecoder(("-", "a", "b")).decodings == ("best-path", "beam-search")
    assert PhonemeDecoder().decodings == ()
    assert PhonemeDecoder(tuple(map(str, range(300)))).decodings == ("best-path",)
    own = PhonemeDecoder(("-", "a", "b"), uniform_model(3))
    assert own.decodings == ("best-path", "beam-search", "language-model")


def test_the_command_decodes_with_the_language(tmp_path):
    recording = str(tmp_path / "a.wav")
    soundfile.write(recording, make_clip(32_000, 120.0), RATE)
    args = ["predict", recording, "--phonemes", "--format", "json"]
    plain, chosen = (CliRunner().invoke(app, [*args, *more]) for more in ([], [*ENGLISH]))
    assert chosen.exit_code == 0
    assert json.loads(chosen.stdout) != json.loads(plain.stdout)
    for more in (("--model", str(BUNDLE)), ("--said", "d a s")):
        refused = CliRunner().invoke(app, [*args, *ENGLISH, *more])
        assert isinstance(refused.exception, UsageError)
        assert refused.stdout == ""
