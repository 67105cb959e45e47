"""Emotions of words: the turn's half-overlapping windows, interpolated at the middle of each word.

A word alone is too short to be recognized. Its scores are those of a window around it, as long as
the model's and within the turn, which is the mean of the two computed windows whose middles are
nearest, weighted by distance. In a turn no longer than a window, all words have the turn's scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from phonemo.annotations.prediction import Prediction, Word
from phonemo.annotations.turn_rows import Turn
from phonemo.audio import RATE, Waveform
from phonemo.runtime.windows import SlidingWindows, Window


def recognize_words(
    predict: Callable[[Waveform, Turn], Prediction],
    waveform: Waveform,
    turn: Turn,
    whole: Prediction,
    window_seconds: float,
) -> tuple[Word, ...]:
    """Return the turn's words with labels and scores.

    Args:
        predict: predicts audio of the turn.
        waveform: the turn's audio.
        turn: the turn.
        whole: the prediction of the whole turn, used where one window covers it.
        window_seconds: window length.
    """
    if not turn.words:
        return ()
    windows = _cut(waveform, window_seconds)
    middles = np.array([(window.start + window.end) / 2 for window in windows])
    positions = [((word.start + word.end) / 2 - turn.start) * RATE for word in turn.words]
    if len(windows) == 1:
        rows = {0: list(whole.scores.values())}
    else:
        rows = {
            number: list(predict(_excerpt(waveform, windows[number]), turn).scores.values())
            for number in _needed(positions, middles)
        }
    known = sorted(rows)
    columns = np.array([rows[number] for number in known]).T  # (emotion, window)
    scores = np.array([np.interp(positions, middles[known], column) for column in columns])
    labels = list(whole.scores)
    return tuple(
        _with_scores(word, dict(zip(labels, map(float, row), strict=True)))
        for word, row in zip(turn.words, scores.T, strict=True)
    )


def _cut(waveform: Waveform, window_seconds: float) -> list[Window]:
    windows = SlidingWindows(window_seconds)
    return [*windows.push(waveform.samples), *windows.finish()]


def _excerpt(waveform: Waveform, window: Window) -> Waveform:
    return replace(waveform, samples=window.samples)


def _needed(positions: Sequence[float], middles: np.ndarray) -> list[int]:
    """The windows next to any word: those whose middles surround its middle."""
    after = np.searchsorted(middles, positions)
    last = len(middles) - 1
    return sorted({int(min(max(one, 0), last)) for index in after for one in (index - 1, index)})


def _with_scores(word: Word, scores: dict[str, float]) -> Word:
    return replace(word, label=max(scores, key=scores.__getitem__), scores=scores)
