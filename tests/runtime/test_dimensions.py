"""Arousal and valence beside the scores: derived from them, or from a trained head."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phonemo.annotations import writers
from phonemo.annotations.dimensions import NORM, NORMS, Dimensions, mean_dimensions, norms_of
from phonemo.annotations.prediction import Prediction, Segment, to_pandas
from phonemo.errors import CheckpointError
from phonemo.labels import EMOTIONS
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.parts.channel_predictions import combine_channels
from phonemo.runtime.parts.dimensions import derived_reader, trained_reader
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from phonemo.runtime.windows import ClipScores, PredictOptions
from tests.tiny_bundle import BUNDLE, RATE, make_clip

LABELS = ("anger", "neutral", "sadness")
EXCITED = Dimensions({"arousal": 0.71, "valence": 0.2}, derived=True)


class Rated(EmotionRecognizer):
    """Arousal is the peak, from a "trained" head; scores never change."""

    labels = LABELS
    dimensions = trained_reader(LABELS, ["arousal"])

    def _recognize_clip(self, samples, options: PredictOptions) -> ClipScores:
        values = np.array([np.abs(samples).max()], dtype=np.float64)
        return ClipScores(np.array([0.2, 0.5, 0.3]), (), dimensions=values)


@pytest.fixture(scope="module")
def tiny() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE)


def test_norms_name_emotions_of_phonemo_and_lie_on_the_plane():
    for norms in NORMS.values():
        assert set(norms) <= set(EMOTIONS)
        assert all(0 <= value <= 1 for point in norms.values() for value in point)
    assert NORM in NORMS


def test_derived_dimensions_are_norms_weighted_by_scores():
    reader = derived_reader(("anger", "sadness"))
    assert reader is not None
    found = reader.read(np.array([0.5, 0.5]))
    assert found.derived
    assert found.arousal == pytest.approx((0.795 + 0.365) / 2)
    assert found.valence == pytest.approx((0.245 + 0.185) / 2)
    assert found.dominance is None


def test_an_emotion_without_a_norm_has_no_dimensions():
    assert norms_of(("anger", "frustration")) is None
    assert derived_reader(("anger", "frustration")) is None


def test_values_of_a_trained_head_follow_the_scores_and_are_clipped():
    found = trained_reader(LABELS, ["arousal", "dominance"]).read(np.array([0, 1, 0, 0.25, 1.5]))
    assert found == Dimensions({"arousal": 0.25, "dominance": 1.0}, derived=False)


def test_a_mean_needs_dimensions_of_every_part():
    calm = Dimensions({"arousal": 0.11, "valence": 0.6}, derived=True)
    mean = mean_dimensions([(EXCITED, 1.0), (calm, 3.0)])
    assert mean is not None
    assert mean.values == pytest.approx({"arousal": 0.26, "valence": 0.5})
    assert mean_dimensions([(EXCITED, 1.0), (None, 1.0)]) is None
    assert mean_dimensions([]) is None


def test_every_prediction_and_segment_has_them(tiny):
    clip = make_clip(2 * RATE, 200.0)
    found = tiny.predict(clip, RATE, timeline=True)
    assert found.dimensions is not None
    assert found.to_dict()["dimensions"] == {
        "arousal": round(found.dimensions.values["arousal"], 4),
        "valence": round(found.dimensions.values["valence"], 4),
        "derived": True,
    }
    assert all(segment.dimensions is not None for segment in found.segments)


def test_choosing_among_emotions_does_not_change_them(tiny):
    found = tiny.predict(make_clip(RATE, 200.0), RATE)
    assert found.among(["anger", "sadness"]).dimensions == found.dimensions
    assert found.top(1).dimensions == found.dimensions


def test_a_long_recording_and_a_stream_have_the_mean_of_their_scores(tiny):
    clip = make_clip(40 * RATE, 200.0)  # shorter ones are one pass
    windowed = tiny.predict_chunks([clip])
    reader = derived_reader(tiny.labels)
    expected = reader.read(np.array(list(windowed.scores.values())))
    assert windowed.dimensions == expected
    stream = StreamingRecognizer(tiny)
    events = stream.push(clip)
    last, prediction = stream.finish()
    assert prediction.dimensions == windowed.dimensions
    assert all(event.segment.dimensions is not None for event in [*events, *last])


def test_a_trained_heads_values_are_averaged_over_windows():
    quiet, loud = np.full(3 * RATE, 0.2, np.float32), np.full(3 * RATE, 0.8, np.float32)
    samples = np.concatenate([quiet, loud]) * np.tile([1, -1], 3 * RATE).astype(np.float32)
    found = Rated().predict_chunks([samples])
    assert found.dimensions == Dimensions(
        {"arousal": pytest.approx((0.2 + 0.8 + 0.8) / 3, abs=0.02)}, derived=False
    )
    assert found.label == "neutral"
    assert list(found.scores.values()) == pytest.approx([0.2, 0.5, 0.3])
    whole = Rated().predict(loud * samples[: len(loud)] / 0.2, RATE)
    assert whole.dimensions is not None
    assert whole.dimensions.arousal == pytest.approx(0.8, abs=0.01)


def test_channels_are_averaged_by_their_speech():
    def channel(number: int, arousal: float) -> Prediction:
        return Prediction(
            "anger",
            {"anger": 1.0},
            2.0,
            speech_ratio=0.25 * number,
            channel=number,
            dimensions=Dimensions({"arousal": arousal}, derived=True),
        )

    combined = combine_channels([channel(1, 0.2), channel(2, 0.8)])
    assert combined.dimensions is not None
    assert combined.dimensions.arousal == pytest.approx(0.6)


def test_a_card_that_names_dimensions_needs_a_network_with_them(tmp_path: Path):
    folder = Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))
    card = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    card["dimensions"] = {"names": ["arousal", "valence"], "derived": False}
    (folder / "bundle.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(CheckpointError, match="expected 2 dimensions as in the card, got"):
        OnnxRecognizer.load(folder)


def predicted() -> Prediction:
    segment = Segment(0.0, 1.5, "anger", {"anger": 0.9, "neutral": 0.1}, dimensions=EXCITED)
    whole = Prediction("anger", segment.scores, 1.5, segments=(segment,), dimensions=EXCITED)
    return replace(whole, speech_ratio=1.0)


def test_a_textgrid_has_a_tier_for_each_dimension():
    text = writers.textgrid("a.wav", predicted())
    assert 'name = "arousal (derived)"' in text
    assert 'text = "0.71"' in text
    assert "arousal" not in writers.textgrid("a.wav", predicted().without_dimensions())


def test_a_table_has_columns_for_them_on_request():
    names = ("arousal", "valence")
    head = writers.csv_head(["anger"], dimensions=names)
    assert head.endswith(",error,arousal,valence,derived\n")
    row = writers.csv_rows("a.wav", predicted(), ["anger"], dimensions=names)
    assert row.endswith(",0.7100,0.2000,true\n")
    assert writers.csv_error("a.wav", "broken", ["anger"], dimensions=names).endswith("broken,,,\n")
    assert "arousal" not in writers.csv_head(["anger"])


def test_a_data_frame_has_them_as_numbers():
    pytest.importorskip("pandas")
    frame = to_pandas([("a.wav", predicted()), ("b.wav", predicted().without_dimensions())])
    assert frame["arousal"].tolist()[0] == pytest.approx(0.71)
    assert np.isnan(frame["arousal"].tolist()[1])
    assert frame["derived"].tolist() == [True, None]
