"""What the page recognizes in the browser is what Python recognizes; one visit for all tests."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import soundfile

from phonemo.annotations import writers
from phonemo.annotations.textgrid import read_tiers
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.site.page_files import WEB
from tests.site.browser.conftest import downloaded, new_visitor, recognize
from tests.site.browser.hosting import hosting
from tests.tiny_bundle import alike

SAMPLES = sorted((WEB / "samples").glob("*.flac"))
RATE = 16_000
#: Largest difference of a score to that of Python.
TOLERANCE = 0.01


@pytest.fixture(scope="module")
def model():
    return OnnxRecognizer.load(None, threads=1)


@pytest.fixture(scope="module")
def page(chromium, site_folder):
    """The page; its faults fail the module."""
    faults = []
    with hosting(site_folder) as host:
        page = new_visitor(chromium, host, faults)
        page.goto(host.address)
        yield page
        page.context.close()
    assert faults == []


def answer_of(page, path):
    """The JSON of a file that is recognized."""
    recognize(page, path)
    page.get_by_test_id("result-file").filter(has_text=path.name).wait_for()
    return json.loads(downloaded(page, "download-json"))


def equal_scores(answer, expected):
    assert set(answer) == set(expected)
    return max(abs(answer[name] - expected[name]) for name in expected) <= TOLERANCE


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_has_the_label_and_scores_of_python(page, model, path):
    answer = answer_of(page, path)
    expected = model.predict(path, shares=True, timeline=True).to_dict(spans=True)
    assert answer["label"] == expected["label"]
    assert equal_scores(answer["scores"], expected["scores"])
    assert answer["seconds"] == expected["seconds"]
    assert answer["warnings"] == expected["warnings"]
    assert alike(answer["phonemes"], expected["phonemes"])
    assert [one["label"] for one in answer["segments"]] == [
        one["label"] for one in expected["segments"]
    ]
    assert answer["dimensions"]["derived"] is True


def test_a_sample_is_recognized_by_its_button(page):
    page.get_by_test_id("clear-button").click()
    page.get_by_test_id("sample-german").click()
    page.get_by_test_id("result-label").wait_for()
    assert page.get_by_test_id("score-row").count() == 8
    assert page.get_by_test_id("segment").count() >= 1
    assert page.get_by_test_id("phoneme").count() > 5
    assert "in this browser" in page.get_by_test_id("latency").inner_text()
    page.get_by_test_id("plane").wait_for()


def test_phonemes_have_their_share_of_the_score(page, model):
    path = SAMPLES[1]
    spans = answer_of(page, path)["spans"]
    expected = {round(span.start, 2): span for span in model.predict(path, shares=True).spans}
    common = [
        (span, expected[key]) for span in spans if (key := round(span["start"], 2)) in expected
    ]
    assert len(common) > 0.9 * len(spans)
    assert max(abs(span["share"] - other.share) for span, other in common) <= TOLERANCE
    assert page.get_by_test_id("legend-found").inner_text() != ""


def test_a_chosen_language_decodes_the_phonemes(page, model):
    path = SAMPLES[1]
    expected = [span.symbol for span in model.with_phonemes("english").predict(path).spans]
    plain = answer_of(page, path)
    page.get_by_test_id("speech-select").select_option("english")
    page.get_by_test_id("latency").filter(has_text="decoded for: English").wait_for()
    chosen = json.loads(downloaded(page, "download-json"))
    assert alike(chosen["phonemes"], expected)
    assert chosen["phonemes"] != plain["phonemes"]
    assert chosen["scores"] == plain["scores"]
    page.get_by_test_id("speech-select").select_option("")
    page.get_by_test_id("latency").filter(has_text="decoded for").wait_for(state="detached")


def test_a_dropped_file_is_recognized(page, voice):
    page.get_by_test_id("clear-button").click()
    data = list(voice.read_bytes())
    page.evaluate(
        """data => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(data)], "dropped.wav"));
            const event = { dataTransfer: transfer, bubbles: true, cancelable: true };
            document.getElementById("dropzone").dispatchEvent(new DragEvent("drop", event));
        }""",
        data,
    )
    page.get_by_test_id("result-file").filter(has_text="dropped.wav").wait_for()


def test_downloads_are_those_of_the_command(page, model, tmp_path):
    path = SAMPLES[1]
    recognize(page, path)
    page.get_by_test_id("result-file").filter(has_text=path.name).wait_for()
    prediction = model.predict(path, shares=True, timeline=True).without_dimensions()
    labels = tuple(prediction.scores)
    text = writers.csv_head(labels) + writers.csv_rows(path.name, prediction, labels)
    expected = list(csv.DictReader(io.StringIO(text)))
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "download-csv"))))
    assert [list(row) for row in rows] == [list(row) for row in expected]
    for column in ("file", "start", "end", "label", "unsure", "warnings"):
        assert [row[column] for row in rows] == [row[column] for row in expected], column
    phonemes = [row["phonemes"].split() for row in (*rows, *expected)]
    assert alike(phonemes[0], phonemes[1])
    grids = {
        "page": downloaded(page, "download-textgrid"),
        "python": writers.textgrid(path.name, prediction),
    }
    page_tiers, python_tiers = (
        read_tiers(written(tmp_path / f"{name}.TextGrid", text)) for name, text in grids.items()
    )
    assert list(page_tiers) == list(python_tiers)
    assert times_of(page_tiers["emotion"]) == times_of(python_tiers["emotion"])
    symbols = [[x.text for x in tiers["phonemes"]] for tiers in (page_tiers, python_tiers)]
    assert alike(*symbols)


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def times_of(tier):
    """Times to 1 ms and the emotion of each interval."""
    return [(round(x.start, 3), round(x.end, 3), x.text.split()[:1]) for x in tier]


def test_channels_apart_are_those_of_python(page, model, tmp_path):
    page.get_by_test_id("clear-button").click()
    left, right = (soundfile.read(path, dtype="float32")[0] for path in SAMPLES[1:3])
    longest = max(len(left), len(right))
    both = np.stack([np.pad(one, (0, longest - len(one))) for one in (left, right)], axis=1)
    path = tmp_path / "call.wav"
    soundfile.write(path, both, RATE, subtype="PCM_16")
    recognize(page, path)
    page.get_by_test_id("channel-select").select_option("split")
    page.locator("[data-testid=channel-track]").nth(1).wait_for()
    answer = json.loads(downloaded(page, "download-json"))
    expected = model.predict(path, channels="split", timeline=True).to_dict()
    assert answer["label"] == expected["label"]
    assert equal_scores(answer["scores"], expected["scores"])
    assert answer["warnings"] == expected["warnings"]
    assert [part["channel"] for part in answer["channels"]] == [1, 2]
    assert len(answer["summary"]["parties"]) == 2
    page.get_by_test_id("channel-select").select_option("mix")
    page.locator("[data-testid=file-row][data-state=done]").wait_for()


def test_a_file_without_audio_has_its_reason(page, tmp_path):
    path = tmp_path / "letter.wav"
    path.write_text("no audio at all")
    page.get_by_test_id("file-input").set_input_files(str(path))
    page.get_by_test_id("failure").filter(has_text="no audio in the file").wait_for()


def test_a_recording_that_is_too_short_has_pythons_reason(page, tmp_path):
    path = tmp_path / "click.wav"
    soundfile.write(path, np.full(100, 0.1), RATE)
    page.get_by_test_id("file-input").set_input_files(str(path))
    page.get_by_test_id("failure").filter(has_text="too short").wait_for()


def test_the_microphone_is_recorded_and_recognized(page):
    page.get_by_test_id("clear-button").click()
    page.get_by_test_id("record-button").click()
    page.get_by_test_id("elapsed").filter(has_text="0:02").wait_for()
    page.get_by_test_id("stop-button").click()
    page.get_by_test_id("result-file").filter(has_text="recording-1").wait_for()
    assert page.get_by_test_id("score-row").count() == 8


def test_live_mode_shows_the_emotion_while_one_speaks(page):
    page.get_by_test_id("live-button").click()
    page.wait_for_function(
        "() => /[a-z]/.test(document.querySelector('[data-testid=live-label]')?.innerText ?? '')"
        " && document.querySelectorAll('[data-testid=live-scores] *').length > 8"
    )
    page.get_by_test_id("live-stop").click()
    page.get_by_test_id("result-file").filter(has_text="live-").wait_for()
    assert page.get_by_test_id("segment").count() >= 1


def test_a_session_profile_is_made_applied_and_saved(page):
    page.get_by_test_id("clear-button").click()
    page.get_by_test_id("profile-adapt").check()
    recognize(page, *SAMPLES[:2])
    page.get_by_test_id("profile-state").filter(has_text="profile of this session, 2").wait_for()
    answer = answer_of(page, SAMPLES[3])
    assert answer["profile"]["count"] == 2
    with page.expect_download() as download:
        page.get_by_test_id("profile-save").click()
    profile = json.loads(download.value.path().read_text())
    page.get_by_test_id("profile-reset").click()
    page.get_by_test_id("profile-adapt").uncheck()
    page.get_by_test_id("profile-file").set_input_files(
        {"name": "p.json", "mimeType": "application/json", "buffer": json.dumps(profile).encode()}
    )
    page.get_by_test_id("profile-state").filter(has_text="loaded from a file").wait_for()
    assert answer_of(page, SAMPLES[0])["profile"]["count"] in (2, 3)
    page.get_by_test_id("profile-reset").click()


def test_a_profile_of_another_model_has_the_runtimes_reason(page, voice):
    page.get_by_test_id("clear-button").click()
    profile = {"format": 1, "model": "0" * 64, "count": 9, "seconds": 9.0}
    text = json.dumps({**profile, "mean": [0.0], "deviation": [1.0]})
    page.get_by_test_id("profile-file").set_input_files(
        {"name": "p.json", "mimeType": "application/json", "buffer": text.encode()}
    )
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.get_by_test_id("failure").filter(has_text="expected a profile of model").wait_for()
    page.get_by_test_id("profile-reset").click()
