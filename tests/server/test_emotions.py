"""POST /v1/audio/emotions: what is answered, and what is not, whatever is sent."""

from __future__ import annotations

import csv
import io
import struct
import tempfile

import numpy as np
import pytest

from phonemo.annotations import writers
from tests.server.asking import clip, encoded, post, wav
from tests.server.serving import Held, served, settings
from tests.tiny_bundle import RATE

LABELS = ["anger", "neutral", "sadness"]
WRITERS = {
    "srt": (writers.srt, "application/x-subrip"),
    "vtt": (writers.webvtt, "text/vtt"),
    "rttm": (writers.rttm, "text/plain"),
    "textgrid": (writers.textgrid, "text/plain"),
}
FILE = wav(1.4)
LONG = encoded(np.concatenate([clip(20 * RATE), 0 * clip(5 * RATE), clip(12 * RATE, 900.0)]))


@pytest.fixture(scope="module")
def whole(recognizer):
    """Return the library result for the file."""
    return recognizer.predict(FILE, shares=True)


def data_of(found, spans=False):
    return found.to_dict(spans=spans)


# What is answered ---------------------------------------------------------------------------------


def test_json_equals_the_library_result(port, recognizer):
    found = post(port, FILE)
    assert found.status == 200
    assert found.headers["Content-Type"] == "application/json"
    assert found.data == {"model": "tiny-bundle", **data_of(recognizer.predict(FILE))}


def test_phonemes_have_times_and_shares(port, whole):
    found = post(port, FILE, phonemes="true").data
    assert found == {"model": "tiny-bundle", **data_of(whole, spans=True)}
    assert all("share" in one for one in found["spans"])


def test_verbose_json_has_all_fields_and_timings(port, recognizer):
    found = post(port, FILE, "my.wav", response_format="verbose_json").data
    timings = found.pop("timings")
    wanted = data_of(recognizer.predict(FILE), spans=True)
    assert found == {"model": "tiny-bundle", **wanted, "file": "my.wav"}
    assert set(timings) == {"upload", "decode", "wait", "network", "phonemes", "total"}
    assert all(seconds >= 0 for seconds in timings.values())
    parts = sum(seconds for name, seconds in timings.items() if name != "total")
    assert parts <= timings["total"] + 1e-3


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("file", [FILE, LONG], ids=["short", "long"])
def test_text_formats_equal_the_library_writers(port, recognizer, name, file):
    write, kind = WRITERS[name]
    found = post(port, file, "my clip.wav", response_format=name)
    assert found.status == 200
    assert found.headers.get_content_type() == kind
    # dimensions are tiers of a TextGrid on request
    shown = recognizer.predict(file).without_dimensions()
    assert found.body.decode() == write("my clip.wav", shown)


@pytest.mark.parametrize("file", [FILE, LONG], ids=["short", "long"])
def test_csv_equals_the_library_writer(port, recognizer, file):
    found = post(port, file, "my.wav", response_format="csv")
    rows = writers.csv_rows("my.wav", recognizer.predict(file), LABELS)
    assert found.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert found.body.decode() == writers.csv_head(LABELS) + rows


def test_csv_and_textgrid_have_dimensions_on_request(port, recognizer):
    prediction, names = recognizer.predict(FILE), ("arousal", "valence")
    found = post(port, FILE, "my.wav", response_format="csv", dimensions="true")
    rows = writers.csv_rows("my.wav", prediction, LABELS, dimensions=names)
    assert found.body.decode() == writers.csv_head(LABELS, dimensions=names) + rows
    found = post(port, FILE, "my.wav", response_format="textgrid", dimensions="true")
    assert found.body.decode() == writers.textgrid("my.wav", prediction)
    assert '"arousal (derived)"' in found.body.decode()


def test_shares_are_a_separate_tier(port, whole):
    found = post(port, FILE, response_format="textgrid", phonemes="true")
    assert found.body.decode() == writers.textgrid("clip.wav", whole.without_dimensions())
    assert '"share"' in found.body.decode()


def test_a_long_recording_is_processed_in_windows(port, recognizer):
    found = post(port, LONG).data
    assert found == {"model": "tiny-bundle", **data_of(recognizer.predict(LONG))}
    assert found["warnings"][0] == "windowed"
    assert len(found["segments"]) >= 2


def test_a_timeline_of_a_short_recording(port, recognizer):
    file = wav(8)
    found = post(port, file, timeline="true").data
    wanted = recognizer.predict(file, timeline=True)
    assert found == {"model": "tiny-bundle", **data_of(wanted)}


def test_top_k_returns_the_highest_scores(port, recognizer):
    found = post(port, FILE, top_k=2).data
    wanted = recognizer.predict(FILE).top(2)
    assert list(found["scores"].items()) == list(wanted.scores.items())
    assert len(found["segments"][0]["scores"]) == 2
    assert post(port, FILE, top_k=1000).data["scores"].keys() == set(LABELS)


def test_labels_restrict_the_emotions(port, recognizer):
    found = post(port, FILE, labels="sadness, anger").data
    wanted = recognizer.predict(FILE).among(["sadness", "anger"])
    assert list(found["scores"].items()) == list(wanted.scores.items())
    assert sum(found["scores"].values()) == pytest.approx(1)


def test_labels_are_applied_before_top_k(port):
    found = post(port, FILE, labels="sadness,anger", top_k=1, response_format="csv")
    (row,) = csv.DictReader(io.StringIO(found.body.decode()))
    assert set(row) - {"file", "start", "end", "speaker", "phonemes", "warnings", "error"} == {
        "label",
        "unsure",
        row["label"],
    }


def test_a_model_is_selected_by_name():
    first, second = Held(), Held()
    with served(settings(), {"first": first, "second": second}) as found:
        assert post(found.port, FILE).data["model"] == "first"
        assert post(found.port, FILE, model="second").data["model"] == "second"
        assert post(found.port, FILE, model="third").told == (404, "model_not_found")
        assert (len(first.heard), len(second.heard)) == (2, 2)  # the warm-up was heard too


def test_a_model_without_phonemes_returns_null_not_an_empty_list():
    class Deaf(Held):
        def _recognize_clips(self, clips, options):
            return [type(one)(one.scores, None) for one in super()._recognize_clips(clips, options)]

    with served(settings(), {"deaf": Deaf()}) as found:
        data = post(found.port, FILE, response_format="verbose_json").data
        assert (data["phonemes"], data["spans"]) == (None, None)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WAV", {}),
        ("WAV", {"subtype": "FLOAT"}),
        ("FLAC", {}),
        ("OGG", {}),
        ("OGG", {"subtype": "OPUS"}),
        ("MP3", {}),
        ("AIFF", {}),
    ],
)
def test_every_format_is_recognized(port, recognizer, kind, options):
    file = encoded(clip(16_000) / 2**15, kind, **options)
    found = post(port, file, "a")
    assert found.status == 200
    assert found.data == {"model": "tiny-bundle", **data_of(recognizer.predict(file))}


# What is thrown at it -----------------------------------------------------------------------------


def forged(field, value):
    """A WAV with a wrong header field: the size of the data at 40, the rate at 24."""
    file = bytearray(wav(0.2))
    struct.pack_into("<I", file, field, value)
    return bytes(file)


def of_floats(*changes):
    samples = clip().astype(np.float32) / 2**15
    for place, value in changes:
        samples[place] = value
    return encoded(samples, subtype="FLOAT")


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b"", (422, "empty_audio")),
        (encoded(np.zeros(0)), (422, "empty_audio")),
        (wav()[:20], (422, "unsupported_audio")),
        (bytes(100_000), (415, "unsupported_audio")),
        (encoded(clip(399)), (422, "too_short")),
        (encoded(np.ones(1) / 2), (422, "too_short")),
        (of_floats((100, np.nan)), (422, "invalid_audio")),
        (of_floats((-1, np.inf)), (422, "invalid_audio")),
        (of_floats((5, 1e30)), (422, "invalid_audio")),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:1/a.ts\n", (415, "unsupported_audio")),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", (415, "unsupported_audio")),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 1 RTP/AVP 0\n", (415, "unsupported_audio")),
        (b"<html><script>alert(1)</script>", (415, "unsupported_audio")),
        (b"MZ\x90\x00" + bytes(1000), (415, "unsupported_audio")),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), (415, "unsupported_audio")),
        (forged(24, 655_350), (422, "unsupported_audio")),
        (forged(24, 1), (422, "unsupported_audio")),
    ],
)
def test_unusable_audio_is_rejected_with_the_reason(port, file, told):
    assert post(port, file).told == told


def test_a_wav_header_of_4_gb_is_reported_as_truncated(port):
    found = post(port, forged(40, 2**32 - 1000))
    assert found.status == 200
    assert "truncated" in found.data["warnings"]


@pytest.mark.parametrize(
    ("samples", "warning"),
    [
        (np.zeros(16_000), "no_speech"),
        (np.sign(clip() / 2**15), "clipped"),
        (clip() / 2**16 + 0.4, "dc_offset"),
    ],
)
def test_unusual_audio_is_recognized_with_a_warning(port, samples, warning):
    found = post(port, encoded(samples))
    assert found.status == 200
    assert warning in found.data["warnings"]
    assert sum(found.data["scores"].values()) == pytest.approx(1)


@pytest.mark.parametrize("name", WRITERS)
def test_silence_works_in_text_formats(port, name):
    found = post(port, encoded(np.zeros(16_000)), response_format=name)
    assert found.status == 200


def test_exactly_400_samples_are_enough(port):
    assert post(port, encoded(clip(400))).status == 200


def test_two_hours_of_silence_in_few_bytes_are_too_long(server):
    file = encoded(np.zeros(2 * 3600 * 4000, np.int16), "FLAC", 4000)
    assert len(file) < 400_000
    assert post(server.port, file).told == (413, "audio_too_long")
    assert server.metric("decoders_replaced") == 0


def test_many_channels_are_too_large():
    file = encoded(np.zeros((200_000, 8), np.int16), "FLAC", 48_000)
    with served(settings(limits={"decoded_bytes": 6_000_000}), {"held": Held()}) as found:
        assert post(found.port, file).told == (413, "audio_too_large")
        assert post(found.port, FILE).status == 200


FLIPS = 25
KINDS = {"WAV": {}, "FLAC": {}, "OGG": {}, "MP3": {}}


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_never_cause_a_server_error(server, kind):
    random = np.random.default_rng(list(KINDS).index(kind))
    good = np.frombuffer(encoded(clip(8000) / 2**15, kind), np.uint8)
    before = server.metric("decoders_replaced")
    statuses = set()
    for _ in range(FLIPS):
        bad = good.copy()
        places = random.integers(0, min(len(bad), random.choice([64, 1000, len(bad)])), 4)
        bad[places] ^= (1 << random.integers(0, 8, 4)).astype(np.uint8)
        found = post(server.port, bad.tobytes())
        assert found.status in (200, 413, 415, 422), found.body
        assert found.data
        statuses.add(found.status)
    assert server.metric("decoders_replaced") == before
    assert 200 in statuses or kind == "OGG"  # whose pages have checksums


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_recognized_or_rejected(server, kind):
    good = encoded(clip(8000) / 2**15, kind)
    for kept in np.linspace(1, len(good) - 1, 12).astype(int):
        assert post(server.port, good[:kept]).status in (200, 415, 422)
    assert server.metric("decoders_replaced") == 0


# Names and files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "../../etc/passwd"),
        ("a\u202egpj.wav", "a?gpj.wav"),
        ("a\x00b.wav", "a?b.wav"),
        ("a\x1b[31mb", "a?[31mb"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("ä é 音", "ä é 音"),
        ("", "upload"),
        ("x" * 4000, f"{'x' * 60}...{'x' * 60}"),
        ("C:\\a\\b.wav", "b.wav"),
    ],
)
def test_a_file_name_is_sanitized_and_never_used_as_a_path(port, name, shown):
    found = post(port, FILE, name, response_format="verbose_json")
    assert found.status == 200
    assert found.data["file"] == shown
    assert post(port, b"x", name).data["error"]["message"].startswith(f"{shown}: ")


def test_a_name_of_10_kb_is_rejected_or_shortened(port):
    assert post(port, FILE, "x" * 10_000).status in (200, 400)


def test_a_name_is_one_line_in_every_text_format(port):
    name = 'a"b\\r\\n2,"c'
    for kind in ("csv", *WRITERS):
        found = post(port, FILE, name, response_format=kind)
        assert found.status == 200
        if kind == "csv":
            assert len(list(csv.DictReader(io.StringIO(found.body.decode())))) == 1


def test_an_upload_leaves_no_file_on_the_disk(port, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    large = encoded(clip(40 * RATE))
    assert len(large) > 2**20  # smaller ones are held in memory
    for file, fields in ((large, {}), (large, {"top_k": 0}), (large[:9] + bytes(2**21), {})):
        post(port, file, **fields)
        assert list(tmp_path.iterdir()) == []
