"""The command phonemo-cpp: the rows of ``phonemo predict``, and bad input in one line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from phonemo.cli.output import row_of
from phonemo.errors import CheckpointError
from phonemo.runtime.bundle import open_bundle, write_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.language_model import (
    DecoderSettings,
    PhonemeModel,
    count_phonemes,
)
from phonemo.runtime.phonemes.languages import language_content, model_of_content
from tests.cpp.compiled import run
from tests.golden.runtime_signals import SIGNALS
from tests.tiny_bundle import ADAPTABLE, BUNDLE, SHARED, with_language_model

#: Subtypes of libsndfile, with rate and channels.
FORMATS = [
    ("PCM_U8", 16_000, 1),
    ("PCM_16", 16_000, 1),
    ("PCM_24", 44_100, 1),
    ("PCM_32", 48_000, 2),
    ("FLOAT", 22_050, 1),
    ("DOUBLE", 16_000, 2),
    ("ALAW", 8_000, 1),
    ("ULAW", 8_000, 2),
]
_HEAD = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00"


def _speech(rate: int = 16_000, channels: int = 1) -> npt.NDArray[np.float32]:
    samples = SIGNALS["three_seconds"].make()
    places = np.arange(int(len(samples) * rate / 16_000)) * 16_000 / rate
    mono = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
    return np.repeat(mono[:, None], channels, axis=1)


def _rows(*words: Any) -> tuple[int, list[dict[str, Any]]]:
    finished = run("phonemo-cpp", *words)
    assert finished.stderr == ""
    return finished.returncode, [json.loads(line) for line in finished.stdout.splitlines()]


def _assert_alike(actual: Any, expected: Any, place: str = "row") -> None:
    """Equal, but for numbers within 0.01 and times within a frame."""
    if isinstance(expected, float):
        assert actual == pytest.approx(expected, abs=0.0201 if place in ("start", "end") else 0.01)
    elif isinstance(expected, dict):
        assert list(actual) == list(expected), place
        for key, value in expected.items():
            _assert_alike(actual[key], value, key)
    elif isinstance(expected, list):
        assert len(actual) == len(expected), place
        for one, other in zip(actual, expected, strict=True):
            _assert_alike(one, other, place)
    else:
        assert actual == expected, place


@pytest.mark.parametrize(("subtype", "rate", "channels"), FORMATS)
def test_every_encoding_gives_the_row_of_python(
    tmp_path: Path, subtype: str, rate: int, channels: int
) -> None:
    path = tmp_path / "my.wav"
    soundfile.write(path, _speech(rate, channels), rate, subtype)
    status, (row,) = _rows("--model", BUNDLE, path)
    expected = row_of(str(path), OnnxRecognizer.load(BUNDLE).predict(path), spans=False)
    assert status == 0
    if rate != 16_000:  # another resampler: a network of random weights reads other phonemes
        del row["phonemes"], expected["phonemes"]
    _assert_alike(row, expected)


@pytest.mark.parametrize("head", ["WAVEX", "RF64"])
def test_other_headers_are_read(tmp_path: Path, head: str) -> None:
    path = tmp_path / "my.wav"
    soundfile.write(path, _speech(channels=2), 16_000, "PCM_24", format=head)
    status, (row,) = _rows("--model", BUNDLE, path)
    assert status == 0
    _assert_alike(row, row_of(str(path), OnnxRecognizer.load(BUNDLE).predict(path), spans=False))


def test_phonemes_have_times_and_shares(tmp_path: Path) -> None:
    path = tmp_path / "my.wav"
    soundfile.write(path, _speech(), 16_000)
    _, (row,) = _rows("--phonemes", "--model", SHARED, path)
    expected = OnnxRecognizer.load(SHARED).predict(path, shares=True)
    _assert_alike(row, row_of(str(path), expected, spans=True))


def test_a_long_recording_has_a_timeline_and_a_profile_is_applied(tmp_path: Path) -> None:
    path, profile = tmp_path / "my.wav", tmp_path / "my.json"
    soundfile.write(path, SIGNALS["above_whole"].make(), 16_000)
    model = OnnxRecognizer.load(ADAPTABLE)
    model.profile([path]).save(profile)
    _, (row,) = _rows("--model", ADAPTABLE, "--profile", profile, path)
    assert "windowed" in row["warnings"]
    _assert_alike(row, row_of(str(path), model.with_profile(profile).predict(path), spans=False))


def test_a_channel_labels_and_the_highest_scores_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "my.wav"
    speech = _speech()
    soundfile.write(path, np.concatenate([0.1 * speech[::-1], speech], axis=1), 16_000)
    options = ("--channels", "2", "--labels", "sadness,anger", "--top-k", "1")
    _, (row,) = _rows("--model", BUNDLE, *options, path)
    expected = OnnxRecognizer.load(BUNDLE).predict(path, channels=2)
    _assert_alike(row, row_of(str(path), expected.narrowed(["sadness", "anger"], 1), spans=False))


def test_channels_that_cancel_each_other_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "my.wav"
    speech = _speech()
    soundfile.write(path, np.concatenate([speech, -speech], axis=1), 16_000)
    _, (row,) = _rows("--model", BUNDLE, path)
    assert "opposite_phase" in row["warnings"]
    _assert_alike(row, row_of(str(path), OnnxRecognizer.load(BUNDLE).predict(path), spans=False))


def _symbols() -> tuple[str, ...]:
    return OnnxRecognizer.load(BUNDLE).phoneme_decoder.symbols


def _counted(order: int = 3) -> PhonemeModel:
    strings = [[1, 2, 3, 1], [2, 3, 1, 2], [3, 1, 2]]
    return count_phonemes(strings, len(_symbols()), order, DecoderSettings(weight=0.5, bonus=1.0))


def _with_language(path: Path, order: int) -> OnnxRecognizer:
    """Write a language's file for tiny-bundle; return its recognizer with that language."""
    content = language_content(_counted(order), _symbols(), "tests")
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    recognizer = OnnxRecognizer.load(BUNDLE)
    model = model_of_content(content, _symbols(), path.name)
    recognizer.phoneme_decoder = replace(recognizer.phoneme_decoder, model=model)
    return recognizer


def _row(recognizer: OnnxRecognizer, path: Path) -> dict[str, Any]:
    return row_of(str(path), recognizer.predict(path, shares=True), spans=True)


def test_a_beam_search_gives_the_row_of_python(tmp_path: Path) -> None:
    path = tmp_path / "my.wav"
    soundfile.write(path, _speech(), 16_000)
    recognizer = OnnxRecognizer.load(BUNDLE)
    _, (row,) = _rows("--model", BUNDLE, "--phonemes", "--decoding", "beam-search", path)
    _assert_alike(row, _row(recognizer.with_phonemes("beam-search"), path))
    assert row["phonemes"] != _row(recognizer, path)["phonemes"]


@pytest.mark.parametrize("order", [2, 3])
def test_the_file_of_a_language_gives_the_row_of_python(tmp_path: Path, order: int) -> None:
    path, language = tmp_path / "my.wav", tmp_path / "my.json"
    soundfile.write(path, _speech(), 16_000)
    recognizer = _with_language(language, order)
    _, (row,) = _rows("--model", BUNDLE, "--phonemes", "--decoding", language, path)
    _assert_alike(row, _row(recognizer, path))
    assert row["phonemes"] != _row(recognizer.with_phonemes("beam-search"), path)["phonemes"]


def test_a_stream_is_decoded_with_the_file_of_a_language(tmp_path: Path) -> None:
    path, pcm, language = tmp_path / "my.wav", tmp_path / "my.raw", tmp_path / "my.json"
    soundfile.write(path, _speech(), 16_000)
    pcm.write_bytes(soundfile.read(path, dtype="int16")[0].astype("<i2").tobytes())
    recognizer = _with_language(language, 3)
    options = ("--model", BUNDLE, "--stream", "16000", "--decoding", language)
    with open(pcm, "rb") as samples:
        finished = run("phonemo-cpp", *options, stdin=samples)
    final = json.loads(finished.stdout.splitlines()[-1])["prediction"]
    assert final["phonemes"] == _row(recognizer, path)["phonemes"]


@pytest.mark.parametrize("decoding", [None, "best-path", "beam-search", "language-model"])
def test_a_bundle_with_a_language_model_gives_the_row_of_python(
    tmp_path: Path, decoding: str | None
) -> None:
    path, folder = tmp_path / "my.wav", tmp_path / "bundle"
    soundfile.write(path, _speech(), 16_000)
    with_language_model(folder, open_bundle(BUNDLE), _counted())
    options = () if decoding is None else (f"--decoding={decoding}",)
    _, (row,) = _rows("--model", folder, "--phonemes", *options, path)
    _assert_alike(row, _row(OnnxRecognizer.load(folder).with_phonemes(decoding), path))


def test_another_bundle_s_language_model_is_refused_as_in_python(tmp_path: Path) -> None:
    bundle = open_bundle(BUNDLE)
    says = bundle.card.model_dump(exclude={"sha256"})
    broken, other, changed = (tmp_path / name for name in ("broken", "other", "changed"))
    write_bundle(broken, bundle.model, says, bundle.head, bundle.adaptation, b"no archive")
    with_language_model(other, bundle, count_phonemes([[1, 2]], 200))
    with_language_model(changed, bundle, _counted())
    with open(changed / "phonemes.npz", "ab") as model:
        model.write(b"x")
    for folder, reason in (
        (broken, "expected n-gram counts"),
        (other, "symbols as in the card, got 200"),
        (changed, "expected SHA-256"),
    ):
        finished = run("phonemo-cpp", "--model", folder, "my.wav")
        with pytest.raises(CheckpointError, match=reason) as caught:
            OnnxRecognizer.load(folder)
        assert finished.returncode == 1
        assert finished.stderr == f"phonemo-cpp: {caught.value}\n"


#: Content of the file my.json, or its name -> a part of the error.
_LANGUAGES = {
    "{": "my.json: expected JSON",
    "[]": "my.json: expected n-grams of 2 or 3 phonemes",
    '{"settings": {"weight": 1, "bonus": 1, "beam": 8}, "ngrams": {"x y": 1}}': "without x, y;",
}


@pytest.mark.parametrize("content", _LANGUAGES)
def test_the_file_of_no_language_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "my.json"
    path.write_text(content, encoding="utf-8")
    _assert_wrong_usage(_LANGUAGES[content], "--model", BUNDLE, "--decoding", path, "my.wav")


@pytest.mark.parametrize(
    ("decoding", "reason"),
    [
        (
            "language-model",
            "expected a bundle with a phoneme language model, got one without; export it with "
            "--decoder, or choose another decoding",
        ),
        ("english", "language's file (.json), got 'english'; choose one"),
        ("", "language's file (.json), got ''; choose one"),
        ("none.json", "none.json: cannot be read (no such file or directory)"),
        ("/dev/null/.json", "cannot be read (not a directory)"),
    ],
)
def test_an_unknown_decoding_is_one_line(decoding: str, reason: str) -> None:
    _assert_wrong_usage(reason, "--model", BUNDLE, "--decoding", decoding, "my.wav")


def test_a_folder_is_no_language(tmp_path: Path) -> None:
    path = tmp_path / "my.json"
    path.mkdir()
    reason = "my.json: expected a regular file"
    _assert_wrong_usage(reason, "--model", BUNDLE, "--decoding", path, "my.wav")


def test_a_model_without_phonemes_has_the_best_path_only(tmp_path: Path) -> None:
    path, folder = tmp_path / "my.wav", tmp_path / "bundle"
    soundfile.write(path, _speech(), 16_000)
    _write_without_phonemes(folder)
    _, (row,) = _rows("--model", folder, "--decoding", "best-path", path)
    _assert_alike(row, row_of(str(path), OnnxRecognizer.load(folder).predict(path), spans=False))
    for name in ("beam-search", "my.json"):
        reason = f"decoding: {name} needs phonemes, and this model has none; open another one"
        _assert_wrong_usage(reason, "--model", folder, "--decoding", name, path)


def _write_without_phonemes(folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    bundle = open_bundle(BUNDLE)
    network = onnx.load_from_string(bundle.model)
    kept = [output for output in network.graph.output if output.name != "phoneme_logits"]
    del network.graph.output[:]
    network.graph.output.extend(kept)
    says = bundle.card.model_dump(exclude={"sha256", "head_sha256"}) | {"inventory": None}
    write_bundle(folder, network.SerializeToString(), says)


def _assert_wrong_usage(reason: str, *words: Any) -> None:
    finished = run("phonemo-cpp", *words)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert reason in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_a_stream_prints_events_and_the_prediction(tmp_path: Path) -> None:
    path = tmp_path / "my.raw"
    path.write_bytes((SIGNALS["above_whole"].make() * 32_767).astype("<i2").tobytes())
    with open(path, "rb") as pcm:
        finished = run("phonemo-cpp", "--model", BUNDLE, "--stream", "16000", stdin=pcm)
    kinds = [json.loads(line)["type"] for line in finished.stdout.splitlines()]
    assert finished.returncode == 0
    assert kinds[-1] == "final"
    assert {"window", "segment"} <= set(kinds)


def _wav(form: bytes, data: bytes, declared: int | None = None) -> bytes:
    size = len(data) if declared is None else declared
    return _HEAD + form + b"data" + size.to_bytes(4, "little") + data


def _form(tag: int, channels: int, rate: int, bits: int) -> bytes:
    numbers = ((tag, 2), (channels, 2), (rate, 4), (0, 4), (channels * bits // 8, 2), (bits, 2))
    return b"".join(number.to_bytes(width, "little") for number, width in numbers)


_PCM = _form(1, 1, 16_000, 16)
#: Content of a file -> its code.
HOSTILE = {
    "empty": (b"", "empty_audio"),
    "text": (b"hello", "unsupported_audio"),
    "flac": (b"fLaC" + bytes(60), "unsupported_audio"),
    "head only": (b"RIFF", "unsupported_audio"),
    "cut head": (b"RIFF\x24\x00\x00", "unsupported_audio"),
    "no chunks": (b"RIFF\x24\x00\x00\x00WAVE", "unsupported_audio"),
    "no samples": (_wav(_PCM, b""), "empty_audio"),
    "no format": (b"RIFF\x24\x00\x00\x00WAVEdata\x04\x00\x00\x00abcd", "unsupported_audio"),
    "no channels": (_wav(_form(1, 0, 16_000, 16), bytes(9_000)), "unsupported_audio"),
    "many channels": (_wav(_form(1, 65, 16_000, 16), bytes(9_000)), "unsupported_audio"),
    "no rate": (_wav(_form(1, 1, 0, 16), bytes(9_000)), "unsupported_audio"),
    "huge rate": (_wav(_form(1, 1, 4_000_000_000, 16), bytes(9_000)), "unsupported_audio"),
    "no bits": (_wav(_form(1, 1, 16_000, 0), bytes(9_000)), "unsupported_audio"),
    "adpcm": (_wav(_form(17, 1, 16_000, 4), bytes(9_000)), "unsupported_audio"),
    "short": (_wav(_PCM, bytes(400)), "too_short"),
    "nan": (
        _wav(_form(3, 1, 16_000, 32), np.full(9_000, np.nan, "<f4").tobytes()),
        "invalid_audio",
    ),
    "infinite": (
        _wav(_form(3, 1, 16_000, 32), np.full(9_000, np.inf, "<f4").tobytes()),
        "invalid_audio",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_one_row_and_its_neighbor_is_recognized(
    tmp_path: Path, name: str
) -> None:
    content, code = HOSTILE[name]
    bad, good = tmp_path / "bad.wav", tmp_path / "good.wav"
    bad.write_bytes(content)
    soundfile.write(good, _speech(), 16_000)
    status, (row, other) = _rows("--model", BUNDLE, bad, good)
    assert status == 1
    assert (row["file"], row["code"]) == (str(bad), code)
    assert row["error"].startswith(f"{bad}: ")
    assert other["label"]


@pytest.mark.parametrize("declared", [60_000, 0xFFFF_FFFF, 0x7FFF_F000, 0])
def test_a_wrong_length_is_handled_as_in_python(tmp_path: Path, declared: int) -> None:
    path = tmp_path / "my.wav"
    samples = (_speech()[:20_000, 0] * 32_767).astype("<i2").tobytes()
    path.write_bytes(_wav(_PCM, samples, declared))
    _, (row,) = _rows("--model", BUNDLE, path)
    _assert_alike(row, row_of(str(path), OnnxRecognizer.load(BUNDLE).predict(path), spans=False))


def test_bytes_behind_the_samples_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "my.wav"
    samples = (_speech()[:20_000, 0] * 32_767).astype("<i2").tobytes()
    path.write_bytes(_wav(_PCM, samples) + b"\xff\x01" * 50)
    _, (row,) = _rows("--model", BUNDLE, path)
    assert "unused_bytes=100" in row["warnings"]


def test_what_is_no_file_gets_one_row(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    status, rows = _rows("--model", BUNDLE, tmp_path, pipe, tmp_path / "none.wav", "/dev/null")
    assert status == 1
    codes = [row["code"] for row in rows]
    assert codes == ["unsupported_audio"] * 2 + ["missing_file", "unsupported_audio"]


@pytest.mark.parametrize(
    "name", ["two\nlines.wav", 'quo"te\\.wav', "Ärger 愤怒.wav", "\u202eright.wav"]
)
def test_names_of_any_characters_stay_one_line(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, _speech(), 16_000)
    status, (row,) = _rows("--model", BUNDLE, tmp_path / name)
    assert status == 0
    assert row["file"] == str(tmp_path / name)


def test_a_name_that_is_not_utf8_is_escaped_as_in_python(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.wav"
    with open(path, "wb") as file:
        soundfile.write(file, _speech(), 16_000, format="WAV")
    _, (row,) = _rows("--model", BUNDLE, path)
    assert os.fsencode(row["file"]) == path


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--nonsense", "x"),
        ("--model",),
        ("--top-k", "0", "my.wav"),
        ("--threshold", "nan", "my.wav"),
        ("--channels", "65", "my.wav"),
        ("--labels", "anger,,x", "my.wav"),
        ("--adapt", "my.wav"),
        ("--stream", "16000", "my.wav"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(words: tuple[str, ...]) -> None:
    finished = run("phonemo-cpp", *words)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1


def test_an_unknown_label_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "my.wav"
    soundfile.write(path, _speech(), 16_000)
    finished = run("phonemo-cpp", "--model", BUNDLE, "--labels", "anger,hunger", path)
    assert finished.returncode == 2
    assert finished.stderr == (
        "phonemo-cpp: unknown label 'hunger'; labels: anger, neutral, sadness\n"
    )


def test_a_bundle_that_is_missing_or_changed_is_one_line(tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in BUNDLE.iterdir():
        (changed / path.name).write_bytes(path.read_bytes())
    with open(changed / "model.onnx", "ab") as model:
        model.write(b"x")
    for folder, reason in ((tmp_path / "none", "no such bundle"), (changed, "expected SHA-256")):
        finished = run("phonemo-cpp", "--model", folder, "my.wav")
        assert finished.returncode == 1
        assert reason in finished.stderr
        assert len(finished.stderr.splitlines()) == 1


def test_a_library_that_is_missing_is_one_line(tmp_path: Path) -> None:
    finished = run("phonemo-cpp", "--model", BUNDLE, "--onnxruntime", tmp_path / "no.so", "my.wav")
    assert finished.returncode == 1
    assert "expected onnxruntime's library" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
