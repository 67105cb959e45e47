"""The page at /docs in a browser: for everybody, in two themes, on a phone, with the keyboard."""

from __future__ import annotations

import pytest

from tests.page.conftest import PATIENCE_MS, watched
from tests.page.test_looks import broken


@pytest.fixture
def docs(page, server):
    """The page, opened by its link on the first page."""
    page.get_by_test_id("api-link").click()
    page.get_by_role("heading", level=1, name="The API of this server").wait_for()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("path", ["docs", "v1/audio/transcriptions"])
def test_it_breaks_no_rule_of_accessibility_and_fits(browser, server, scheme, width, path):
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, locale="en-GB"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    faults = watched(page, server.address)
    page.goto(f"{server.address}{path}")
    page.locator("main").wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    found = broken(page)
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    context.close()
    assert (found, faults) == ([], [])
    assert wide <= 0


def test_a_language_is_chosen_for_all_examples_and_remembered(docs):
    docs.get_by_role("button", name="Python").first.click()
    docs.reload()
    assert docs.locator('[data-language="Python"].example:visible').count() > 5
    assert docs.locator('[data-language="curl"].example:visible').count() == 0


def test_the_keyboard_reaches_the_examples(docs):
    choice = docs.get_by_role("button", name="JavaScript").first
    choice.focus()
    docs.keyboard.press("Enter")
    assert choice.get_attribute("aria-pressed") == "true"
    docs.keyboard.press("Tab")
    docs.keyboard.press("Tab")
    assert docs.evaluate("document.activeElement.tagName") == "PRE"


def test_the_theme_is_that_of_the_page(docs, server):
    docs.get_by_role("button", name="Dark theme").click()
    docs.goto(server.address)
    assert docs.locator("html").get_attribute("data-theme") == "dark"


def test_without_javascript_every_example_is_there(browser, server):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.address}docs")
    for language in ("curl", "Python", "JavaScript"):
        assert page.locator(f'[data-language="{language}"]').first.is_visible()
    context.close()
