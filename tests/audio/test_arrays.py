"""What Python people pass as audio: each kind is accepted, or refused with its reason."""

from __future__ import annotations

import array
import io
import os
import tarfile
import zipfile
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from phonemo.audio import audio_seconds, load_waveform
from phonemo.audio.arrays import is_single
from phonemo.errors import AudioError, UsageError

RATE = 16_000
CLIP = (0.1 * np.sin(np.arange(RATE) / 9)).astype(np.float32)
INTEGERS = (CLIP * 32767).astype(np.int16)


def wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, INTEGERS, RATE, format="WAV")
    return file.getvalue()


class Subclass(np.ndarray):
    """A subclass of numpy's array."""


def read_only() -> np.ndarray:
    clip = CLIP.copy()
    clip.flags.writeable = False
    return clip


SAMPLES = {
    "list": CLIP.tolist(),
    "tuple": tuple(CLIP.tolist()),
    "list of numpy numbers": list(CLIP),
    "nested list": [CLIP.tolist()],
    "array.array": array.array("f", CLIP),
    "memoryview of floats": memoryview(array.array("f", CLIP)),
    "masked, nothing masked": np.ma.array(CLIP, mask=np.zeros(len(CLIP), bool)),
    "subclass": CLIP.view(Subclass),
    "read-only": read_only(),
    "not contiguous": np.repeat(CLIP, 2)[::2],
    "Fortran order": np.asfortranarray(np.stack([CLIP, CLIP])),
    "big-endian": CLIP.astype(">f4"),
    "(1, sample)": CLIP[None],
    "(1, 1, sample)": CLIP[None, None],
    "(sample, 1)": CLIP[:, None],
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_samples_of_any_kind_are_the_same_audio(kind: str) -> None:
    np.testing.assert_array_equal(load_waveform(SAMPLES[kind], rate=RATE).samples, CLIP)
    assert audio_seconds(SAMPLES[kind], RATE) == 1.0


def test_a_series_is_audio() -> None:
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(load_waveform(pandas.Series(CLIP), rate=RATE).samples, CLIP)


def test_tensors_are_audio() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(CLIP)
    for given in (tensor, tensor[None], torch.tensor(CLIP, requires_grad=True), tensor.double()):
        np.testing.assert_array_equal(load_waveform(given, rate=RATE).samples, CLIP)
    for given in (tensor.bfloat16(), tensor.half()):
        assert np.abs(load_waveform(given, rate=RATE).samples - CLIP).max() < 1e-3
    with pytest.raises(AudioError, match="got int64"):
        load_waveform(torch.zeros(900, dtype=torch.int64), rate=RATE)
    with pytest.raises(AudioError, match="cannot be converted to numpy"):
        load_waveform(torch.zeros(900, device="meta"), rate=RATE)


PAIRS: dict[str, Any] = {
    "soundfile": (CLIP, RATE),
    "gradio": (RATE, CLIP),
    "list in a pair": (CLIP.tolist(), RATE),
    "datasets": {"path": "a.wav", "array": CLIP, "sampling_rate": RATE},
    "transformers": {"raw": CLIP, "sampling_rate": float(RATE)},
    "pyannote": {"waveform": CLIP[None], "sample_rate": np.int64(RATE)},
    "torchcodec": SimpleNamespace(
        get_all_samples=lambda: SimpleNamespace(data=CLIP[None], sample_rate=RATE)
    ),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_samples_that_come_with_their_rate_need_no_other(kind: str) -> None:
    for rate in (None, RATE):
        np.testing.assert_array_equal(load_waveform(PAIRS[kind], rate=rate).samples, CLIP)
    with pytest.raises(UsageError, match="rate=8000 contradicts"):
        load_waveform(PAIRS[kind], rate=8000)


def test_a_dict_with_an_encoded_file_is_the_file() -> None:
    expected = load_waveform(wav()).samples
    given = {"bytes": wav(), "path": None}
    np.testing.assert_array_equal(load_waveform(given).samples, expected)
    with pytest.raises(UsageError, match="rate is only for arrays"):
        load_waveform(given, rate=RATE)


@pytest.mark.parametrize("rate", [16_000.0, np.float32(16_000), np.int32(16_000), np.array(16_000)])
def test_integral_rates_of_any_type_are_accepted(rate: Any) -> None:
    np.testing.assert_array_equal(load_waveform(CLIP, rate=rate).samples, CLIP)


def test_a_stream_at_its_end_is_read_from_its_start(tmp_path: Any) -> None:
    expected = load_waveform(wav()).samples
    written = io.BytesIO()
    soundfile.write(written, INTEGERS, RATE, format="WAV")
    assert written.tell() > 0
    np.testing.assert_array_equal(load_waveform(written).samples, expected)
    (tmp_path / "a.wav").write_bytes(wav())
    with open(tmp_path / "a.wav", "rb") as file:
        file.read()
        np.testing.assert_array_equal(load_waveform(file).samples, expected)
    with pytest.raises(AudioError, match="0 bytes"):
        load_waveform(io.BytesIO())


def test_members_of_archives_are_audio(tmp_path: Any) -> None:
    expected = load_waveform(wav()).samples
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", wav())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("a.wav") as file:
        np.testing.assert_array_equal(load_waveform(file).samples, expected)
    (tmp_path / "a.wav").write_bytes(wav())
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "a.wav", "a.wav")
    with tarfile.open(tmp_path / "a.tar") as tar, tar.extractfile("a.wav") as file:  # type: ignore
        np.testing.assert_array_equal(load_waveform(file).samples, expected)


REFUSED: dict[str, tuple[Any, str]] = {
    "uint8": (np.zeros(900, np.uint8), "8-bit PCM is centered at 128"),
    "int8": (np.zeros(900, np.int8), "8-bit integers are rare"),
    "uint16": (np.zeros(900, np.uint16), "unsigned samples have no known center"),
    "bool": (np.zeros(900, bool), "truth values"),
    "int64": ([1, 2, 3] * 300, "their full scale is unknown"),
    "complex": (np.zeros(900, complex), "got complex128"),
    "objects": (np.array([None] * 900), "got object"),
    "masked": (np.ma.array(CLIP, mask=CLIP > 0.09), "masked values; fill them"),
    "(sample, 2)": (np.stack([CLIP, CLIP]).T, "transpose it"),
    "(2, 2, sample)": (np.zeros((2, 2, 900)), "transpose it"),
    "ragged": ([0.0, [1.0, 2.0]], "only numbers"),
    "text among numbers": ([0.0, "a"], "got str"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_unsuitable_samples_are_refused_with_the_reason(kind: str) -> None:
    samples, words = REFUSED[kind]
    with pytest.raises(AudioError, match=words) as caught:
        load_waveform(samples, rate=RATE)
    assert caught.value.code == "invalid_audio"


NO_AUDIO: dict[str, tuple[Any, str]] = {
    "None": (None, "got NoneType"),
    "number": (1.0, "got float"),
    "object": (object(), "got object"),
    "generator": ((x for x in CLIP), "got generator"),
    "empty dict": ({}, "a dict with no keys"),
    "other dict": ({"text": "a"}, "a dict with 'text'"),
    "list of paths": (["a.wav", "b.wav"], "use predict_many for several recordings"),
    "list of arrays": ([CLIP, CLIP], "numpy.stack for the channels"),
    "set": ({1.0}, "got set"),
}


@pytest.mark.parametrize("kind", NO_AUDIO)
def test_what_is_not_audio_is_one_clear_error(kind: str) -> None:
    value, words = NO_AUDIO[kind]
    with pytest.raises(UsageError, match="expected audio as a path") as caught:
        load_waveform(value)
    assert words in str(caught.value)


def test_a_path_as_bytes_and_raw_samples_are_refused_with_the_way_out(tmp_path: Any) -> None:
    with pytest.raises(AudioError, match=r"os\.fsdecode"):
        load_waveform(os.fsencode(tmp_path / "a.wav"))
    with pytest.raises(UsageError, match=r"numpy\.frombuffer"):
        load_waveform(INTEGERS.tobytes(), rate=RATE)
    with pytest.raises(UsageError, match="a file's header gives its rate"):
        load_waveform(wav(), rate=RATE)
    with pytest.raises(UsageError, match="got none; pass rate="):
        load_waveform(CLIP)


def test_a_stream_that_reads_no_bytes_is_refused() -> None:
    async def read(_: int) -> bytes:
        return b""

    with pytest.raises(UsageError, match="reads bytes, got coroutine"):
        load_waveform(SimpleNamespace(read=read))


def test_one_recording_is_not_taken_for_a_collection() -> None:
    singles = ("a.wav", b"a", CLIP, CLIP.tolist(), (CLIP, RATE), (RATE, CLIP), {"array": CLIP})
    assert all(map(is_single, (*singles, io.BytesIO(), array.array("f", CLIP))))
    several = (["a.wav"], [CLIP, CLIP], CLIP[None], np.array(["a.wav"]), iter(["a.wav"]), [])
    assert not any(map(is_single, several))
