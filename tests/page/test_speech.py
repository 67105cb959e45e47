"""The spoken language of a recording, by which its phonemes are decoded."""

from __future__ import annotations

import json

import phonemo
from tests.page.test_files import upload
from tests.page.test_looks import broken
from tests.tiny_bundle import alike


def downloaded(page, name="download-json"):
    with page.expect_download() as waiting:
        page.get_by_test_id(name).click()
    return waiting.value.path().read_text("utf-8")


def phonemes(page):
    return json.loads(downloaded(page))["phonemes"]


def choose(page, value):
    """Choose a language, and wait for the new answer."""
    with page.expect_response("**/v1/audio/emotions"):
        page.get_by_test_id("speech-select").select_option(value)
    page.wait_for_function("() => !document.querySelector('[data-testid=speech-select]').disabled")


def test_a_chosen_language_changes_the_phonemes_and_not_the_emotion(page, voice):
    model = phonemo.load()
    any_language, english = (
        [span.symbol for span in one.predict(voice).spans]
        for one in (model, model.with_phonemes("english"))
    )
    assert any_language != english
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    verdict = page.get_by_test_id("result-percent").inner_text()
    assert alike(phonemes(page), any_language)
    choose(page, "english")
    assert alike(phonemes(page), english)
    assert page.get_by_test_id("result-percent").inner_text() == verdict
    assert broken(page) == []
    # the text formats, which the server writes, and the recordings that follow
    assert f'"{english[0]}"' in downloaded(page, "download-textgrid")
    upload(page, voice)
    page.get_by_test_id("file-row").nth(1).get_by_text("%").first.wait_for()
    assert page.get_by_test_id("speech-select").input_value() == "english"
    assert alike(phonemes(page), english)
    choose(page, "")
    assert alike(phonemes(page), any_language)


def test_live_mode_takes_the_chosen_language(page, voice):
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    choose(page, "english")
    with page.expect_websocket() as opened:
        page.get_by_test_id("live-button").click()
    assert "decoding=english" in opened.value.url
    page.wait_for_timeout(2500)
    page.get_by_test_id("live-stop").click()
    page.get_by_test_id("speech-choice").wait_for(state="hidden")  # a live result has its own
