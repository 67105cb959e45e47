"""Files that are chosen, dropped or sampled: from the upload to the phonemes and the downloads."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

import phonemo
from tests.voices import spoken

#: What a user should never be able to do with a name.
EVIL = "<img src=x onerror=alert(1)>.wav"


def upload(page, *paths) -> None:
    page.get_by_test_id("file-input").set_input_files([str(path) for path in paths])


def test_a_file_is_heard_as_the_library_hears_it(page, voice):
    wanted = phonemo.load().predict(voice)
    upload(page, voice)
    label = page.get_by_test_id("result-label")
    label.wait_for()
    assert label.inner_text().strip() == ("unsure" if wanted.unsure else wanted.label)
    assert f"score {100 * wanted.score:.0f}%" in page.get_by_test_id("result-percent").inner_text()
    rows = page.get_by_test_id("score-row")
    names = rows.evaluate_all("rows => rows.map(row => row.dataset.emotion)")
    assert names == sorted(wanted.scores, key=lambda name: -wanted.scores[name])
    percents = [int(one) for one in re.findall(r"(\d+)\s*%", "\n".join(rows.all_inner_texts()))]
    assert percents == [round(100 * wanted.scores[name]) for name in names]
    assert page.get_by_test_id("phoneme").count() > 10
    assert page.get_by_test_id("segment").count() >= 1
    assert re.search(r"\d+ ms", page.get_by_test_id("latency").inner_text())


def test_phonemes_are_reached_by_keyboard_and_by_pointer(page, voice):
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    detail = page.get_by_test_id("phoneme-detail")
    lane = page.locator("[data-testid=phoneme][tabindex='0'], [role=listbox][tabindex='0']").first
    lane.focus()
    page.keyboard.press("Home")
    first = detail.inner_text()
    page.keyboard.press("ArrowRight")
    second = detail.inner_text()
    assert first != second
    assert re.search(r"\d\.\d+ to \d\.\d+ s.*confidence \d+%", second), second
    page.get_by_test_id("phoneme").nth(5).hover()
    assert detail.inner_text() != second


def test_what_is_downloaded_is_what_the_library_writes(page, voice):
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    found = {}
    for name in ("json", "csv", "textgrid"):
        with page.expect_download() as waiting:
            page.get_by_test_id(f"download-{name}").click()
        found[waiting.value.suggested_filename] = waiting.value.path().read_text("utf-8")
    assert set(found) == {"voice.json", "voice.csv", "voice.TextGrid"}
    assert json.loads(found["voice.json"])["label"] == "anger"
    assert next(csv.DictReader(io.StringIO(found["voice.csv"])))["label"]
    assert found["voice.TextGrid"].startswith('File type = "ooTextFile"')
    assert 'name = "share"' in found["voice.TextGrid"]


def test_the_sample_voices_are_heard(page):
    samples = page.locator("[data-testid^=sample-]")
    assert samples.count() >= 3
    samples.first.click()
    page.get_by_test_id("result-label").wait_for()


def test_several_files_good_and_bad(page, tmp_path, voice):
    bad = tmp_path / "text.wav"
    bad.write_text("#EXTM3U\n", encoding="utf-8")
    good = [spoken(tmp_path / f"{number}.wav", "sadness") for number in range(3)]
    upload(page, good[0], bad, good[1], good[2])
    rows = page.get_by_test_id("file-row")
    rows.nth(3).wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-testid=file-row]')]"
        ".filter(row => /%/.test(row.textContent)).length === 3"
    )
    assert rows.count() == 4
    assert "No audio" in page.get_by_test_id("error").inner_text()
    rows.nth(2).locator("button").first.click()
    page.get_by_test_id("result-file").get_by_text("1.wav").wait_for()


def test_a_hostile_name_is_text_and_nothing_else(page, tmp_path, voice):
    path = tmp_path / EVIL
    path.write_bytes(voice.read_bytes())
    upload(page, path)
    page.get_by_test_id("result-label").wait_for()
    assert EVIL in page.get_by_test_id("file-row").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_a_hostile_label_is_text_too(page, voice):
    found = phonemo.load().predict(voice, shares=True).to_dict(spans=True)
    found |= {"model": EVIL, "file": EVIL, "label": EVIL, "timings": {}}
    found["scores"] = {EVIL: 0.9, **dict.fromkeys(found["scores"], 0.01)}
    for one in found["segments"]:
        one.update(label=EVIL, scores=found["scores"])
    for one in found["spans"]:
        one["symbol"] = EVIL
    page.route("**/v1/audio/emotions", lambda route: route.fulfill(json=found))
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    assert EVIL in page.get_by_test_id("result-label").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_a_file_above_the_limit_is_not_sent(page, voice):
    asked = []
    page.on("request", lambda one: asked.append(one.method))
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(27 * 2 ** 20)], "large.wav"));
            const input = document.querySelector("[data-testid=file-input]");
            input.files = data.files;
            input.dispatchEvent(new Event("change", { bubbles: true }));
        }"""
    )
    page.get_by_text(re.compile("27.* MB; this server accepts at most 25 MB")).first.wait_for()
    assert "POST" not in asked


def test_a_busy_server_is_asked_again(page, voice):
    times = []

    def answer(route) -> None:
        times.append(1)
        if len(times) > 1:
            route.continue_()
            return
        error = {"message": "busy", "type": "rate_limit_error", "param": None, "code": "queue_full"}
        route.fulfill(status=429, headers={"Retry-After": "1"}, json={"error": error})

    page.route("**/v1/audio/emotions", answer)
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    assert len(times) >= 2


@pytest.mark.parametrize("status", [500, 422])
def test_an_error_of_the_server_is_told(page, voice, status):
    error = {"message": "voice.wav: it cannot be heard", "type": "x", "param": None, "code": "y"}
    page.route(
        "**/v1/audio/emotions", lambda route: route.fulfill(status=status, json={"error": error})
    )
    upload(page, voice)
    page.get_by_text("it cannot be heard").first.wait_for()


def test_a_server_that_is_gone_is_told(page, voice):
    page.route("**/v1/audio/emotions", lambda route: route.abort())
    upload(page, voice)
    page.get_by_role("alert").filter(has_text=re.compile(r"\w")).first.wait_for()


def test_the_cursor_moves_while_it_plays(page, voice):
    upload(page, voice)
    page.get_by_test_id("result-label").wait_for()
    clock = page.get_by_test_id("clock")
    before = clock.inner_text()
    page.get_by_test_id("play-button").click()
    page.wait_for_function(
        "before => document.querySelector('[data-testid=clock]').innerText !== before", arg=before
    )
