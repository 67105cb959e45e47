"""Audio stays in the browser: no request leaves the host, and the browser would refuse one."""

from __future__ import annotations

import pytest

from tests.site.browser.conftest import is_offline_ready, recognize
from tests.site.browser.hosting import BELOW, hosting


def test_recognition_sends_nothing_and_asks_only_for_the_sites_files(visit, tiny, voice):
    page = visit(tiny)
    is_offline_ready(page)
    before = len(tiny.requests)
    recognize(page, voice)
    page.get_by_test_id("download-csv").click()
    page.get_by_test_id("download-textgrid").click()
    assert tiny.requests[before:] == []
    assert all(path.startswith(BELOW) for path in tiny.requests)


FETCH = "address => fetch(address, { mode: 'no-cors' }).then(() => 'sent', () => 'refused')"


def test_page_and_worker_may_not_reach_another_host(visit, tiny, tmp_path):
    page = visit(tiny)
    page.locator("#place[data-state=ready]").wait_for()
    with hosting(tmp_path) as other:
        page.once("console", lambda message: None)
        (worker,) = page.workers
        assert worker.url.startswith("blob:")
        assert worker.evaluate(FETCH, other.address) == "refused"
        assert other.requests == []


def test_the_worker_may_not_open_a_socket(visit, tiny):
    page = visit(tiny)
    page.locator("#place[data-state=ready]").wait_for()
    (worker,) = page.workers
    script = """() => new Promise((resolve) => {
        self.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
        new WebSocket("wss://192.0.2.1/").onerror = () => {};
    })"""
    assert worker.evaluate(script) == "connect-src"


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_the_page_says_so_and_how_to_check_it(visit, tiny, language):
    page = visit(tiny, locale=language)
    page.get_by_test_id("verify").click()
    assert "connect-src 'self'" in page.locator("#place").inner_text()
    words = {"en-GB": "never leaves this machine", "zh-CN": "不会离开这台设备"}
    page.get_by_text(words[language]).wait_for()
