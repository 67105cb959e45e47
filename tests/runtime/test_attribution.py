"""Shares by hand, and on real speech: the phonemes that carry an emotion do carry it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio import RATE, load_waveform
from phonemo.audio.frames import FrameGrid
from phonemo.evaluation.calibration import softmax
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes import attribution
from phonemo.runtime.phonemes.attribution import add_attribution, frames_within, score_drops
from tests.real import real

GRID = FrameGrid(field_samples=400, hop_samples=320)  # centres at 12.5 ms, 32.5 ms, 52.5 ms ...
VOTES = np.array([4.0, 0.0, -2.0, 1.0, 1.0])  # of each frame for the first of two emotions


def decide(kept: np.ndarray) -> np.ndarray:
    """Probability of the first emotion: half, and a tenth of the mean vote of what is kept."""
    mean = (kept * VOTES).sum(axis=1) / np.maximum(1, kept.sum(axis=1))
    return np.stack([0.5 + mean / 10, 0.5 - mean / 10], axis=1)


def span(symbol: str, first: int, stop: int) -> PhonemeSpan:
    """From the first frame's hop to the end of the last one's."""
    return PhonemeSpan(symbol, (20 * first + 2.5) / 1000, (20 * stop + 2.5) / 1000, 1.0)


def test_frames_belong_to_the_phoneme_that_their_centre_lies_in():
    result = frames_within([span("a", 0, 2), span("m", 2, 3), span("s", 4, 5)], GRID, 5)
    assert result.astype(int).tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]


def test_a_frame_belongs_to_the_phoneme_that_begins_at_its_centre_and_not_to_one_that_ends_there():
    centre = GRID.sample_at(2.5) / RATE
    spans = [PhonemeSpan("a", 0.0, centre, 1.0), PhonemeSpan("m", centre, 0.2, 1.0)]
    result = frames_within(spans, GRID, 5)
    assert result.astype(int).tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]]


def test_shares_are_the_score_minus_the_score_without():
    spans = add_attribution([span("a", 0, 2), span("m", 2, 3)], decide, GRID, 5, 8)
    # all: mean 0.8, score 0.58; without frames 0 and 1: mean 0; without frame 2: mean 1.5
    assert [item.share for item in spans] == pytest.approx([0.08, 0.08 - 0.15])
    assert [item.symbol for item in spans] == ["a", "m"]


def test_the_score_of_the_winning_emotion_is_used():
    drops = score_drops(lambda kept: decide(kept)[:, ::-1], np.array([[1, 0, 0, 0, 0]], bool), 8)
    assert drops == pytest.approx([0.08]), "it is now the second emotion"


def test_the_only_phoneme_has_no_share():
    assert add_attribution([span("a", 0, 5)], decide, GRID, 5, 8)[0].share is None
    assert add_attribution([], decide, GRID, 5, 8) == ()


def test_rows_are_run_in_parts_that_fit_the_memory(monkeypatch):
    left_out = np.eye(5, dtype=bool)
    whole = score_drops(decide, left_out, 8)
    sizes = []

    def counted(kept):
        sizes.append(len(kept))
        return decide(kept)

    monkeypatch.setattr(attribution, "_MOST_FEATURES", 80)
    np.testing.assert_array_equal(score_drops(counted, left_out, 8), whole)
    assert sizes == [1, 2, 2, 1]
    sizes.clear()
    monkeypatch.setattr(attribution, "_MOST_FEATURES", 1)
    np.testing.assert_array_equal(score_drops(counted, left_out, 8), whole)
    assert sizes == [1] * 6, "one clip at a time where even one is above the bound"


# Real speech --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def score_falls() -> list[tuple[float, float, float]]:
    """For clips of EmoDB: the fall of the score without the top fifth, a random one, the bottom."""
    model = OnnxRecognizer.load(threads=1)
    rows = []
    for path in sorted(real("emodb/wav").glob("*.flac"))[::15]:
        samples = load_waveform(path).samples
        spans = model.predict(samples, RATE, shares=True).spans
        logits = model.graph.recognize(samples, model.card.fewest_samples)
        inside = frames_within(spans, model.card.grid, len(logits.features))
        ranked = np.argsort([-item.share for item in spans])
        count = max(1, round(len(spans) / 5))
        draw = np.random.default_rng(1)
        picks = [ranked[:count], ranked[-count:]]
        picks += [draw.choice(len(spans), count, replace=False) for _ in range(20)]

        def without(kept, logits=logits):
            result = model.head.logits(logits.features, kept)
            return softmax(result / model.card.temperature)

        left_out = np.array([inside[pick].any(axis=0) for pick in picks])
        fall = score_drops(without, left_out, logits.features.shape[1])
        rows.append((fall[0], fall[2:].mean(), fall[1]))
    return rows


def test_without_its_top_phonemes_a_score_falls_faster_than_without_random_ones(score_falls):
    """Paired over clips; a sign test, exact: were it chance, one in a million would be so."""
    top, random, _ = np.array(score_falls).T
    wins, count = int(np.count_nonzero(top > random)), len(score_falls)
    p = sum(math.comb(count, more) for more in range(wins, count + 1)) / 2**count
    assert count >= 30
    assert top.mean() > 1.5 * random.mean()
    assert p < 1e-6


def test_without_its_bottom_phonemes_a_score_hardly_falls_or_rises(score_falls):
    _, random, bottom = np.array(score_falls).T
    assert bottom.mean() < random.mean()


def test_real_phonemes_have_names_times_and_shares():
    prediction = OnnxRecognizer.load(threads=1).predict(real("emodb/wav/03a01Wa.flac"), shares=True)
    assert prediction.label == "anger"
    assert len(prediction.spans) > 10
    assert all(0 <= item.start < item.end <= prediction.seconds + 1e-6 for item in prediction.spans)
    assert all(-1 <= item.share <= 1 for item in prediction.spans)
    assert prediction.to_dict(spans=True)["spans"][0].keys() >= {"symbol", "start", "end", "share"}
