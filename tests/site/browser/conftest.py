"""A static host and a headless Chromium; tests without Chromium or onnxruntime-web are skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from phonemo.runtime.bundle import open_bundle, packaged
from phonemo.site import write_site as site_writer
from phonemo.site.onnxruntime_web import Engine
from phonemo.site.page_files import page_files
from phonemo.site.write_site import write_site
from tests.page.conftest import CHROMIUM, FLAGS, microphone
from tests.site.browser.hosting import Host, hosting
from tests.site.engines import FILES, real_engine
from tests.tiny_bundle import ADAPTABLE
from tests.voices import spoken

PATIENCE_MS = 60_000
STUB = Path(__file__).with_name("stub_runtime.js")


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The real onnxruntime-web."""
    return real_engine()


@pytest.fixture(scope="session")
def site_folder(engine, tmp_path_factory) -> Path:
    """A site with the model that ships."""
    folder = tmp_path_factory.mktemp("site") / "small"
    write_site(folder, [open_bundle(packaged())], engine)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """A site whose runtime is a stub, which recognizes nothing, but at once; it needs no engine."""
    folder = tmp_path_factory.mktemp("site") / "tiny"
    write_stub_site(folder)
    return folder


def write_stub_site(folder: Path, version: str = "") -> None:
    """Write a site with the stub; its page is marked with a version."""

    def files() -> dict[str, bytes]:
        whole = page_files()
        html = whole["index.html"].replace(b"<html ", f'<html data-version="{version}" '.encode())
        own = {name: text for name, text in whole.items() if not name.startswith("web/phonemo/")}
        return own | {"index.html": html, "web/phonemo/index.js": STUB.read_bytes()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_writer, "page_files", files)
        engine = Engine("0.0.1", "MIT", FILES)
        write_site(folder, [open_bundle(ADAPTABLE)], engine, overwrite=True)


@pytest.fixture(scope="session")
def voice(tmp_path_factory) -> Path:
    """A synthetic voice, 3 s."""
    return spoken(tmp_path_factory.mktemp("voice") / "voice.wav")


# while playwright is open, no other package of tests may start one or run an event loop
@pytest.fixture(scope="package")
def chromium(voice) -> Iterator[Browser]:
    """Its microphone plays the voice, again and again."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: make browser")
    with sync_playwright() as playwright:
        flags = [*FLAGS, *microphone(voice)]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def tiny(tiny_folder) -> Iterator[Host]:
    """The host of the site with the stub."""
    with hosting(tiny_folder) as host:
        yield host


@pytest.fixture
def visit(chromium) -> Iterator[Callable[..., Page]]:
    """Opens a site for a new visitor; errors and requests to other hosts fail the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(host: Host, **options) -> Page:
        page = new_visitor(chromium, host, faults, **options)
        contexts.append(page.context)
        page.goto(host.address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def new_visitor(browser: Browser, host: Host, faults: list[str], **options) -> Page:
    """A page of a context of its own, whose faults are collected."""
    defaults = {"locale": "en-GB", "color_scheme": "light", "accept_downloads": True}
    context = browser.new_context(**(defaults | options))
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    watch(page, host, faults)
    return page


def watch(page: Page, host: Host, faults: list[str]) -> None:
    """Collect errors, and requests of the page, its workers and its service worker to others."""
    origin = host.address.partition("/people/")[0]

    def request(one) -> None:
        own = (f"{origin}/", f"blob:{origin}/", "data:")
        if not one.url.startswith(own):
            faults.append(f"request: {one.url}")
        if one.method != "GET":
            faults.append(f"{one.method}: {one.url}")

    def log(message) -> None:
        # Chromium reports what cannot be loaded as an error of its own
        is_of_network = "Failed to load resource" in message.text or host.is_stopped
        if message.type == "error" and not is_of_network:
            faults.append(f"console: {message.text}")

    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("console", log)
    page.context.on("request", request)


def recognize(page: Page, *paths: Path) -> None:
    """Choose files, and wait for all results."""
    page.get_by_test_id("file-input").set_input_files([str(path) for path in paths])
    done = page.locator("[data-testid=file-row][data-state=done]")
    for path in paths:
        done.filter(has_text=path.name).wait_for()


def is_offline_ready(page: Page) -> None:
    """Wait until the browser has kept the site's files."""
    page.locator("#place[data-offline=ready]").wait_for()


def downloaded(page: Page, button: str) -> str:
    """The text of a download."""
    with page.expect_download() as download:
        page.get_by_test_id(button).click()
    return Path(download.value.path()).read_text("utf-8")
