"""Requests choose how phonemes are decoded and where they end."""

from __future__ import annotations

import json

import pytest

from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.server.api_errors import ApiError
from phonemo.server.models.phoneme_options import PhonemeRecognizers
from tests.golden.make_runtime_predictions import profile_of
from tests.server.asking import FINISH, ask, clip, events, post, stream, wav
from tests.server.serving import Held, served, settings
from tests.tiny_bundle import ADAPTABLE

FILE = wav(2)


def times(prediction):
    return [(span["symbol"], span["start"], span["end"]) for span in prediction["spans"]]


def wanted(recognizer, decoding, edges):
    chosen = recognizer.with_phonemes(decoding, edges).predict(FILE)
    return [(span.symbol, round(span.start, 4), round(span.end, 4)) for span in chosen.spans]


@pytest.mark.parametrize(
    ("decoding", "edges"), [("beam-search", None), (None, "waveform"), ("beam-search", "waveform")]
)
def test_a_request_chooses_decoding_and_edges(port, recognizer, decoding, edges):
    fields = {"decoding": decoding, "edges": edges}
    fields = {name: value for name, value in fields.items() if value is not None}
    plain = post(port, FILE, response_format="verbose_json").data
    found = post(port, FILE, response_format="verbose_json", **fields).data
    assert found["scores"] == plain["scores"]
    assert times(found) == wanted(recognizer, decoding, edges) != times(plain)
    # the shared model is unchanged
    assert times(post(port, FILE, response_format="verbose_json").data) == times(plain)


def test_the_address_of_a_raw_body_chooses_too(port, recognizer):
    path = "/v1/audio/emotions?response_format=verbose_json&edges=waveform"
    found = ask(port, path, "POST", FILE, {"Content-Type": "audio/wav"}).data
    assert times(found) == wanted(recognizer, None, "waveform")


def test_a_stream_chooses_too(port):
    finals = []
    for query in ("", "&edges=waveform&decoding=beam-search"):
        with stream(port, f"?phonemes=true{query}") as client:
            client.send(clip(2 * 16_000).tobytes())
            client.send(FINISH)
            finals.append(events(client)[-1]["prediction"])
    plain, chosen = finals
    assert chosen["scores"] == plain["scores"]
    assert times(chosen) != times(plain)


@pytest.mark.parametrize(
    ("name", "value"),
    [("decoding", "english"), ("decoding", "klingon"), ("decoding", ""), ("edges", "sharp")],
)
def test_what_the_model_does_not_support_is_refused(port, name, value):
    found = post(port, FILE, **{name: value})
    assert found.told == (400, "invalid_value")
    assert found.data["error"]["param"] == name
    assert ("best-path" if name == "decoding" else "waveform") in found.data["error"]["message"]
    with stream(port, f"?{name}={value}") as client:
        (refused,) = events(client)
    assert (refused["type"], refused["error"]["param"]) == ("error", name)


def test_a_model_without_phonemes_decodes_by_the_best_path_only():
    with served(settings(), {"deaf": Held()}) as found:
        answer = post(found.port, FILE, decoding="beam-search")
        assert answer.told == (400, "invalid_value")
        assert "this model has none" in answer.data["error"]["message"]
        assert post(found.port, FILE, decoding="best-path").status == 200


@pytest.mark.parametrize("applied", ["profile", "profile_json"])
def test_a_profile_and_a_decoding_are_both_applied(tmp_path, applied):
    model = OnnxRecognizer.load(ADAPTABLE, threads=1)
    profile = profile_of(ADAPTABLE.name)
    profile.save(tmp_path / "mine.json")
    chosen = model.with_profile(profile).with_phonemes("beam-search", "waveform").predict(FILE)
    fields = {"profile": "mine"} if applied == "profile" else {}
    fields = fields or {"profile_json": (tmp_path / "mine.json").read_text()}
    fields |= {"decoding": "beam-search", "edges": "waveform", "response_format": "verbose_json"}
    with served(settings(models=(str(ADAPTABLE),), profiles=str(tmp_path))) as found:
        answer = post(found.port, FILE, **fields).data
    expected = chosen.to_dict(spans=True)
    assert {name: answer[name] for name in ("profile", "scores", "spans")} == {
        name: expected[name] for name in ("profile", "scores", "spans")
    }


def test_equal_options_share_a_recognizer_and_so_a_batch(recognizer):
    options = PhonemeRecognizers()
    chosen = options.chosen(recognizer, "beam-search", None)
    assert options.chosen(recognizer, "beam-search", None) is chosen
    assert options.chosen(recognizer, None, "waveform") is not chosen
    assert options.chosen(recognizer, None, None) is recognizer
    assert options.chosen(recognizer, None, "posteriors") is recognizer
    assert chosen.graph is recognizer.graph


def test_the_copies_of_a_recognizer_end_with_it(recognizer):
    options, other = PhonemeRecognizers(), recognizer.with_phonemes()
    options.chosen(other, "beam-search", None)
    assert len(options._copies) == 1
    del other
    assert len(options._copies) == 0


def test_a_long_unknown_name_is_shortened_in_one_line(recognizer):
    with pytest.raises(ApiError) as refused:
        PhonemeRecognizers().chosen(recognizer, "x\n" * 10_000, None)
    message = json.dumps(str(refused.value))
    assert "\\n" not in message
    assert len(message) < 1000
