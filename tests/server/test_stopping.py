"""The command: start, graceful stop, and errors at startup."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from phonemo.cli import main
from tests.server.asking import (
    FINISH,
    PATIENCE_SECONDS,
    ask,
    clip,
    connected,
    encoded,
    events,
    post,
    stream,
    wav,
)
from tests.server.serving import children, command, until
from tests.tiny_bundle import BUNDLE, RATE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(scope="module")
def long():
    """A recording that takes a while."""
    return encoded(clip(590 * RATE), "FLAC")


def one_line(found, code):
    """What it said before it left."""
    assert found.ended() == code, found.said
    assert found.said.startswith("phonemo: ")
    assert found.said.count("\n") == 1, found.said
    return found.said


def in_flight(port):
    lines = ask(port, "/metrics").body.decode().splitlines()
    return next(float(one.split()[1]) for one in lines if one.startswith("phonemo_in_flight "))


# A signal -----------------------------------------------------------------------------------------


def test_an_idle_server_stops_at_once_with_status_0():
    with command() as found, connected(found.port):
        found.process.send_signal(signal.SIGINT)
        assert found.ended() == 0
        assert found.said.count("\n") == 1, found.said


@pytest.mark.parametrize("sent", SIGNALS)
def test_requests_in_progress_finish_before_the_stop(sent, long):
    words = ("--set", "workers=1", "--set", "grace_seconds=240")
    with command(*words) as found, ThreadPoolExecutor(2) as pool:
        port = found.port
        asked = [pool.submit(post, port, long, phonemes=1) for _ in range(2)]
        until(lambda: in_flight(port) == 2)
        found.process.send_signal(sent)
        until(lambda: ask(port, "/health/ready").status == 503)
        assert ask(port, "/health/live").status == 200
        assert post(port, wav()).told == (503, "stopping")
        assert [one.result().status for one in asked] == [200] * 2
        assert found.ended() == 0
        assert found.said.count("\n") == 1, found.said


def test_a_live_stream_gets_its_result_before_the_stop():
    with command() as found, stream(found.port) as client:
        client.recv(timeout=PATIENCE_SECONDS)
        client.send(clip(2 * RATE).tobytes())
        client.ping().wait(PATIENCE_SECONDS)
        found.process.send_signal(signal.SIGTERM)
        assert events(client)[-1]["type"] == "final"
        assert client.close_code == 1012
        assert found.ended() == 0


def refused_or_cut(asked):
    """Unfinished requests get a 503 or a closed connection, not a 500."""
    left = [one for one in asked if one.exception() is not None or one.result().status != 200]
    for one in left:
        assert one.exception() is not None or one.result().told == (503, "stopping"), one.result()
    return len(left)


def test_a_request_longer_than_the_grace_period_gets_an_error(long):
    with command("--set", "grace_seconds=0.1", "--set", "workers=1") as found:
        port = found.port
        with ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(post, port, long, phonemes=1) for _ in range(12)]
            until(lambda: in_flight(port) >= 4)
            found.process.send_signal(signal.SIGTERM)
            assert found.ended() == 0
        assert "Traceback" not in found.said
        assert refused_or_cut(asked)


def test_a_second_signal_stops_at_once(long):
    with command("--set", "workers=1") as found:
        port = found.port
        with ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(post, port, long, phonemes=1) for _ in range(12)]
            until(lambda: in_flight(port) >= 4)
            for _ in range(2):
                found.process.send_signal(signal.SIGINT)
                until(lambda: found.process.poll() is not None or stopping(port))
            found.ended()
        assert "Traceback" not in found.said
        assert refused_or_cut(asked)


def stopping(port):
    try:
        return ask(port, "/health/ready").status == 503
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_signal_before_the_warm_up_stops_the_server():
    with command(model=False) as found:
        until(lambda: children(found.process.pid))  # its decoders start first
        found.process.send_signal(signal.SIGTERM)
        assert found.ended() == 0
        assert "Traceback" not in found.said


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_the_decoders_end_with_the_server(sent):
    with command() as found:
        assert found.port
        pids = children(found.process.pid)
        assert pids
        found.process.send_signal(sent)
        assert found.ended() == (0 if sent == signal.SIGTERM else -sent)
        until(lambda: not any(os.path.exists(f"/proc/{one}") for one in pids))


# It cannot start ----------------------------------------------------------------------------------


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with command("--port", str(port)) as found:
            said = one_line(found, 2)
    assert f"127.0.0.1 port {port}" in said
    assert "--port" in said


@pytest.mark.parametrize("host", ["192.0.2.1", "a" * 70])
def test_a_foreign_address_is_one_line(host):
    with command("--host", host) as found:
        assert "--host" in one_line(found, 2)


def test_a_missing_model_is_one_line(tmp_path):
    with command("--model", str(tmp_path / "absent"), model=False) as found:
        assert "absent" in one_line(found, 1)


def test_a_damaged_model_is_one_line(tmp_path):
    shutil.copytree(BUNDLE, tmp_path / "broken")
    with open(tmp_path / "broken" / "model.onnx", "r+b") as file:
        file.seek(1000)
        file.write(b"broken")
    with command("--model", str(tmp_path / "broken"), model=False) as found:
        assert "broken" in one_line(found, 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "prot=1"], "prot"),
        (["--set", "limits.queue=-1"], "queue"),
        (["--set", "limits.body=1"], "body"),
        (["--set", "access.keys=[secret]"], "keys"),
        (["--set", "access.cors_origins=[example.org]"], "origin"),
        (["--config", "absent.yaml"], "absent.yaml"),
    ],
)
def test_an_invalid_config_is_one_line(words, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["phonemo", "serve", *words])
    with pytest.raises(SystemExit) as left:
        main.main()
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert said.startswith("phonemo: ")
    assert said.count("\n") == 1
    assert told in said


def test_an_unknown_voice_activity_detector_is_one_line():
    with command("--set", "activity=nonsense") as found:
        assert "nonsense" in one_line(found, 2)


def test_a_config_file_is_used(tmp_path):
    file = tmp_path / "serve.yaml"
    file.write_text(f"models: ['{BUNDLE}']\npage: false\nlimits: {{queue: 3}}\n", encoding="utf-8")
    with command("--config", str(file), model=False) as found:
        assert ask(found.port, "/").status == 404
        assert ask(found.port, "/v1/models").data["data"][0]["id"] == "tiny-bundle"


def test_an_ipv6_address_is_printed_in_brackets():
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    with command("--host", "::1") as found:
        until(lambda: "serving at" in found.said or found.process.poll() is not None)
        if "serving at" not in found.said:
            pytest.skip("this machine has no ::1")
        assert "http://[::1]:" in found.said


def test_a_missing_extra_is_reported_with_what_to_install(monkeypatch, capsys):
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    monkeypatch.setattr(sys, "argv", ["phonemo", "serve"])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 1
    assert "pip install 'phonemo[serve]'" in capsys.readouterr().err


def test_the_packaged_model_is_served():
    with command(model=False) as found:
        assert ask(found.port, "/v1/models").data["data"][0]["id"] == "phonemo-small"
        answer = post(found.port, wav()).data
        assert (answer["model"], len(answer["scores"])) == ("phonemo-small", 8)
        with stream(found.port) as client:
            client.send(clip().tobytes())
            client.send(FINISH)
            assert events(client)[-1]["prediction"]["model"] == "phonemo-small"


def test_the_access_log_has_requests_but_no_content():
    with command("--access-log") as found:
        assert post(found.port, b"secret words" * 100).status == 415
        until(lambda: "POST /v1/audio/emotions" in found.said)
        assert "secret" not in found.said
