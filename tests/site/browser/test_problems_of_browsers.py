"""Browsers that lack something, and files that cannot be fetched: a clear message on the page."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.site.browser.conftest import PATIENCE_MS, is_offline_ready, recognize
from tests.site.browser.hosting import hosting


@pytest.fixture
def lacking(chromium, tiny):
    """Opens the site in a browser without some feature."""
    contexts = []

    def opened(script):
        context = chromium.new_context(locale="en-GB")
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(script)
        contexts.append(context)
        page = context.new_page()
        page.goto(tiny.address)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", ["WebAssembly", "Worker", "DecompressionStream"])
def test_a_missing_feature_is_named_on_the_page(lacking, voice, name):
    page = lacking(f"delete globalThis.{name}")
    page.get_by_test_id("place-state").filter(has_text=f"This browser lacks {name}").wait_for()
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.get_by_test_id("failure").filter(has_text=f"lacks {name}").wait_for()


def test_without_service_workers_the_page_works_online(lacking, voice):
    page = lacking("delete Navigator.prototype.serviceWorker")
    page.get_by_test_id("place-state").filter(has_text="keeps no files").wait_for()
    recognize(page, voice)


def test_a_visitor_who_saves_data_downloads_the_model_with_the_first_recording(
    lacking, tiny, voice
):
    page = lacking("Object.defineProperty(navigator, 'connection', { value: { saveData: true } })")
    page.get_by_test_id("place-state").filter(has_text="with the first recording").wait_for()
    recognize(page, voice)
    page.locator("#place[data-state=ready]").wait_for()


def test_a_model_that_cannot_be_fetched_is_reported_and_tried_again(visit, tiny, voice):
    tiny.broken.add("model.onnx.gz")
    page = visit(tiny)
    state = page.get_by_test_id("place-state")
    state.filter(has_text="could not be downloaded").wait_for()
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.get_by_test_id("failure").filter(has_text="could not be downloaded").wait_for()
    tiny.broken.clear()
    page.get_by_test_id("failure-retry").click()
    page.get_by_test_id("result-label").wait_for()


def test_a_damaged_model_is_reported_in_one_line(visit, site_folder, tmp_path):
    shutil.copytree(site_folder, tmp_path / "site")
    card = next((tmp_path / "site" / "models").rglob("bundle.json"))
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "sha256": "0" * 64}))
    with hosting(tmp_path / "site") as host:
        state = visit(host).get_by_test_id("place-state")
        state.filter(has_text="The model could not be loaded").wait_for()
        assert "SHA-256" in state.inner_text()


def test_a_host_that_unpacks_on_the_way_is_understood(visit, tiny_folder, tmp_path, voice):
    import gzip

    shutil.copytree(tiny_folder, tmp_path / "site")
    for path in (tmp_path / "site").rglob("*.gz"):
        path.write_bytes(gzip.decompress(path.read_bytes()))
    with hosting(tmp_path / "site") as host:
        recognize(visit(host), voice)


def test_a_canceled_recording_stops_and_the_next_one_is_recognized(visit, tiny, voice):
    page = visit(tiny)
    page.locator("#place[data-state=ready]").wait_for()
    page.evaluate(
        """() => {
            const post = Worker.prototype.postMessage;
            Worker.prototype.postMessage = function (message, transfer) {
                if (message.method === "predict") Worker.prototype.postMessage = post;
                else post.call(this, message, transfer);
            };
        }"""
    )
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.locator("[data-testid=file-row][data-state=recognizing]").wait_for()
    page.get_by_test_id("cancel-button").click()
    page.get_by_test_id("failure").filter(has_text="you canceled").wait_for()
    page.get_by_test_id("failure-retry").click()
    page.get_by_test_id("result-label").wait_for()


def test_leaving_the_page_open_keeps_no_audio(visit, tiny, voice):
    page = visit(tiny)
    is_offline_ready(page)
    recognize(page, voice)
    kept = page.evaluate(
        """async () => {
            const names = await caches.keys();
            const opened = await Promise.all(names.map((name) => caches.open(name)));
            const requests = await Promise.all(opened.map((cache) => cache.keys()));
            const urls = requests.flat().map(({ url }) => url);
            return [urls, Object.keys(localStorage), (await indexedDB.databases()).length];
        }"""
    )
    urls, settings, databases = kept
    assert all(url.startswith(tiny.address) for url in urls)
    assert "voice" not in json.dumps(urls)
    assert (databases, [name for name in settings if "audio" in name]) == (0, [])


@pytest.mark.parametrize("path", ["web/local/worker.js", "web/phonemo/index.js"])
def test_a_script_that_cannot_be_fetched_is_reported_and_tried_again(visit, tiny, voice, path):
    tiny.broken.add(path)
    page = visit(tiny)
    page.get_by_test_id("place-state").filter(has_text="The recognizer stopped").wait_for()
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.get_by_test_id("failure").filter(has_text="The recognizer stopped").wait_for()
    tiny.broken.clear()
    page.get_by_test_id("failure-retry").click()
    page.get_by_test_id("result-label").wait_for()


def test_a_language_that_cannot_be_fetched_is_reported_and_any_language_still_works(
    visit, site_folder, voice
):
    with hosting(site_folder) as host:
        host.broken.add("languages/english.json.gz")
        page = visit(host, service_workers="block")
        recognize(page, voice)
        page.get_by_test_id("speech-select").select_option("english")
        page.get_by_test_id("failure").filter(has_text="languages/english.json.gz").wait_for()
        page.get_by_test_id("speech-select").select_option("")
        page.get_by_test_id("result-label").wait_for()


def test_a_recording_that_is_canceled_while_it_is_decoded_does_not_stop_the_next(
    visit, tiny, voice
):
    page = visit(tiny)
    page.locator("#place[data-state=ready]").wait_for()
    page.evaluate(
        """() => {
            const decode = OfflineAudioContext.prototype.decodeAudioData;
            OfflineAudioContext.prototype.decodeAudioData = async function (buffer) {
                OfflineAudioContext.prototype.decodeAudioData = decode;
                const audio = await decode.call(this, buffer);
                await new Promise((resolve) => (globalThis.release = resolve));
                return audio;
            };
            globalThis.workers = 0;
            globalThis.Worker = new Proxy(Worker, { construct(target, parameters) {
                globalThis.workers += 1;
                return new target(...parameters);
            } });
        }"""
    )
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.wait_for_function("() => globalThis.release")
    page.get_by_test_id("cancel-button").click()
    page.get_by_test_id("failure").filter(has_text="you canceled").wait_for()
    page.evaluate("release()")
    page.get_by_test_id("failure-retry").click()
    page.get_by_test_id("result-label").wait_for()
    assert page.evaluate("workers") == 0


def test_a_live_session_whose_worker_was_stopped_is_rescued(visit, tiny):
    page = visit(tiny, permissions=["microphone"])
    page.locator("#place[data-state=ready]").wait_for()
    page.get_by_test_id("live-button").click()
    page.get_by_test_id("elapsed").filter(has_text="0:02").wait_for()
    page.evaluate("import('./web/local/engine.js').then(({ engine }) => engine.stop())")
    page.get_by_text("The recognizer stopped. What you said until then").first.wait_for()
    page.locator("[data-testid=file-row][data-state=done]").wait_for()
