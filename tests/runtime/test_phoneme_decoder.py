"""Language model, prefix beam search, refined boundaries, and how a recognizer chooses them."""

from __future__ import annotations

import itertools
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio.frames import FrameGrid
from phonemo.errors import CheckpointError, PhonemeError, UsageError
from phonemo.runtime.bundle import open_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.alignment import decode_phonemes
from phonemo.runtime.phonemes.beam_search import decode_with, search
from phonemo.runtime.phonemes.decoder import PhonemeDecoder
from phonemo.runtime.phonemes.edges import REACH_SECONDS, refine_spans
from phonemo.runtime.phonemes.language_model import (
    DecoderSettings,
    PhonemeModel,
    count_phonemes,
    packed_model,
    unpacked_model,
)
from tests.tiny_bundle import BUNDLE, RATE, make_clip, with_language_model

GRID = FrameGrid(field_samples=320, hop_samples=320)
PLAIN = DecoderSettings(weight=0.0, bonus=0.0, beam=200)


def posteriors(frames: int, symbols: int, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(frames, symbols)) * 1.5
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def all_strings(scores: np.ndarray) -> dict[tuple[int, ...], float]:
    """The probability of every string, by adding up all paths."""
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        merged = [symbol for symbol, _ in itertools.groupby(path)]
        string = tuple(symbol for symbol in merged if symbol)
        found[string] = found.get(string, 0.0) + math.exp(scores[range(len(path)), path].sum())
    return found


@pytest.mark.parametrize("order", [2, 3])
def test_probabilities_sum_to_one_after_every_context(order):
    model = count_phonemes([(1, 2, 1), (2, 2)], symbols=4, order=order)
    assert model.table.shape == (4 ** (order - 1), 4)
    np.testing.assert_allclose(np.exp(model.table).sum(axis=1), 1, rtol=1e-5)


def test_a_seen_pair_is_likelier_than_an_unseen_one():
    table = count_phonemes([(1, 2)] * 5, symbols=4).table
    assert table[1, 2] > table[1, 3] > -np.inf
    assert table[2, 0] > table[1, 0]  # the utterances end after 2


def test_the_interpolation_by_hand():
    """Witten and Bell: after 1 there are 2 events of 2 kinds, so each order weighs a half."""
    table = np.exp(count_phonemes([(1, 2), (1, 3)], symbols=4).table)
    unigram_of_2 = (1 + 4 / 4) / (6 + 4)  # six events of four kinds, the end included
    assert table[1, 2] == pytest.approx((1 + 2 * unigram_of_2) / (2 + 2))


def test_a_third_phoneme_of_context_counts():
    model = count_phonemes([(1, 2, 3), (3, 2, 1)] * 4, symbols=4, order=3)
    after = model.context_after(model.context_after(0, 1), 2)
    assert model.table[after, 3] > model.table[after, 1]


def test_a_packed_model_opens_again():
    model = count_phonemes([(1, 2, 3)], 5, 3, DecoderSettings(0.7, 2.5, 4))
    again = unpacked_model(packed_model(model), 5)
    assert again.settings == model.settings
    np.testing.assert_array_equal(again.table, model.table)
    with pytest.raises(CheckpointError, match="expected 6 symbols as in the card, got 5"):
        unpacked_model(packed_model(model), 6)
    for junk in (b"", b"junk", packed_model(model)[:60]):
        with pytest.raises(CheckpointError, match="expected n-gram counts"):
            unpacked_model(junk, 5)


@pytest.mark.parametrize("strings", [[], [(1, 9)]])
def test_nothing_to_count_is_one_clear_error(strings):
    with pytest.raises(PhonemeError):
        count_phonemes(strings, 4)
    with pytest.raises(PhonemeError, match="order 2 or 3"):
        count_phonemes([(1,)], 4, order=4)


@pytest.mark.parametrize("seed", range(6))
def test_the_search_finds_the_likeliest_string_among_all_paths(seed):
    scores = posteriors(5, 3, seed)
    strings = all_strings(scores)
    model = count_phonemes([(1, 2)], 3, settings=PLAIN)
    assert search(scores, model) == max(strings, key=lambda string: strings[string])


@pytest.mark.parametrize("seed", range(6))
def test_the_search_adds_language_model_and_bonus(seed):
    scores = posteriors(5, 3, seed)
    model = count_phonemes([(1, 2, 1), (2, 1)], 3, settings=DecoderSettings(0.8, 0.3, 200))

    def total(item: tuple[tuple[int, ...], float]) -> float:
        contexts = (0, *item[0])
        language = sum(float(model.table[a, b]) for a, b in itertools.pairwise((*contexts, 0)))
        return math.log(item[1]) + 0.8 * language + 0.3 * len(item[0])

    assert search(scores, model) == max(all_strings(scores).items(), key=total)[0]


def test_long_silence_and_no_frames_are_decoded():
    silence = np.log(np.tile([0.998, 0.001, 0.001], (3000, 1)))
    model = count_phonemes([(1, 2)], 3)
    assert search(silence, model) == ()
    assert search(np.zeros((0, 3)), model) == ()
    assert decode_with(np.zeros((0, 3)), model) == ()


def test_a_model_corrects_what_the_best_path_misses():
    frames = np.full((5, 4), 0.01)
    frames[[0, 2, 4], 0], frames[1, 1], frames[3, 2], frames[3, 3] = 0.97, 0.97, 0.45, 0.53
    scores = np.log(frames / frames.sum(axis=1, keepdims=True))
    model = count_phonemes([(1, 2)] * 20, 4, settings=DecoderSettings(0.5, 0.5, 8))
    assert [item.symbol for item in decode_phonemes(scores)] == [1, 3]
    aligned = decode_with(scores, model)
    assert [(item.symbol, item.first) for item in aligned] == [(1, 1), (2, 3)]


def test_a_decoder_without_a_model_takes_the_best_path():
    scores, symbols = posteriors(9, 4), ("-", "a", "b", "c")
    spans = PhonemeDecoder(symbols).spans(scores, GRID, np.zeros(9 * 320))
    expected = [symbols[item.symbol] for item in decode_phonemes(scores)]
    assert [span.symbol for span in spans] == expected
    with pytest.raises(UsageError, match="expected a bundle with a phoneme language model"):
        PhonemeDecoder().chosen(decoding="language-model")
    with pytest.raises(UsageError, match="edges: expected posteriors or waveform, got 'x'"):
        PhonemeDecoder().chosen(edges="x")


def test_the_best_path_can_be_chosen_despite_a_model():
    scores, symbols = posteriors(9, 4), ("-", "a", "b", "c")
    model = count_phonemes([(1, 2)] * 9, 4, settings=DecoderSettings(2.0, 3.0, 8))
    decoder, samples = PhonemeDecoder(symbols, model), np.zeros(9 * 320)
    best = decoder.chosen(decoding="best-path").spans(scores, GRID, samples)
    assert best == PhonemeDecoder(symbols).spans(scores, GRID, samples)
    assert decoder.spans(scores, GRID, samples) != best
    assert pickle.loads(pickle.dumps(decoder.chosen(edges="waveform"))).options.edges == "waveform"


def change_of_timbre(at: int, samples: int = 8000) -> np.ndarray:
    """Noise that is low up to a sample and high afterwards."""
    noise = np.random.default_rng(0).normal(size=samples)
    low = np.convolve(noise, np.ones(8) / 8, "same")
    return np.where(np.arange(samples) < at, low, noise - low)


@pytest.mark.parametrize("error", [-0.015, -0.006, 0.0, 0.011, 0.018])
def test_a_boundary_moves_to_where_the_spectrum_changes(error):
    guess = 0.25 + error
    spans = (PhonemeSpan("a", 0.05, guess, 1.0), PhonemeSpan("b", guess, 0.45, 1.0))
    left, right = refine_spans(spans, change_of_timbre(4000))
    assert left.end == right.start == pytest.approx(0.25, abs=0.006)


def test_boundaries_stay_in_order_and_near():
    noise = np.random.default_rng(1).normal(size=16000)
    cuts = np.cumsum(np.random.default_rng(2).uniform(0.01, 0.06, size=25))
    spans = [PhonemeSpan("a", *pair, 1.0) for pair in itertools.pairwise(cuts.tolist())]
    del spans[10]  # a pause
    refined = refine_spans(spans, noise)
    for before, after in zip(spans, refined, strict=True):
        assert abs(after.start - before.start) <= REACH_SECONDS + 1e-9
        assert 0 <= after.start <= after.end <= 1
    for left, right in itertools.pairwise(refined):
        assert left.end <= right.start


@pytest.mark.parametrize("seed", range(5))
def test_no_phoneme_loses_all_of_its_length(seed):
    draw = np.random.default_rng(seed)
    cuts = np.cumsum(draw.choice([0.01, 0.02, 0.03, 0.04], size=40))
    levels = np.repeat(draw.uniform(0.01, 1, size=200), 160)
    spans = [PhonemeSpan("a", *pair, 1.0) for pair in itertools.pairwise(cuts.tolist())]
    refined = refine_spans(spans, draw.normal(size=len(levels)) * levels)
    assert min(span.end - span.start for span in refined) > 0.0005


@pytest.mark.parametrize("samples", [0, 100, 400])
def test_a_recording_too_short_for_a_spectrum_keeps_its_boundaries(samples):
    spans = (PhonemeSpan("a", 0.0, samples / 16000, 1.0),)
    assert refine_spans(spans, np.zeros(samples))[0].end <= samples / 16000 + 1e-9
    assert refine_spans((), np.zeros(samples)) == ()


def test_a_model_refuses_other_counts():
    with pytest.raises(PhonemeError, match="n-grams of 2 or 3"):
        PhonemeModel(4, np.zeros((1, 4), np.uint8), np.ones(1, np.uint32))
    with pytest.raises(PhonemeError, match="at most 4 symbols"):
        PhonemeModel(4, np.full((1, 2), 7, np.uint8), np.ones(1, np.uint32))


def knowing_one_string(target: Path, **settings: float) -> OnnxRecognizer:
    """The golden bundle with a language model that knows only the string "m a t"."""
    bundle = open_bundle(BUNDLE)
    symbols = bundle.card.inventory.symbols
    string = [symbols.index(symbol) for symbol in "mat"]
    model = count_phonemes([string] * 50, len(symbols), settings=DecoderSettings(**settings))
    return OnnxRecognizer(with_language_model(target, bundle, model))


def test_a_bundle_with_a_language_model_decodes_with_it_unless_told_otherwise(tmp_path):
    recognizer = knowing_one_string(tmp_path / "bundle", weight=3.0, bonus=4.0)
    plain, clip = OnnxRecognizer.load(BUNDLE), make_clip(32_000, 120.0)
    clip_spans = recognizer.predict(clip, rate=RATE).spans
    assert [span.symbol for span in clip_spans][:3] == ["m", "a", "t"]
    assert recognizer.predict(clip, rate=RATE).scores == plain.predict(clip, rate=RATE).scores
    for decoding in ("beam-search", "best-path"):
        recognizer.phoneme_decoder = recognizer.phoneme_decoder.chosen(decoding=decoding)
        again = pickle.loads(pickle.dumps(recognizer))
        assert again.phoneme_decoder.options.decoding == decoding
        assert again.predict(clip, rate=RATE).spans == recognizer.predict(clip, rate=RATE).spans
        assert again.predict(clip, rate=RATE).spans != clip_spans
    assert recognizer.predict(clip, rate=RATE).spans == plain.predict(clip, rate=RATE).spans


def test_a_bundle_with_counts_of_another_inventory_is_refused(tmp_path):
    other = count_phonemes([(1, 2)], 3)
    written = with_language_model(tmp_path / "bundle", open_bundle(BUNDLE), other)
    with pytest.raises(CheckpointError, match=r"bundle: phonemes.npz: expected 5 symbols"):
        OnnxRecognizer(written)
