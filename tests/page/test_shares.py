"""What each phoneme adds to the score: one scale for all recordings, a floor, and the sum."""

from __future__ import annotations

import re

import pytest

import phonemo
from phonemo.annotations.prediction import NOTABLE_SHARE
from tests.page.test_files import upload
from tests.page.test_looks import WEB


@pytest.fixture(scope="module")
def prediction(voice) -> dict:
    return phonemo.load().predict(voice, shares=True).to_dict(spans=True)


def show(page, voice, prediction, shares, **changes) -> str:
    """Upload a recording whose phonemes have these shares; returns what is said of them."""
    spans = [
        span | {"share": share} for span, share in zip(prediction["spans"], shares, strict=False)
    ]
    answer = prediction | {"model": "m", "timings": {}, "spans": spans} | changes
    page.route("**/v1/audio/emotions", lambda route: route.fulfill(json=answer))
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    return page.get_by_test_id("legend-found").inner_text()


def test_the_page_and_the_command_line_have_the_same_floor():
    (floor,) = re.findall(r"NOTABLE_SHARE = ([\d.]+);", (WEB / "shares.js").read_text("utf-8"))
    assert float(floor) == NOTABLE_SHARE


def test_small_shares_are_gray_and_no_phoneme_is_said_to_carry_the_emotion(page, voice, prediction):
    text = show(page, voice, prediction, [0.0012, -0.0499, 0.0499, 0.03])
    assert "No single phoneme carried" in text
    assert "Sum of all 4: +3.1 points" in text
    assert page.locator(".phoneme.notable").count() == 0
    assert page.locator(".phoneme.adds").count() == 2


def test_the_color_of_a_share_does_not_depend_on_the_others(page, voice, prediction):
    text = show(page, voice, prediction, [0.05, -0.06, 0.4])
    strengths = page.get_by_test_id("phoneme").evaluate_all(
        "nodes => nodes.map(node => [node.className, node.style.getPropertyValue('--strength')])"
    )
    assert strengths == [
        ["phoneme adds notable", "0.5"],
        ["phoneme takes notable", "0.6"],
        ["phoneme adds notable", "1"],
    ]
    symbols = [span["symbol"] for span in prediction["spans"]]
    assert re.search(rf"carried \w+: {symbols[2]} at [\d.]+ s \(40\.0\), {symbols[0]} at", text)
    assert re.search(rf"Against it: {symbols[1]} at [\d.]+ s \(6\.0\)\.", text)
    assert "Sum of all 3: +39.0 points" in text


def test_the_sum_is_that_of_the_library(page, voice, prediction):
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    total = 100 * sum(span["share"] for span in prediction["spans"])
    text = page.get_by_test_id("legend-found").inner_text().replace("−", "-")
    (shown,) = re.findall(r": ([+-]?[\d.]+) points; the score", text)
    assert float(shown) == pytest.approx(total, abs=0.06)


def test_silence_has_no_shares(page, voice, prediction):
    show(page, voice, prediction, [0.4, 0.1], warnings=["no_speech"])
    assert page.get_by_test_id("legend").is_hidden()
    page.get_by_test_id("phoneme").first.hover()
    assert "points" not in page.get_by_test_id("phoneme-detail").inner_text()
