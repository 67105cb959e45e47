"""For everybody: two languages, two themes, small screens, keyboards and screen readers."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.laws import REPOSITORY
from tests.page.conftest import PATIENCE_MS, watched

WEB = REPOSITORY / "src" / "phonemo" / "web"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_breaks_no_rule_of_accessibility_and_fits(
    browser, server, voice, language, scheme, width
):
    size = {"width": width, "height": 800}
    context = browser.new_context(locale=language, color_scheme=scheme, viewport=size)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    faults = watched(page, server.address)
    page.goto(server.address)
    page.get_by_test_id("dropzone").wait_for()
    assert page.locator("html").get_attribute("lang") == ("zh-CN" if "zh" in language else "en")
    empty = broken(page)
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.get_by_test_id("result-label").wait_for()
    page.get_by_test_id("table-button").click()
    page.get_by_test_id("table-row").wait_for()
    full = broken(page)
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    context.close()
    assert (empty, full, faults) == ([], [], [])
    assert wide <= 0


def broken(page) -> list[str]:
    """The rules that axe finds broken, and where."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found]


def test_the_language_is_chosen_and_remembered(page):
    page.get_by_test_id("language").select_option(index=1)
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    title = page.get_by_role("heading", level=1).inner_text()
    page.reload()
    assert page.get_by_role("heading", level=1).inner_text() == title


def test_the_theme_is_chosen_and_remembered(page):
    def shade() -> str:
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    light = shade()
    page.get_by_test_id("theme").click()
    page.wait_for_function(
        "light => getComputedStyle(document.documentElement).backgroundColor !== light", arg=light
    )
    dark = shade()
    page.reload()
    assert shade() == dark


def test_both_languages_say_everything(page):
    words = page.evaluate("import('/web/i18n.js').then(module => ({...module}))")
    (tables,) = [one for one in words.values() if isinstance(one, dict) and "en" in one]
    english, chinese = tables["en"], tables["zh-CN"]
    assert set(english) == set(chinese)
    assert all(text.strip() for table in (english, chinese) for text in table.values())
    same = {
        key
        for key in english
        if english[key] == chinese[key]
        and re.search("[a-z]{4}", re.sub(r"\{\w+\}", "", english[key]))
    }
    assert same <= {key for key in same if english[key] in ("phonemo", "English", "TextGrid")}


def test_nothing_comes_from_elsewhere_and_nothing_is_inline():
    for path in WEB.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".svg"):
            text = path.read_text("utf-8")
            elsewhere = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"')]*", text)
            assert [one for one in elsewhere if "www.w3.org" not in one] == [], path.name
            assert "innerHTML" not in text, path.name
    html = (WEB / "index.html").read_text("utf-8")
    assert re.search(r"\son[a-z]+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", html) is None


def test_it_can_be_used_by_keyboard_alone(page):
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "() => { const one = document.activeElement;"
                " return one.dataset.testid || one.getAttribute('href') || one.id || one.tagName }"
            )
        )
    assert seen[0].startswith("#"), "the first stop skips to the content"
    order = [one for one in seen if one in ("language", "theme", "record-button", "live-button")]
    assert set(order) == {"language", "theme", "record-button", "live-button"}, seen
