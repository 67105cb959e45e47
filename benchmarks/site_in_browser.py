"""Measure the page without a server: time in the browser against Python, start, and download.

    python benchmarks/site_in_browser.py [--rounds 7]

Writes a site, serves it on this machine and opens it in headless Chromium. The worker's time for
3 s clips and that of Python with one thread are taken in turns, so that other load hits both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import soundfile
from playwright.sync_api import Page, sync_playwright

from phonemo.runtime.bundle import open_bundle, packaged
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.site.onnxruntime_web import obtain_engine
from phonemo.site.page_files import WEB
from phonemo.site.write_site import write_site

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # before a package of the same name
from tests.page.conftest import CHROMIUM, FLAGS  # noqa: E402
from tests.site.browser.conftest import downloaded, recognize  # noqa: E402
from tests.site.browser.hosting import Host, hosting  # noqa: E402

SAMPLES = sorted((WEB / "samples").glob("*.flac"))
RATE, SECONDS = 16_000, 3
#: Before any script: when the page can be used, measured by the page itself.
TIMING = "() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd / 1000"
#: In the worker: one recognition without and one with shares and timeline.
RECOGNIZE = """async ([base, values, options]) => {
    const { recognizerOf } = await import(base + "web/local/modelfiles.js");
    const samples = Float32Array.from(values);
    const started = performance.now();
    await recognizerOf("phonemo-small").predict(samples, 16000, options);
    return (performance.now() - started) / 1000;
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--onnxruntime-web", type=Path, default=REPOSITORY / "js")
    options = parser.parse_args()
    model = OnnxRecognizer.load(None, threads=1)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        engine = obtain_engine(options.onnxruntime_web)
        written = write_site(Path(folder) / "site", [open_bundle(packaged())], engine)
        print(f"download: {written.first_bytes / 1e6:.1f} MB for the first recognition")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with hosting(written.folder) as host:
            print_starts(browser, host)
            page = opened(browser, host)
            print_speed(page, host, model, options.rounds)
            print_agreement(page, model)
        browser.close()
    print(f"load average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def opened(browser, host: Host) -> Page:
    """The page of a new visitor, with its model loaded."""
    page = browser.new_context(locale="en-GB", accept_downloads=True).new_page()
    page.set_default_timeout(120_000)
    page.goto(host.address)
    page.locator("#place[data-state=ready]").wait_for()
    return page


def print_starts(browser, host: Host) -> None:
    """Seconds until the page can be used, and until the model is loaded, for new visitors."""
    usable, ready = [], []
    for _ in range(5):
        started = time.perf_counter()
        page = browser.new_context().new_page()
        page.goto(host.address, wait_until="commit")
        page.locator("[data-testid=sample-polish]").wait_for()
        page.wait_for_function("() => document.getElementById('file-limits').textContent !== ''")
        usable.append(time.perf_counter() - started)
        page.locator("#place[data-state=ready]").wait_for(timeout=120_000)
        ready.append(time.perf_counter() - started)
        page.context.close()
    print(f"page can be used after {spread(usable)} s; model loaded after {spread(ready)} s")


def print_speed(page: Page, host: Host, model: OnnxRecognizer, rounds: int) -> None:
    """Times of the same clips, in turns."""
    clips = [soundfile.read(path, dtype="float32")[0][: RATE * SECONDS] for path in SAMPLES]
    (worker,) = page.workers
    kinds = {"emotion": ({}, {}), "emotion, shares, timeline": (
        {"phonemes": True, "timeline": True}, {"shares": True, "timeline": True}
    )}  # fmt: skip
    for name, (in_browser, in_python) in kinds.items():
        times: dict[str, list[float]] = {"browser": [], "python": [], "ratio": []}
        for number in range(rounds + 1):
            clip = clips[number % len(clips)]
            arguments = [host.address, clip.tolist(), in_browser]
            browser_seconds = worker.evaluate(RECOGNIZE, arguments)
            started = time.perf_counter()
            model.predict(clip, RATE, **in_python)
            seconds = time.perf_counter() - started
            if number:  # the first one warms both up
                times["browser"].append(browser_seconds)
                times["python"].append(seconds)
                times["ratio"].append(browser_seconds / seconds)
        print(
            f"3 s clip, {name}: browser {spread(times['browser'])} s, "
            f"Python {spread(times['python'])} s, ratio {spread(times['ratio'])}"
        )


def print_agreement(page: Page, model: OnnxRecognizer) -> None:
    """Labels and scores of the page's samples."""
    for path in SAMPLES:
        recognize(page, path)
        page.get_by_test_id("result-file").filter(has_text=path.name).wait_for()
        answer = json.loads(downloaded(page, "download-json"))
        expected = model.predict(path, timeline=True)
        scores = expected.scores
        difference = max(abs(answer["scores"][name] - scores[name]) for name in scores)
        same = "same label" if answer["label"] == expected.label else "another label"
        print(f"{path.stem}: {same} ({answer['label']}), scores differ by {difference:.4f} at most")


def spread(values: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
