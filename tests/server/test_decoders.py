"""Processes that decode: one that crashes, hangs or takes too much harms its own upload alone."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from phonemo.errors import AudioError
from phonemo.server.api_errors import ApiError
from phonemo.server.decoders import decoder_process
from phonemo.server.decoders.decoder_pool import DecoderPool
from phonemo.server.decoders.decoder_process import START_SECONDS, DecoderProcess
from phonemo.server.decoders.decoder_worker import DecoderLimits, read_frame, write_frame
from tests.server.asking import encoded, post, wav
from tests.server.serving import Held, children, served, settings, until
from tests.tiny_bundle import make_clip

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the system's limits are Linux'")
LIMITS = DecoderLimits(max_seconds=60, max_decoded_bytes=2**26, memory_bytes=2**28, alarm_seconds=9)
#: A decoder that does what the first word of an upload says.
ACTOR = """
import json, os, signal, sys, time
import numpy as np
from phonemo.audio import Waveform
from phonemo.server.decoders.decoder_worker import DecoderLimits, serve

def decode(upload, channels, limits):
    word, *rest = upload.getvalue().split() if upload.getvalue()[:1] != b"R" else [b""]
    if word == b"once" and not os.path.exists(rest[0]):
        os.mkdir(rest[0])
        time.sleep(600)
    if word == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == b"leave":
        os._exit(0)
    if word == b"hang":
        time.sleep(600)
    if word == b"wait":
        time.sleep(0.3)
    if word == b"take":
        held = bytearray(2**31)
        held[-1] = 1
    if word == b"fail":
        raise RuntimeError("a fault of the decoder")
    if word == b"garbage":
        os.write(1, b"\\xff" * 1000)
    if word == b"babble":
        sys.stdout.buffer.write((3).to_bytes(8, "little") + bytes(8) + b"{{{")
        sys.stdout.flush()
    pid = np.float32(os.getpid())
    return [Waveform(np.full(16_000, pid, np.float32))]

serve(DecoderLimits(**json.loads(sys.argv[1])), decode)
"""
PROGRAM = ("-c", ACTOR)


@contextlib.contextmanager
def decoders(count=1, seconds=20.0, limits=LIMITS, program=PROGRAM):
    """Decoders, and why they were replaced."""
    lost = []
    found = DecoderPool(count, limits, seconds, lost.append, program)
    found.start()
    try:
        yield found, lost
    finally:
        found.close()


def run(act, **options):
    """What a coroutine over decoders gives, and why they were replaced."""

    async def whole():
        with decoders(**options) as (found, lost):
            return await act(found), lost

    return asyncio.run(whole())


async def decode(found, word):
    """Samples, or status and code."""
    try:
        return await found.decode(io.BytesIO(word), "a.wav")
    except ApiError as error:
        return error.status, error.code
    except AudioError as error:
        return error.code


async def pid(found):
    """Of the process that decodes next, which may take its time to start."""
    found.patient, before = True, found.patient
    try:
        return int((await found.decode(io.BytesIO(b"say"), "a.wav")).samples[0])
    finally:
        found.patient = before


# What is decoded ----------------------------------------------------------------------------------


def test_frames_survive_a_round_trip():
    stream = io.BytesIO()
    write_frame(stream, {"name": "ä\udcff"}, b"abc")
    write_frame(stream, {})
    stream.seek(0)
    assert read_frame(stream) == ({"name": "ä\udcff"}, b"abc")
    assert read_frame(stream) == ({}, b"")
    assert read_frame(stream) is None


@pytest.mark.parametrize("kept", [0, 1, 15, 16, 17, 29])
def test_a_truncated_frame_is_the_end(kept):
    stream = io.BytesIO()
    write_frame(stream, {"a": "b"}, b"abcd")
    assert read_frame(io.BytesIO(stream.getvalue()[:kept])) is None


def test_a_file_is_decoded_as_by_the_library():
    samples = make_clip(20_000, 300.0)

    async def act(found):
        data = encoded(samples, subtype="FLOAT")
        return await found.decode(io.BytesIO(data), "a.wav")

    found, _ = run(act, program=("-m", "phonemo.server.decoders.decoder_worker"))
    assert np.array_equal(found.samples, samples)
    assert found.warnings == ()


def test_a_disconnected_client_costs_no_process():
    """Its upload is closed before a thread has read it."""

    async def act(found):
        before = await pid(found)
        closed = io.BytesIO(b"say")
        closed.close()
        with pytest.raises(ApiError) as refused:
            await found.decode(closed, "a.wav")
        assert refused.value.code == "client_closed"
        return before == await pid(found)

    assert run(act, program=PROGRAM) == (True, [])


def test_library_errors_keep_their_code():
    async def act(found):
        bad = (b"", bytes(100), encoded(np.zeros(10)), b"#EXTM3U\nhttp://a/b\n")
        return [await decode(found, one) for one in bad]

    found, lost = run(act, program=("-m", "phonemo.server.decoders.decoder_worker"))
    other = (415, "unsupported_audio")
    assert found == ["empty_audio", other, "too_short", other]
    assert lost == []


# What goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [b"crash", b"leave", b"fail"])
def test_a_crash_fails_only_its_upload_and_the_process_is_replaced(word):
    async def act(found):
        before = await pid(found)
        told = await decode(found, word)
        return told, before, await pid(found)

    (told, before, after), lost = run(act)
    assert told == (422, "invalid_audio")
    assert before != after
    assert lost == ["crash"] * 2, "tried twice"


@LINUX
def test_a_process_killed_from_outside_fails_no_upload(tmp_path):
    begun = tmp_path / "begun"

    async def act(found):
        found.patient = True
        victim = await pid(found)
        asked = asyncio.ensure_future(decode(found, b"once " + bytes(begun)))
        await asyncio.to_thread(until, begun.exists)
        os.kill(victim, signal.SIGKILL)
        return await asyncio.wait_for(asked, 60)

    told, lost = run(act)
    assert not isinstance(told, tuple), told
    assert lost == ["crash"]


def test_concurrent_crashes_fail_only_their_uploads():
    async def act(found):
        words = [b"crash", b"say", b"crash", b"leave", b"say", b"say", b"crash", b"say"]
        return await asyncio.gather(*(decode(found, one) for one in words)), words

    (told, words), lost = run(act, count=2)
    for word, one in zip(words, told, strict=True):
        assert (one == (422, "invalid_audio")) == (word != b"say")
    assert lost == ["crash"] * 8, "each tried twice"


def test_a_hanging_decoder_is_killed_at_the_limit():
    async def act(found):
        before = await pid(found)
        return await decode(found, b"hang"), before, await pid(found)

    (told, before, after), lost = run(act, seconds=1.5)
    assert told == (504, "decoder_timeout")
    assert before != after
    assert lost == ["timeout"]


@LINUX
def test_an_upload_over_the_memory_limit_is_rejected_and_the_process_survives():
    async def act(found):
        before = await pid(found)
        return await decode(found, b"take"), before, await pid(found)

    (told, before, after), lost = run(act)
    assert told == "audio_too_large"
    assert before == after
    assert lost == []


@pytest.mark.parametrize("word", [b"garbage", b"babble"])
def test_output_of_a_broken_decoder_reaches_no_other_request(word):
    """After any fault the process is replaced: the next reads nothing that is left of it."""

    async def act(found):
        before = await pid(found)
        with contextlib.suppress(Exception):
            await decode(found, word)
        after = await asyncio.wait_for(pid(found), 60)
        return before, after

    (before, after), lost = run(act, seconds=1.5)
    assert before != after
    assert len(lost) == 2


def test_the_start_of_a_process_has_a_limit_of_its_own(monkeypatch):
    """A slow start is no fault of the upload, and one that never ends is an answer, and no wait."""
    limits = []
    within = DecoderPool._within

    def noted(found, seconds, process, work):
        limits.append(seconds)
        return within(found, seconds, process, work)

    monkeypatch.setattr(DecoderPool, "_within", noted)
    (first, second), lost = run(lambda found: twice(found, b"say"), seconds=21.0)
    assert not isinstance(first, tuple)
    assert not isinstance(second, tuple)
    assert limits == [START_SECONDS, 21.0, 21.0]
    assert lost == []


def test_a_process_that_is_never_ready_is_replaced_and_refused(monkeypatch):
    monkeypatch.setattr("phonemo.server.decoders.decoder_pool.START_SECONDS", 0.2)
    never = ("-c", "import time; time.sleep(600)")
    found, lost = run(lambda found: decode(found, b"say"), program=never)
    assert found == (503, "no_decoder")
    assert lost == ["timeout"]


@pytest.mark.parametrize("words", ["", "print('hello')", "import os; os.write(1, bytes(16))"])
def test_a_process_that_ends_before_it_is_ready_is_no_fault_of_the_upload(words):
    found, lost = run(lambda found: decode(found, b"say"), program=("-c", words))
    assert found == (503, "no_decoder")
    assert lost == ["crash", "crash"]


def test_a_process_stopped_while_it_is_spawned_does_not_live_on(monkeypatch):
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    found = DecoderProcess(command, 2**16)
    spawn = decoder_process.spawn

    def stopped_too_early(command):
        found.stop()
        return spawn(command)

    monkeypatch.setattr(decoder_process, "spawn", stopped_too_early)
    process = found.start()
    with contextlib.closing(process.stdin), contextlib.closing(process.stdout):
        assert process.wait(60) != 0


async def twice(found, word):
    return await decode(found, word), await decode(found, word)


def test_a_reply_at_the_time_limit_leaves_no_dead_process(monkeypatch):
    """The time limit strikes after the answer is there and before the event loop has seen it."""
    blocked, replied = threading.Event(), threading.Event()
    read = DecoderProcess.decode

    async def act(found):
        loop = asyncio.get_running_loop()

        def read_past_the_limit(process, upload, request):
            loop.call_soon_threadsafe(block_past_the_limit)
            assert blocked.wait(60)  # else the loop may run the block and the answer in one turn
            try:
                return read(process, upload, request)
            finally:
                replied.set()

        before = await pid(found)
        with monkeypatch.context() as patch:
            patch.setattr(DecoderProcess, "decode", read_past_the_limit)
            first = await decode(found, b"say")
        return before, first, await pid(found)

    def block_past_the_limit():
        blocked.set()
        assert replied.wait(60)
        time.sleep(0.1)

    (before, first, after), lost = run(act, seconds=0.1)
    assert not isinstance(first, tuple), first
    assert before != after
    assert lost == ["timeout"]


@LINUX
def test_a_process_that_died_while_idle_is_replaced_silently():
    async def act(found):
        os.kill(await pid(found), signal.SIGKILL)
        await asyncio.sleep(0.2)
        return await decode(found, b"say")

    found, _ = run(act)
    assert not isinstance(found, tuple), found


@LINUX
def test_a_process_that_ends_before_its_upload_is_written_is_not_started_within_its_time(
    monkeypatch,
):
    """The upload goes to another process, which has the time of a start."""
    decode_once, opened = DecoderProcess.decode, []

    def killed_before(process, upload, request):
        if not opened:
            opened.append(process)
            process._process.kill()
            process._process.wait()
        before = process._process
        try:
            return decode_once(process, upload, request)
        finally:
            assert process._process is before

    monkeypatch.setattr(DecoderProcess, "decode", killed_before)
    found, lost = run(lambda found: decode(found, b"say"))
    assert not isinstance(found, tuple), found
    assert lost == ["crash"]


# Who leaves ---------------------------------------------------------------------------------------


def test_a_cancelled_request_returns_its_process():
    async def act(found):
        before = await pid(found)
        asked = asyncio.ensure_future(decode(found, b"wait"))
        await asyncio.sleep(0.1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        return before, await pid(found)

    (before, after), lost = run(act)
    assert before == after
    assert lost == []


def test_a_cancelled_waiting_request_takes_no_process():
    async def act(found):
        first = asyncio.ensure_future(decode(found, b"wait"))
        await asyncio.sleep(0.05)
        waiting = [asyncio.ensure_future(decode(found, b"say")) for _ in range(5)]
        await asyncio.sleep(0.05)
        for one in waiting[:4]:
            one.cancel()
        return await asyncio.gather(first, *waiting, return_exceptions=True)

    (first, *gone, last), _ = run(act)
    assert all(isinstance(one, asyncio.CancelledError) for one in gone)
    assert len(first.samples) == len(last.samples) == 16_000


@LINUX
def test_closing_leaves_no_process():
    before = children(os.getpid())
    run(pid, count=3)
    assert children(os.getpid()) == before


@LINUX
def test_closing_during_decoding_leaves_no_process():
    before = children(os.getpid())

    async def act():
        with decoders(count=4) as (found, _):
            hanging = [asyncio.ensure_future(decode(found, b"hang")) for _ in range(3)]
            await asyncio.sleep(0.3)
            await asyncio.to_thread(found.close)
            await asyncio.gather(*hanging, return_exceptions=True)
            return children(os.getpid())

    assert asyncio.run(act()) == before


@LINUX
def test_decoders_end_with_their_parent():
    code = (
        "import asyncio, sys, os, signal\n"
        "from tests.server.test_decoders import *\n"
        "async def act():\n"
        "    found = DecoderPool(2, LIMITS, 9, print, PROGRAM)\n"
        "    found.start()\n"
        "    print(await pid(found), *children(os.getpid()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(act())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pids = done.stdout.split()
    assert len(pids) == 3, done.stderr
    until(lambda: not any(os.path.exists(f"/proc/{one}") for one in pids))


# Over HTTP ----------------------------------------------------------------------------------------


def test_over_http_a_crash_is_422_a_hang_504_too_much_413_and_the_next_200():
    config = settings(limits={"decode_seconds": 3.0, "decoder_bytes": 2**28})
    with served(config, {"held": Held()}, PROGRAM) as found:
        for word, told in {
            b"crash": (422, "invalid_audio"),
            b"hang": (504, "decoder_timeout"),
            b"take": (413, "audio_too_large"),
        }.items():
            found.service.pipeline.decoders.patient = word != b"hang"
            if word != b"take" or sys.platform == "linux":
                assert post(found.port, word).told == told
            found.service.pipeline.decoders.patient = True
            assert post(found.port, b"say").status == 200
        assert found.metric("decoders_replaced") == 3
        assert found.metric("errors") >= 2
        assert found.service.admission.queue.in_use == 0


@LINUX
def test_a_decoder_cannot_write_files(tmp_path):
    file = tmp_path / "a"
    code = "from pathlib import Path\n"
    code += "from phonemo.server.decoders.decoder_worker import apply_rlimits\n"
    code += "apply_rlimits(2**28)\n"
    code += f"Path({str(file)!r}).write_bytes(b'x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"too large" in done.stderr
    assert file.stat().st_size == 0


def test_a_file_name_is_sanitized_in_messages():
    with served(settings(), {"held": Held()}) as found:
        told = post(found.port, wav(0.01), "../../a\u202eb\x7f.wav").data["error"]
    assert told["message"].startswith("../../a?b?.wav: ")
