"""CTC alignment: by hand, against all paths, and the laws of every rule for the gaps."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.audio.frames import FrameGrid
from phonemo.errors import PhonemeError
from phonemo.runtime.phonemes import alignment
from phonemo.runtime.phonemes.alignment import (
    RULES,
    AlignedPhoneme,
    TimedPhoneme,
    align,
    decode_phonemes,
    fewest_frames,
    time_phonemes,
)

GRID = FrameGrid(field_samples=320, hop_samples=320)  # frame n is samples 320 n to 320 (n + 1)
OTHERS = [name for name in RULES if name != "spike"]


def posteriors(*frames: str, sure: float = 0.8, size: int = 4) -> np.ndarray:
    """Frames "ab..." of which the first symbol has ``sure`` and the second most of the rest.

    Symbols: "-" is the blank 0, then a, b, c.
    """
    rows = np.full((len(frames), size), 1e-3)
    for row, frame in zip(rows, frames, strict=True):
        for symbol, share in zip(frame, (sure, 0.9 * (1 - sure)), strict=False):
            row["-abc".index(symbol)] = share
    return np.log(rows / rows.sum(axis=1, keepdims=True))


def spans(aligned: tuple[AlignedPhoneme, ...]) -> list[tuple[int, int, int]]:
    return [(item.symbol, item.first, item.last) for item in aligned]


def times(timed: tuple[TimedPhoneme, ...]) -> list[tuple[float, float]]:
    """In hops of the plain grid."""
    return [(item.start_sample / 320, item.end_sample / 320) for item in timed]


# By hand


def test_the_frames_of_a_string_by_hand():
    scores = posteriors("-", "a", "a", "-", "b", "-")
    assert spans(align(scores, (1, 2))) == [(1, 1, 2), (2, 4, 4)]


def test_an_unspoken_string_gets_the_best_available_path():
    """b is spoken faintly: the best path misses it, the alignment finds it."""
    scores = posteriors("a", "-", "-b", "-")
    assert spans(decode_phonemes(scores)) == [(1, 0, 0)]
    assert spans(align(scores, (1, 2))) == [(1, 0, 0), (2, 2, 2)]


def test_confidence_is_the_geometric_mean_over_the_own_frames():
    scores = np.log([[0.5, 0.5], [0.1, 0.9], [0.6, 0.4], [0.99, 0.01]])
    (phoneme,) = align(scores, (1,))
    assert (phoneme.first, phoneme.last) == (0, 1)
    assert phoneme.confidence == pytest.approx(math.sqrt(0.5 * 0.9))
    (phoneme,) = decode_phonemes(scores)
    assert (phoneme.first, phoneme.last, phoneme.confidence) == (1, 1, pytest.approx(0.9))


def test_confidence_is_at_most_one_whatever_was_rounded():
    (phoneme,) = align(np.array([[-9.0, 1e-7], [-9.0, 2e-7]]), (1,))
    assert phoneme.confidence == 1.0


def test_a_repeated_phoneme_needs_a_blank_between():
    """The frame between is surely a, and yet it must be blank."""
    scores = posteriors("a", "a", "a")
    assert spans(align(scores, (1, 1))) == [(1, 0, 0), (1, 2, 2)]
    assert spans(align(posteriors("a", "b", "b"), (1, 2))) == [(1, 0, 0), (2, 1, 2)]
    with pytest.raises(PhonemeError, match="expected at least 3 frames for 2 phonemes, got 2"):
        align(posteriors("a", "a"), (1, 1))


def test_another_blank_index():
    scores = posteriors("-", "a", "-", "b")[:, [1, 2, 3, 0]]
    assert spans(align(scores, (0, 1), blank=3)) == [(0, 1, 1), (1, 3, 3)]
    assert spans(decode_phonemes(scores, blank=3)) == [(0, 1, 1), (1, 3, 3)]


def test_an_empty_string_a_single_frame_and_no_frames():
    scores = posteriors("a")
    assert align(scores, ()) == ()
    assert spans(align(scores, (2,))) == [(2, 0, 0)]
    assert align(scores[:0], ()) == decode_phonemes(scores[:0]) == ()
    assert time_phonemes((), scores, GRID, 320) == ()
    assert times(time_phonemes(align(scores, (1,)), scores, GRID, 320)) == [(0, 1)]
    with pytest.raises(PhonemeError, match="expected at least 1 frames for 1 phonemes, got 0"):
        align(scores[:0], (1,))


def test_impossible_phonemes_are_aligned_with_zero_confidence():
    with np.errstate(divide="ignore"):
        scores = np.log([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [0.5, 0, 0.5]])
    aligned = align(scores, (1, 2))
    assert spans(aligned) == [(1, 1, 1), (2, 3, 3)]
    aligned = align(scores, (2, 1, 2))
    assert spans(aligned) == [(2, 0, 0), (1, 1, 1), (2, 3, 3)]
    assert [item.confidence for item in aligned] == [0.0, 1.0, 0.5]
    for rule in RULES:
        time_phonemes(aligned, scores, GRID, 4 * 320, rule=rule)


@pytest.mark.parametrize(
    ("scores", "symbols", "blank", "words"),
    [
        ([[1.0, -2.0]], (1,), 0, "log-softmax"),
        ([[math.nan, -1.0]], (1,), 0, "NaN"),
        ([-1.0, -1.0], (1,), 0, r"shape \(2,\)"),
        ([[[-1.0], [-1.0]]], (1,), 0, r"shape \(1, 2, 1\)"),
        ([[-1.0, -1.0]], (1,), 2, "blank 2"),
        ([[-1.0, -1.0]], (2,), 0, "from 0 to 1 without the blank 0, got 2"),
        ([[-1.0, -1.0]], (-1,), 0, "without the blank 0, got -1"),
        ([[-1.0, -1.0]], (0,), 0, "without the blank 0"),
    ],
)
def test_invalid_alignments_are_rejected_in_one_line(scores, symbols, blank, words):
    with pytest.raises(PhonemeError, match=words) as caught:
        align(scores, symbols, blank)
    assert "\n" not in str(caught.value)


# Time


def test_the_rules_by_hand():
    """Three blank frames between a and b; the first two have evidence for b, and so the third."""
    scores = posteriors("a", "-b", "-b", "-b", "b")
    aligned = align(scores, (1, 2))
    assert spans(aligned) == [(1, 0, 0), (2, 4, 4)]
    gaps = {rule: times(time_phonemes(aligned, scores, GRID, 5 * 320, rule=rule)) for rule in RULES}
    assert gaps == {
        "spike": [(0, 1), (4, 5)],
        "midpoint": [(0, 2.5), (2.5, 5)],
        "posterior": [(0, 1), (1, 5)],
    }


@pytest.mark.parametrize(
    ("gap", "cut"),
    [
        ("AB", 1.0),  # log odds log 6 and -log 6: zero right between the two centres
        ("AAB", 2.0),
        ("SB", 0.5 + 2 / 3),  # 2 log 6 and -log 6: two thirds of the way from centre to centre
        ("AA", 2.0),
        ("BB", 0.0),
        ("ABAAB", 4.0),  # one frame that errs is outvoted
        ("AABAB", 3.0),  # cuts after 2 and after 4 are as good
    ],
)
def test_posteriors_are_cut_where_the_evidence_on_both_sides_is_greatest(gap, cut):
    rows = {"A": [0.93, 0.06, 0.01], "B": [0.93, 0.01, 0.06], "S": [0.963, 0.036, 0.001]}
    sure = {"a": [0.01, 0.98, 0.01], "b": [0.01, 0.01, 0.98]}
    scores = np.log([(rows | sure)[item] for item in f"a{gap}b"])
    aligned = align(scores, (1, 2))
    assert spans(aligned) == [(1, 0, 0), (2, len(gap) + 1, len(gap) + 1)]
    left, right = times(time_phonemes(aligned, scores, GRID, 9999, rule="posterior"))
    assert left[1] == right[0] == pytest.approx(1 + cut, abs=2e-3)


def test_a_zero_posterior_does_not_outweigh_all_others():
    """Six frames favor b by 60 to 1; in a seventh b has probability zero."""
    rows = [[0.9, 0.09, 0.01], *([[0.939, 0.001, 0.06]] * 6), [0.9, 0.1, 0.0], [0.01, 0.01, 0.98]]
    with np.errstate(divide="ignore"):
        scores = np.log(rows)
    aligned = (AlignedPhoneme(1, 0, 0, 0.1), AlignedPhoneme(2, 8, 8, 1.0))
    assert times(time_phonemes(aligned, scores, GRID, 9 * 320)) == [(0, 1), (1, 9)]


def test_a_gap_between_repeats_is_split_in_the_middle():
    scores = posteriors("a", "-", "-", "-", "a")
    timed = time_phonemes(align(scores, (1, 1)), scores, GRID, 5 * 320)
    assert times(timed) == [(0, 2.5), (2.5, 5)]


def test_a_long_gap_is_a_pause_and_a_shorter_one_is_not():
    """10 blank frames are 200 ms."""
    scores = posteriors("-", "-", "-", "a", *"-" * 10, "b", "-", "-", "-")
    aligned = align(scores, (1, 2))
    for rule in OTHERS:
        speech, pause = (
            times(
                time_phonemes(
                    aligned, scores, GRID, 18 * 320, rule=rule, pause_seconds=longest,
                    edge_seconds=0.03,
                )
            )
            for longest in (0.2, 0.19)
        )  # fmt: skip
        assert speech == [(1.5, 9), (9, 16.5)]
        assert pause == [(1.5, 5.5), (12.5, 16.5)]
    kept = times(time_phonemes(aligned, scores, GRID, 18 * 320, rule="spike", pause_seconds=9))
    assert kept == [(3, 4), (14, 15)]


def test_a_phoneme_reaches_no_further_than_half_a_pause_or_the_recording():
    scores = posteriors("a", "-", "-", "b")
    aligned = align(scores, (1, 2))
    timed = time_phonemes(aligned, scores, GRID, 4 * 320, pause_seconds=0, edge_seconds=1)
    assert times(timed) == [(0, 2), (2, 4)]


def test_times_are_those_of_the_grid():
    """Frame n of wav2vec 2.0's stack here is centred at 320 n + 520 samples."""
    grid = FrameGrid.of((400, 1, 3, 3), (160, 1, 1, 2))
    scores = posteriors("-", "-", "a", "-", "-")
    (phoneme,) = time_phonemes(align(scores, (1,)), scores, grid, 9999, rule="spike")
    assert (phoneme.start_sample + phoneme.end_sample) / 2 == 2 * 320 + 520
    assert (phoneme.start_seconds, phoneme.end_seconds) == (1000 / 16000, 1320 / 16000)


def test_an_unknown_rule_is_rejected():
    with pytest.raises(
        PhonemeError, match="expected a rule of spike, midpoint, posterior, got 'half'"
    ):
        time_phonemes((), posteriors("a"), GRID, 320, rule="half")


# Twin: all paths


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != 0)


def drawn(draw: np.random.Generator, frames: int, size: int, zeros: float) -> np.ndarray:
    """Random posteriors, some of them zero."""
    shares = draw.random((frames, size)) ** 3 * (draw.random((frames, size)) >= zeros)
    shares[shares.sum(axis=1) == 0] = 1.0
    with np.errstate(divide="ignore"):
        return np.log(shares / shares.sum(axis=1, keepdims=True))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 5),
    size=st.integers(2, 4),
    zeros=st.sampled_from([0.0, 0.3]),
    data=st.data(),
)
def test_no_path_that_spells_the_string_is_better(seed, frames, size, zeros, data):
    scores = drawn(np.random.default_rng(seed), frames, size, zeros)
    symbols = tuple(data.draw(st.lists(st.integers(1, size - 1), max_size=3)))
    floored = np.maximum(scores, alignment._LOWEST)
    rows = [
        float(sum(floored[frame, symbol] for frame, symbol in enumerate(path)))
        for path in itertools.product(range(size), repeat=frames)
        if collapsed(path) == symbols
    ]
    if not rows:
        assert fewest_frames(symbols) > frames
        with pytest.raises(PhonemeError, match="expected at least"):
            align(scores, symbols)
        return
    path = [0] * frames
    for item in align(scores, symbols):
        path[item.first : item.last + 1] = [item.symbol] * (item.last + 1 - item.first)
    assert collapsed(tuple(path)) == symbols
    total = float(sum(floored[frame, symbol] for frame, symbol in enumerate(path)))
    assert total == pytest.approx(max(rows), abs=1e-9)


# Laws


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 60),
    share=st.floats(0, 1),
    rule=st.sampled_from(list(RULES)),
    pause=st.sampled_from([0.0, 0.05, 9.0]),
    field=st.sampled_from([320, 400, 1040]),
)
def test_the_laws_of_time(seed, frames, share, rule, pause, field):
    """In order, in the recording, never overlapping, touching but for pauses, own frames held."""
    draw = np.random.default_rng(seed)
    scores = drawn(draw, frames, 5, 0.1)
    symbols = draw.integers(1, 5, int(share * frames) // 2).tolist()
    aligned = align(scores, symbols)
    grid = FrameGrid(field, 320)
    samples = grid.fewest_samples(frames)
    timed = time_phonemes(aligned, scores, grid, samples, rule=rule, pause_seconds=pause)
    assert [item.symbol for item in aligned] == [item.symbol for item in timed] == symbols
    for own, value in zip(aligned, timed, strict=True):
        assert 0 <= own.first <= own.last < frames
        assert 0 <= own.confidence <= 1
        assert own.confidence == value.confidence
        assert 0 <= value.start_sample <= grid.sample_at(own.first)
        assert grid.sample_at(own.last + 1) <= value.end_sample <= samples
    for (own, after), (entry, other) in zip(
        itertools.pairwise(aligned), itertools.pairwise(timed), strict=True
    ):
        assert own.last < after.first
        assert own.symbol != after.symbol or own.last + 1 < after.first
        gap = (after.first - own.last - 1) * 0.02
        if rule != "spike" and gap <= pause:
            assert entry.end_sample == other.start_sample
        assert entry.end_sample <= other.start_sample


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 40), size=st.integers(2, 6))
def test_the_recognized_string_aligns_to_its_best_path(seed, frames, size):
    scores = drawn(np.random.default_rng(seed), frames, size, 0.0)
    decoded = decode_phonemes(scores)
    assert align(scores, [item.symbol for item in decoded]) == decoded


def test_decoding_is_the_best_path_of_the_inventories():
    scores = posteriors("-", "a", "a", "-", "a", "b", "b", "-")
    assert spans(decode_phonemes(scores)) == [(1, 1, 2), (1, 4, 4), (2, 5, 6)]


def test_inputs_are_not_modified():
    scores = posteriors("a", "-", "b")
    before = scores.copy()
    time_phonemes(align(scores, [1, 2]), scores, GRID, 960)
    decode_phonemes(scores)
    np.testing.assert_array_equal(scores, before)
