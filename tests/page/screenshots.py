"""The pictures of the page under docs/images; `make screenshots` takes them.

    python -m tests.page.screenshots

A real server, a real Chromium, and the sample voices one after the other as one recording.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Browser, Page, sync_playwright

from tests.laws import REPOSITORY
from tests.page.conftest import CHROMIUM, FLAGS, PATIENCE_MS, microphone
from tests.page.serving import serving

IMAGES = REPOSITORY / "docs" / "images"
SAMPLES = REPOSITORY / "src" / "phonemo" / "web" / "samples"
DESKTOP, PHONE = (1280, 900), (390, 844)
#: Name of the picture -> size, colours, language.
LOOKS = {
    "page-light": (DESKTOP, "light", "en-GB"),
    "page-dark": (DESKTOP, "dark", "en-GB"),
    "page-phone-light": (PHONE, "light", "en-GB"),
    "page-phone-dark": (PHONE, "dark", "zh-CN"),
}


def main() -> None:
    """Take them all."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving() as server,
        sync_playwright() as playwright,
    ):
        voice = voices(Path(folder) / "four-voices.wav")
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, *microphone(voice)]
        )
        for name, look in LOOKS.items():
            page = opened(browser, server.address, *look)
            page.get_by_test_id("file-input").set_input_files(str(voice))
            page.get_by_test_id("result-label").wait_for()
            keep(page, name)
        page = opened(browser, server.address, DESKTOP, "light", "en-GB")
        channels(page, call(Path(folder) / "call.wav"))
        page = opened(browser, server.address, DESKTOP, "light", "en-GB")
        page.get_by_test_id("live-button").click()
        page.wait_for_timeout(11_000)
        keep(page, "page-live")
        browser.close()


def voices(path: Path) -> Path:
    """All samples in one file."""
    parts = [soundfile.read(one) for one in sorted(SAMPLES.glob("*.flac"))]
    soundfile.write(path, np.concatenate([part for part, _ in parts]), parts[0][1])
    return path


def call(path: Path) -> Path:
    """The samples in turn on the left and on the right, as the two sides of a call."""
    parts = [soundfile.read(one) for one in sorted(SAMPLES.glob("*.flac"))]
    sides = [
        [
            part if number % 2 == side else np.zeros_like(part)
            for number, (part, _) in enumerate(parts)
        ]
        for side in range(2)
    ]
    samples = np.stack([np.concatenate(side) for side in sides], axis=1)
    soundfile.write(path, samples, parts[0][1])
    return path


def channels(page: Page, recording: Path) -> None:
    """The result of a call, each side on its own."""
    page.get_by_test_id("file-input").set_input_files(str(recording))
    page.get_by_test_id("channel-split").click()
    page.get_by_test_id("channel-verdict").first.wait_for()
    page.wait_for_timeout(800)
    page.get_by_test_id("result").screenshot(path=IMAGES / "page-channels.png")
    page.context.close()


def opened(
    browser: Browser, address: str, size: tuple[int, int], scheme: str, language: str
) -> Page:
    """The page as somebody sees it."""
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, locale=language)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(address)
    return page


def keep(page: Page, name: str) -> None:
    """One picture of the whole page."""
    page.wait_for_timeout(800)  # colours fade in
    page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
    page.context.close()


if __name__ == "__main__":
    main()
