"""What could not be recognized: the reason is where the result would be, and so is what to do."""

from __future__ import annotations

import re

import pytest

from tests.page.test_files import upload
from tests.page.test_looks import broken

TOO_LONG = ("audio_too_long", 413, "call.wav: expected at most 600 s, got 700 s")
BUSY = ("deadline_exceeded", 504, "the server is busy")


def answer_with(page, code: str, status: int, message: str) -> None:
    error = {"message": message, "type": "x", "param": None, "code": code}
    headers = {"X-Request-Id": "abc123"}
    page.route(
        "**/v1/audio/emotions",
        lambda route: route.fulfill(status=status, json={"error": error}, headers=headers),
    )


def test_a_failure_takes_the_place_of_the_result_that_was_shown(page, voice, tmp_path):
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    page.get_by_test_id("play-button").scroll_into_view_if_needed()
    bad = tmp_path / "text.wav"
    bad.write_text("#EXTM3U\n", encoding="utf-8")
    upload(page, bad)
    failure = page.get_by_test_id("failure")
    failure.wait_for()
    assert page.get_by_test_id("result").is_hidden()
    assert page.get_by_test_id("failure-file").inner_text() == "text.wav"
    assert "No audio" in failure.inner_text()
    assert "The server: text.wav: " in failure.inner_text()
    assert page.evaluate("document.activeElement.id") == "failure-title"
    page.wait_for_function(
        "() => { const { top, bottom } = document.querySelector('#failure-reason')"
        ".getBoundingClientRect(); return top >= 0 && bottom <= innerHeight }"
    )
    current = page.locator(".file-button[aria-current=true]")
    assert "text.wav" in current.inner_text()
    assert broken(page) == []
    page.get_by_test_id("file-row").first.get_by_role("button").click()
    page.get_by_test_id("result-label").wait_for()
    assert failure.is_hidden()


@pytest.mark.parametrize(("case", "helps"), [(TOO_LONG, False), (BUSY, True)])
def test_another_try_is_offered_only_where_it_can_help(page, voice, case, helps):
    answer_with(page, *case)
    upload(page, voice)
    failure = page.get_by_test_id("failure")
    failure.get_by_text(case[2]).wait_for()
    assert page.get_by_test_id("failure-retry").is_visible() is helps
    assert ("10 min" in failure.inner_text()) is (case is TOO_LONG)
    assert ("abc123" in failure.inner_text()) is (case is BUSY)
    if helps:
        page.unroute("**/v1/audio/emotions")
        page.get_by_test_id("failure-retry").click()
        page.get_by_test_id("result-label").wait_for()
        assert failure.is_hidden()


def test_a_canceled_recording_says_so_and_can_be_sent_again(page, voice):
    page.route("**/v1/audio/emotions", lambda _: None)
    upload(page, voice)
    page.get_by_test_id("cancel-button").click()
    failure = page.get_by_test_id("failure")
    failure.get_by_text("you canceled").wait_for()
    page.unroute("**/v1/audio/emotions")
    page.get_by_test_id("failure-retry").click()
    page.get_by_test_id("result-label").wait_for()


def test_a_failure_of_another_recording_leaves_the_result(page, voice, tmp_path):
    bad = tmp_path / "empty.wav"
    bad.write_bytes(b"")
    upload(page, voice, bad)
    page.get_by_test_id("result-label").wait_for()
    assert "empty.wav: The file is empty" in page.get_by_test_id("error").inner_text()
    assert page.get_by_test_id("failure").is_hidden()
    upload(page, bad)
    page.get_by_test_id("failure").get_by_text("The file is empty").wait_for()


def test_the_list_shows_the_selected_row(page, voice, tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(12)]
    for path in paths:
        path.write_bytes(voice.read_bytes()[:-20_000])
    page.route("**/v1/audio/emotions", lambda route: route.abort())
    upload(page, *paths[:11])
    page.get_by_test_id("failure").wait_for()
    upload(page, paths[11])
    page.wait_for_function(
        """() => {
            const row = document.querySelector(".file-button[aria-current=true]");
            const list = document.querySelector("#file-list").getBoundingClientRect();
            const { top, bottom } = row.getBoundingClientRect();
            return row.innerText.startsWith("11.wav") && top >= list.top && bottom <= list.bottom;
        }"""
    )


def test_the_chooser_offers_what_the_server_reads(page):
    page.wait_for_function("() => document.querySelector('#file-input').accept.includes('.flac')")
    accepted = page.get_by_test_id("file-input").get_attribute("accept").split(",")
    formats = page.evaluate("fetch('v1/limits').then((answer) => answer.json())")["formats"]
    assert {f".{name}" for name in formats} <= set(accepted)
    assert not [one for one in accepted if not re.fullmatch(r"\.\w+|(audio|video)/[\w.+-]+", one)]
