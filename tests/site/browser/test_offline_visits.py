"""Visits without a network, and new versions of a site."""

from __future__ import annotations

import shutil

import pytest

from tests.site.browser.conftest import is_offline_ready, recognize, write_stub_site
from tests.site.browser.hosting import hosting


def test_a_reload_without_any_network_recognizes_everything(visit, site_folder, voice):
    with hosting(site_folder) as host:
        page = visit(host)
        is_offline_ready(page)
        host.stop()
        page.context.set_offline(True)
        page.reload()
        recognize(page, voice)
        assert page.get_by_test_id("score-row").count() == 8
        page.get_by_test_id("sample-german").click()
        page.get_by_test_id("result-file").filter(has_text="german").wait_for()


def test_a_second_visit_downloads_nothing_but_the_service_worker(visit, tiny):
    page = visit(tiny)
    is_offline_ready(page)
    before = len(tiny.requests)
    page.reload()
    is_offline_ready(page)
    page.locator("#place[data-state=ready]").wait_for()
    assert {path.rpartition("/")[2] for path in tiny.requests[before:]} <= {"sw.js"}


def test_the_model_is_downloaded_once_by_the_first_visit(visit, tiny):
    is_offline_ready(visit(tiny))
    assert sum(path.endswith("model.onnx.gz") for path in tiny.requests) == 1
    assert sum(path.endswith(".wasm.gz") for path in tiny.requests) == 1


@pytest.fixture
def changing(tiny_folder, tmp_path):
    """The host of a site of its own."""
    shutil.copytree(tiny_folder, tmp_path / "site")
    with hosting(tmp_path / "site") as host:
        yield host


def test_a_new_version_is_offered_and_replaces_the_old_one(visit, changing, tmp_path):
    page = visit(changing)
    is_offline_ready(page)
    write_stub_site(tmp_path / "site", "new")
    page.reload()
    assert page.locator("html").get_attribute("data-version") == ""
    page.get_by_test_id("place-update-button").wait_for()
    before = len(changing.requests)
    assert not any(path.endswith(".gz") for path in changing.requests[-3:])
    page.get_by_test_id("place-update-button").click()
    page.wait_for_function("() => document.documentElement.dataset.version === 'new'")
    is_offline_ready(page)
    assert not any(path.endswith(".gz") for path in changing.requests[before:])
    names = page.evaluate("caches.keys()")
    assert len(names) == 1


def test_a_host_in_the_middle_of_an_update_is_not_kept(visit, changing, tmp_path):
    path = tmp_path / "site" / "web" / "main.js"
    path.write_text(path.read_text() + "// of another version\n")
    page = visit(changing)
    page.locator("#place[data-offline=failed]").wait_for()
    page.get_by_test_id("place-state").filter(has_text="did not keep").wait_for()


def test_two_sites_of_one_host_do_not_share_or_delete_their_files(visit, tiny_folder, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(tiny_folder, tmp_path / name)
    with hosting(tmp_path) as host:
        host.address, whole = f"{host.address}one/", host.address
        page = visit(host)
        is_offline_ready(page)
        page.goto(f"{whole}two/")
        is_offline_ready(page)
        assert len(page.evaluate("caches.keys()")) == 2
        host.stop()
        page.goto(f"{whole}one/")
        page.locator("#place[data-state=ready]").wait_for()


def test_a_new_version_that_one_tab_starts_is_used_by_the_other_after_a_reload(
    visit, changing, tmp_path, voice
):
    page = visit(changing)
    is_offline_ready(page)
    page.reload()
    other = page.context.new_page()
    other.goto(changing.address)
    is_offline_ready(other)
    write_stub_site(tmp_path / "site", "new")
    page.reload()
    other.get_by_test_id("place-update-button").wait_for()
    page.get_by_test_id("place-update-button").click()
    page.wait_for_function("() => document.documentElement.dataset.version === 'new'")
    recognize(other, voice)
    other.evaluate("import('./web/local/engine.js').then(({ engine }) => engine.stop())")
    other.get_by_test_id("clear-button").click()
    other.get_by_test_id("file-input").set_input_files(str(voice))
    other.get_by_test_id("failure").filter(has_text="Another tab has started").wait_for()
    other.get_by_test_id("place-update-button").click()
    other.wait_for_function("() => document.documentElement.dataset.version === 'new'")
