"""A timeline by hand: cells, smoothing, trimming, joining."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.runtime.timeline import Timeline, WindowScore

HOP = 16_000  # cells of a second
LABELS = ("anger", "neutral")
ANGER, NEUTRAL = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def everywhere(start: int, end: int) -> tuple[int, int]:
    return start, end


def rows(segments):
    return [
        (segment.start, segment.end, segment.label, round(segment.scores["anger"], 4))
        for segment in segments
    ]


def run_timeline(opinions, samples, extent=everywhere, smoothing=1):
    """All segments, and how many were known after each window."""
    line = Timeline(LABELS, HOP, extent, smoothing)
    known = []
    for opinion in opinions:
        line.add(None if opinion is None else WindowScore(opinion, 1.0))
        known.append(len(line.segments))
    line.finish(samples)
    return rows(line.segments), known


def test_without_smoothing_a_cell_is_the_mean_of_its_two_windows():
    result, _ = run_timeline([ANGER, ANGER, NEUTRAL], 4 * HOP, smoothing=0)
    # cells: A; A+A; A+N (a tie goes to the first label); N
    assert result == [(0, 3, "anger", round((1 + 1 + 0.5) / 3, 4)), (3, 4, "neutral", 0.0)]


def test_smoothing_is_a_triangle():
    line = Timeline(LABELS, HOP, everywhere, 1)
    for item in (ANGER, NEUTRAL, NEUTRAL, NEUTRAL, NEUTRAL):
        line.add(WindowScore(item, 1.0))
    line.finish(6 * HOP)
    # cell 0 depends on windows 0 (3/4) and 1 (1/4); cell 1 on 0, 1 (3/4) and 2 (1/4);
    # cell 2 on 0 and 3 (1/4), 1 and 2 (3/4); no later cell depends on window 0
    anger = [0.75 / 1.0, 0.75 / 1.75, 0.25 / 2.0]
    assert rows(line.segments) == [
        (0, 1, "anger", anger[0]),
        (1, 6, "neutral", round((anger[1] + anger[2]) / 5, 4)),
    ]


def test_a_window_counts_as_much_as_it_has_speech():
    line = Timeline(LABELS, HOP, everywhere, 0)
    line.add(WindowScore(ANGER, 3.0))
    line.add(WindowScore(NEUTRAL, 1.0))
    line.finish(3 * HOP)
    assert rows(line.segments) == [(0, 2, "anger", 0.875), (2, 3, "neutral", 0.0)]


def test_a_single_outlier_window_does_not_split_a_segment():
    result, _ = run_timeline([NEUTRAL] * 3 + [ANGER] + [NEUTRAL] * 3, 8 * HOP)
    assert [row[:3] for row in result] == [(0, 8, "neutral")]


def test_segments_are_trimmed_to_speech_and_end_at_long_pauses():
    speech = [(2000, 30_000), (3 * HOP + 8000, 4 * HOP)]

    def extent(start, end):
        inside = [(max(start, a), min(end, b)) for a, b in speech if a < end and b > start]
        return (inside[0][0], inside[-1][1]) if inside else None

    result, _ = run_timeline([ANGER, None, ANGER], 4 * HOP, extent)
    assert [row[:2] for row in result] == [(0.125, 1.875), (3.5, 4.0)]


@pytest.mark.parametrize(
    ("speech", "opinions", "expected"),
    [
        # a fifth of a second after the edge of a cell goes with what was before
        ([(0, 35_200)], [ANGER, ANGER, NEUTRAL, NEUTRAL], [(0, 2.2, "anger")]),
        # and one before it with what comes
        ([(28_800, 64_000)], [ANGER, NEUTRAL, NEUTRAL, NEUTRAL], [(1.8, 4, "neutral")]),
        # alone it is what it is
        ([(28_800, 32_000)], [ANGER, ANGER, NEUTRAL, NEUTRAL], [(1.8, 2, "anger")]),
    ],
)
def test_little_speech_at_the_edge_of_a_cell_is_no_segment(speech, opinions, expected):
    def extent(start, end):
        inside = [(max(start, a), min(end, b)) for a, b in speech if a < end and b > start]
        return inside[0] if inside else None

    result, _ = run_timeline(opinions, 4 * HOP, extent, smoothing=0)
    assert [row[:3] for row in result] == expected


@pytest.mark.parametrize(("pause", "end"), [(511, 3 * HOP), (512, 3 * HOP - 512), (600, 47_400)])
def test_a_segment_reaches_the_next_one_within_a_chunk_of_voice_activity(pause, end):
    def extent(start, stop):
        return start, stop - pause if stop == 3 * HOP else stop

    result, _ = run_timeline([ANGER, ANGER, NEUTRAL, NEUTRAL], 5 * HOP, extent, smoothing=0)
    assert [row[:3] for row in result] == [(0, end / HOP, "anger"), (3, 5, "neutral")]


@pytest.mark.parametrize(("pause", "segments"), [(HOP, 1), (HOP + 1, 2)])
def test_a_pause_of_more_than_a_second_ends_a_segment(pause, segments):
    def extent(start, stop):
        return {0: (0, HOP // 2), HOP: (HOP // 2 + pause, 2 * HOP)}.get(start, (start, stop))

    result, _ = run_timeline([ANGER] * 3, 4 * HOP, extent)
    assert len(result) == segments


def test_segments_of_continuous_speech_are_contiguous():
    """A cell may end within a chunk of 32 ms of voice activity."""

    def extent(start, end):
        return max(start, start // 512 * 512), end // 512 * 512

    result, _ = run_timeline(
        [ANGER, ANGER, NEUTRAL, NEUTRAL, NEUTRAL], 6 * HOP, extent, smoothing=0
    )
    assert [row[2] for row in result] == ["anger", "neutral"]
    assert result[0][1] == result[1][0]


def test_a_segment_is_known_as_soon_as_nothing_can_change_it():
    """Cell n is decided by window n + 1, so with windows of two cells when cell n + 2 ended."""
    _, known = run_timeline([ANGER] * 4 + [NEUTRAL] * 6, 11 * HOP)
    # cell 4 (windows 2 to 5) is a tie, cell 5 the first of "neutral": decided by window 6
    assert known == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]


def test_only_windows_still_needed_are_kept():
    line = Timeline(LABELS, HOP, everywhere)
    for number in range(500):
        line.add(WindowScore((ANGER, NEUTRAL)[number // 9 % 2], 1.0))
        assert len(line._scores) <= 4
        assert len(line._open) <= 12


def test_no_cell_lies_beyond_the_end():
    cells = []

    def extent(start, end):
        cells.append((start, end))
        return start, end

    run_timeline([ANGER, ANGER], HOP * 5 // 2, extent)
    assert cells == [(0, HOP), (HOP, 2 * HOP), (2 * HOP, HOP * 5 // 2)]


@pytest.mark.parametrize("samples", [0, HOP // 2])
def test_silence_has_no_segment(samples):
    assert run_timeline([None], samples)[0] == []
