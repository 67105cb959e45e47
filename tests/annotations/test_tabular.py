"""Predictions as a data frame with audformat's index."""

from __future__ import annotations

import sys

import pytest

from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment, to_pandas
from phonemo.errors import MissingExtraError

SPANS = (PhonemeSpan("a", 0.1, 0.3, 0.9), PhonemeSpan("b", 1.2, 1.4, 0.9))
LONG = Prediction(
    "anger",
    {"anger": 0.75, "calm": 0.25},
    2.0,
    SPANS,
    ("clipped", "windowed"),
    (
        Segment(0.0, 1.0, "anger", {"anger": 0.75, "calm": 0.25}, "Ann"),
        Segment(1.1, 2.0, "calm", {"anger": 0.125, "calm": 0.875}),
    ),
    speech_ratio=0.9,
)
HAND = Prediction("joy", {"joy": 0.5, "calm": 0.5}, 0.1)


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas", reason="pandas is an optional part of phonemo")


def test_a_row_for_each_segment(pandas):
    frame = to_pandas([("a.wav", LONG), ("b.wav", HAND)])
    scores = ["anger", "calm", "joy"]
    assert list(frame) == [
        "label",
        "unsure",
        *scores,
        "speaker",
        "speech_ratio",
        "phonemes",
        "warnings",
    ]
    assert list(frame["label"]) == ["anger", "calm", "joy"]
    assert list(frame["calm"]) == [0.25, 0.875, 0.5]
    assert frame["anger"].isna().tolist() == [False, False, True]
    assert list(frame["speaker"]) == ["Ann", None, None]
    assert list(frame["phonemes"]) == ["a", "b", None]
    assert list(frame["warnings"]) == ["clipped windowed", "clipped windowed", ""]
    assert frame["speech_ratio"].isna().tolist() == [False, False, True]
    assert all(frame[name].dtype == "float64" for name in [*scores, "speech_ratio"])


def test_the_index_is_of_files_and_exact_times(pandas):
    index = to_pandas([("a.wav", LONG), ("b.wav", HAND)]).index
    assert index.names == ["file", "start", "end"]
    assert list(index.get_level_values("file")) == ["a.wav", "a.wav", "b.wav"]
    nanoseconds = [time.value for time in index.get_level_values("start")]
    assert nanoseconds == [0, 1_100_000_000, 0]
    nanoseconds = [time.value for time in index.get_level_values("end")]
    assert nanoseconds == [1_000_000_000, 2_000_000_000, 100_000_000]


@pytest.mark.parametrize("answers", [[], [("a.wav", LONG)]])
def test_the_index_types_are_those_of_audformat(pandas, answers):
    audformat = pytest.importorskip("audformat", reason="only compares with audformat")
    expected = audformat.segmented_index(["a.wav"], ["0s"], ["1s"]).dtypes
    assert to_pandas(answers).index.dtypes.to_dict() == expected.to_dict()


def test_no_predictions_give_an_empty_frame(pandas):
    frame = to_pandas([])
    assert len(frame) == 0
    assert list(frame) == ["label", "unsure", "speaker", "speech_ratio", "phonemes", "warnings"]
    assert frame.index.names == ["file", "start", "end"]
    assert str(frame.index.dtypes["start"]) == "timedelta64[ns]"


def test_silence_is_a_row_without_an_emotion(pandas):
    frame = to_pandas([("a.wav", Prediction("anger", {"anger": 1.0}, 2.0, None, ("no_speech",)))])
    assert len(frame) == 1
    file, start, end = frame.index[0]
    assert (file, start.total_seconds(), end.total_seconds()) == ("a.wav", 0, 2)
    row = frame.iloc[0]
    assert row["label"] is None
    assert pandas.isna(row["anger"])
    assert row["warnings"] == "no_speech"


def test_a_prediction_converts_itself_to_a_frame(pandas):
    pandas.testing.assert_frame_equal(LONG.to_pandas("a.wav"), to_pandas([("a.wav", LONG)]))


def test_missing_pandas_is_an_error_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"a data frame needs .*phonemo\[pandas\]"):
        to_pandas([])
