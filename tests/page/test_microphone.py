"""Recording and live mode, with a file in the microphone's place; and without any."""

from __future__ import annotations

import re

import pytest

from phonemo.server.auth import new_key
from tests.page.conftest import PATIENCE_MS, watched
from tests.page.serving import serving


def test_a_recording_is_heard(page):
    page.get_by_test_id("record-button").click()
    page.get_by_test_id("stop-button").wait_for()
    page.wait_for_timeout(2500)
    page.get_by_test_id("stop-button").click()
    page.get_by_test_id("result-label").wait_for()
    assert page.get_by_test_id("score-row").count() == 8
    minutes, seconds = page.locator("#clock-end").inner_text().split(":")
    assert minutes == "0"
    assert 1.5 < float(seconds) < 10


def test_live_mode_tells_while_it_hears_and_sums_up(page):
    page.get_by_test_id("live-button").click()
    page.wait_for_function(
        "() => /[a-z]/.test(document.querySelector('[data-testid=live-label]')?.innerText ?? '')"
        " && document.querySelectorAll('[data-testid=live-scores] *').length > 8"
    )
    page.wait_for_timeout(3000)
    page.get_by_test_id("live-stop").click()
    page.get_by_test_id("result-label").wait_for()
    assert page.get_by_test_id("segment").count() >= 1


def test_a_server_without_room_for_streams_is_told(browser):
    with serving("--set", "limits.streams=0") as busy:
        context = browser.new_context(locale="en-GB")
        page = context.new_page()
        faults = watched(page, busy.address)
        page.goto(busy.address)
        page.get_by_test_id("live-button").click()
        page.get_by_role("alert").filter(has_text=re.compile(r"\w")).first.wait_for()
        context.close()
        assert faults == []


@pytest.fixture
def deaf(server, browser):
    """A page that may not use the microphone."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () =>"
        " Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    page.goto(server.address)
    yield page
    context.close()


@pytest.mark.parametrize("button", ["record-button", "live-button"])
def test_a_microphone_that_is_denied_is_told(deaf, button):
    deaf.get_by_test_id(button).click()
    deaf.get_by_role("alert").filter(has_text=re.compile("microphone", re.IGNORECASE)).wait_for()


def test_a_key_is_asked_for_and_opens_both_ways(browser, voice):
    key, digest = new_key()
    with serving("--set", f"access.keys=[{digest}]") as locked:
        context = browser.new_context(locale="en-GB")
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        faults = watched(page, locked.address)
        page.goto(locked.address)
        page.get_by_test_id("key-input").fill(key)
        page.get_by_test_id("key-input").press("Enter")
        page.get_by_test_id("file-input").set_input_files(str(voice))
        page.get_by_test_id("result-label").wait_for()
        page.get_by_test_id("live-button").click()
        page.wait_for_function(
            "() => /[a-z]/.test(document.querySelector('[data-testid=live-label]')?.innerText)"
        )
        page.get_by_test_id("live-stop").click()
        context.close()
        assert faults == []


def test_no_microphone_at_all_is_told(chromium, server):
    bare = chromium()
    page = bare.new_context(locale="en-GB", permissions=["microphone"]).new_page()
    page.goto(server.address)
    page.get_by_test_id("record-button").click()
    page.get_by_role("alert").filter(has_text=re.compile("microphone", re.IGNORECASE)).wait_for()
    bare.close()
