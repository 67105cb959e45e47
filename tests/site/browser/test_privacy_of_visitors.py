"""Audio stays in the browser: no request leaves the host, and the browser would refuse one."""

from __future__ import annotations

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
SOCKET = """() => new Promise((resolve) => {
    self.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
        resolve(effectiveDirective);
    });
    new WebSocket("wss://192.0.2.1/").onerror = () => {};
})"""


def test_the_worker_may_not_reach_another_host(chromium, tiny, tmp_path):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(tiny.address)
    page.locator("#place[data-state=ready]").wait_for()
    (worker,) = page.workers
    with hosting(tmp_path) as other:
        assert worker.evaluate(FETCH, other.address) == "refused"
        assert page.evaluate(FETCH, other.address) == "refused"
        assert other.requests == []
    assert worker.evaluate(SOCKET) == "connect-src"
    context.close()


def test_the_page_says_so_and_how_to_check_it(visit, tiny):
    page = visit(tiny)
    page.get_by_text("Audio never leaves this machine").wait_for()
    page.get_by_test_id("verify").click()
    assert "connect-src 'self'" in page.locator("#place").inner_text()
    page.get_by_test_id("language").select_option("zh-CN")
    page.get_by_text("音频不会离开这台设备").wait_for()
