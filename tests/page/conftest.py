"""A real server and a real, headless Chromium; without either, the tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.page.serving import Serving, serving
from tests.voices import spoken

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
#: Root may not use the sandbox, and containers have little shared memory.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
PATIENCE_MS = 30_000


@pytest.fixture(scope="session")
def voice(tmp_path_factory) -> Path:
    """A synthetic voice, 3 s."""
    return spoken(tmp_path_factory.mktemp("voice") / "voice.wav")


@pytest.fixture(scope="package")
def server() -> Iterator[Serving]:
    """With the model that ships, and room for every test's stream."""
    with serving("--set", "limits.streams=8") as one:
        yield one


@pytest.fixture(scope="package")
def chromium() -> Iterator[Callable[..., Browser]]:
    """Starts one with some flags."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: make browser")
    with sync_playwright() as playwright:
        kind = playwright.chromium
        yield lambda *flags: kind.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])


@pytest.fixture(scope="package")
def browser(chromium, voice) -> Iterator[Browser]:
    """Whose microphone hears the voice, again and again."""
    opened = chromium(*microphone(voice))
    yield opened
    opened.close()


@pytest.fixture
def page(browser, server) -> Iterator[Page]:
    """The page, in English and light; what it complains of, or asks of others, fails the test."""
    context = browser.new_context(locale="en-GB", color_scheme="light", accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    faults = watched(opened, server.address)
    opened.goto(server.address)
    yield opened
    context.close()
    assert faults == []


def microphone(sound: Path) -> list[str]:
    """Flags by which a file stands for the microphone, and nobody is asked."""
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    return [*fake, f"--use-file-for-fake-audio-capture={sound}"]


def watched(page: Page, address: str) -> list[str]:
    """What goes wrong on a page, as it does: errors, broken rules, requests to somebody else."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def log(message) -> None:
        # what the server refuses, Chromium tells as an error of its own
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(f"console: {message.text}")

    def request(one) -> None:
        if not one.url.startswith((address, "blob:", "data:")):
            faults.append(f"request: {one.url}")

    page.on("console", log)
    page.on("request", request)
    return faults
