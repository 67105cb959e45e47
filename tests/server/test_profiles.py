"""Profiles over HTTP: offered, sent and made; what is refused; and that none is kept or logged."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import threading

import numpy as np
import pytest

from phonemo.annotations import writers
from phonemo.errors import UsageError
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.server.models.profile_store import open_profiles
from phonemo.server.routes.answer_schemas import EmotionAnswer, ProfileAnswer, ProfileList
from tests.server.adapting import FILE, MAKE, RECORDINGS, make, offering
from tests.server.asking import KIND, PATH, ask, clip, encoded, form, part, post, wav
from tests.server.serving import command
from tests.tiny_bundle import ADAPTABLE, BUNDLE, RATE

SILENCE = encoded(np.zeros(RATE, np.int16))
LABELS = ["anger", "neutral", "sadness"]


@pytest.fixture(scope="module")
def model() -> OnnxRecognizer:
    return OnnxRecognizer.load(ADAPTABLE, threads=1)


@pytest.fixture(scope="module")
def profile(model) -> Profile:
    return model.profile(RECORDINGS)


@pytest.fixture(scope="module")
def offered(model, tmp_path_factory):
    with offering(model, tmp_path_factory.mktemp("profiles")) as found:
        yield found


@pytest.fixture
def at(offered) -> int:
    return offered.port


def answer_of(found):
    return {"model": "tiny-adaptable", **found.to_dict()}


# Applied ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["office", "room-2"])
def test_a_named_profile_is_applied_as_by_the_library(at, model, name):
    wanted = model.adapted(RECORDINGS[:2] if name == "room-2" else RECORDINGS).predict(FILE)
    found = post(at, FILE, profile=name).data
    assert found == answer_of(wanted)
    assert found["profile"]["count"] == (2 if name == "room-2" else 6)
    EmotionAnswer.model_validate(found, strict=True)


@pytest.mark.parametrize("as_file", [False, True])
def test_a_sent_profile_is_applied(at, model, profile, as_file):
    sent = part("profile_json", profile.text().encode(), "office.json" if as_file else None)
    body = form(part("file", FILE, "clip.wav"), sent)
    found = ask(at, PATH, "POST", body, KIND).data
    assert found == answer_of(model.with_profile(profile).predict(FILE))
    assert found["profile"] == {"hash": profile.hash, "count": 6}


def test_without_a_profile_nothing_changes(at, model):
    found = post(at, FILE).data
    assert found == answer_of(model.predict(FILE))
    assert "profile" not in found
    assert post(at, FILE, model="tiny-bundle").status == 200


def test_every_field_works_with_a_profile(at, model, profile):
    adapted = model.with_profile(profile)
    long = encoded(np.concatenate([clip(20 * RATE), 0 * clip(5 * RATE), clip(12 * RATE, 900.0)]))
    fields = {"profile": "office", "phonemes": "true", "timeline": "true", "top_k": 2}
    wanted = adapted.predict(long, shares=True, timeline=True).top(2)
    data = post(at, long, **fields).data
    assert data == {"model": "tiny-adaptable", **wanted.to_dict(spans=True)}


@pytest.mark.parametrize("fields", [{}, {"profile": "office"}])
def test_csv_has_a_column_for_an_applied_profile(at, model, profile, fields):
    found = post(at, FILE, "my.wav", response_format="csv", **fields).body.decode()
    wanted = model.with_profile(profile if fields else None).predict(FILE)
    rows = writers.csv_rows("my.wav", wanted, LABELS, bool(fields))
    assert found == writers.csv_head(LABELS, bool(fields)) + rows
    (row,) = csv.DictReader(io.StringIO(found))
    assert row.get("profile") == (profile.hash if fields else None)


def test_concurrent_requests_use_their_own_profiles(at, model, profile):
    """Clips are batched; a profile must not apply to the other clips of a batch."""
    from concurrent.futures import ThreadPoolExecutor

    each = [{"profile": "office"}, {}, {"profile": "room-2"}, {"profile_json": profile.text()}] * 3
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda fields: post(at, FILE, **fields).data["scores"], each))
    assert found[:4] * 3 == found
    assert found[0] == found[3] != found[1] != found[2] != found[0]


# Refused ------------------------------------------------------------------------------------------


def changed(profile, **values):
    return json.dumps(profile.to_dict() | values)


@pytest.mark.parametrize(
    ("fields", "told", "param"),
    [
        ({"profile": "shop"}, (400, "profile_not_found"), "profile"),
        ({"profile": ""}, (400, "profile_not_found"), "profile"),
        ({"profile": "office.json"}, (400, "profile_not_found"), "profile"),
        ({"profile": "../profiles/office"}, (400, "profile_not_found"), "profile"),
        ({"profile": "/etc/passwd"}, (400, "profile_not_found"), "profile"),
        ({"profile": "office", "profile_json": "{}"}, (400, "invalid_value"), "profile_json"),
        ({"profile": "office", "model": "tiny-bundle"}, (422, "profile_mismatch"), "profile"),
        ({"profile_json": "{}", "model": "tiny-bundle"}, (422, "profile_unsupported"), "model"),
        ({"profile_json": ""}, (422, "invalid_profile"), "profile_json"),
        ({"profile_json": "{}"}, (422, "invalid_profile"), "profile_json"),
        ({"profile_json": "/etc/passwd"}, (422, "invalid_profile"), "profile_json"),
        ({"profile_json": "[" * 9000}, (422, "invalid_profile"), "profile_json"),
        ({"profile_json": "\ud7ff\x00"}, (422, "invalid_profile"), "profile_json"),
    ],
)
def test_a_wrong_profile_is_rejected(at, fields, told, param):
    found = post(at, FILE, **fields)
    assert found.told == told
    assert found.data["error"]["param"] == param
    assert found.data["error"]["message"].isprintable()


def test_an_unknown_name_is_rejected_with_the_known_ones(at, port):
    assert "office, room-2" in post(at, FILE, profile="shop").data["error"]["message"]
    none = post(port, FILE, profile="shop").data["error"]["message"]
    assert "has none; send one as profile_json" in none


@pytest.mark.parametrize(
    "values",
    [
        {"count": -1},
        {"mean": [1e30]},
        {"deviation": [0]},
        {"mean": [None]},
        {"format": 2},
        {"more": 1},
    ],
)
def test_a_profile_with_invalid_content_is_rejected(at, profile, values):
    assert post(at, FILE, profile_json=changed(profile, **values)).told == (422, "invalid_profile")


def test_a_profile_of_another_model_is_rejected(at, profile):
    found = post(at, FILE, profile_json=changed(profile, model="0" * 64))
    assert found.told == (422, "profile_mismatch")
    assert "make a profile with this model" in found.data["error"]["message"]
    short = changed(profile, mean=[0.0], deviation=[1.0])
    assert post(at, FILE, profile_json=short).told == (422, "profile_mismatch")


@pytest.mark.parametrize("file", [None, "office.json"])
def test_a_profile_has_its_own_size_limit(at, file):
    for size, told in ((2**17, (422, "invalid_profile")), (2**17 + 1, (400, "invalid_form"))):
        body = form(part("file", FILE, "clip.wav"), part("profile_json", b"x" * size, file))
        assert ask(at, PATH, "POST", body, KIND).told == told


def test_other_fields_have_a_smaller_limit(at):
    found = post(at, FILE, labels="a" * 5000)
    assert found.told == (400, "invalid_form")
    assert make(at, FILE, model="a" * 5000).told == (400, "invalid_form")


def test_two_profiles_are_rejected(at, profile):
    twice = [part("profile_json", profile.text().encode(), name) for name in (None, "a.json")]
    found = ask(at, PATH, "POST", form(part("file", FILE, "clip.wav"), *twice), KIND)
    assert found.told == (400, "invalid_value")


# Made ---------------------------------------------------------------------------------------------


def test_a_created_profile_equals_that_of_the_library(at, profile):
    found = make(at, *RECORDINGS)
    assert found.status == 200
    assert found.data == {
        "model": "tiny-adaptable",
        "hash": profile.hash,
        "recordings": 6,
        "silent": 0,
        "failed": 0,
        "left_out": [],
        "profile": profile.to_dict(),
    }
    ProfileAnswer.model_validate(found.data, strict=True)
    assert Profile.from_dict(found.data["profile"]) == profile


def test_the_profile_file_can_be_requested_alone(at, profile):
    found = make(at, *RECORDINGS[::-1], response_format="profile")
    assert found.headers.get_content_type() == "application/json"
    assert found.body.decode() == profile.text()
    assert post(at, FILE, profile_json=found.body.decode()).data["profile"]["hash"] == profile.hash


def test_a_long_recording_adds_its_windows(at, model):
    long = encoded(np.concatenate([clip(20 * RATE), clip(15 * RATE, 900.0)]))
    found = make(at, long, RECORDINGS[0]).data
    assert found["profile"] == model.profile([long, RECORDINGS[0]]).to_dict()
    assert found["profile"]["count"] == 8  # whole, and seven windows with speech
    assert found["recordings"] == 2


def test_unusable_recordings_are_left_out_and_counted(at, profile):
    cut = RECORDINGS[0][:30]
    found = make(at, RECORDINGS[0], SILENCE, *RECORDINGS[1:], cut, b"#EXTM3U\n", wav(0.01)).data
    assert (found["recordings"], found["silent"], found["failed"]) == (6, 1, 3)
    assert found["hash"] == profile.hash
    assert [(one["file"], one["code"]) for one in found["left_out"]] == [
        ("1.wav", "no_speech"),
        ("7.wav", "unsupported_audio"),
        ("8.wav", "unsupported_audio"),
        ("9.wav", "too_short"),
    ]
    ProfileAnswer.model_validate(found, strict=True)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([SILENCE], (422, "no_speech")),
        ([SILENCE, SILENCE], (422, "no_speech")),
        ([SILENCE, b"no audio"], (422, "no_speech")),
        ([b"no audio", b"none"], (422, "no_speech")),
        ([b"#EXTM3U\n"], (415, "unsupported_audio")),
        ([wav(0.01)], (422, "too_short")),
        ([], (400, "missing_file")),
        ([RECORDINGS[0]] * 65, (400, "invalid_form")),
    ],
)
def test_recordings_without_speech_are_rejected(at, files, told):
    found = make(at, *files)
    assert found.told == told
    assert found.data["error"]["message"].isprintable()


def test_the_number_of_recordings_left_out_is_returned(at):
    message = make(at, SILENCE, b"no audio").data["error"]["message"]
    assert "1 recordings without speech, 1 that cannot be used" in message


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([part("file", b"https://example.org/a.wav")], (400, "invalid_file")),
        ([part("file", FILE, "a.wav"), part("file", b"text")], (400, "invalid_file")),
        ([part("audio", FILE, "a.wav")], (400, "missing_file")),
        ([part("file", FILE, "a.wav"), part("profile", b"office")], (400, "unknown_field")),
        ([part("file", FILE, "a.wav"), part("model", FILE, "b.wav")], (400, "invalid_value")),
        ([part("file", FILE, "a.wav"), *[part("model", b"a")] * 2], (400, "invalid_value")),
        ([part("file", FILE, "a.wav"), part("response_format", b"csv")], (400, "invalid_value")),
        ([part("file", FILE, "a.wav"), part("model", b"other")], (404, "model_not_found")),
        (
            [part("file", FILE, "a.wav"), part("model", b"tiny-bundle")],
            (422, "profile_unsupported"),
        ),
    ],
)
def test_an_invalid_form_is_rejected(at, parts, told):
    assert ask(at, MAKE, "POST", form(*parts), KIND).told == told


def test_limits_of_single_recordings_and_in_total(model, tmp_path):
    limits = {"profile_files": 2, "profile_seconds": 2.5, "audio_seconds": 2, "body_bytes": 200_000}
    with offering(model, tmp_path, limits=limits) as found:
        assert make(found.port, wav(1.2), wav(1.2)).status == 200
        assert make(found.port, wav(1.3), wav(1.3)).told == (413, "audio_too_long")
        assert make(found.port, wav(1), wav(1), wav(1)).told == (400, "invalid_form")
        assert make(found.port, wav(2.1)).told == (413, "audio_too_long")
        assert make(found.port, wav(1), wav(2.1)).data["failed"] == 1
        assert make(found.port, wav(4), wav(4)).told == (413, "body_too_large")


def test_creating_a_profile_takes_a_queue_slot(model, tmp_path):
    limits = {"queue": 0, "deadline_seconds": 0.2}
    with offering(model, tmp_path, workers=1, limits=limits) as found:
        with found.service.admission.queue.slot():
            assert make(found.port, FILE).told == (429, "queue_full")
        go = threading.Event()
        found.call(lambda: asyncio.ensure_future(found.service.pipeline.batcher.run(go.wait)))
        assert make(found.port, FILE).told == (503, "busy")
        assert found.service.admission.queue.in_use == 0
        go.set()
        found.call(found.service.stop)
        assert make(found.port, FILE).told == (503, "stopping")


def test_access_rules_apply_to_profiles(model, tmp_path):
    from phonemo.server.auth import digest_of

    with offering(model, tmp_path, access={"keys": [digest_of("key")]}) as found:
        key = {"Authorization": "Bearer key"}
        stranger = {"Origin": "https://example.org"}
        for headers, status in (({}, 401), (stranger, 403), (key, 200)):
            assert make(found.port, FILE, headers=headers).status == status
        assert ask(found.port, "/v1/profiles").told == (401, "invalid_api_key")
        assert ask(found.port, "/v1/profiles", headers=key).status == 200


# Offered ------------------------------------------------------------------------------------------


def test_profiles_are_listed_without_their_content(at, model, profile, port):
    found = ask(at, "/v1/profiles").data
    ProfileList.model_validate(found, strict=True)
    second = model.profile(RECORDINGS[:2])
    assert found["data"] == [
        {"name": "office", "hash": profile.hash, "count": 6, "models": ["tiny-adaptable"]},
        {"name": "room-2", "hash": second.hash, "count": 2, "models": ["tiny-adaptable"]},
    ]
    assert found["models"] == ["tiny-adaptable"]
    assert found["limits"] == {
        "profile_bytes": 2**17,
        "profile_files": 64,
        "profile_seconds": 600.0,
    }
    none = ask(port, "/v1/profiles").data
    assert (none["data"], none["models"]) == ([], [])


def test_profiles_are_read_once(model, tmp_path, profile):
    with offering(model, tmp_path) as found:
        for path in tmp_path.glob("*.json"):
            path.unlink()
        profile.save(tmp_path / "new.json")
        assert post(found.port, FILE, profile="office").status == 200
        assert post(found.port, FILE, profile="new").told == (400, "profile_not_found")


@pytest.fixture
def folder(tmp_path, profile):
    profile.save(tmp_path / "good.json")
    return tmp_path


def test_profiles_are_named_by_file_stem(folder, model, profile):
    (folder / "notes.txt").write_text("no profile", "utf-8")
    profile.save(folder / "A.b_c-1.json")
    assert open_profiles(str(folder), {"a": model}) == {"A.b_c-1": profile, "good": profile}
    assert open_profiles(None, {"a": model}) == {}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("bad.json", "{}", "bad.json: expected an object"),
        ("bad.json", "", "bad.json: expected JSON"),
        ("bad.json", "[" * 2**21, "at most 1048576 bytes, got more"),
        ("a b.json", None, "rename the file"),
        ("..json", None, "rename the file"),
        (".hidden.json", None, "rename the file"),
        ("büro.json", None, "rename the file"),
        (f"{'a' * 65}.json", None, "rename the file"),
    ],
)
def test_an_invalid_profile_file_is_one_line(folder, model, profile, name, text, told):
    (folder / name).write_text(profile.text() if text is None else text, "utf-8")
    with pytest.raises(UsageError, match=re.escape(told)) as error:
        open_profiles(str(folder), {"a": model})
    assert str(error.value).isprintable()


def test_a_profile_of_no_served_model_is_one_line(folder, model, profile):
    (folder / "other.json").write_text(changed(profile, model="0" * 64), "utf-8")
    with pytest.raises(UsageError, match=r"other\.json: expected .* got one of 000000000000"):
        open_profiles(str(folder), {"a": model})
    (folder / "other.json").unlink()
    old = OnnxRecognizer.load(BUNDLE, threads=1)
    with pytest.raises(UsageError, match=r"good\.json: no served model supports profiles \(old\)"):
        open_profiles(str(folder), {"old": old})
    assert set(open_profiles(str(folder), {"old": old, "a": model})) == {"good"}


def test_a_folder_without_profiles_is_one_line(tmp_path, model):
    with pytest.raises(UsageError, match=r"expected 1 to 1000 files NAME\.json, got 0"):
        open_profiles(str(tmp_path), {"a": model})
    with pytest.raises(UsageError, match="no such folder"):
        open_profiles(str(tmp_path / "absent"), {"a": model})


def test_the_command_exits_with_2_and_one_line(folder):
    (folder / "bad.json").write_text("{}", "utf-8")
    options = ("--model", str(ADAPTABLE), "--profiles", str(folder))
    with command(*options, model=False) as process:
        assert process.ended() == 2
        assert re.fullmatch(r"phonemo: .*bad\.json: expected an object .*\n", process.said)


# Nothing is kept ----------------------------------------------------------------------------------


def traces_of(profile):
    """What would give a profile away: its hash and its numbers."""
    numbers = [str(abs(value)) for value in profile.mean + profile.deviation]
    return [profile.hash, *(one for one in numbers if len(one) > 5)]


def test_no_log_line_or_metric_contains_a_profile(folder, profile):
    options = ("--model", str(ADAPTABLE), "--profiles", str(folder), "--access-log")
    sent = profile.text()
    with command(*options, model=False) as process:
        port = process.port
        assert make(port, *RECORDINGS).data["hash"] == profile.hash
        assert post(port, FILE, profile_json=sent).data["profile"]["hash"] == profile.hash
        assert post(port, FILE, profile="good").status == 200
        assert post(port, b"no audio", profile_json=sent).status == 415
        assert post(port, FILE, profile_json=sent + "}").told == (422, "invalid_profile")
        assert post(port, FILE, profile_json=sent, profile="good").status == 400
        assert post(port, FILE, profile_json=changed(profile, model="0" * 64)).status == 422
        metrics = ask(port, "/metrics").body.decode()
        process.process.terminate()
        assert process.ended() == 0
        said = process.said
    assert said.count(PATH) == 6
    assert MAKE in said
    for trace in traces_of(profile):
        assert trace not in said
        assert trace not in metrics


def test_a_sent_profile_is_not_kept(at, offered, profile):
    before = dict(offered.service.registry.profile_store._adapted)
    own = changed(profile, seconds=1.0)
    assert post(at, FILE, profile_json=own).status == 200
    assert make(at, *RECORDINGS[:3]).status == 200
    assert offered.service.registry.profile_store._adapted == before
    assert offered.complaints.lines == []
