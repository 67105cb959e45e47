"""What the page shows of doubt: unsure, synthetic, silent and mixed recordings."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

import phonemo

EMOTIONS = ("anger", "happiness", "sadness")


@pytest.fixture(scope="module")
def answer(voice):
    """An answer of the server, to be changed."""
    return phonemo.load().predict(voice, shares=True, timeline=True).to_dict(spans=True)


def show(page, voice, answer, **changes) -> None:
    data = {"model": "phonemo-small", **answer, **changes}
    page.route("**/v1/audio/emotions", lambda route: route.fulfill(json=data))
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.get_by_test_id("result-label").wait_for()


def headline(page) -> tuple[str, str]:
    return (
        page.get_by_test_id("result-label").inner_text().strip(),
        page.get_by_test_id("result-percent").inner_text().strip(),
    )


def test_an_unsure_answer_is_headed_unsure_without_the_color_of_an_emotion(page, voice, answer):
    scores = {"anger": 0.45, "neutral": 0.55 / 2, "sadness": 0.55 / 2}
    segments = [{"start": 0, "end": 2, "label": "anger", "unsure": True, "scores": scores}]
    told = {"label": "anger", "scores": scores, "warnings": ["unsure"], "segments": segments}
    show(page, voice, answer, **told)
    assert headline(page) == ("unsure", "closest: anger, score 45%")
    assert page.get_by_test_id("result").get_attribute("data-emotion") == ""
    row = page.get_by_test_id("file-row")
    assert "unsure, closest: anger, score 45%" in row.inner_text()
    assert row.get_attribute("data-emotion") == ""
    assert page.get_by_test_id("segment").first.inner_text().strip() == "anger?"


def test_a_sure_answer_says_what_was_measured_and_leads_there(page, voice, answer):
    scores = {"anger": 0.9, "neutral": 0.1}
    show(page, voice, answer, label="anger", scores=scores, warnings=[])
    assert headline(page) == ("anger", "score 90%")
    assert "not a certainty" in page.get_by_test_id("notes").inner_text()
    page.get_by_test_id("measured-link").click()
    assert "Arabic and Italian" in page.get_by_test_id("measured").inner_text()


def test_a_synthetic_sample_has_no_verdict(page):
    page.get_by_test_id("sample-german").click()
    page.get_by_test_id("result-label").wait_for()
    label, detail = headline(page)
    assert label == "synthetic voice"
    assert detail.startswith("closest: ")
    assert page.get_by_test_id("result").get_attribute("data-emotion") == ""
    assert "acted no emotion" in page.get_by_test_id("notes").inner_text()


def test_silence_has_no_emotion_and_no_phonemes(page, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(32_000), 16_000)
    page.get_by_test_id("file-input").set_input_files(str(tmp_path / "silence.wav"))
    page.get_by_test_id("result-label").wait_for()
    assert headline(page) == ("no speech", "")
    assert page.get_by_test_id("phoneme").count() == 0


def test_a_mixture_is_headed_mixed_with_shares_of_time(page, voice, answer):
    mixture = {"anger": 0.28, "happiness": 0.21, "sadness": 0.2}
    show(page, voice, answer, mixture=mixture, warnings=["windowed", "unsure"])
    assert headline(page) == ("mixed", "anger 28% of the time, happiness 21%")
    assert page.get_by_test_id("result").get_attribute("data-emotion") == ""
