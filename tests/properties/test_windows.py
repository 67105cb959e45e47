"""Windows, voice activity and timelines cover what was said once, however the samples come."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.annotations.tiers import TierInterval, non_overlapping
from phonemo.audio import load_waveform, open_waveform
from phonemo.runtime.sliding import SlidingInference
from phonemo.runtime.timeline import GAP_SECONDS, Timeline, WindowScore
from phonemo.runtime.vad import CHUNK_SAMPLES, EnergyVad, VadTrack
from phonemo.runtime.windows import LEAST_SPEECH_SECONDS, ClipScores, SlidingWindows
from tests.properties.strategies import RATE, few, many, some

LABELS = ("anger", "neutral", "sadness")
seconds = st.floats(0.5, 4)


def cut(audio, sizes):
    """The audio in pieces of these sizes, and the rest."""
    at = 0
    for size in sizes:
        yield audio[at : at + size]
        at += size
    yield audio[at:]


@many
@given(
    seconds,
    st.integers(0, 6),
    st.sampled_from([-1, 0, 1]) | st.integers(0, 30_000),
    st.lists(st.integers(0, 30_000), max_size=8),
)
def test_windows_of_any_length_cover_every_sample(length, hops, rest, sizes):
    """Each starts a hop after the one before; the halves of a hop belong to one window each."""
    windower = SlidingWindows(length)
    hop = windower.hop
    samples = max(0, hops * hop + rest)
    audio = np.arange(samples, dtype=np.float32)
    found = [one for piece in cut(audio, sizes) for one in windower.push(piece)]
    found += windower.finish()
    assert hop == int(length * RATE) // 2
    assert [one.start for one in found] == [hop * n for n in range(len(found))]
    assert all(len(one.samples) == 2 * hop for one in found[:-1])
    covered = np.zeros(samples, dtype=int)
    for one in found:
        np.testing.assert_array_equal(one.samples, audio[one.start : one.end])
        covered[one.start : one.end] += 1
    assert covered.min(initial=1) == 1
    assert (covered[hop : max(hop, samples - 2 * hop)] == 2).all(), "twice but at the ends"
    assert windower.samples == samples


def bursts(*lengths, seed=0):
    """Noise and silence in turn, of so many samples."""
    random = np.random.default_rng(seed)
    levels = (0.1, 1e-5)
    parts = [random.normal(0, levels[n % 2], size) for n, size in enumerate(lengths)]
    return np.concatenate([*parts, np.zeros(0)]).astype(np.float32)


sounds = st.lists(st.integers(0, 50_000), min_size=1, max_size=7).map(lambda x: bursts(*x))


@some
@given(sounds, st.integers(0, 120_000), st.integers(1, 120_000))
def test_where_somebody_speaks_is_inside_what_was_asked(audio, start, size):
    track = VadTrack(EnergyVad())
    track.push(audio)
    end = start + size
    found = track.extent(start, end)
    assert 0 <= track.share(start, end) <= 1
    chunks = range(start // CHUNK_SAMPLES, min(end // CHUNK_SAMPLES, len(track.flags)))
    spoken = [n for n in chunks if track.flags[n]]
    assert track.seconds(start, end) == pytest.approx(len(spoken) * CHUNK_SAMPLES / RATE)
    if not spoken:
        assert found is None
        return
    assert start <= found[0] < found[1] <= end
    assert found[0] <= max(start, spoken[0] * CHUNK_SAMPLES)
    assert found[1] >= min(end, (spoken[-1] + 1) * CHUNK_SAMPLES)


opinions = st.none() | st.builds(
    WindowScore,
    st.lists(st.integers(0, 9), min_size=3, max_size=3).map(
        lambda x: (np.array(x) + 1e-3) / (sum(x) + 3e-3)
    ),
    st.floats(0.25, 3),
)


def voted(told, cell, reach):
    """The emotion of a cell: a triangle over the windows around it, weighted by their speech."""
    near = [(1 - abs(n + 0.5 - cell) / reach, one) for n, one in enumerate(told)]
    total = sum((max(0.0, near) * one.weight * one.scores for near, one in near), np.zeros(3))
    return int(total.argmax())


@many
@given(st.lists(opinions, min_size=1, max_size=30), st.integers(1, 24_000), st.integers(0, 2))
def test_cells_that_all_hold_speech_tile_the_recording(told, rest, smoothing):
    """Without a pause, segments touch from the first sample to the last, and each is one run."""
    hop = 24_000
    line = Timeline(LABELS, hop, lambda start, end: (start, end), smoothing)
    told = [WindowScore(np.array([1.0, 0, 0]), 1.0) if one is None else one for one in told]
    early = [segment for one in told for segment in line.add(one)]
    samples = len(told) * hop + rest
    found = [*early, *line.finish(samples)]
    assert found == line.segments
    assert found[0].start == 0
    assert found[-1].end == samples / RATE
    assert all(one.end == after.start for one, after in pairwise(found))
    votes = [voted(told, cell, smoothing + 1) for cell in range(len(told) + 1)]
    if rest < 8000:  # with less than half a second of speech it goes with its neighbour
        votes.pop()
    assert [one.label for one in found] == [LABELS[vote] for vote, _ in groupby(votes)]


IN_TURN = [WindowScore(np.eye(3)[n // 5 % 3], 1.0) for n in range(12)]


@many
@example(IN_TURN, bursts(200_000), 16_000)
@given(
    st.lists(opinions, min_size=1, max_size=20),
    sounds,
    st.sampled_from([4000, 8191, 16_000, 24_000]),
)
def test_segments_lie_in_order_hold_speech_and_are_parted_at_pauses(told, audio, hop):
    track = VadTrack(EnergyVad())
    track.push(audio)
    line = Timeline(LABELS, hop, track.extent)
    for one in told:
        line.add(one)
    samples = min(len(audio), (len(told) + 1) * hop)
    line.finish(samples)
    for one in line.segments:
        assert 0 <= one.start < one.end <= max(samples, (len(told)) * hop) / RATE
        assert sum(one.scores.values()) == pytest.approx(1)
        assert one.scores[one.label] == max(one.scores.values())
        begins, ends = round(one.start * RATE), round(one.end * RATE)
        assert any(track.flags[begins // CHUNK_SAMPLES : -(-ends // CHUNK_SAMPLES)])
    for one, after in pairwise(line.segments):
        assert one.end <= after.start
        gap = after.start - one.end
        assert one.label != after.label or gap > GAP_SECONDS - hop / RATE
        assert gap == 0 or gap >= CHUNK_SAMPLES / RATE - 1e-9, "no hole within a chunk of speech"


def loudness(samples):
    """A network that needs no weights: which third of a second is the loudest, and a phoneme."""
    parts = [float(np.abs(part).sum()) + 1e-6 for part in np.array_split(samples, 3)]
    length = len(samples) / RATE
    spans = (PhonemeSpan("a", 0.25 * length, 0.3 * length, 0.5),)
    return ClipScores(np.array(parts) / sum(parts), spans)


def hear(pieces, length=3.0):
    hearing = SlidingInference(loudness, LABELS, EnergyVad(), length)
    events = [event for piece in pieces for event in hearing.push(piece)]
    events += hearing.finish()
    return events, hearing.answer()


@some
@given(
    sounds.filter(len), seconds, st.lists(st.integers(0, 40_000), max_size=10), st.integers(1, 9999)
)
def test_a_stream_in_any_pieces_says_what_one_piece_says(audio, length, sizes, size):
    wanted = hear([audio], length)
    assert hear(cut(audio, sizes), length) == wanted
    assert hear([audio[at : at + size] for at in range(0, len(audio), size)], length) == wanted


@some
@given(sounds.filter(len), seconds)
def test_an_answer_is_the_mean_of_the_windows_that_hold_speech(audio, length):
    events, found = hear([audio], length)
    windows = [one for one in events if one.kind == "window"]
    assert tuple(one.segment for one in events if one.kind == "segment") == found.segments
    assert ("no_speech" in found.warnings) == (not windows)
    assert found.seconds == len(audio) / RATE
    if windows:
        spans = [one.segment for one in windows]
        weights = [w.speech_ratio * (s.end - s.start) for w, s in zip(windows, spans, strict=True)]
        assert min(weights) >= LEAST_SPEECH_SECONDS - 1e-9
        rows = [list(one.scores.values()) for one in spans]
        mean = np.average(rows, axis=0, weights=weights)
        # a chunk of 32 ms that begins before a window counts in it: a window's weight may be up to
        # 24 ms longer than the window, which the ratio of its event, at most 1, does not say
        assert list(found.scores.values()) == pytest.approx(mean.tolist(), abs=0.02)
    starts = [one.start for one in found.spans]
    assert starts == sorted(starts)
    assert all(0 <= one.start < one.end <= found.seconds for one in found.spans)


def clicks(samples):
    """A network that hears a phoneme of 40 ms around every click."""
    places = np.flatnonzero(samples == 1) / RATE
    spans = tuple(PhonemeSpan("k", place - 0.02, place + 0.02, 1.0) for place in places)
    return ClipScores(np.full(3, 1 / 3), spans)


@some
@example([24_000, 16_000, 30_000], 2.0, [])  # on the borders between what windows own
@given(
    st.lists(st.integers(400, 30_000), min_size=1, max_size=20),
    st.floats(0.6, 4),
    st.lists(st.integers(0, 40_000), max_size=6),
)
def test_every_phoneme_is_taken_once_wherever_it_lies(gaps, length, sizes):
    """Where somebody speaks all the time; a window with little speech is not heard."""
    places = np.cumsum(gaps)
    audio = np.zeros(int(places[-1]) + 8000, dtype=np.float32)
    audio[places] = 1
    hearing = SlidingInference(clicks, LABELS, lambda chunks: [True] * len(chunks), length)
    for piece in cut(audio, sizes):
        hearing.push(piece)
    hearing.finish()
    middles = [(one.start + one.end) / 2 for one in hearing.answer().spans]
    assert middles == pytest.approx((places / RATE).tolist(), abs=1e-9)


@few
@given(
    st.integers(400, 200_000),
    st.sampled_from([8000, 16_000, 44_100]),
    st.sampled_from([1, 2, 5]),
    st.integers(1000, 70_000),
)
def test_audio_in_blocks_of_any_size_is_audio_at_once(samples, rate, channels, block):
    audio = np.random.default_rng(samples).normal(0, 0.1, (channels, samples)).astype(np.float32)
    if samples * RATE / rate < 500:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("phonemo.audio.arrays.BLOCK_FRAMES", block)
        with open_waveform(audio, rate=rate) as reader:
            pieces = list(reader)
    whole = load_waveform(audio, rate=rate).samples
    assert reader.samples == len(whole)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert len(whole) == pytest.approx(samples * RATE / rate, abs=2)


@pytest.mark.parametrize("kind", ["array", "file"])
def test_audio_that_is_begun_in_one_thread_is_read_on_in_another(kind):
    """As predict_many does with long recordings: nothing of its state may belong to a thread."""
    samples = np.random.default_rng(0).normal(0, 0.1, 200_000).astype(np.float32)
    source = samples if kind == "array" else wav(samples)
    rate = RATE if kind == "array" else None
    with open_waveform(source, rate=rate) as reader, ThreadPoolExecutor(1) as other:
        pieces = iter(reader)
        first = other.submit(next, pieces).result()
        before = np.geterr()
        rest = list(pieces)
        assert np.geterr() == before
    np.testing.assert_array_equal(np.concatenate([first, *rest]), samples)


def wav(samples):
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, format="WAV", subtype="FLOAT")
    return stream.getvalue()


@some
@example([1.0001], 44_100)
@given(
    st.lists(st.sampled_from([0.5, 1.0, 2.0005]) | st.floats(0, 3), max_size=6),
    st.sampled_from([8000, RATE, 44_100]),
)
def test_slices_that_touch_hold_every_sample_once(times, rate):
    """Wherever they are cut: between two samples, too."""
    samples = np.random.default_rng(7).normal(0, 0.1, 3 * rate).astype(np.float32)
    edges = [0.0]
    for time in sorted(times):  # the shortest slice that is taken is 25 ms
        edges += [time] if time - edges[-1] > 0.03 and time < 2.97 else []
    slices = [
        load_waveform(samples, rate=rate, start=start, end=end).samples
        for start, end in pairwise([*edges, None])
    ]
    whole = load_waveform(samples, rate=rate).samples
    joined = np.concatenate(slices)
    assert len(joined) == len(whole)
    np.testing.assert_allclose(joined, whole, atol=0 if rate == RATE else 2e-6)


gaps = st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=8)


@many
@given(gaps, st.floats(1e-3, 10))
def test_a_tier_covers_a_recording_once_whatever_the_times(times, length):
    """As turns of other programs may have them: anywhere, upside down, past the end, alike."""
    given_ = [TierInterval(start, end, "x") for start, end in sorted(times)]
    found = list(non_overlapping(given_, length))
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(length, abs=1.1e-6)
    assert all(one.end == after.start for one, after in pairwise(found))
    assert all(one.end > one.start for one in found)
    assert all(one.text or after.text for one, after in pairwise(found)), "no gap after a gap"
    wanted = sum(end - start for start, end in union([x for x in times if x[0] < x[1]], length))
    told = sum(one.end - one.start for one in found if one.text)
    assert told == pytest.approx(wanted, abs=2e-5)


def union(pairs, length):
    """The time that any of them covers, below a length."""
    made = []
    for start, end in sorted(pairs):
        end = min(end, length)
        if made and start <= made[-1][1]:
            made[-1][1] = max(end, made[-1][1])
        elif start < end:
            made.append([start, end])
    return made
