"""The site for everybody: two languages, two themes, a desk and a phone."""

from __future__ import annotations

from tests.page.test_looks import broken
from tests.site.browser.conftest import is_offline_ready, recognize

#: What only a server answers: keys, load, offered profiles.
ONLY_OF_SERVERS = {
    *("key.hint", "live.key", "progress.retrying", "state.retrying"),
    *("error.busy", "error.key", "error.deadline_exceeded", "error.decoder_timeout"),
    *("error.model_not_found", "error.profile_not_found", "error.queue_full"),
    *("error.starting", "error.stopping", "result.converted", "result.converted.mixed"),
    "failure.id",
}
LOOKS = [
    (language, scheme, width)
    for language in ("en", "zh-CN")
    for scheme in ("light", "dark")
    for width in (1280, 360)
]


def test_it_breaks_no_rule_of_accessibility_and_fits(visit, tiny, voice):
    page = visit(tiny)
    is_offline_ready(page)
    page.get_by_test_id("verify").click()
    page.evaluate("document.getElementById('place-update').hidden = false")
    recognize(page, voice)
    faults = {look: faults_of(page, *look) for look in LOOKS}
    assert {look: found for look, found in faults.items() if found} == {}


def faults_of(page, language, scheme, width):
    """The broken rules of a look, and whether it is too wide."""
    page.get_by_test_id("language").select_option(language)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # else colors change gradually
    page.set_viewport_size({"width": width, "height": 800})
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*broken(page), *(["wider than the screen"] if wide > 0 else [])]


def test_both_languages_have_every_text(visit, tiny):
    page = visit(tiny)
    script = "import('./web/local/words.js').then(({ PLACE_WORDS }) => PLACE_WORDS)"
    words = page.evaluate(script)
    assert set(words["en"]) == set(words["zh-CN"])
    texts = page.evaluate("import('./web/i18n.js').then(({ DICTIONARIES }) => DICTIONARIES)")
    english = texts["en"]
    assert all(english[key] == text for key, text in words["en"].items())
    of_servers = {key for key, text in english.items() if "server" in text.lower()}
    assert of_servers - ONLY_OF_SERVERS == {"privacy"}
