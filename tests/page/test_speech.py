"""The spoken language of a recording, by which its phonemes are decoded."""

from __future__ import annotations

import json

import phonemo
from phonemo.annotations.textgrid import read_tiers
from tests.page.test_files import upload
from tests.page.test_looks import broken
from tests.tiny_bundle import alike


def downloaded(page, name="download-json"):
    with page.expect_download() as waiting:
        page.get_by_test_id(name).click()
    return waiting.value.path()


def phonemes(page):
    return json.loads(downloaded(page).read_text("utf-8"))["phonemes"]


def in_praat(page):
    tiers = read_tiers(downloaded(page, "download-textgrid"))
    return [one.text for one in tiers["phonemes"] if one.text]


def choose(page, value):
    """Choose a language, and wait for the new answer."""
    with page.expect_response("**/v1/audio/emotions"):
        page.get_by_test_id("speech-select").select_option(value)
    used = page.get_by_test_id("latency").filter(has_text="Phonemes decoded for: English.")
    used.wait_for(state="visible" if value else "detached")


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
    assert phonemes(page) == any_language
    page.get_by_test_id("speech-select").focus()
    choose(page, "english")
    assert page.evaluate("() => document.activeElement.id") == "speech-select"
    assert phonemes(page) == in_praat(page) == english
    assert page.get_by_test_id("result-percent").inner_text() == verdict
    assert broken(page) == []
    # the recordings that follow
    upload(page, voice)
    page.get_by_test_id("file-row").nth(1).get_by_text("%").first.wait_for()
    assert page.get_by_test_id("speech-select").input_value() == "english"
    assert phonemes(page) == english
    choose(page, "")
    assert phonemes(page) == any_language


def test_two_choices_in_a_row_end_with_the_last_one(page, voice):
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    before = phonemes(page)
    for value in ("english", "", "english", ""):
        page.get_by_test_id("speech-select").select_option(value)
    page.wait_for_timeout(1500)
    assert phonemes(page) == before


def test_live_mode_takes_a_language_that_is_chosen_before(page):
    page.get_by_test_id("speech-select").select_option("english")
    with page.expect_websocket() as opened:
        page.get_by_test_id("live-button").click()
    assert "decoding=english" in opened.value.url
    page.wait_for_timeout(2500)
    page.get_by_test_id("live-stop").click()
    page.get_by_test_id("latency").filter(has_text="decoded for: English").wait_for()
    # the server recognizes the recording again for its TextGrid
    assert alike(phonemes(page), in_praat(page))
