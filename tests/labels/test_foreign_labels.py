"""Results of other systems, in the shapes that they really have, as canonical names and scores."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from phonemo.errors import LabelError
from phonemo.labels import (
    EMOTIONS,
    from_audonnx,
    from_emotion2vec,
    from_hume,
    from_sensevoice,
    from_speechbrain,
    from_superb,
    from_transformers,
    rescale_scores,
)
from phonemo.labels.foreign_labels import EMOTION2VEC, FOUR, HUME, SENSEVOICE

BILINGUAL = ["生气/angry", "厌恶/disgusted", "恐惧/fearful", "开心/happy", "中立/neutral"]
BILINGUAL += ["其他/other", "难过/sad", "吃惊/surprised", "<unk>"]
SCORES = [0.1, 0.01, 0.02, 0.03, 0.5, 0.04, 0.2, 0.05, 0.05]
EMOTION2VEC_RESULT = [{"key": "zh6", "labels": BILINGUAL, "scores": SCORES}]
SUPERB = [
    {"score": 0.7, "label": "neu"},
    {"score": 0.2, "label": "hap"},
    {"score": 0.07, "label": "ang"},
    {"score": 0.03, "label": "sad"},
]
RICH = "<|en|><|HAPPY|><|Speech|><|withitn|>Hello. <|zh|><|EMO_UNKNOWN|><|BGM|><|woitn|>好"


def classified(*probabilities: float, label: str = "ang") -> tuple:
    """What classify_file of speechbrain returns, with arrays for tensors."""
    values = np.array([probabilities])
    return values, values.max(1), values.argmax(1), [label]


def test_every_table_leads_to_canonical_names():
    names = {*EMOTION2VEC.values(), *FOUR.values(), *HUME, *SENSEVOICE.values()} - {None}
    assert names <= set(EMOTIONS)
    words = [word for table in HUME.values() for word in table]
    assert len(words) == len(set(words))


def test_bilingual_labels_of_emotion2vec_are_merged():
    scores = from_emotion2vec(EMOTION2VEC_RESULT)
    assert scores == from_emotion2vec(EMOTION2VEC_RESULT[0])
    assert scores == {
        "anger": 0.1,
        "disgust": 0.01,
        "fear": 0.02,
        "happiness": 0.03,
        "neutral": 0.5,
        "other": pytest.approx(0.09),
        "sadness": 0.2,
        "surprise": 0.05,
    }
    assert list(scores) == [name for name in EMOTIONS if name in scores]


def test_unused_places_of_emotion2vec_seed_are_other():
    labels = ["生气/angry", "unuse_0", "unuse_1", "开心/happy", "<unk>"]
    result = [{"key": "x", "labels": labels, "scores": [0.7, 0.0, 0.0, 0.2, 0.1]}]
    assert from_emotion2vec(result) == {"anger": 0.7, "happiness": 0.2, "other": 0.1}


def test_english_labels_of_emotion2vec_and_the_vanished_unk_are_the_same():
    english = [label.rpartition("/")[2] for label in BILINGUAL[:-1]]
    result = {"key": "x", "labels": [*english, ""], "scores": np.array(SCORES), "feats": None}
    assert from_emotion2vec(result) == from_emotion2vec(EMOTION2VEC_RESULT)


@pytest.mark.parametrize(
    "result",
    [
        [],
        EMOTION2VEC_RESULT * 2,
        [{"key": "x", "feats": [1.0]}],
        [{"labels": BILINGUAL, "scores": SCORES[:-1]}],
        [{"labels": ["开心/joyous"], "scores": [1.0]}],
        [{"labels": ["happy"], "scores": [float("nan")]}],
        [{"labels": ["happy"], "scores": ["0.5"]}],
        "neutral",
        None,
    ],
)
def test_other_results_are_no_result_of_emotion2vec(result):
    with pytest.raises(LabelError, match=r"expected .* emotion2vec, got .*; ") as error:
        from_emotion2vec(result)
    assert "\n" not in str(error.value)


def test_sensevoice_gives_an_emotion_for_each_segment():
    assert from_sensevoice([{"key": "x", "text": RICH}]) == ("happiness", None)
    assert from_sensevoice(RICH) == from_sensevoice({"text": RICH})
    assert from_sensevoice("<|NEUTRAL|>") == ("neutral",)


@pytest.mark.parametrize("result", ["Hello. 😊", "", "<|HAPPY", [{"key": "x"}], 3, [RICH, RICH]])
def test_a_text_of_sensevoice_without_tags_is_an_error(result):
    with pytest.raises(LabelError, match="SenseVoice"):
        from_sensevoice(result)


def test_speechbrain_probabilities_have_the_order_of_its_label_encoder():
    output = classified(0.1, 0.6, 0.2, 0.1)
    expected = {"anger": 0.6, "happiness": 0.2, "neutral": 0.1, "sadness": 0.1}
    assert from_speechbrain(output) == expected
    assert from_speechbrain(output, {0: "neu", 1: "ang", 2: "hap", 3: "sad"}) == expected


def test_tensors_of_torch_need_no_conversion():
    torch = pytest.importorskip("torch")
    values = torch.tensor([[0.1, 0.6, 0.2, 0.1]])
    output = (values, *values.max(1), ["ang"])
    assert from_speechbrain(output)["anger"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (classified(0.1, 0.6, 0.2, 0.1, label="hap"), "order of the output.*ind2lab"),
        (classified(0.1, 0.9), "expected a score for each label of speechbrain"),
        ((np.ones((2, 4)), None, None, ["neu", "neu"]), "one recording of speechbrain, got 2"),
        (None, "expected \\(out_prob, score, index, text_lab\\)"),
    ],
)
def test_other_outputs_of_speechbrain_are_errors(output, message):
    with pytest.raises(LabelError, match=message):
        from_speechbrain(output)


def test_results_of_pipelines_are_mapped():
    assert from_superb(SUPERB) == from_transformers(SUPERB)
    assert from_superb(SUPERB)["neutral"] == 0.7
    ravdess = ["angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised"]
    scores = from_transformers([{"score": 0.125, "label": name.title()} for name in ravdess])
    assert scores.keys() == {
        *("anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    }
    assert rescale_scores(scores, ["anger", "calm"]) == {"anger": 0.5, "calm": 0.5}


def test_labels_without_a_name_are_one_clear_error():
    rows = [{"score": 0.1, "label": f"LABEL_{number}"} for number in range(9)]
    with pytest.raises(LabelError, match="expected labels of transformers, got 'LABEL_0', 'LA"):
        from_transformers(rows)
    with pytest.raises(LabelError, match=r"got 'calm'; update phonemo"):
        from_superb([*SUPERB, {"score": 0.0, "label": "calm"}])


@pytest.mark.parametrize("result", [[SUPERB, SUPERB], [], None, "neu", [{"label": "neu"}], [3]])
def test_other_results_of_a_pipeline_are_errors(result):
    with pytest.raises(LabelError, match=r"expected a list of .* of superb-er, got"):
        from_superb(result)


def test_the_highest_of_merged_expressions_of_hume_is_kept():
    emotions = [
        {"name": "Joy", "score": 0.3},
        {"name": "Amusement", "score": 0.5},
        {"name": "Surprise (negative)", "score": 0.2},
        {"name": "Surprise (positive)", "score": 0.1},
        {"name": "Empathic Pain", "score": 0.9},
    ]
    expected = {"happiness": 0.5, "other": 0.9, "surprise": 0.2}
    assert from_hume(emotions) == expected
    assert from_hume([SimpleNamespace(**row) for row in emotions]) == expected, "the SDK's objects"
    evi = {"joy": 0.3, "amusement": 0.5, "surpriseNegative": 0.2, "empathicPain": 0.9}
    assert from_hume(evi) == expected, "an EVI message"
    new = [{"name": "surprise (positive)", "probability": 0.7}]
    assert from_hume(new) == {"surprise": 0.7}, "the API of October 2026"
    with pytest.raises(LabelError, match="expected labels of Hume, got 'schadenfreude'"):
        from_hume([{"name": "schadenfreude", "probability": 0.7}])


def test_audonnx_gives_dimensions():
    output = {"hidden_states": np.zeros((1, 1024)), "logits": np.array([[0.7, 0.6, 0.25]])}
    expected = {"arousal": 0.7, "dominance": 0.6, "valence": 0.25}
    assert from_audonnx(output) == from_audonnx(output["logits"]) == expected
    for other in ({}, np.zeros((2, 3)), np.zeros((1, 2)), None):
        with pytest.raises(LabelError, match="audonnx"):
            from_audonnx(other)
