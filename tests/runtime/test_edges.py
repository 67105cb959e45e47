"""Refined boundaries by hand, and the change of the spectrum against a plain implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.runtime.phonemes import edges
from phonemo.runtime.phonemes.edges import refine_spans, spectral_change

RATE, HOP, WINDOW = 16_000, 80, 320


def changes(**peaks: float) -> np.ndarray:
    """Changes of a recording of 0.515 s, by their time: ``at_260`` is 0.26 s."""
    change = np.zeros(100)
    for name, value in peaks.items():
        change[round((int(name.removeprefix("at_")) - 10) / 5)] = value
    return change


def bounds(spans, change, monkeypatch, seconds=0.515):
    """Refined starts and ends, where the spectrum changes like this."""
    monkeypatch.setattr(edges, "spectral_change", lambda _: change)
    pairs = [PhonemeSpan("a", start, end, 1.0) for start, end in spans]
    refined = refine_spans(pairs, np.zeros(int(seconds * RATE)))
    return [(round(span.start, 9), round(span.end, 9)) for span in refined]


def plain_change(wave: np.ndarray) -> np.ndarray:
    """As defined: log energies of triangles on the mel scale, 10 ms before and 10 ms after."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    corners = [700 * (10 ** (top * n / 25 / 2595) - 1) for n in range(26)]
    frames = [wave[at : at + WINDOW] for at in range(0, len(wave) - WINDOW + 1, HOP)]
    powers = [np.abs(np.fft.rfft(frame * np.hanning(WINDOW))) ** 2 for frame in frames]
    frequencies = np.fft.rfftfreq(WINDOW, 1 / RATE)
    floor = 1e-6 * np.mean(powers) + 1e-10
    energies = [
        [
            math.log(np.interp(frequencies, corners[n : n + 3], [0, 1, 0]) @ power + floor)
            for n in range(24)
        ]
        for power in powers
    ]
    change = [0.0] * len(frames)
    for n in range(2, len(frames) - 2):
        pairs = zip(energies[n - 2], energies[n + 2], strict=True)
        change[n] = math.sqrt(sum((a - b) ** 2 for a, b in pairs) / 24)
    return np.array(change)


@pytest.mark.parametrize("samples", [320, 399, 400, 639, 640, 1999])
def test_the_change_of_the_spectrum_is_that_of_its_definition(samples):
    draw = np.random.default_rng(samples)
    wave = draw.normal(size=samples) * np.linspace(0.001, 0.3, samples)
    np.testing.assert_allclose(spectral_change(wave), plain_change(wave), atol=1e-9)


@pytest.mark.parametrize(
    ("peaks", "moved"),
    [
        ({}, 0.26),
        ({"at_265": 1}, 0.265),
        ({"at_240": 1}, 0.24),
        ({"at_280": 1}, 0.28),
        ({"at_285": 1, "at_255": 0.1}, 0.255),
        ({"at_265": 1, "at_280": 1.05}, 0.265),
        ({"at_265": 1, "at_280": 1.06}, 0.28),
    ],
)
def test_a_boundary_moves_to_the_fastest_change_within_reach(peaks, moved, monkeypatch):
    """A mean change at the distance of 20 ms counts half of one less: 1.0567 is the limit here."""
    assert bounds([(0.1, 0.26), (0.26, 0.4)], changes(**peaks), monkeypatch) == [
        (0.1, moved),
        (moved, 0.4),
    ]


def test_a_short_neighbor_keeps_half_of_its_length(monkeypatch):
    change = changes(at_265=1, at_270=9)
    assert bounds([(0.1, 0.26), (0.26, 0.2711)], change, monkeypatch)[0] == (0.1, 0.265)
    assert bounds([(0.1, 0.26), (0.26, 0.2709)], change, monkeypatch)[0] == (0.1, 0.26)
    change = changes(at_255=1, at_250=9)
    assert bounds([(0.2489, 0.26), (0.26, 0.4)], change, monkeypatch)[0][1] == 0.255


def test_a_pause_stays_one(monkeypatch):
    pause = [(0.1, 0.26), (0.28, 0.4)]
    assert bounds(pause, changes(at_275=1), monkeypatch) == [(0.1, 0.27), (0.275, 0.4)]
    assert bounds(pause, changes(at_265=1), monkeypatch) == [(0.1, 0.265), (0.27, 0.4)]


def test_no_boundary_leaves_the_recording(monkeypatch):
    assert bounds([(0.1, 0.26)], changes(at_280=1), monkeypatch, 0.27) == [(0.1, 0.27)]
    early = changes(at_10=1)
    early[0] = 0
    assert bounds([(0.005, 0.26)], early, monkeypatch)[0] == (0.005, 0.26)
    assert bounds([(0.0, 0.26)], np.geomspace(1, 1e-9, 100), monkeypatch)[0][0] >= 0


@pytest.mark.parametrize(("samples", "is_kept"), [(0, True), (319, True), (320, False)])
def test_a_recording_without_a_spectrum_keeps_its_spans(samples, is_kept):
    spans = (PhonemeSpan("a", 0.0, 0.5, 1.0),)
    assert (refine_spans(spans, np.zeros(samples)) == spans) == is_kept
