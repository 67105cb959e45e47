"""The path of a recording through the valence-arousal plane."""

from __future__ import annotations

import csv
import io

import pytest

import phonemo
from tests.page.conftest import PATIENCE_MS, watched
from tests.page.test_doubt import show
from tests.page.test_looks import broken

DOTS = "nodes => nodes.map(node => node.getAttribute('aria-label'))"
MARKED = "() => document.querySelector('.plane-point.marked')?.getAttribute('aria-label') ?? ''"
#: Arousal and valence of three segments of 3 s each; the second is unsure.
PLACES = [(0.2, 0.5), (0.71, 0.2), (0.715, 0.21)]


@pytest.fixture(scope="module")
def answer(voice) -> dict:
    return phonemo.load().predict(voice, timeline=True).to_dict(spans=True)


def at(arousal, valence, *, derived: bool = True) -> dict:
    return {"dimensions": {"arousal": arousal, "valence": valence, "derived": derived}}


def along(places, **more) -> dict:
    """Changes of an answer: a segment of 3 s at each place."""
    scores = {"anger": 0.6, "sadness": 0.4}
    segments = [
        {"start": 3 * n, "end": 3 * n + 3, "label": "anger", "unsure": n == 1, "scores": scores}
        | at(*place, **more)
        for n, place in enumerate(places)
    ]
    return {
        "seconds": 3.0 * len(places),
        "spans": None,
        "segments": segments,
        **at(0.5, 0.4, **more),
    }


def dots(page):
    return page.get_by_test_id("plane-point")


def test_the_path_is_reached_by_keyboard_and_linked_to_the_timeline(page, voice, answer):
    show(page, voice, answer, **along(PLACES))
    assert dots(page).evaluate_all(DOTS) == [
        "0:00 to 0:03: arousal 0.20, valence 0.50",
        "0:03 to 0:06: arousal 0.71, valence 0.20, unsure",
        "0:06 to 0:09: arousal 0.72, valence 0.21",
    ]
    assert "overall: arousal 0.50, valence 0.40" in page.get_by_test_id("plane-key").inner_text()
    assert page.get_by_test_id("plane-derived").inner_text().startswith("Derived from")
    page.locator(".plane-point[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    detail = page.get_by_test_id("plane-detail")
    assert detail.inner_text() == "0:03 to 0:06: arousal 0.71, valence 0.20, unsure"
    assert detail.get_attribute("aria-live") == "polite"
    assert page.locator(".segment.marked").get_attribute("data-index") == "1"
    page.get_by_test_id("segment").nth(2).hover()
    assert page.evaluate(MARKED).startswith("0:06")
    assert detail.inner_text().startswith("0:03")
    page.keyboard.press("Home")
    assert detail.inner_text().startswith("0:00")
    dots(page).nth(2).locator("circle").hover(force=True)
    assert page.locator(".segment.marked").get_attribute("data-index") == "2"
    assert broken(page) == []
    page.get_by_test_id("language").select_option("zh-CN")
    assert "唤醒度 0.72，效价 0.21" in page.get_by_test_id("plane").inner_text()


def test_ratings_are_not_called_derived_and_values_are_kept_within_the_plane(page, voice, answer):
    show(
        page, voice, answer, **along([(1.7, -3), (None, 0.5)], derived=False) | {"dimensions": None}
    )
    assert page.get_by_test_id("plane-key").inner_text() == "no overall value"
    assert page.get_by_test_id("plane-derived").is_hidden()
    assert dots(page).evaluate_all(DOTS) == ["0:00 to 0:03: arousal 1.00, valence 0.00"]


@pytest.mark.parametrize(
    "changes",
    [
        {**along(PLACES), "label": None, "warnings": ["no_speech"]},
        {"dimensions": None, "segments": []},
    ],
    ids=["without speech", "without dimensions"],
)
def test_nothing_is_drawn(page, voice, answer, changes):
    show(page, voice, answer, **changes)
    assert page.get_by_test_id("plane").is_hidden()


def test_each_channel_has_its_own_path_on_a_phone(browser, server, voice, answer):
    size = {"width": 390, "height": 844}
    context = browser.new_context(locale="zh-CN", color_scheme="dark", viewport=size)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    faults = watched(page, server.address)
    page.goto(server.address)
    sides = [
        answer | along([(a, v + step) for a, v in PLACES]) | {"channel": number}
        for number, step in ((1, 0.0), (2, 0.3))
    ]
    show(page, voice, answer, **along([]), channels=sides)
    patterns = page.locator("#plane-key line").evaluate_all(
        "nodes => nodes.map(node => node.getAttribute('stroke-dasharray'))"
    )
    key = page.get_by_test_id("plane-key").inner_text()
    means = page.locator("#plane-plot").get_by_test_id("plane-mean").all_text_contents()
    labels = dots(page).evaluate_all(DOTS)
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    rules = broken(page)
    context.close()
    assert patterns == [None, "7 4"]
    assert "通道 1（左）：整体" in key
    assert means == ["1", "2"]
    assert [label[:4] for label in labels] == ["通道 1", "通道 2"] * 3
    assert (rules, faults) == ([], [])
    assert wide <= 0


def test_the_plane_is_drawn_while_somebody_speaks(page):
    page.get_by_test_id("live-button").click()
    page.get_by_test_id("live-plane").get_by_test_id("plane-point").first.wait_for()
    assert "arousal" in page.get_by_test_id("live-plane-text").inner_text()
    page.get_by_test_id("live-stop").click()
    page.get_by_test_id("plane").wait_for()


def test_the_file_of_the_session_has_arousal_and_valence(page, voice, answer):
    show(page, voice, answer, **along(PLACES), label="anger", warnings=[])
    page.get_by_test_id("table-button").click()
    with page.expect_download() as waiting:
        page.get_by_test_id("session-csv").click()
    text = waiting.value.path().read_text("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["arousal"], row["valence"], row["derived"]) == ("0.5", "0.4", "true")
