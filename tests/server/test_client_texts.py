"""No error tells a client to do what only the operator, or a Python program, can do."""

from __future__ import annotations

import ast
import re

import pytest

from phonemo.audio import AudioLimits, load_waveform
from phonemo.errors import AudioError
from phonemo.server import formats
from phonemo.server.api_errors import api_error_of
from phonemo.server.refusals.client_texts import text_for_clients
from tests.laws import REPOSITORY
from tests.server.asking import clip, encoded, post, wav
from tests.server.serving import Held, served, settings

#: What a client of a server cannot do.
FOREIGN = re.compile(
    r"max_(seconds|decoded)|pip install|numpy|rate=|os\.fsdecode|predict_many|open it in binary"
)
#: Modules whose errors cannot reach a client: arrays and paths do not come over HTTP.
ELSEWHERE = ("arrays.py", "sources.py")


def texts():
    """Every string in the code that decodes, beside docstrings."""
    for path in sorted((REPOSITORY / "src" / "phonemo" / "audio").rglob("*.py")):
        if path.name in ELSEWHERE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise | ast.Return | ast.Assign):
                yield from (
                    (path.name, part.value)
                    for part in ast.walk(node)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )


def test_every_advice_of_the_decoder_is_one_that_is_translated():
    known = {
        ("resample.py", "split it or raise max_seconds"),
        ("resample.py", "split it or raise max_decoded_bytes"),
        ("decode.py", "; or perhaps with: pip install 'phonemo[media]'"),
    }
    assert {(file, text) for file, text in texts() if FOREIGN.search(text)} == known


@pytest.mark.parametrize(
    ("limits", "setting"),
    [(AudioLimits(max_seconds=1), "audio_seconds"), (AudioLimits(10, 9000), "decoded_bytes")],
)
def test_a_limit_has_the_name_of_the_servers_setting(limits, setting):
    with pytest.raises(AudioError) as raised:
        load_waveform(encoded(clip(32_000)), limits=limits)
    message = str(api_error_of(raised.value))
    assert f"(limits.{setting})" in message
    assert "split it" in message
    assert not FOREIGN.search(message)


@pytest.mark.parametrize(
    "message",
    [
        "a.m4a: MP4 or M4A needs an optional part: pip install 'phonemo[media]'",
        "a.ogg: cannot be decoded (x); y; or perhaps with: pip install 'phonemo[media]'",
    ],
)
def test_a_missing_extra_is_no_advice_for_a_client(message):
    assert text_for_clients(message).endswith("; convert it to WAV or FLAC")
    assert not FOREIGN.search(text_for_clients(message))


def test_the_formats_are_those_of_this_server(monkeypatch):
    with pytest.raises(AudioError) as raised:
        load_waveform(b"%PDF-1.7")
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    message = text_for_clients(str(raised.value))
    assert "m4a" not in message
    assert message.endswith("caf, w64 or sph, got a PDF")


def test_other_messages_are_left_as_they_are():
    assert text_for_clients("a.wav: damaged; encode it again") == "a.wav: damaged; encode it again"


def test_a_long_recording_is_refused_with_the_servers_words():
    with served(settings(limits={"audio_seconds": 1}), {"held": Held()}) as found:
        message = post(found.port, wav(2)).data["error"]["message"]
    assert message == (
        "clip.wav: expected at most 1 s (limits.audio_seconds), got 2.0 s or more; split it"
    )


GSM = bytes([0xD5, *range(32)]) * 40


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (GSM, "GSM without a header"),
        (b"\x02#!SILK_V3" + bytes(99), "SILK, a voice message"),
        (b"TTA1" + bytes(99), "True Audio"),
        (b".RMF" + bytes(99), "RealAudio"),
        (b"DSD " + bytes(99), "DSD audio"),
        (b"\x0bw" + bytes(99), "AC-3 (Dolby Digital)"),
        (b"MThd" + bytes(99), "MIDI"),
        (bytes(range(256)) * 9, "a file of a kind that is not known"),
    ],
)
def test_a_file_of_another_kind_is_named_and_always_415(port, data, kind):
    found = post(port, data, "a.bin")
    assert found.told == (415, "unsupported_audio")
    assert found.data["error"]["message"].endswith(f"got {kind}")
