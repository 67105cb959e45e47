"""Cases 6 to 9: uploads without audio, with too little, with odd numbers, with flipped bits."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from phonemo.audio import load_waveform
from phonemo.errors import AudioError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.abuse.figures import figure
from tests.abuse.lies import mended
from tests.abuse.processes import Process, heard
from tests.cli import test_predict_command
from tests.server.asking import Answer, clip, encoded, post
from tests.tiny_bundle import BUNDLE, RATE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
Samples = npt.NDArray[np.float32]
#: Format -> how soundfile is told of it.
KINDS = {
    "wav": {"kind": "WAV"},
    "float": {"kind": "WAV", "subtype": "FLOAT"},
    "flac": {"kind": "FLAC"},
    "ogg": {"kind": "OGG"},
    "opus": {"kind": "OGG", "subtype": "OPUS"},
    "mp3": {"kind": "MP3"},
    "aiff": {"kind": "AIFF"},
}
FORMATS = ("json", "verbose_json", "csv", "srt", "vtt", "rttm", "textgrid")
Told = tuple[int, str]


def made(samples: npt.ArrayLike, kind: str = "float", rate: int = RATE) -> bytes:
    """Samples as a file of a kind."""
    return encoded(np.asarray(samples, np.float32), rate=rate, **KINDS[kind])


def buzz(samples: int = RATE) -> Samples:
    """Something to hear, with full scale at 1."""
    return clip(samples).astype(np.float32) / 2**15


def rows_of(folder: Path, files: dict[str, bytes]) -> tuple[int, str, dict[str, dict]]:
    """Exit status, standard error and rows of the command over these files and a good one."""
    (folder / "good.wav").write_bytes(made(buzz()))
    names = []
    for place, data in enumerate(files.values()):
        names.append(folder / f"{place}.wav")
        names[-1].write_bytes(data)
    answer = test_predict_command.predict("--jobs", 1, *names, folder / "good.wav")
    titles = [*files, "good"]
    return answer.code, answer.err, dict(zip(titles, answer.rows, strict=True))


def assert_refused_alike(found: Process, folder: Path, files: dict[str, bytes], told: str) -> None:
    """Server, library and command refuse each of them with this code; a good one is answered."""
    code, err, rows = rows_of(folder, files)
    assert (code, err.count("\n")) == (1, 1), err
    assert rows.pop("good")["label"]
    for title, data in files.items():
        # a file of no known kind is 415, one of a known kind that is broken 422
        allowed = ((415, told), (422, told)) if told == "unsupported_audio" else ((422, told),)
        assert post(found.port, data).told in allowed, title
        with pytest.raises(AudioError) as raised:
            load_waveform(data)
        assert raised.value.code == rows[title]["code"] == told, title
        assert rows[title]["error"].isprintable()


# 6: nothing in it ---------------------------------------------------------------------------------

FULL = {kind: made(buzz(), kind) for kind in KINDS}
NO_SAMPLES = {kind: made([], kind) for kind in KINDS if kind != "opus"}


def test_case_06_an_empty_body_and_a_file_of_no_samples_are_empty(abused, tmp_path):
    assert_refused_alike(abused, tmp_path, {"nothing": b"", **NO_SAMPLES}, "empty_audio")


def test_case_06_a_header_of_20_bytes_is_no_audio(abused, tmp_path):
    files = {kind: full[:20] for kind, full in FULL.items()}
    assert_refused_alike(abused, tmp_path, files, "unsupported_audio")


def test_case_06_zeros_are_no_audio(abused, tmp_path):
    files = {str(size): bytes(size) for size in (1, 2, 20, 44, 1000, 2**20)}
    files |= {
        f"20 bytes of {kind}, then zeros": full[:20] + bytes(5000) for kind, full in FULL.items()
    }
    assert_refused_alike(abused, tmp_path, files, "unsupported_audio")


def test_case_06_noise_is_no_audio(abused, tmp_path):
    random = np.random.default_rng(6)
    files = {str(place): b"\0" + random.bytes(4000) for place in range(20)}
    assert_refused_alike(abused, tmp_path, files, "unsupported_audio")


@pytest.mark.parametrize("kind", KINDS)
def test_case_06_a_file_of_its_first_bytes_alone_is_refused_or_heard(abused, kind):
    """Whatever the cut: of text are the first letters of some kinds."""
    for kept in (*range(1, 64), 100, 200, 400, 800):
        answer = post(abused.port, FULL[kind][:kept])
        assert answer.status in (200, 415, 422), kept
        assert answer.status != 200 or "truncated" in answer.data["warnings"], kept


def test_case_06_a_body_without_a_byte_of_form_is_no_form(abused):
    answer = post(abused.port, None)
    assert answer.told == (400, "missing_file")
    assert post(abused.port, b"", name="").told == (422, "empty_audio")


# 7: shorter than a frame --------------------------------------------------------------------------

#: Samples and rates that are 399 or fewer at 16 kHz, and those that are just enough.
SHORT = ((1, 16_000), (2, 16_000), (399, 16_000), (199, 8_000), (1197, 48_000), (99, 4_000))
ENOUGH = ((400, 16_000), (200, 8_000), (1200, 48_000), (100, 4_000))
#: Neither mp3 nor Opus knows all rates.
EXACT = ("wav", "float", "flac", "ogg", "aiff")


@pytest.mark.parametrize("kind", EXACT)
def test_case_07_less_than_a_frame_is_too_short(abused, tmp_path, kind):
    files = {f"{n} at {rate}": made(buzz(n + 1)[1:], kind, rate) for n, rate in SHORT}
    assert_refused_alike(abused, tmp_path, files, "too_short")


@pytest.mark.parametrize("kind", ["mp3", "opus"])
def test_case_07_less_than_a_frame_is_too_short_in_what_pads_its_blocks(abused, tmp_path, kind):
    short = ((1, 16_000), (399, 16_000), (199, 8_000), (1197, 48_000))
    files = {f"{n} at {rate}": made(buzz(n + 1)[1:], kind, rate) for n, rate in short}
    assert_refused_alike(abused, tmp_path, files, "too_short")


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize(("samples", "rate"), ENOUGH)
def test_case_07_a_frame_is_enough(abused, kind, samples, rate):
    answer = post(abused.port, made(buzz(samples), kind, rate))
    assert (answer.status, answer.data["seconds"]) == (200, 0.025)
    assert sum(answer.data["scores"].values()) == pytest.approx(1, abs=1e-3)


# 8: odd numbers -----------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")


def with_numbers(*changes: tuple[int, float], samples: int = RATE, channels: int = 1) -> Samples:
    """A buzz in which some samples of the last channel are something else."""
    found = np.repeat(buzz(samples)[:, None], channels, axis=1)
    for place, value in changes:
        found[place, -1] = value
    return found


#: No numbers, or none that a recording has.
IMPOSSIBLE = {
    "first": with_numbers((0, NAN)),
    "last": with_numbers((-1, NAN)),
    "inf": with_numbers((100, INF)),
    "-inf": with_numbers((100, -INF)),
    "both": with_numbers((100, INF), (101, -INF)),
    "all": np.full(RATE, NAN),
    "huge": with_numbers((5, 1e30)),
    "largest": with_numbers((5, 3e38), (6, -3e38)),
    "second channel": with_numbers((100, NAN), channels=2),
    "64 channels": with_numbers((100, NAN), samples=2000, channels=64),
    "second block": with_numbers((70_000, NAN), samples=80_000),
    "after 30 s": with_numbers((-1, NAN), samples=40 * RATE),
}


def test_case_08_what_is_no_number_is_refused(abused, tmp_path):
    files = {title: made(samples) for title, samples in IMPOSSIBLE.items()}
    files["resampled"] = made(with_numbers((7000, NAN)), rate=48_000)
    files["double"] = encoded(with_numbers((7000, NAN)).astype(np.float64), subtype="DOUBLE")
    files["aiff"] = encoded(with_numbers((7000, INF)), "AIFF", subtype="FLOAT")
    cancelling = with_numbers((9, INF), channels=2)
    cancelling[9, 0] = -INF
    files["cancelling"] = made(cancelling)
    assert_refused_alike(abused, tmp_path, files, "invalid_audio")


def test_case_08_arrays_that_are_no_numbers_are_refused(recognizer):
    for title, samples in IMPOSSIBLE.items():
        with pytest.raises(AudioError) as told:
            recognizer.predict(samples.T, rate=RATE)
        assert told.value.code == "invalid_audio", title


#: Title -> samples and the warning that they have.
ODD = {
    "silence": (np.zeros(RATE), "no_speech"),
    "long silence": (np.zeros(40 * RATE), "no_speech"),
    "a constant": (np.full(RATE, 0.3), "no_speech"),
    "nearly nothing": (np.full(RATE, 1e-40), "no_speech"),
    "minus nothing": (np.full(RATE, -0.0), "no_speech"),
    "clipped": (np.sign(buzz()), "clipped"),
    "far too loud": (1000 * buzz(), "clipped"),
    "loudest that is taken": (2.0**30 * np.sign(buzz()), "clipped"),
    "offset": (buzz() / 2 + 0.4, "dc_offset"),
    "one click": (np.eye(1, RATE)[0], None),
}


@pytest.mark.parametrize("title", ODD)
def test_case_08_odd_audio_is_heard_with_a_warning_and_never_nan(abused, title):
    samples, warning = ODD[title]
    answer = post(abused.port, made(samples), phonemes="true", timeline="true")
    assert answer.status == 200
    assert warning is None or warning in answer.data["warnings"]  # .data takes no NaN
    assert_sound(answer)


@pytest.mark.parametrize("kind", KINDS)
def test_case_08_silence_of_every_kind_has_no_speech(abused, kind):
    for samples in (np.zeros(RATE), np.zeros(RATE // 2 + 1)):
        answer = post(abused.port, made(samples, kind))
        assert answer.status == 200
        assert {"silent", "no_speech"} <= set(answer.data["warnings"])
        assert_sound(answer)


@pytest.mark.parametrize("kind", FORMATS)
def test_case_08_no_format_says_nan(abused, kind):
    for title, (samples, _) in ODD.items():
        answer = post(abused.port, made(samples), response_format=kind, phonemes="true")
        assert answer.status == 200, title
        text = answer.body.decode()
        assert not re.search(r"(?<![a-z])(nan|-?inf(inity)?)(?![a-z])", text, re.IGNORECASE), title
    if kind == "csv":
        (row,) = csv.DictReader(io.StringIO(text))
        assert float(row["anger"]) >= 0


def test_case_08_the_command_says_the_same_of_odd_audio(tmp_path):
    files = {title: made(samples) for title, (samples, _) in ODD.items()}
    code, err, rows = rows_of(tmp_path, files)
    assert (code, err) == (0, "")
    for title, (_, warning) in ODD.items():
        assert warning is None or warning in rows[title]["warnings"], title
        assert sum(rows[title]["scores"].values()) == pytest.approx(1, abs=1e-3)


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    """The library's way in."""
    return OnnxRecognizer.load(BUNDLE, threads=1)


def assert_sound(answer: Answer) -> None:
    """An answer whose scores are shares, all over."""
    data = answer.data
    every = [data["scores"], *(one["scores"] for one in data["segments"])]
    for scores in every:
        assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
        assert all(0 <= one <= 1 for one in scores.values())
    assert data["label"] is None or data["label"] in data["scores"]


# 9: flipped bits ----------------------------------------------------------------------------------

FLIPPED = ("mp3", "ogg", "flac", "wav")
FLIPS = 500
CLIENTS = 4


def flipped(count: int) -> list[tuple[str, bytes]]:
    """Files of half a second with bits flipped: one to 64 of them, near the head or anywhere.

    Half of those of Ogg get new checksums, or hardly any would come further than those.
    """
    random = np.random.default_rng(9)
    good = {kind: np.frombuffer(made(buzz(RATE // 2), kind), np.uint8) for kind in FLIPPED}
    found = []
    for place in range(count):
        kind = FLIPPED[place % len(FLIPPED)]
        bad = good[kind].copy()
        zone = min(len(bad), int(random.choice([48, 200, 1000, len(bad)])))
        many = int(random.choice([1, 2, 4, 16, 64]))
        bad[random.integers(0, zone, many)] ^= (1 << random.integers(0, 8, many)).astype(np.uint8)
        data = bad.tobytes()
        found.append((kind, mended(data) if kind == "ogg" and place % 8 == 1 else data))
    return found


def test_case_09_flipped_bits_are_heard_or_refused_and_nobody_dies(abused):
    files = flipped(FLIPS)
    pid = abused.process.pid
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda one: post(abused.port, one[1], one[0]), files))
    statuses = Counter(one.status for one in answers)
    for status, count in sorted(statuses.items()):
        figure(9, f"of {FLIPS} flipped files: status {status}", count, "answers")
    assert set(statuses) <= {200, 413, 415, 422}, statuses
    assert statuses[200] >= FLIPS // 10, "hardly anything was decoded: the flips are too many"
    assert statuses[422] >= FLIPS // 10, "hardly anything was refused: the flips are too few"
    for answer in answers:
        if answer.status == 200:
            assert_sound(answer)
        else:
            assert answer.data["error"]["message"].isprintable()
    assert (abused.process.pid, abused.process.poll()) == (pid, None)


def test_case_09_each_kind_lives_through_each_bit_of_its_head(abused):
    """Every bit of the first bytes, one at a time."""
    for kind in FLIPPED:
        good = made(buzz(RATE // 10), kind)
        files = [one_flipped(good, bit) for bit in range(8 * 44)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            found = set(pool.map(lambda one: post(abused.port, one).status, files))
        assert found <= {200, 413, 415, 422}, kind
        heard(abused)


def one_flipped(data: bytes, bit: int) -> bytes:
    """The same but for one bit."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_case_09_the_command_has_a_row_for_each_and_answers_the_good_one(tmp_path):
    files = {f"{place} {kind}": data for place, (kind, data) in enumerate(flipped(60))}
    code, err, rows = rows_of(tmp_path, files)
    assert code == 1
    assert err.splitlines()[-1].startswith("phonemo: ")
    assert "Traceback" not in err
    assert rows.pop("good")["label"]
    assert check_rows(list(rows.values())) > 10


CODES = {"unsupported_audio", "invalid_audio", "empty_audio", "too_short", "audio_too_long"}


def check_rows(rows: Sequence[dict]) -> int:
    """How many were heard; each is an answer or one line that says why there is none."""
    for row in rows:
        if "error" in row:
            assert row["error"].isprintable()
            assert row["code"] in CODES
        else:
            assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-3)
    return sum("error" not in row for row in rows)
