"""Profiles on the page: chosen, loaded, grown over a session, reset, saved; or none at all."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile

from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.page.conftest import PATIENCE_MS, microphone, watched
from tests.page.serving import serving
from tests.page.test_looks import broken
from tests.tiny_bundle import ADAPTABLE, RATE, make_clip


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Buzzes of one source."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / f"{number}.wav" for number in range(6)]
    for number, path in enumerate(paths):
        clip = make_clip(RATE + 3000 * number, 100.0 + 70 * number)
        soundfile.write(path, clip, RATE, subtype="PCM_16")
    return paths


@pytest.fixture(scope="module")
def model():
    return OnnxRecognizer.load(ADAPTABLE, threads=1)


@pytest.fixture(scope="module")
def profile(model, recordings):
    return model.profile(recordings)


@pytest.fixture(scope="module")
def adaptable(profile, tmp_path_factory):
    """A server whose model takes a profile, and which offers one."""
    folder = tmp_path_factory.mktemp("profiles")
    profile.save(folder / "office.json")
    with serving("--model", str(ADAPTABLE), "--profiles", str(folder)) as one:
        yield one


def opened(browser, adaptable, faults, **options):
    context = browser.new_context(**({"locale": "en-GB", "color_scheme": "light"} | options))
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    faults.append(watched(page, adaptable.address))
    page.goto(adaptable.address)
    page.get_by_test_id("profile").wait_for()
    return page


@pytest.fixture
def session(browser, adaptable):
    """The page of that server; what it complains of fails the test."""
    faults = []
    page = opened(browser, adaptable, faults)
    yield page
    page.context.close()
    assert faults == [[]]


def upload(page, *paths):
    page.get_by_test_id("file-input").set_input_files([str(path) for path in paths])
    done = page.locator("[data-testid=file-row][data-state=done]")
    for path in paths:
        done.filter(has_text=path.name).wait_for()


def state(page):
    return page.get_by_test_id("profile-state")


def note(page):
    return page.locator("[data-testid=notes] [data-warning=profile]")


def percent(page):
    return re.search(r"score \d+%", page.get_by_test_id("result-percent").inner_text()).group()


def rounded(found):
    return f"score {100 * max(found.scores.values()):.0f}%"


# Where there is none ------------------------------------------------------------------------------


def test_a_model_that_takes_none_shows_no_control(page, voice):
    page.get_by_test_id("file-input").set_input_files(str(voice))
    page.get_by_test_id("result-label").wait_for()
    takes = page.evaluate("fetch('/v1/profiles').then(one => one.json())")["models"]
    assert page.get_by_test_id("profile").is_visible() == bool(takes)
    assert note(page).count() == 0


def test_it_is_off_until_somebody_turns_it_on(session, model, recordings):
    assert not session.get_by_test_id("profile-adapt").is_checked()
    upload(session, *recordings[:2])
    assert "each recording is recognized on its own" in state(session).inner_text()
    assert note(session).count() == 0
    assert percent(session) == rounded(model.predict(recordings[0]))
    assert session.get_by_test_id("profile-save").is_disabled()
    assert session.get_by_test_id("profile-reset").is_disabled()


# Chosen and loaded --------------------------------------------------------------------------------


def test_one_that_is_offered(session, model, recordings, profile):
    session.get_by_test_id("profile-select").select_option("office")
    assert state(session).inner_text() == "Applied: office, made from 6 recordings or windows."
    upload(session, recordings[1])
    assert "profile of 6 recordings" in note(session).inner_text()
    assert percent(session) == rounded(model.with_profile(profile).predict(recordings[1]))
    with session.expect_download() as waiting:
        session.get_by_test_id("download-csv").click()
    assert profile.hash in waiting.value.path().read_text("utf-8")
    session.get_by_test_id("profile-reset").click()
    assert session.get_by_test_id("profile-select").input_value() == ""
    upload(session, recordings[2])
    assert note(session).count() == 0
    assert percent(session) == rounded(model.predict(recordings[2]))


def test_one_from_a_file_and_back_to_one(session, model, recordings, profile, tmp_path):
    own = model.profile(recordings[:3])
    own.save(tmp_path / "<b>mine.json")
    session.get_by_test_id("profile-file").set_input_files(str(tmp_path / "<b>mine.json"))
    state(session).get_by_text("<b>mine.json").wait_for()
    upload(session, recordings[4])
    assert percent(session) == rounded(model.with_profile(own).predict(recordings[4]))
    with session.expect_download() as waiting:
        session.get_by_test_id("profile-save").click()
    assert waiting.value.suggested_filename == "phonemo-profile.json"
    assert Profile.load(waiting.value.path()) == own
    session.get_by_test_id("profile-select").select_option("")
    assert "No profile" in state(session).inner_text()


@pytest.mark.parametrize("text", ["", "[1]", "null", "{}", '{"count": 1}', "RIFF"])
def test_a_file_that_is_none_is_told(session, tmp_path, text):
    (tmp_path / "bad.json").write_text(text, "utf-8")
    session.get_by_test_id("profile-file").set_input_files(str(tmp_path / "bad.json"))
    session.get_by_role("alert").filter(
        has_text="bad.json: The file is not a readable profile"
    ).wait_for()
    assert "No profile" in state(session).inner_text()


def test_one_of_another_model_is_told_when_it_is_used(session, recordings, profile, tmp_path):
    other = json.dumps(profile.to_dict() | {"model": "0" * 64})
    (tmp_path / "other.json").write_text(other, "utf-8")
    session.get_by_test_id("profile-file").set_input_files(str(tmp_path / "other.json"))
    session.get_by_test_id("file-input").set_input_files(str(recordings[0]))
    session.get_by_role("alert").filter(has_text="belongs to another model. Reset it").wait_for()


# Grown --------------------------------------------------------------------------------------------


def test_one_grows_over_the_recordings_and_is_reset(session, model, recordings):
    session.get_by_test_id("profile-adapt").check()
    assert "0 windows so far" in state(session).inner_text()
    upload(session, *recordings[:3])
    state(session).get_by_text("profile of this session, 3 windows.").wait_for()
    assert note(session).count() == 0, "it was not there yet"
    upload(session, recordings[4])
    assert "profile of 3 recordings" in note(session).inner_text()
    assert percent(session) == rounded(model.adapted(recordings[:3]).predict(recordings[4]))
    state(session).get_by_text("profile of this session, 4 windows.").wait_for()
    with session.expect_download() as waiting:
        session.get_by_test_id("profile-save").click()
    assert Profile.load(waiting.value.path()) == model.profile([*recordings[:3], recordings[4]])
    session.get_by_test_id("profile-reset").click()
    assert session.get_by_test_id("profile-adapt").is_checked()
    assert "0 windows so far" in state(session).inner_text()
    upload(session, recordings[5])
    state(session).get_by_text("profile of this session, 1 windows.").wait_for()
    session.get_by_test_id("profile-adapt").uncheck()
    upload(session, recordings[3])
    assert note(session).count() == 0


def test_recordings_of_before_count_and_samples_do_not(session, recordings):
    session.locator("[data-testid^=sample-]").first.click()
    session.get_by_test_id("result-label").wait_for()
    upload(session, *recordings[:2])
    session.get_by_test_id("profile-adapt").check()
    state(session).get_by_text("profile of this session, 2 windows.").wait_for()
    session.get_by_test_id("clear-button").click()
    assert "0 windows so far" in state(session).inner_text()


def test_a_server_that_cannot_make_one_is_told(session, recordings):
    error = {"message": "too long", "type": "x", "param": None, "code": "audio_too_long"}
    session.route(
        "**/v1/audio/profiles", lambda route: route.fulfill(status=413, json={"error": error})
    )
    session.get_by_test_id("profile-adapt").check()
    upload(session, recordings[0])
    state(session).get_by_text("No profile was made: The recording is longer").wait_for()


def test_nothing_of_it_is_left_behind(session, recordings):
    session.get_by_test_id("profile-adapt").check()
    upload(session, *recordings[:2])
    state(session).get_by_text("profile of this session").wait_for()
    kept = session.evaluate(
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert "mean" not in kept
    assert "profile" not in kept
    session.reload()
    session.get_by_test_id("profile").wait_for()
    assert not session.get_by_test_id("profile-adapt").is_checked()
    assert "No profile" in state(session).inner_text()


@pytest.fixture(scope="module")
def talking(chromium, tmp_path_factory):
    """A browser whose microphone gets a buzz every 3 s, with pauses."""
    pause = np.zeros(RATE * 3 // 10, np.float32)
    clips = (make_clip(RATE * 27 // 10, 100.0 + 50 * number) for number in range(14))
    sound = tmp_path_factory.mktemp("sound") / "sound.wav"
    soundfile.write(sound, np.concatenate([part for one in clips for part in (one, pause)]), RATE)
    browser = chromium(*microphone(sound))
    yield browser
    browser.close()


def test_one_grows_live_and_is_reset(talking, adaptable):
    faults = []
    page = opened(talking, adaptable, faults)
    page.get_by_test_id("profile-adapt").check()
    page.get_by_test_id("live-button").click()
    page.locator("[data-testid=profile-adapt]:disabled").wait_for()
    state(page).get_by_text(re.compile("profile of this session, [5-9] windows")).wait_for()
    page.get_by_test_id("profile-reset").click()
    state(page).get_by_text("0 windows so far").wait_for()
    page.wait_for_timeout(2500)
    assert "0 windows so far" in state(page).inner_text(), (
        "windows that follow do not bring it back"
    )
    page.get_by_test_id("live-stop").click()
    page.get_by_test_id("result-label").wait_for()
    assert not page.get_by_test_id("profile-adapt").is_disabled()
    state(page).get_by_text(re.compile(r"profile of this session, \d+ windows\.")).wait_for()
    page.context.close()
    assert faults == [[]]


# For everybody ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_breaks_no_rule_of_accessibility_and_fits(
    browser, adaptable, recordings, language, scheme, width
):
    size = {"width": width, "height": 800}
    faults = []
    page = opened(browser, adaptable, faults, locale=language, color_scheme=scheme, viewport=size)
    empty = broken(page)
    page.get_by_test_id("profile-adapt").check()
    upload(page, *recordings[:2])
    state(page).get_by_text("2").wait_for()
    full = broken(page)
    words = page.get_by_test_id("profile").inner_text()
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    page.context.close()
    assert (empty, full, faults) == ([], [], [[]])
    assert wide <= 0
    assert ("声纹" if "zh" in language else "coarse voice print") in words


def test_the_language_can_be_switched_while_one_is_applied(session):
    session.get_by_test_id("profile-select").select_option("office")
    session.get_by_test_id("language").select_option("zh-CN")
    assert state(session).inner_text() == "正在使用：office，由 6 段录音或窗口生成。"


def test_it_can_be_used_by_keyboard_alone(session, recordings):
    session.get_by_test_id("profile-adapt").focus()
    session.keyboard.press("Space")
    assert session.get_by_test_id("profile-adapt").is_checked()
    order = ["profile-select", "profile-file", "profile-reset"]
    for name in order:
        session.keyboard.press("Tab")
        focused = session.evaluate("document.activeElement.dataset.testid")
        assert focused == name
    session.keyboard.press("Enter")
    session.get_by_test_id("status").get_by_text("The profile was reset.").wait_for(
        state="attached"
    )
