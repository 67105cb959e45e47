"""The study of emotional phonemes: planted information is found, and nothing where nothing is."""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from phonemo.audio.frames import FrameGrid
from phonemo.cli.main import app
from phonemo.corpora.g2p.alphabets import IPA
from phonemo.corpora.manifest import Phonemes, Utterance, read_manifest
from phonemo.corpora.phoneme_inventory import make_inventory
from phonemo.errors import ModelError, ProtocolError
from phonemo.evaluation.phonemes.ipa_places import MANNERS, VOWELS, kind_of, sonority_of
from phonemo.evaluation.phonemes.phoneme_schema import PhonemeStudy
from phonemo.runtime.bundle import packaged
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.experiments.phoneme_study.left_out_phonemes import leave_out
from phonemo.train.experiments.phoneme_study.list_agreement import agreements
from phonemo.train.experiments.phoneme_study.phoneme_bits import Material, measure_bits
from phonemo.train.experiments.phoneme_study.phoneme_reading import read_phonemes
from phonemo.train.experiments.phoneme_study.phoneme_segments import (
    align_corpus,
    make_segments,
    spans_by_hand,
)
from phonemo.train.experiments.phoneme_study.phoneme_study import (
    StudyOptions,
    study_phonemes,
)
from phonemo.train.experiments.phoneme_study.recognized_posteriors import posteriors_of
from phonemo.train.experiments.phoneme_study.shrunken_gaussian import held_out_bits
from phonemo.train.experiments.phoneme_study.speaker_bootstrap import (
    permutation_p,
    speaker_weights,
    spearman,
)
from phonemo.train.experiments.phoneme_study.study_corpus import (
    StudyCorpus,
    _model,
    open_corpus,
)
from tests.train.tiny_run import make_config

EMOTIONS = ("anger", "sadness")
SYMBOLS = ("a", "i", "n", "s")
#: Frames of a phoneme; the others have four, so that duration is told apart.
LONG = {"a": 6}
GRID = FrameGrid(400, 320)


class Planted:
    """Stands for a feature cache: every phoneme has a code, and one of them carries the emotion."""

    def __init__(self, rows, carrier):
        draw = np.random.default_rng(0)
        codes = {symbol: draw.normal(0, 3, 12) for symbol in SYMBOLS}
        self.clips = {}
        for row in rows:
            frames = []
            for symbol in row.phonemes.symbols:
                mood = np.zeros(12)
                mood[0] = (2.0 if row.emotion == "anger" else -2.0) * (symbol == carrier)
                code = codes[symbol] + mood
                frames += [code + draw.normal(0, 0.4, 12) for _ in range(LONG.get(symbol, 4))]
                frames += [draw.normal(0, 0.4, 12)]
            self.clips[row.id] = np.array(frames, dtype=np.float32)

    def read(self, utterance):
        return dict.fromkeys(("acoustic", "layer_1"), self.clips[utterance])


def times_of(symbols):
    """Times whose frames are exactly those of the planted clips."""
    lengths = np.array([LONG.get(symbol, 4) for symbol in symbols])
    starts = np.cumsum([0, *(lengths[:-1] + 1)])  # a frame of noise follows each
    ends = starts + lengths
    return tuple(
        (max(0.0, GRID.sample_at(start) / 16000), GRID.sample_at(end) / 16000)
        for start, end in zip(starts, ends, strict=True)
    )


def planted(carrier="i", timed=False, name="tiny"):
    rows = []
    sentences = ("ains", "snia", "nasi", "isan")
    for number in range(160):
        symbols = tuple(sentences[number // 8 % 4])
        times = times_of(symbols) if timed else None
        phonemes = Phonemes(alphabet="ipa", source="g2p", symbols=symbols, times=times)
        rows.append(
            Utterance(
                id=f"u{number}",
                file=f"u{number}.wav",
                speaker=f"s{number % 4}",
                emotion=EMOTIONS[number // 4 % 2],
                language="de",
                phonemes=phonemes,
            )
        )
    inventory = make_inventory("phonemes", "ipa", ())
    cache = Planted(rows, carrier)
    return StudyCorpus(name, "de", EMOTIONS, tuple(rows), inventory, cache, 1, GRID)


def by_hand(carrier="i"):
    corpus = planted(carrier, timed=True)
    spans = spans_by_hand(corpus)
    return corpus, make_segments(corpus, spans, (1,))


SMALL = Material(segments=60, draws=2)


@pytest.mark.parametrize("carrier", ["i", "n"])
def test_the_phoneme_that_carries_the_emotion_has_the_bits(carrier):
    corpus, segments = by_hand(carrier)
    measured = measure_bits(segments, 1, corpus.labels, SMALL)
    bits = {symbol: np.nanmean(gains.bits) for symbol, gains in measured.items()}
    assert max(bits, key=bits.get) == carrier
    assert 0.6 < bits[carrier] <= 1.05  # two emotions hold one bit
    assert all(abs(value) < 0.1 for symbol, value in bits.items() if symbol != carrier)


def test_exchanged_emotions_give_about_zero_bits():
    corpus, segments = by_hand()
    measured = measure_bits(segments, 1, corpus.labels, SMALL)
    assert all(abs(np.nanmean(gains.null)) < 0.1 for gains in measured.values())


def test_every_phoneme_has_the_same_number_of_utterances():
    corpus, segments = by_hand()
    for gains in measure_bits(segments, 1, corpus.labels, SMALL).values():
        assert len(gains.rows) == SMALL.segments * SMALL.draws
        first = gains.rows[: SMALL.segments]
        assert len(np.unique(segments.utterance[first])) == SMALL.segments
        assert np.bincount(corpus.labels[segments.utterance[first]]).tolist() == [30, 30]


def test_leaving_out_the_carrier_costs_the_most():
    corpus, segments = by_hand()
    found = dict(leave_out(segments, 1, corpus.labels, 60))
    lost = {name: (one.right - one.right_without).sum() for name, one in found.items()}
    assert max(lost, key=lost.get) == "i"
    assert lost["i"] > 0.3 * found["i"].utterances.sum()


def test_utterances_without_segments_are_fitted_on_by_no_discriminant():
    corpus = planted(timed=True)
    spans = spans_by_hand(corpus)
    half = replace(corpus, utterances=corpus.utterances[:80])
    gaps = make_segments(corpus, [*spans[:80], *((),) * 80], (1,))
    found = dict(leave_out(gaps, 1, corpus.labels, 30))
    alone = dict(leave_out(make_segments(half, spans[:80], (1,)), 1, half.labels, 30))
    assert found.keys() == alone.keys()
    for name, one in found.items():
        np.testing.assert_array_equal(astuple(one), astuple(alone[name]))


def test_a_corpus_with_too_few_utterances_is_one_line():
    corpus, segments = by_hand()
    with pytest.raises(ProtocolError) as caught:
        read_phonemes(corpus, segments, 1, "by hand", Material(segments=161))
    assert str(caught.value) == (
        "tiny: expected a phoneme in 161 utterances or more, got at most 160; lower --segments, or "
        "raise --utterances"
    )


def test_one_emotion_says_nothing():
    vectors, labels = np.random.default_rng(1).normal(size=(12, 3)), np.zeros(12, dtype=np.int64)
    np.testing.assert_allclose(held_out_bits(vectors, labels, np.arange(12) // 3), 0, atol=1e-6)


def test_each_corpus_resamples_its_speakers_apart():
    one, same, other = (speaker_weights(4, name, 7) for name in ("one", "one", "other"))
    np.testing.assert_array_equal(one, same)
    assert (one[1:] != other[1:]).any(axis=1).mean() > 0.8


def test_forced_alignment_finds_the_carrier_too():
    corpus = planted("n")
    segments = make_segments(corpus, align_corpus(corpus, 1), (1,))
    bits = {
        symbol: np.nanmean(gains.bits)
        for symbol, gains in measure_bits(segments, 1, corpus.labels, SMALL).items()
    }
    assert max(bits, key=bits.get) == "n"


def test_posteriors_of_the_corpus_align_it_instead_of_a_fitted_layer():
    corpus = planted("n")
    asked = []

    def posteriors(row):
        """One frame of each phoneme, from the third on, with a blank after each."""
        asked.append(row.id)
        units = corpus.inventory.encode(row.phonemes, None, None)
        scores = np.full((len(corpus.frames(row.id, 1)), len(corpus.inventory)), -9.0)
        scores[:, 0] = -1.0
        for number, unit in enumerate(units):
            scores[2 + 2 * number] = np.where(np.arange(scores.shape[1]) == unit, 0.0, -9.0)
        return scores

    spans = align_corpus(replace(corpus, posteriors=posteriors), 1)
    assert len(asked) == len(spans) == 160
    found = [(corpus.inventory.symbols[span.symbol], span.start, span.end) for span in spans[0]]
    assert found == [("a", 0.0, 3.5), ("i", 3.5, 5.5), ("n", 5.5, 7.5), ("s", 7.5, 11.0)]


@pytest.mark.parametrize(
    ("inventory", "hop", "told"),
    [
        ("vowels", 320, "with all .* IPA phonemes, got 78 of phonemes"),
        ("phonemes", 160, "frames as the backbone's, every 160 samples, got 320"),
    ],
)
def test_an_aligner_with_other_phonemes_or_frames_is_refused(tmp_path, inventory, hop, told):
    manifest = read_manifest(make_config(tmp_path).manifest)
    grid = replace(OnnxRecognizer.load(packaged("phonemo-open")).card.grid, hop_samples=hop)
    symbols = make_inventory(inventory, "ipa", ())
    with pytest.raises(ModelError, match=told):
        posteriors_of(packaged("phonemo-open"), manifest, symbols, grid)


def test_the_convolutions_do_not_say_when_a_sound_was_made(tmp_path):
    backbone = make_config(tmp_path).model.backbone
    model = _model(backbone, EMOTIONS)
    hop = model.backbone.grid.hop_samples
    sound = np.random.default_rng(0).normal(0, 0.1, 20 * hop).astype(np.float32)
    waveform = torch.from_numpy(np.tile(sound, 3))[None]
    samples, depth = torch.tensor([waveform.shape[1]]), model.backbone.depth
    with torch.no_grad():
        named = model.forward_frozen(waveform, samples, depth).named()
    assert set(named) == {"acoustic", f"layer_{depth}"}
    early, late = named["acoustic"][0, 5:15], named["acoustic"][0, 25:35]
    torch.testing.assert_close(early, late)


def test_times_by_hand_are_read_and_are_none_without():
    corpus, segments = by_hand()
    a = segments.symbol == corpus.inventory.symbols.index("a")
    assert np.median(segments.frames[a]) == 6
    assert np.median(segments.frames[~a]) == 4
    assert spans_by_hand(planted()) is None


def test_position_and_pauses_are_of_the_utterance():
    _, segments = by_hand()
    first = segments.utterance == 0
    np.testing.assert_allclose(segments.position[first], [0, 1 / 3, 2 / 3, 1])
    assert segments.before_pause[first].tolist() == [False, False, False, True]


def test_a_reading_has_intervals_strata_and_a_regression():
    corpus, segments = by_hand()
    reading = read_phonemes(corpus, segments, 1, "by hand", SMALL).result
    assert reading.ranked[0].symbol == "i"
    assert all(row.bits.low <= row.bits.mean <= row.bits.high for row in reading.phonemes)
    factors = {row.factor for row in reading.groups}
    assert factors == {"class", "kind", "sonority", "duration", "position", "pause"}
    terms = {row.term: row.bits.mean for row in reading.regression}
    assert terms["+ vowel"] > 0.2  # i carries, n does not, and a is long
    assert terms["per doubling of duration"] < 0


def test_equal_lists_agree_and_p_is_that_of_permutations():
    values = np.arange(6.0)
    assert spearman(values, values) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
    assert permutation_p(values, values, 1) < 0.01
    ties = np.array([1.0, 1.0, 2.0, 3.0])
    assert spearman(ties, ties[::-1]) == pytest.approx(-8 / 9)


def test_within_groups_only_their_own_order_counts():
    groups = ["vowel"] * 3 + ["obstruent"] * 3
    one, two = np.array([9.0, 8, 7, 3, 2, 1]), np.array([7.0, 8, 9, 1, 2, 3])
    assert spearman(one, two) > 0.5, "both have vowels first"
    assert spearman(one, two, groups) == pytest.approx(-1)
    assert permutation_p(one, two, 1, groups) == pytest.approx(2 / 36, abs=0.01)
    columns = np.stack([one, two], axis=1)
    assert spearman(columns, columns[:, ::-1], groups) == pytest.approx([-1, -1])


def test_sonority_groups_partition_the_alphabet():
    groups = {symbol: sonority_of(symbol) for symbol in IPA}
    assert [groups[symbol] for symbol in ("aɪ", "ŋ", "ʁ", "z", "d͡ʑ", "t͡ɕ", "h")] == [
        *("vowel", "sonorant consonant", "sonorant consonant"),
        *("voiced obstruent", "voiced obstruent", "voiceless consonant", "voiceless consonant"),
    ]


def test_agreements_are_over_shared_phonemes_and_adjusted():
    draw = np.random.default_rng(1)
    lists = {
        name: {symbol: draw.normal(number, 0.1, 20) for number, symbol in enumerate(symbols)}
        for name, symbols in {"one": "aeioumns", "two": "aeioukts", "three": "aeiou"}.items()
    }
    rows = agreements(lists, 1)
    shared = {(row.first, row.second): row.shared for row in rows if row.over == "all"}
    assert shared == {("one", "two"): 6, ("one", "three"): 5, ("two", "three"): 5}
    assert all(row.adjusted >= row.p and row.rho > 0.9 for row in rows if row.over == "all")


def test_every_symbol_has_a_place_on_the_chart():
    placed = {symbol for row in MANNERS.values() for cell in row for symbol in cell.split()}
    for symbol in IPA:
        if kind_of(symbol) == "vowel":
            assert symbol[0] in VOWELS
        else:
            assert symbol.replace("ʰ", "") in placed
    assert kind_of("d͡ʑ") == "voiced consonant"
    assert kind_of("t͡ɕʰ") == "voiceless consonant"


def test_a_study_is_written_as_json_and_csv(tmp_path):
    config = make_config(tmp_path)
    options = StudyOptions(config.model.backbone, material=Material(20, 1), utterances=60)
    study = study_phonemes([Path(config.manifest)], tmp_path / "study", "phonemo phonemes", options)
    stored = json.loads((tmp_path / "study" / "phonemes.json").read_text())
    assert PhonemeStudy.model_validate(stored) == study
    table = (tmp_path / "study" / "phonemes.csv").read_text().splitlines()
    assert table[0].startswith("corpus,language,alignment,state,symbol,phonetic_class")
    rows = sum(len(one.phonemes) for corpus in study.corpora for one in corpus.readings)
    assert len(table) == rows + 1


def test_a_manifest_without_phonemes_is_one_line(tmp_path):
    config = make_config(tmp_path)
    with pytest.raises(ProtocolError, match="prepare the corpus with phonemes"):
        open_corpus(Path(config.manifest), config.model.backbone, ("grief",), tmp_path, 10)


def test_the_command_is_listed():
    shown = CliRunner().invoke(app, ["phonemes", "--help"])
    assert shown.exit_code == 0
    assert "Measure which phonemes carry the emotion" in shown.output
