"""What phones and browsers record, at the API: with the extra media, and without it."""

from __future__ import annotations

import io

import numpy as np
import pytest

from phonemo.server.settings import ServeLimits
from tests.server.asking import clip, post, wav
from tests.server.serving import served, settings
from tests.tiny_bundle import BUNDLE, RATE

#: A decoder without the extra.
PLAIN = (
    "import sys; sys.modules['av'] = None; import runpy; sys.argv = ['decoder', *sys.argv[1:]]; "
)
PLAIN += "runpy.run_module('phonemo.server.decoders.decoder_worker', run_name='__main__')"
KINDS = {"m4a": ("ipod", "aac"), "mp4": ("mp4", "aac"), "webm": ("webm", "libopus")}
#: As Safari's MediaRecorder writes it: the samples are described before each fragment.
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
#: The first bytes of a recording by a phone; there is no need for more to name it.
M4A = b"\x00\x00\x00\x1cftypM4A \x00\x00\x00\x00M4A mp42isom\x00\x00\x00\x00" + bytes(200)


def recorded(kind: str, seconds: float = 3.0) -> bytes:
    """A buzz as a phone or a browser records it."""
    av = pytest.importorskip("av", reason="needs the extra media")
    container_name, codec = KINDS["mp4" if kind == "fragmented" else kind]
    options = FRAGMENTED if kind == "fragmented" else {}
    file = io.BytesIO()
    samples = np.repeat(clip(round(seconds * RATE)), 3)[np.newaxis]
    with av.open(file, "w", format=container_name, options=options) as container:
        stream = container.add_stream(codec, rate=3 * RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate = 3 * RATE
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("kind", list(KINDS))
def test_recordings_of_phones_and_browsers_are_recognized(port, recognizer, kind):
    recording = recorded(kind)
    found = post(port, recording, f"memo.{kind}").data
    assert found["seconds"] == pytest.approx(3, abs=0.2)
    assert found["scores"] == recognizer.predict(recording).scores
    split = post(port, recording, f"memo.{kind}", channels="split").data
    assert [one["channel"] for one in split["channels"]] == [1]


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_damaged_recording_is_refused_in_one_line(port, kind):
    data = recorded(kind)
    for cut in (60, len(data) // 3):
        found = post(port, data[:cut], f"memo.{kind}")
        assert found.status in (200, 415, 422)
        if found.status != 200:
            assert "\n" not in found.data["error"]["message"]


def test_limits_hold_for_them_too():
    limits = ServeLimits(audio_seconds=2)
    with served(settings(models=(str(BUNDLE),), limits=limits)) as found:
        assert post(found.port, recorded("webm"), "a.webm").told == (413, "audio_too_long")
        assert post(found.port, recorded("m4a"), "a.m4a").told == (413, "audio_too_long")
        assert post(found.port, recorded("m4a", 1), "a.m4a").status == 200
        assert found.complaints.lines == []


def test_without_the_extra_the_error_says_what_the_client_can_do():
    with served(program=("-c", PLAIN)) as found:
        refused = post(found.port, M4A, "memo.m4a")
        assert refused.told == (415, "unsupported_audio")
        message = refused.data["error"]["message"]
        assert message.endswith("is not accepted by this server; convert it to WAV or FLAC")
        assert post(found.port, wav(1)).status == 200
