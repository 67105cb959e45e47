"""Profiles in WS /v1/audio/stream: named, sent, grown over the stream and reset."""

from __future__ import annotations

import json

import numpy as np
import pytest

from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from phonemo.server.routes.responses import prediction_data
from tests.server.adapting import RECORDINGS, offering
from tests.server.asking import FINISH, clip, events, stream
from tests.server.serving import until
from tests.tiny_bundle import ADAPTABLE, RATE

RESET = json.dumps({"type": "reset"})
PAUSE = np.zeros(RATE * 3 // 10, np.int16)
#: A buzz every 3 s, with pauses; without them they would be noise.
SAMPLES = np.concatenate(
    [part for number in range(12) for part in (clip(RATE * 27 // 10, 100.0 + 50 * number), PAUSE)]
)


@pytest.fixture(scope="module")
def model() -> OnnxRecognizer:
    return OnnxRecognizer.load(ADAPTABLE, threads=1)


@pytest.fixture(scope="module")
def profile(model) -> Profile:
    return model.profile(RECORDINGS)


@pytest.fixture(scope="module")
def offered(model, tmp_path_factory):
    limits = {"profile_bytes": 4000}
    with offering(model, tmp_path_factory.mktemp("profiles"), limits=limits) as found:
        yield found


@pytest.fixture(autouse=True)
def quiet(offered):
    """Nothing that a client does is a fault in the server's log, and no place is lost."""
    yield
    until(lambda: offered.service.admission.streams.in_use == 0, 10)
    complaints, offered.complaints.lines = offered.complaints.lines, []
    assert complaints == []


def sent(profile) -> str:
    return json.dumps({"type": "profile", "profile_json": profile.to_dict()})


def streamed(offered, messages, query=""):
    with stream(offered.port, query) as client:
        for one in messages:
            client.send(one)
        return events(client), client.close_code


def pieces(samples, size=8000):
    return [samples[start : start + size].tobytes() for start in range(0, len(samples), size)]


def expected(recognizer, parts, adapt=False):
    """What the library gives of the same samples, with a reset between the parts."""
    live = StreamingRecognizer(recognizer, adapt=adapt)
    found = live.push(parts[0])
    for part in parts[1:]:
        live.reset_profile()
        found += live.push(part)
    last, answer = live.finish()
    data = [
        {"type": one.kind, "segment": one.segment.to_dict(), "speech_ratio": one.speech_ratio}
        | ({} if one.profile is None else {"profile": one.profile.to_dict()})
        for one in (*found, *last)
    ]
    final = {"type": "final", "prediction": prediction_data("tiny-adaptable", answer)}
    grown = live.profile
    if adapt:
        final["profile_json"] = None if grown is None else grown.to_dict()
    return [*data, final]


def test_a_named_profile_is_applied(offered, model, profile):
    (ready, *found), code = streamed(offered, [*pieces(SAMPLES), FINISH], "?profile=office")
    assert ready["profile"] == {"hash": profile.hash, "count": 6}
    assert found == expected(model.with_profile(profile), [SAMPLES])
    assert found[-1]["prediction"]["profile"] == {"hash": profile.hash, "count": 6}
    assert code == 1000


def test_a_sent_profile_is_applied(offered, model, profile):
    messages = [sent(profile), *pieces(SAMPLES), FINISH]
    (ready, told, *found), code = streamed(offered, messages)
    assert "profile" not in ready
    assert told == {"type": "profile", "profile": {"hash": profile.hash, "count": 6}}
    assert found == expected(model.with_profile(profile), [SAMPLES])
    assert code == 1000


@pytest.mark.parametrize("size", [801, 16_000, 50_000])
def test_an_adapted_profile_does_not_depend_on_the_messages(offered, model, size):
    (ready, *found), code = streamed(offered, [*pieces(SAMPLES, size), FINISH], "?adapt=true")
    assert ready["adapt"] is True
    assert found == expected(model, [SAMPLES], adapt=True)
    counts = [
        one["profile"]["count"] for one in found if one["type"] == "window" and "profile" in one
    ]
    assert counts[0] == 5
    assert counts == sorted(counts)
    assert Profile.from_dict(found[-1]["profile_json"]) == model.profile([SAMPLES], RATE)
    assert code == 1000


def test_adaptation_on_top_of_a_profile(offered, model, profile):
    adapted = model.with_profile(profile)
    for before, query in (([], "?adapt=true&profile=office"), ([sent(profile)], "?adapt=true")):
        found, _ = streamed(offered, [*before, *pieces(SAMPLES), FINISH], query)
        told = [one for one in found if one["type"] not in ("ready", "profile")]
        assert told == expected(adapted, [SAMPLES], adapt=True)


def test_a_reset_drops_the_adapted_profile(offered, model):
    half = 20 * RATE
    messages = [*pieces(SAMPLES[:half]), RESET, *pieces(SAMPLES[half:]), FINISH]
    (_, *found), code = streamed(offered, messages, "?adapt=true")
    assert {"type": "profile", "profile": None} in found
    found.remove({"type": "profile", "profile": None})
    assert found == expected(model, [SAMPLES[:half], SAMPLES[half:]], adapt=True)
    assert code == 1000


def test_a_reset_can_drop_all_profiles(offered, profile):
    everything = json.dumps({"type": "reset", "everything": True})
    for command, mark in ((RESET, profile.mark.to_dict()), (everything, None)):
        found, _ = streamed(
            offered, [*pieces(SAMPLES[: 4 * RATE]), command, FINISH], "?adapt=true&profile=office"
        )
        assert {"type": "profile", "profile": mark} in found


def test_without_a_profile_no_event_names_one(offered, model):
    (ready, *found), _ = streamed(offered, [*pieces(SAMPLES), FINISH], "?adapt=false")
    assert found == expected(model, [SAMPLES])
    assert "profile" not in json.dumps([ready, *found])


def test_the_next_stream_starts_without_adaptation(offered):
    for _ in range(2):
        found, _ = streamed(offered, [*pieces(SAMPLES), FINISH], "?adapt=true")
        assert "profile" not in next(one for one in found if one["type"] == "window")


def test_a_silent_stream_has_no_adapted_profile(offered):
    found, _ = streamed(offered, [bytes(8 * RATE), FINISH], "?adapt=true")
    assert found[-1]["profile_json"] is None


def text(**values):
    return json.dumps({"type": "profile", **values})


@pytest.mark.parametrize(
    ("query", "messages", "code"),
    [
        ("?profile=shop", [], "profile_not_found"),
        ("?profile=../office", [], "profile_not_found"),
        ("?profile=office&model=tiny-bundle", [], "profile_mismatch"),
        ("?adapt=true&model=tiny-bundle", [], "profile_unsupported"),
        ("?adapt=perhaps", [], "invalid_value"),
        ("?profile_json={}", [], "unknown_field"),
        ("?profile=office", [text(profile_json={})], "invalid_value"),
        ("?model=tiny-bundle", [text(profile_json={})], "profile_unsupported"),
        ("", [text(profile_json={})], "invalid_profile"),
        ("", [text(profile_json="office")], "invalid_message"),
        ("", [text(profile="office")], "invalid_message"),
        ("", [text()], "invalid_message"),
        ("", [text(profile_json={}, more=1)], "invalid_message"),
        ("", [text(profile_json={"mean": [1] * 2000})], "message_too_large"),
        ("", [RESET], "invalid_message"),
        ("?adapt=true", ['{"type": "reset", "everything": 1}'], "invalid_message"),
        ("?adapt=true", ['{"type": "reset", "all": true}'], "invalid_message"),
        ("?adapt=true", [bytes(100), text(profile_json={})], "invalid_message"),
        ("", [b"\x01", text(profile_json={})], "invalid_message"),
    ],
)
def test_an_invalid_profile_closes_the_stream_with_an_error(offered, query, messages, code):
    found, closed = streamed(offered, messages, query)
    assert found[-1]["type"] == "error"
    assert found[-1]["error"]["code"] == code
    assert found[-1]["error"]["message"].isprintable()
    assert closed == (1009 if code == "message_too_large" else 1008)


def test_a_profile_of_another_model_is_rejected(offered, profile):
    other = Profile.from_dict(profile.to_dict() | {"model": "0" * 64})
    found, closed = streamed(offered, [sent(other)])
    assert found[-1]["error"]["code"] == "profile_mismatch"
    assert closed == 1008
