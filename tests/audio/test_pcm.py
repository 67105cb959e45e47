"""Raw streams: every encoding decodes, and a wrong declaration is refused, never a right one."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from phonemo.audio.pcm import ENCODINGS, PcmDecoder, parse_encoding
from phonemo.errors import AudioError, UsageError
from tests.pcm import encode_pcm, voice

RATE = 16_000
NAMES = tuple(ENCODINGS)


def decoded(data: bytes, encoding: str, rate: int = RATE, step: int = 3200, channels: int = 1):
    decoder = PcmDecoder(encoding, rate, channels)
    parts = [decoder.push(data[at : at + step]) for at in range(0, len(data), step)]
    return np.concatenate([*parts, decoder.finish()])


@pytest.mark.parametrize(("name", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
def test_the_tables_of_telephony_are_those_of_libsndfile(name: str, subtype: str) -> None:
    data = bytes(range(256))
    raw = {"format": "RAW", "subtype": subtype, "samplerate": 8000, "channels": 1}
    expected, _ = soundfile.read(io.BytesIO(data), dtype="int16", **raw)
    np.testing.assert_array_equal(ENCODINGS[name].decode(data) * 2**15, expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", [1, 7, 3200])
def test_samples_are_the_same_for_any_message_size(name: str, step: int) -> None:
    data = encode_pcm(voice(RATE // 4), name)
    np.testing.assert_array_equal(decoded(data, name, step=step), ENCODINGS[name].decode(data))
    tolerance = 0.02 if ENCODINGS[name].width == 1 else 2**-15
    np.testing.assert_allclose(decoded(data, name), voice(RATE // 4), atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_channels_are_averaged_and_an_incomplete_frame_waits(name: str) -> None:
    left, right = voice(4000), voice(4000, 150.0)
    data = encode_pcm(np.stack([left, right], axis=1).ravel(), name)
    mono = decoded(data, name, step=5, channels=2)
    expected = ENCODINGS[name].decode(data).reshape(-1, 2).mean(axis=1, dtype=np.float64)
    np.testing.assert_array_equal(mono, expected.astype(np.float32))
    decoder = PcmDecoder(name, RATE, 2)
    assert len(decoder.push(data[:-1])) == 3999
    assert decoder.pending_bytes == 2 * ENCODINGS[name].width - 1


@pytest.mark.parametrize("declared", NAMES)
@pytest.mark.parametrize("actual", [*NAMES, "f64le", "s32le", "late"])
def test_only_the_right_encoding_is_accepted(actual: str, declared: str) -> None:
    samples = np.round(voice(2 * RATE, rate=RATE) * 2**15) / 2**15  # wide samples have zero bytes
    late = actual == "late"
    data = encode_pcm(samples, declared if late else actual)[1 if late else 0 :]
    if actual == declared or (late and ENCODINGS[declared].width == 1):
        decoded(data, declared)
        return
    with pytest.raises(AudioError, match=rf"\({declared}\), got") as caught:
        decoded(data, declared)
    assert caught.value.code == "wrong_encoding"
    if actual in NAMES:
        assert f"pass encoding={actual}" in str(caught.value)


def signals() -> dict[str, np.ndarray]:
    """Signals that are unlike speech, of two seconds."""
    random, time = np.random.default_rng(3), np.arange(2 * RATE) / RATE
    white = random.standard_normal(2 * RATE)
    return {
        "silence": np.zeros(2 * RATE),
        "constant": np.full(2 * RATE, 0.3),
        "white noise": 0.1 * white,
        "white noise at full scale": random.uniform(-1, 1, 2 * RATE),
        "faint noise": 1e-3 * white,
        "tone at half the rate": 0.5 * np.cos(np.pi * np.arange(2 * RATE)),
        "high tone": 0.9 * np.sin(2 * np.pi * 7000 * time),
        "sweep": 0.7 * np.sin(2 * np.pi * 2000 * time**2),
        "square wave": 0.8 * np.sign(np.sin(2 * np.pi * 220 * time)),
        "dial tones": 0.4 * (np.sin(2 * np.pi * 941 * time) + np.sin(2 * np.pi * 1336 * time)),
        "chord": sum(0.2 * np.sin(2 * np.pi * hertz * time) for hertz in (262, 330, 392)),
        "clicks": np.where(np.arange(2 * RATE) % 1000 == 0, 0.9, 0.0),
        "8 bits": np.round(voice(2 * RATE) * 127) / 128,
        "clipped voice": np.clip(30 * voice(2 * RATE), -1, 1),
        "voice with an offset": voice(2 * RATE) * 0.3 + 0.5,
        "voice in noise": voice(2 * RATE) + 0.3 * white,
        "faint voice": 1e-3 * voice(2 * RATE),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", signals())
def test_other_signals_than_speech_are_not_refused(kind: str, name: str) -> None:
    assert len(decoded(encode_pcm(signals()[kind], name), name)) == 2 * RATE


HEADS = {
    "WebM": b"\x1aE\xdf\xa3\x9fB\x86\x81",
    "Ogg": b"OggS\x00\x02",
    "WAV": b"RIFF\xff\xff\xff\xffWAVEfmt ",
    "FLAC": b"fLaC\x00\x00\x00\x22",
    "MP4": b"\x00\x00\x00\x18ftypM4A ",
    "AIFF": b"FORM\x00\x00\x00\x00AIFF",
    "MP3": b"ID3\x04\x00\x00\x00\x00\x02\x01",
    "MP3 or AAC": (b"\xff\xfb\x90\x00" + bytes(413)) * 4,
    "text": b'{"event": "media", "media": {"payload": "' + b"fn5+fv7+/v5+fn7+" * 20,
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("step", [1, 4096])
def test_a_container_in_place_of_samples_is_named(name: str, step: int) -> None:
    for encoding in NAMES:
        with pytest.raises(AudioError, match=f"got {name}; ") as caught:
            decoded(HEADS[name] + bytes(0 if name == "text" else 2000), encoding, step=step)
        assert caught.value.code == "wrong_encoding"


def test_names_of_other_programs_are_known() -> None:
    names = {
        "pcm_s16le": "s16le",
        "LINEAR16": "s16le",
        "g711_ulaw": "mulaw",
        "audio/x-mulaw": "mulaw",
    }
    names |= {"PCMA": "alaw", "float32": "f32le"}
    assert {name: parse_encoding(name) for name in names} == names
    for wrong in ("opus", "", None):
        with pytest.raises(UsageError, match="expected s16le, s16be, s24le, f32le, mulaw, alaw"):
            PcmDecoder(wrong)  # type: ignore[arg-type]
    for channels in (0, 65, True, 1.5):
        with pytest.raises(UsageError, match="channels: expected 1 to 64"):
            PcmDecoder(channels=channels)  # type: ignore[arg-type]


def test_random_bytes_in_random_messages_give_samples_or_one_line() -> None:
    random = np.random.default_rng(11)
    heads = [b"", b"RIFF", b"\x1aE\xdf\xa3", b"\xff\xfb\x90\x00", b"ID3", b"OggS\x00", b"{"]
    for number in range(200):
        data = random.integers(0, (256, 8)[number % 2], random.integers(9000), np.uint8).tobytes()
        data = heads[number % len(heads)] + data
        decoder = PcmDecoder(NAMES[number % 6], channels=int(random.integers(1, 9)))
        try:
            while data:
                size = int(random.integers(1, 5000))
                assert decoder.push(data[:size]).dtype == np.float32
                data = data[size:]
            decoder.finish()
        except AudioError as error:
            text = str(error)
            if error.code != "wrong_encoding" or "\n" in text:
                raise


@pytest.mark.parametrize("declared", ["mulaw", "alaw", "s16le"])
def test_unsigned_bytes_are_not_taken_for_a_telephone_line(declared: str) -> None:
    samples = np.clip(np.round(voice(2 * RATE) / np.abs(voice(2 * RATE)).max() * 127), -128, 127)
    with pytest.raises(AudioError, match="got what looks like unsigned 8-bit integers; convert"):
        decoded((samples + 128).astype(np.uint8).tobytes(), declared)


@pytest.mark.parametrize("text", [b"hello world ", b'{"type":"finish"}'])
def test_a_text_of_few_letters_is_text_where_samples_are_wide(text: bytes) -> None:
    with pytest.raises(AudioError, match="got text"):
        decoded(text * 1000, "s16le")


def test_one_silent_side_of_two_channels_is_not_called_32_bit_integers_alone() -> None:
    stereo = np.stack([voice(2 * RATE), np.zeros(2 * RATE)], axis=1).ravel()
    with pytest.raises(AudioError, match="or two channels; pass channels=2"):
        decoded(encode_pcm(stereo, "s16le"), "s16le")
    decoded(encode_pcm(stereo, "s16le"), "s16le", channels=2)
