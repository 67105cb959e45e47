"""Recognition by speaker turn: each turn's prediction, and the recording's."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.annotations.turns import Turn
from phonemo.audio import AudioLimits
from phonemo.errors import AudioError, UsageError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import ClipScores
from tests.tiny_bundle import BUNDLE, make_clip

RATE = 16_000


class Loudness(EmotionRecognizer):
    """A network to check by hand: anger is the level; a phoneme from 0.1 to 0.2 s."""

    labels = ("anger", "calm")

    def _recognize_clip(self, samples, options):
        anger = round(float(np.abs(samples).max()), 3)
        share = anger if options.shares else None
        return ClipScores(np.array([anger, 1 - anger]), (PhonemeSpan("a", 0.1, 0.2, 0.5, share),))


def levels(*parts: tuple[float, float]) -> np.ndarray:
    """(seconds, level) each, a square wave of it."""
    made = [level * (-1) ** (np.arange(round(seconds * RATE)) // 40) for seconds, level in parts]
    return np.concatenate(made).astype(np.float32)


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE, threads=1)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return np.concatenate([make_clip(3 * RATE, 120.0), make_clip(3 * RATE, 900.0)])


@pytest.fixture(scope="module")
def path(clip, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("spoken") / "clip.wav"
    soundfile.write(path, clip, RATE, subtype="FLOAT")
    return path


class Pipe(io.RawIOBase):
    """Bytes that come once and cannot be sought in."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._data.readinto(buffer)


def test_scores_are_the_turns_weighted_by_their_length():
    audio = levels((1, 0.9), (3, 0.3), (2, 0.75))
    prediction = Loudness().predict(
        audio, RATE, turns=[Turn(0, 1, "A"), Turn(1, 4, "B"), Turn(4, 6, None)]
    )
    # (1 x 0.9 + 3 x 0.3 + 2 x 0.75) / 6
    assert prediction.scores == pytest.approx({"anger": 0.55, "calm": 0.45})
    assert prediction.label == "anger"
    results = [(x.start, x.end, x.label, x.scores["anger"], x.speaker) for x in prediction.segments]
    assert results == [
        (0, 1, "anger", 0.9, "A"),
        (1, 4, "calm", 0.3, "B"),
        (4, 6, "anger", 0.75, None),
    ]
    assert prediction.seconds == 6
    assert prediction.warnings == ()


def test_phonemes_are_in_the_time_of_the_recording_and_in_order():
    audio = levels((6, 0.5))
    prediction = Loudness().predict(
        audio, RATE, turns=[Turn(3, 4, "A"), Turn(0.5, 2, "B"), Turn(0.25, 5, "A")]
    )
    starts = [(span.start, span.end) for span in prediction.spans]
    expected = [(0.35, 0.45), (0.6, 0.7), (3.1, 3.2)]
    assert [x for pair in starts for x in pair] == pytest.approx([x for p in expected for x in p])
    assert all(span.share is None for span in prediction.spans)
    assert prediction.phonemes == ("a", "a", "a")


def test_shares_are_those_of_the_turn():
    audio = levels((1, 0.9), (1, 0.3))
    prediction = Loudness().predict(
        audio, RATE, turns=[Turn(0, 1, "A"), Turn(1, 2, "B")], shares=True
    )
    assert [span.share for span in prediction.spans] == [0.9, 0.3]


def test_turns_may_overlap():
    audio = levels((2, 0.8), (2, 0.2))
    prediction = Loudness().predict(audio, RATE, turns=[Turn(0, 4, "A"), Turn(2, 4, "B")])
    assert [(x.start, x.end, x.scores["anger"]) for x in prediction.segments] == [
        (0, 4, 0.8),
        (2, 4, 0.2),
    ]
    assert prediction.scores["anger"] == pytest.approx((4 * 0.8 + 2 * 0.2) / 6)


def test_all_source_types_give_the_same_result(recognizer, clip, path):
    turns = [Turn(0.5, 2, "A"), Turn(2.5, 5.25, "B")]
    data = path.read_bytes()
    expected = recognizer.predict(path, turns=turns)
    assert [segment.speaker for segment in expected.segments] == ["A", "B"]
    with path.open("rb") as file:
        sources = [str(path), data, bytearray(data), file, io.BytesIO(data), Pipe(data)]
        for source in sources:
            assert recognizer.predict(source, turns=turns) == expected
    assert recognizer.predict(clip, RATE, turns=turns) == expected
    assert recognizer.predict(np.stack([clip, clip]), RATE, turns=turns) == expected


def test_an_open_file_is_read_from_its_position(recognizer, path):
    stream = io.BytesIO(b"head" + path.read_bytes())
    stream.seek(4)
    assert recognizer.predict(stream, turns=[Turn(1, 2, None)]).seconds == 6


def test_a_turn_gives_the_same_result_as_a_recording(recognizer, clip):
    prediction = recognizer.predict(clip, RATE, turns=[Turn(1, 2.5, "A")], shares=True)
    alone = recognizer.predict(clip[RATE : RATE * 5 // 2], RATE, shares=True)
    assert prediction.scores == pytest.approx(alone.scores)
    assert prediction.segments[0].scores == alone.scores
    assert prediction.phonemes == alone.phonemes
    assert len(prediction.spans) > 3
    for span, other in zip(prediction.spans, alone.spans, strict=True):
        assert span.start == pytest.approx(other.start + 1)
        assert span.share == other.share


def test_an_array_of_another_rate_is_cut_in_seconds():
    audio = np.repeat(levels((1, 0.9), (1, 0.3)), 2)
    prediction = Loudness().predict(audio, 2 * RATE, turns=[Turn(1.1, 1.9, "B")])
    assert (prediction.seconds, prediction.segments[0].end) == (2, pytest.approx(1.9))
    assert prediction.label == "calm"


def test_a_turn_after_the_end_or_too_short_is_skipped_with_a_warning():
    audio = levels((2, 0.9))
    kept = Turn(1, 2, "A")
    for lost in (Turn(2, 3, "B"), Turn(50, 60, "B"), Turn(1, 1.01, "B")):
        prediction = Loudness().predict(audio, RATE, turns=[lost, kept])
        assert [segment.speaker for segment in prediction.segments] == ["A"]
        assert prediction.warnings == ("turns_skipped",)


def test_a_turn_beyond_the_end_is_shortened_and_weighted_accordingly():
    audio = levels((1, 0.9), (1, 0.3))
    prediction = Loudness().predict(audio, RATE, turns=[Turn(0, 1, "A"), Turn(1.5, 90, "B")])
    assert prediction.segments[1].end == 2
    assert prediction.scores["anger"] == pytest.approx((0.9 + 0.5 * 0.3) / 1.5)
    assert prediction.warnings == ()


@pytest.mark.parametrize("turns", [[Turn(3, 4, "A")], [Turn(3, 4, "A"), Turn(0, 0.001, "B")]])
def test_turns_that_are_all_unusable_are_an_error(turns):
    with pytest.raises(AudioError, match=f"none of {len(turns)} turns .* of 2.00 s") as caught:
        Loudness().predict(levels((2, 0.5)), RATE, turns=turns)
    assert caught.value.code == "too_short"


@pytest.mark.parametrize(("start", "end"), [(2, 1), (1, 1), (-2, -1), (float("nan"), 1)])
def test_an_unusable_turn_is_skipped_and_alone_is_a_usage_error(start, end):
    audio, lost = levels((2, 0.5)), Turn(start, end, "B")
    with pytest.raises(UsageError, match=r"expected turns with 0 <= start < end .* got 1, the"):
        Loudness().predict(audio, RATE, turns=[lost])
    prediction = Loudness().predict(audio, RATE, turns=[lost, Turn(-1, 1, "A")])
    assert [(one.start, one.end, one.speaker) for one in prediction.segments] == [(0, 1, "A")]
    assert prediction.warnings == ("turns_skipped",)


def test_skipped_turns_are_counted_by_reason():
    turns = [Turn(1, 1), Turn(3, 2), Turn(9, 10), Turn(0, math.inf), Turn(0, 0.01), Turn(0, 1)]
    prediction = Loudness().predict(levels((2, 0.5)), RATE, turns=turns)
    expected = {"no_length": 2, "beyond_end": 1, "not_finite": 1, "too_short": 1}
    assert prediction.turns_skipped == expected
    assert prediction.to_dict()["turns_skipped"] == expected
    whole = Loudness().predict(levels((2, 0.5)), RATE, turns=[Turn(0, 1)])
    assert "turns_skipped" not in whole.to_dict()


def test_turns_that_overlap_are_all_recognized():
    turns = [Turn(0, 2, "A"), Turn(0.5, 1.5, "B"), Turn(0.5, 1.5, "B")]
    assert len(Loudness().predict(levels((2, 0.5)), RATE, turns=turns).segments) == 3


def test_a_turn_that_ends_at_the_end_of_time_is_shortened():
    prediction = Loudness().predict(levels((2, 0.5)), RATE, turns=[Turn(0, 1e308, None)])
    assert prediction.segments[0].end == 2


def test_an_unusable_recording_is_reported_instead_of_its_turns(tmp_path):
    path = tmp_path / "text.wav"
    path.write_text("this is text", encoding="utf-8")
    for source, code in ((path, "unsupported_audio"), (b"", "empty_audio")):
        with pytest.raises(AudioError) as caught:
            Loudness().predict(source, turns=[Turn(0, 1, None)])
        assert caught.value.code == code
    broken = levels((2, 0.5))
    broken[RATE // 2] = np.nan
    with pytest.raises(AudioError, match="not a number"):
        Loudness().predict(broken, RATE, turns=[Turn(0, 1, None)])


def test_a_long_turn_is_processed_in_windows(recognizer):
    audio = np.concatenate([make_clip(33 * RATE, 200.0), make_clip(3 * RATE, 700.0)])
    prediction = recognizer.predict(audio, RATE, turns=[Turn(0.5, 32.5, "A"), Turn(33, 36, "B")])
    assert [(segment.start, segment.end) for segment in prediction.segments] == [
        (0.5, 32.5),
        (33, 36),
    ]
    assert prediction.warnings == ("windowed",)
    alone = recognizer.predict(audio[RATE // 2 : 65 * RATE // 2], RATE)
    assert alone.warnings == ("windowed",)
    assert prediction.segments[0].scores == pytest.approx(alone.scores)
    spans = [span for span in prediction.spans if span.start < 32.5]
    assert [(span.symbol, span.start) for span in spans] == [
        (span.symbol, span.start + 0.5) for span in alone.spans
    ]


def test_turn_warnings_are_merged_with_skipped_turns_last():
    audio = levels((2, 0.5), (2, 0.0), (1, 0.4))
    silent = [Turn(2, 3, "A"), Turn(3, 4, "B"), Turn(0, 1, "A"), Turn(9, 10, "B")]
    prediction = Loudness().predict(audio, RATE, turns=silent)
    assert prediction.warnings == ("turns_skipped", "timeline_differs"), "the mean is of no turn"
    prediction = Loudness().predict(audio, RATE, turns=silent[:2])
    assert prediction.warnings == ("silent", "no_speech"), "all of them are"


def test_an_empty_list_of_turns_is_a_usage_error():
    with pytest.raises(UsageError, match="expected turns, got none"):
        Loudness().predict(levels((2, 0.5)), RATE, turns=[])


def test_an_unsure_turn_gives_a_warning():
    listener = Loudness()
    listener.abstain_below = 0.6
    audio = levels((1, 0.9), (1, 0.5))
    assert listener.predict(audio, RATE, turns=[Turn(0, 1, "A")]).warnings == ()
    assert listener.predict(audio, RATE, turns=[Turn(1, 2, "A")]).warnings == ("unsure",)


def test_turns_that_contradict_each_other_are_unsure_together():
    listener = Loudness()
    listener.abstain_below = 0.6
    audio = levels((1, 0.9), (1, 0.1))
    prediction = listener.predict(audio, RATE, turns=[Turn(0, 1, "A"), Turn(1, 2, "B")])
    assert max(prediction.scores.values()) == pytest.approx(0.5)
    assert "unsure" in prediction.warnings


def test_the_limits_of_the_recognizer_apply_to_turns():
    listener = Loudness()
    listener.limits = AudioLimits(max_seconds=2)
    with pytest.raises(AudioError, match="2 s"):
        listener.predict(levels((6, 0.5)), RATE, turns=[Turn(0, 5, None)])


def test_an_endless_pipe_is_rejected():
    read = 0

    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            nonlocal read
            read += len(buffer)
            if read > 2**24:
                raise RuntimeError("more than 16 MiB were read where 64 kB are the limit")
            return len(buffer)

    listener = Loudness()
    listener.limits = AudioLimits(max_decoded_bytes=2**16)
    with pytest.raises(AudioError) as caught:
        listener.predict(Endless(), turns=[Turn(0, 1, None)])
    assert caught.value.code == "audio_too_large"


def test_a_text_stream_is_a_usage_error(path):
    with pytest.raises(UsageError, match="binary mode"):
        Loudness().predict(io.StringIO(str(path)), turns=[Turn(0, 1, None)])


def test_a_closed_file_raises_an_audio_error(path):
    with path.open("rb") as file:
        pass
    with pytest.raises(AudioError, match="reading failed"):
        Loudness().predict(file, turns=[Turn(0, 1, None)])


def test_turns_may_be_a_file_and_must_be_turns(tmp_path):
    (tmp_path / "t.csv").write_text("start,end,speaker\n0,1,A\n1,2,B\n", encoding="utf-8")
    audio = levels((1, 0.9), (1, 0.3))
    prediction = Loudness().predict(audio, RATE, turns=tmp_path / "t.csv")
    assert prediction == Loudness().predict(audio, RATE, turns=[Turn(0, 1, "A"), Turn(1, 2, "B")])
    assert prediction == Loudness().predict(audio, RATE, turns=[(0, 1, "A"), (1, 2, "B")])
    with pytest.raises(UsageError, match=r"turns segment 1: expected an object with start and end"):
        Loudness().predict(audio, RATE, turns=[object()])
    with pytest.raises(UsageError, match="turns and timeline"):
        Loudness().predict(audio, RATE, turns=[Turn(0, 1, "A")], timeline=True)
