"""Recordings with two parties: the choice of channels, a lane for each, the summary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import phonemo
from tests.page.conftest import PATIENCE_MS, watched
from tests.page.test_files import upload
from tests.page.test_looks import broken
from tests.voices import spoken


@pytest.fixture(scope="module")
def call(tmp_path_factory) -> Path:
    """Two synthetic voices in turn, each on its own channel."""
    folder = tmp_path_factory.mktemp("call")
    angry, rate = soundfile.read(spoken(folder / "angry.wav"))
    sad, _ = soundfile.read(spoken(folder / "sad.wav", "sadness"))
    left = np.concatenate([angry, np.zeros_like(sad), angry])
    right = np.concatenate([np.zeros_like(angry), sad, np.zeros_like(angry)])
    soundfile.write(folder / "call.wav", np.stack([left, right], axis=1), rate)
    return folder / "call.wav"


def analyze_each(page, call) -> None:
    """Upload a call, and follow the advice to analyze each channel."""
    upload(page, call)
    page.get_by_test_id("channel-split").click()
    page.get_by_test_id("channel-verdict").nth(1).wait_for()


def test_the_two_sides_of_a_call_are_kept_apart(page, call, voice):
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    analyze_each(page, call)
    verdicts = page.get_by_test_id("channel-verdict").all_inner_texts()
    assert [one.splitlines()[0] for one in verdicts] == ["Channel 1 (left)", "Channel 2 (right)"]
    tracks = page.get_by_test_id("channel-track")
    assert tracks.count() == 2
    for number, side in enumerate(("left", "right"), start=1):
        name = f"Channel {number} ({side}): Emotions over time"
        lane = tracks.nth(number - 1).get_by_role("group", name=name)
        assert lane.get_by_test_id("segment").count() >= 1
    parties = page.get_by_test_id("party")
    assert parties.count() == 2
    assert "Speech" in parties.first.inner_text()
    assert broken(page) == []
    moments(page)
    downloads(page, call)
    mono_has_no_side(page, voice)
    choose_one_channel(page)


def mono_has_no_side(page, voice) -> None:
    """A recording with one channel, recognized as the call was."""
    upload(page, voice)
    page.get_by_test_id("file-row").nth(2).get_by_text("Channel 1:").wait_for()
    page.get_by_test_id("file-row").nth(1).get_by_role("button").first.click()
    page.get_by_test_id("channel-verdict").nth(1).wait_for()


def moments(page) -> None:
    """A moment of the summary is played from the keyboard, and the lanes name their channel."""
    page.get_by_test_id("party").nth(1).get_by_test_id("moment").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => Number(document.querySelector('[data-testid=waveform]').ariaValueNow) > 2"
    )
    page.get_by_test_id("channel-track").nth(1).get_by_test_id("segment").first.focus()
    assert "Channel 2 (right): " in page.get_by_test_id("phoneme-detail").inner_text()


def downloads(page, call) -> None:
    """The files are of the split recording too."""
    with page.expect_download() as waiting:
        page.get_by_test_id("download-json").click()
    assert '"channels": [' in waiting.value.path().read_text("utf-8")
    with page.expect_download() as waiting:
        page.get_by_test_id("download-csv").click()
    expected = phonemo.load().predict(call, channels="split", timeline=True)
    rows = waiting.value.path().read_text("utf-8").splitlines()
    assert len(rows) == 1 + len(expected.segments)


def choose_one_channel(page) -> None:
    """Only one channel; then the first recording, which has no other."""
    page.get_by_test_id("channel-select").select_option("2")
    page.get_by_test_id("channel-verdict").first.wait_for(state="detached")
    assert page.locator("[data-testid=channel-track]:visible").count() == 1
    assert page.locator("#channel-name").inner_text() == "Channel 2 (right)"
    page.get_by_test_id("file-row").first.get_by_role("button").click()
    page.get_by_test_id("channel-choice").wait_for(state="hidden")
    assert not page.get_by_test_id("call-summary").is_visible()


def test_channels_fit_a_phone_and_break_no_rule_of_accessibility(browser, server, call):
    size = {"width": 360, "height": 800}
    context = browser.new_context(locale="zh-CN", color_scheme="dark", viewport=size)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    faults = watched(page, server.address)
    page.goto(server.address)
    analyze_each(page, call)
    rules = broken(page)
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    summary = page.get_by_test_id("call-summary").inner_text()
    context.close()
    assert (rules, faults) == ([], [])
    assert wide <= 0
    assert ", " not in summary
