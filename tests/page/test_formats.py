"""Formats of phones and browsers: what the server cannot read, the browser converts."""

from __future__ import annotations

import json

import pytest

from tests.page.test_files import upload

#: Records the (fake) microphone as a page would, and puts the result among the chosen files.
RECORD = """async (type) => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
    const chunks = [];
    recorder.addEventListener("dataavailable", (event) => chunks.push(event.data));
    const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
    recorder.start(250);
    await new Promise((resolve) => setTimeout(resolve, 2200));
    recorder.stop();
    await stopped;
    stream.getTracks().forEach((track) => track.stop());
    const files = new DataTransfer();
    files.items.add(new File(chunks, "memo.webm", { type: recorder.mimeType }));
    const input = document.querySelector("[data-testid=file-input]");
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    return recorder.mimeType;
}"""
#: Streams what it records, and returns the types of the events.
STREAM = """async () => {
    const address = new URL("v1/audio/stream?encoding=webm", document.baseURI);
    address.protocol = "ws:";
    const socket = new WebSocket(address);
    const types = [];
    socket.addEventListener("message", (event) => types.push(JSON.parse(event.data)));
    const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => socket.send(event.data));
    const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
    recorder.start(100);
    while (!types.some(({ type }) => type === "window"))
        await new Promise((resolve) => setTimeout(resolve, 50));
    recorder.stop();
    await stopped;
    stream.getTracks().forEach((track) => track.stop());
    socket.send('{"type": "finish"}');
    await closed;
    return types;
}"""
REFUSED = {
    "message": "memo.webm: this format needs an optional part: pip install 'phonemo[media]'",
    "type": "invalid_request_error",
    "param": "file",
    "code": "unsupported_audio",
}


def refuse(page, times: int) -> list[bytes]:
    """Let the server refuse the first recordings; returns the bodies that are sent."""
    sent: list[bytes] = []

    def answer(route) -> None:
        sent.append(route.request.post_data_buffer or b"")
        if len(sent) <= times:
            route.fulfill(status=415, json={"error": REFUSED})
        else:
            route.continue_()

    page.route("**/v1/audio/emotions", answer)
    return sent


def test_what_mediarecorder_records_is_recognized(page):
    pytest.importorskip("av", reason="needs the extra media")
    with page.expect_response("**/v1/audio/emotions") as waiting:
        assert page.evaluate(RECORD, "").startswith("audio/webm")
    assert waiting.value.status == 200
    assert 1.5 < waiting.value.json()["seconds"] < 4
    page.get_by_test_id("result-label").wait_for()
    assert "memo.webm" in page.get_by_test_id("result-file").inner_text()
    assert "converted" not in page.get_by_test_id("notes").inner_text()


def test_what_mediarecorder_streams_is_recognized_while_it_records(page):
    pytest.importorskip("av", reason="needs the extra media")
    found = page.evaluate(STREAM)
    assert [found[0]["type"], found[-1]["type"]] == ["ready", "final"]
    assert found[-1]["prediction"]["seconds"] > 2.5


def test_what_the_server_cannot_read_is_converted_by_the_browser(page):
    sent = refuse(page, 1)
    page.evaluate(RECORD, "")
    page.get_by_test_id("result-label").wait_for()
    assert "memo.webm" in page.get_by_test_id("result-file").inner_text()
    assert "converted" in page.get_by_test_id("notes").inner_text()
    assert [b"RIFF" in body and b"WAVEfmt" in body for body in sent] == [False, True]
    with page.expect_request("**/v1/audio/emotions"):
        page.get_by_test_id("download-csv").click()
    page.wait_for_function("() => /memo.csv/.test(document.querySelector('#status').textContent)")


def test_what_nobody_can_read_is_told_in_the_words_of_the_server(page, tmp_path):
    path = tmp_path / "memo.webm"
    path.write_text("this is no recording", encoding="utf-8")
    sent = refuse(page, 9)
    upload(page, path)
    failure = page.get_by_test_id("failure")
    failure.get_by_text("phonemo[media]").wait_for()
    assert "No audio" in failure.inner_text()
    assert page.get_by_test_id("failure-retry").is_hidden()
    row = page.get_by_test_id("file-row")
    assert "cannot be recognized" in row.inner_text()
    row.get_by_role("button").click()
    failure.get_by_text("phonemo[media]").wait_for()
    assert len(sent) == 1


@pytest.mark.parametrize(("media", "words"), [(True, "phones and browsers"), (False, "converts")])
def test_the_words_under_the_chooser_are_those_of_the_server(page, media, words):
    def answer(route) -> None:
        limits = {"body_bytes": 1000, "audio_seconds": 60, "media": media, "formats": ["wav"]}
        route.fulfill(body=json.dumps(limits), content_type="application/json")

    page.route("**/v1/limits", answer)
    page.reload()
    page.locator("#file-limits").get_by_text(words).wait_for()


#: Converts 1 s of two tones at 8 kHz; returns the header's fields, or the key of an error.
CONVERT = """async ([seconds, bytes]) => {
    const { wavOf } = await import("/web/pcm.js");
    const { convertToWav } = await import("/web/convert.js");
    const tone = (step) =>
        Float32Array.from({ length: 8000 }, (_, index) => Math.sin(index * step) / 2);
    const file = await wavOf([tone(0.2), tone(0.3)], 8000, false);
    const limits = { audio_seconds: seconds, body_bytes: bytes };
    const found = await convertToWav(file, limits).catch(({ key }) => key);
    if (typeof found === "string") return found;
    const header = new DataView(await found.blob.slice(0, 44).arrayBuffer());
    return [found.mixed, header.getUint16(22, true), header.getUint32(24, true), found.blob.size];
}"""


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((600, 25 << 20), [False, 2, 16_000, 44 + 64_000]),
        ((600, 60_000), [True, 1, 16_000, 44 + 32_000]),
        ((0.9, 25 << 20), "error.audio_too_long"),
    ],
)
def test_a_conversion_keeps_the_channels_if_they_fit(page, limits, expected):
    assert page.evaluate(CONVERT, list(limits)) == expected
