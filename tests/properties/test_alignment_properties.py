"""Phonemes in time never go backwards: from posteriors, and from a recording with what was said."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio.frames import FrameGrid, fewest_samples, frames_of
from phonemo.errors import PhonemeError
from phonemo.evaluation.calibration import log_softmax
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.alignment import (
    RULES,
    align,
    aligned_spans,
    decode_phonemes,
    fewest_frames,
    recognized_spans,
    time_phonemes,
)
from phonemo.runtime.phonemes.attribution import frames_within, score_drops
from tests.properties.strategies import RATE, few, many, some
from tests.tiny_bundle import BUNDLE, make_clip

SYMBOLS = ("-", *"abcdefg")
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def tiny():
    return OnnxRecognizer.load(BUNDLE, threads=1)


def posteriors(seed, frames, size, sharpness):
    """Logarithms of random probabilities; sharp ones are nearly sure of one symbol."""
    draw = np.random.default_rng(seed)
    return log_softmax(sharpness * draw.normal(size=(frames, size)))


def check(spans, seconds):
    """In order, in the recording, none over another, sure by a share."""
    for one in spans:
        assert 0 <= one.start <= one.end <= seconds
        assert 0 <= one.confidence <= 1
    for one, after in pairwise(spans):
        assert one.end <= after.start
        assert one.start <= after.start


stacks = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4)), min_size=1, max_size=4).filter(
    lambda stack: all(kernel >= stride for kernel, stride in stack)
)


@many
@given(seeds, st.integers(1, 80), st.integers(2, 8), st.sampled_from([0, 1, 8, 500]), st.data())
def test_phonemes_that_are_said_come_in_their_order(seed, frames, size, sharpness, data):
    scores = posteriors(seed, frames, size, sharpness)
    said = data.draw(st.lists(st.sampled_from(SYMBOLS[1:size]), max_size=frames), "said")
    grid = FrameGrid(400, 320)
    samples = grid.fewest_samples(frames) + data.draw(st.integers(0, 319), "more samples")
    if fewest_frames([SYMBOLS.index(one) for one in said]) > frames:
        with pytest.raises(PhonemeError, match="expected at least"):
            aligned_spans(scores, SYMBOLS[:size], said, grid, samples)
        return
    spans = aligned_spans(scores, SYMBOLS[:size], said, grid, samples)
    assert [one.symbol for one in spans] == said
    check(spans, samples / RATE)
    assert all(one.end > one.start for one in spans)


@many
@given(seeds, st.integers(0, 80), stacks, st.sampled_from([0, 1, 8, 500]))
def test_phonemes_that_are_heard_lie_in_the_recording(seed, frames, stack, sharpness):
    """Whatever convolutions made the frames."""
    kernels, strides = zip(*stack, strict=True)
    grid = FrameGrid.of(kernels, strides)
    samples = grid.fewest_samples(frames) if frames else 1
    assert fewest_samples(kernels, strides) == grid.field_samples
    if frames:
        assert frames_of(samples, kernels, strides) == frames
    spans = recognized_spans(
        posteriors(seed, frames, len(SYMBOLS), sharpness), SYMBOLS, grid, samples
    )
    check(spans, samples / RATE)
    assert len(spans) <= frames


@some
@given(seeds, st.integers(1, 50), st.sampled_from(list(RULES)), st.floats(0, 1), st.floats(0, 1))
def test_a_longer_pause_or_edge_moves_no_phoneme_over_another(seed, frames, rule, pause, edge):
    scores = posteriors(seed, frames, 5, 8)
    grid = FrameGrid(400, 320)
    samples = grid.fewest_samples(frames)
    aligned = decode_phonemes(scores)
    timed = time_phonemes(
        aligned, scores, grid, samples, rule=rule, pause_seconds=pause, edge_seconds=edge
    )
    assert [one.symbol for one in timed] == [one.symbol for one in aligned]
    for one, after in pairwise(timed):
        assert one.start_sample < one.end_sample <= after.start_sample < after.end_sample
    assert all(one.start_sample >= 0 and one.end_sample <= samples for one in timed)


@some
@given(seeds, st.integers(1, 40), st.floats(-30, -0.01), st.data())
def test_frames_that_all_lose_the_same_align_the_same(seed, frames, lost, data):
    """Viterbi knows differences only; a frame's logits may be off by a constant."""
    scores = posteriors(seed, frames, 5, 4)
    size = data.draw(st.integers(0, (frames + 1) // 2), "phonemes")
    said = np.random.default_rng(seed).integers(1, 5, size).tolist()
    if fewest_frames(said) > frames:
        return
    places = [(one.symbol, one.first, one.last) for one in align(scores, said)]
    moved = align(scores + lost, said)
    total, other = (path_score(scores, found) for found in (places, shape_of(moved)))
    assert other == pytest.approx(total, abs=1e-6)


def shape_of(aligned):
    return [(one.symbol, one.first, one.last) for one in aligned]


def path_score(scores, places):
    """The logarithm of a path's probability, its blanks included."""
    path = np.zeros(len(scores), dtype=int)
    for symbol, first, last in places:
        path[first : last + 1] = symbol
    return float(scores[np.arange(len(scores)), path].sum())


@some
@given(seeds, st.integers(2, 30), st.data())
def test_a_recording_backwards_is_as_probable(seed, frames, data):
    """The best path of the reversed string over reversed frames scores the same."""
    scores = posteriors(seed, frames, 5, 4)
    size = data.draw(st.integers(1, (frames + 1) // 2), "phonemes")
    said = np.random.default_rng(seed + 1).integers(1, 5, size).tolist()
    if fewest_frames(said) > frames:
        return
    forwards = path_score(scores, shape_of(align(scores, said)))
    backwards = path_score(scores[::-1], shape_of(align(scores[::-1], said[::-1])))
    assert backwards == pytest.approx(forwards, abs=1e-6)


@few
@given(st.integers(1500, 30_000), st.floats(80, 900), st.data())
def test_a_recording_is_aligned_with_any_of_its_models_phonemes(tiny, samples, hertz, data):
    known = tiny.card.inventory.symbols[1:]
    frames = frames_of(samples, tiny.card.conv_kernel, tiny.card.conv_stride)
    said = data.draw(
        st.lists(st.sampled_from(known), min_size=1, max_size=max(1, (frames + 1) // 2)), "said"
    )
    clip = make_clip(samples, hertz)
    if fewest_frames([known.index(one) for one in said]) > frames:
        with pytest.raises(PhonemeError, match="expected at least"):
            tiny.align(clip, said, RATE)
        return
    found = tiny.align(clip, said, RATE)
    assert list(found.phonemes) == said
    check(found.spans, samples / RATE)
    assert found.scores == tiny.predict(clip, RATE).scores


@some
@given(seeds, st.integers(1, 40), st.integers(1, 6))
def test_every_frame_counts_for_one_phoneme_at_most(seed, frames, size):
    """And shares are differences of probabilities, or NaN where nothing would be left."""
    draw = np.random.default_rng(seed)
    grid = FrameGrid(400, 320)
    samples = grid.fewest_samples(frames)
    spans = recognized_spans(posteriors(seed, frames, 5, 8), SYMBOLS, grid, samples)
    inside = frames_within(spans, grid, frames)
    assert inside.shape == (len(spans), frames)
    assert inside.sum(axis=0).max(initial=0) <= 1
    weights = draw.random((frames, size)) + 1e-3

    def decide(kept):
        return (kept.astype(float) @ weights) / np.maximum(1e-9, (kept @ weights).sum(-1)[:, None])

    found = score_drops(decide, inside, 16)
    for share, left_out in zip(found, inside, strict=True):
        assert np.isnan(share) == left_out.all()
        assert np.isnan(share) or -1 <= share <= 1


@few
@given(st.floats(0, 1e4), st.floats(0, 1), st.floats(0, 1e4))
def test_a_phoneme_that_is_moved_keeps_its_length(start, length, by):
    one = PhonemeSpan("a", start, start + length, 0.5, 0.25)
    moved = one.moved(by)
    assert moved.end - moved.start == pytest.approx(length, abs=1e-9)
    assert (moved.symbol, moved.confidence, moved.share) == ("a", 0.5, 0.25)
