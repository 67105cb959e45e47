"""The fields channels and summary: the two sides of a call, at the API."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest

from phonemo.annotations import writers
from phonemo.annotations.summary.call_summary import with_summary
from phonemo.server.routes.answer_schemas import EmotionAnswer
from phonemo.server.settings import ServeLimits
from tests.server.asking import ask, clip, encoded, post
from tests.server.serving import served, settings
from tests.tiny_bundle import BUNDLE, RATE

SECONDS = 3


def call(channels: int = 2, silent: int | None = None) -> bytes:
    """A recording whose channels are buzzes of different pitch, one after the other."""
    samples = np.zeros((channels * SECONDS * RATE, channels), np.int16)
    for channel in range(channels):
        if channel + 1 != silent:
            start = channel * SECONDS * RATE
            buzz = clip(SECONDS * RATE, 200 + 150 * channel)
            samples[start : start + len(buzz), channel] = buzz
    return encoded(samples)


@pytest.fixture(scope="module")
def stereo() -> bytes:
    """Two channels, 6 s."""
    return call()


def test_each_channel_is_recognized_as_the_library_does(port, recognizer, stereo):
    found = post(port, stereo, channels="split")
    expected = recognizer.predict(stereo, channels="split").to_dict()
    assert found.status == 200
    assert {**found.data, "model": None} == {**expected, "model": None}
    assert [one["channel"] for one in found.data["channels"]] == [1, 2]
    assert {one["channel"] for one in found.data["segments"]} == {1, 2}


@pytest.mark.parametrize("number", [1, 2])
def test_one_channel_is_recognized_as_if_it_were_alone(port, recognizer, stereo, number):
    found = post(port, stereo, channels=number).data
    assert found["channel"] == number
    assert {one["channel"] for one in found["segments"]} == {number}
    assert found["scores"] == recognizer.predict(stereo, channels=number).scores
    assert "channels" not in found


def test_the_mix_of_different_channels_says_so(port, stereo):
    found = post(port, stereo).data
    assert "channels_differ" in found["warnings"]
    assert "channel" not in found
    assert found == post(port, stereo, channels="mix").data


def test_warnings_about_channels_come_from_the_decoder(port):
    assert "silent_channel" in post(port, call(silent=2), channels="split").data["warnings"]
    left = clip(SECONDS * RATE)
    opposite = encoded(np.stack([left, -left], axis=1))
    assert "opposite_phase" in post(port, opposite).data["warnings"]


@pytest.mark.parametrize("value", ["0", "65", "-1", "1.5", "left", "SPLIT!", "", "1,2"])
def test_channels_that_do_not_exist_anywhere_are_refused(port, stereo, value):
    found = post(port, stereo, channels=value)
    assert found.told == (400, "invalid_value")
    assert found.data["error"]["param"] == "channels"
    assert "mix, split or a number from 1 to 64" in found.data["error"]["message"]


def test_a_channel_that_the_file_lacks_is_refused(port, stereo):
    found = post(port, stereo, "call.wav", channels=3)
    assert found.told == (422, "invalid_channel")
    assert found.data["error"]["param"] == "channels"
    assert "from 1 to 2, got 3" in found.data["error"]["message"]


def test_a_split_of_one_channel_is_that_channel(port):
    found = post(port, encoded(clip(RATE)), channels="split").data
    assert [one["channel"] for one in found["channels"]] == [1]


@pytest.mark.parametrize("name", ["srt", "vtt", "rttm", "textgrid"])
def test_text_formats_are_one_combined_file(port, recognizer, stereo, name):
    found = post(port, stereo, "call.wav", response_format=name, channels="split")
    predicted = recognizer.predict(stereo, channels="split").without_dimensions()
    assert found.body.decode() == writers.BY_FILE[name][1]("call.wav", predicted)


def test_labels_and_top_k_apply_to_each_channel(port, stereo):
    found = post(port, stereo, channels="split", top_k=1).data
    assert [len(one["scores"]) for one in [found, *found["channels"]]] == [1, 1, 1]


def test_the_summary_is_that_of_the_library(port, recognizer, stereo):
    found = post(port, stereo, channels="split", summary="true").data
    predicted = recognizer.predict(stereo, channels="split", timeline=True)
    assert found["summary"] == with_summary(predicted).to_dict()["summary"]
    assert [party["channel"] for party in found["summary"]["parties"]] == [1, 2]
    assert "summary" not in post(port, stereo, channels="split").data


def test_the_summary_of_a_mix_has_one_party(port, stereo):
    verbose = post(port, stereo, summary="true", response_format="verbose_json").data
    assert len(verbose["summary"]["parties"]) == 1
    assert verbose["spans"] is None or verbose["timings"]


def test_the_summary_counts_all_emotions_even_if_few_are_returned(port, stereo):
    whole = post(port, stereo, summary="true").data
    short = post(port, stereo, summary="true", top_k=1).data
    assert short["summary"] == whole["summary"]


def test_a_summary_has_no_place_in_a_text_format(port, stereo):
    found = post(port, stereo, summary="true", response_format="csv")
    assert found.told == (400, "invalid_value")
    assert found.data["error"]["param"] == "summary"
    assert "verbose_json" in found.data["error"]["message"]


def test_what_is_returned_is_what_is_documented(port, stereo):
    for fields in ({"channels": "split"}, {"channels": "2"}, {}):
        found = post(port, stereo, summary="true", phonemes="true", **fields).data
        answer = EmotionAnswer.model_validate(found)
        assert answer.summary is not None
        assert answer.model_dump(exclude_unset=True) == found
    schema = ask(port, "/openapi.json").data
    form = schema["paths"]["/v1/audio/emotions"]["post"]["requestBody"]["content"]
    properties = form["multipart/form-data"]["schema"]["properties"]
    assert {"channels", "summary"} <= set(properties)
    assert re.fullmatch(properties["channels"]["pattern"], "split")
    assert "SummaryData" in schema["components"]["schemas"]


def test_the_channels_of_a_recording_share_its_limit_of_decoded_bytes():
    """16 channels at 8 kHz fit when they are mixed; each at 16 kHz is twice as much."""
    samples = np.random.default_rng(0).normal(0, 3000, (8000 * 20, 16)).astype(np.int16)
    many = encoded(samples, rate=8000)
    limits = ServeLimits(decoded_bytes=8000 * 20 * 16 * 4 + 10_000)
    with served(settings(models=(str(BUNDLE),), limits=limits)) as found:
        assert post(found.port, many).status == 200
        assert post(found.port, many, channels="split").told == (413, "audio_too_large")
        assert post(found.port, many, channels="16").status == 200
        assert found.complaints.lines == []


@pytest.mark.parametrize("channels", ["split", "2"])
def test_csv_has_the_channel_of_each_row(port, stereo, channels):
    body = post(port, stereo, response_format="csv", channels=channels).body.decode()
    rows = list(csv.DictReader(io.StringIO(body)))
    assert sorted({row["channel"] for row in rows}) == (
        ["1", "2"] if channels == "split" else ["2"]
    )
    assert "channel" not in post(port, stereo, response_format="csv").body.decode().split("\n")[0]


def test_rttm_has_the_number_of_each_channel(port, stereo):
    body = post(port, stereo, response_format="rttm", channels="split").body.decode()
    assert {line.split()[2] for line in body.splitlines()} == {"1", "2"}


def test_warnings_of_a_silent_channel_are_in_the_order_of_the_library(port, recognizer):
    half = call(silent=2)
    found = post(port, half, channels="split").data["channels"][0]["warnings"]
    assert found == list(recognizer.predict(half, channels="split").channels[0].warnings)
