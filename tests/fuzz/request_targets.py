"""Any request to any route, and the lines that a client of phonemo mcp writes."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from functools import cache
from typing import Any

from phonemo.integrations.mcp_tools.emotion_tools import EmotionTools
from phonemo.integrations.mcp_tools.recording_roots import RecordingRoots
from tests.fuzz.judging import check_message, cut, scratch
from tests.fuzz.server_targets import (
    Connection,
    Quick,
    _app,
    _check_error,
    _json,
    _loop,
    _scope,
)
from tests.fuzz.structured_targets import valid_profile
from tests.fuzz.structures import edited
from tests.tiny_bundle import BUNDLE, RATE, make_clip

_METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH")
_PATH = "/v1/audio/emotions"
_PROFILE = (
    b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n%s\r\n--cut\r\n'
    b'Content-Disposition: form-data; name="profile_json"\r\n\r\n%s\r\n--cut--\r\n'
)


def request(data: bytes) -> None:
    """Method and path, query, headers, and the body."""
    line, query, headers, body = cut(data, 4)
    method, _, path = line.decode("latin-1").partition(" ")
    method = method if method in _METHODS else "POST"
    _send(method, path if path.startswith("/") else _PATH, query[:4000], headers, body)


def request_profile(data: bytes) -> None:
    """Edits of the profile in a form; the recording is a good one."""
    content = json.dumps(edited(valid_profile(), data), default=lambda one: one.hex())
    body = _PROFILE % (_clip(), content.encode())
    _send("POST", _PATH, b"model=tiny", b"content-type: multipart/form-data; boundary=cut", body)


@cache
def _clip() -> bytes:
    import io

    import soundfile

    file = io.BytesIO()
    soundfile.write(file, make_clip(RATE // 10, 300.0), RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _send(method: str, path: str, query: bytes, headers: bytes, body: bytes) -> None:
    client = Connection([{"type": "http.request", "body": body, "more_body": False}], None)
    scope = {**_scope("http", path, headers), "method": method, "query_string": query}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unclosed file <tempfile.Spooled", ResourceWarning)
        client.meets(_app(), scope)
    start, *parts = client.sent
    assert 200 <= start["status"] < 500, start["status"]
    content = b"".join(one.get("body", b"") for one in parts)
    kind = dict(start["headers"]).get(b"content-type", b"")
    if kind == b"application/json" and content:
        found = _json(content)
        if start["status"] >= 400:
            _check_error(found)
    assert kind or not content
    assert _app().service.admission.is_idle


# phonemo mcp ----------------------------------------------------------------------------------

_START = (
    '{"jsonrpc": "2.0", "id": "start", "method": "initialize", "params": {"protocolVersion": '
    '"2025-06-18", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}}}\n'
    '{"jsonrpc": "2.0", "method": "notifications/initialized"}\n'
)
_END = '{"jsonrpc": "2.0", "id": "the end", "method": "ping"}\n'
#: Turns of the loop for calls of tools that are under way when the input ends.
_TURNS = 100
_CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "recognize_emotion", "arguments": {"path": "a.wav", "paths": ["a.wav"]}},
}


def mcp_lines(data: bytes) -> None:
    """What a client writes after the beginning, line by line."""
    _converse(data.decode("utf-8", "replace").split("\n"))


def mcp_call(data: bytes) -> None:
    """A tool's name, then edits of a call."""
    name, edits = cut(data, 2)
    call = json.loads(json.dumps(_CALL))
    call["params"]["name"] = name.decode("utf-8", "replace")
    _converse([json.dumps(edited(call, edits), default=lambda one: one.hex())])


def _converse(lines: list[str]) -> None:
    client = _Client([*_START.splitlines(True), *(f"{one}\n" for one in lines if one), _END])
    _loop().run_until_complete(asyncio.wait_for(_serve(client), 20))
    for answer in map(_json, client.written):
        result = answer.get("result") or {}
        if isinstance(result, dict) and result.get("isError"):
            for one in result["content"]:
                check_message(one["text"])
                assert "Traceback" not in one["text"]
    assert any(_json(one).get("id") == "the end" for one in client.written)


async def _serve(client: _Client) -> None:
    from mcp.server.stdio import stdio_server

    server: Any = _server()._lowlevel_server
    streams: Any = client
    async with stdio_server(streams, streams) as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


@cache
def _server() -> Any:
    from phonemo.integrations.mcp_tools import tool_server

    tool_server.ThreadPoolExecutor = _Inline  # type: ignore[assignment,misc]
    folder = scratch() / "recordings"
    folder.mkdir()
    (folder / "a.wav").write_bytes(_clip())
    (folder / "b.wav").write_bytes(b"RIFF")
    return tool_server.build_server(
        EmotionTools(Quick(), BUNDLE.name, 10**6), RecordingRoots([folder])
    )


class _Inline(Executor):
    """Calls of tools, without a thread: an execution then ends where its input does."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As a pool's."""

    def submit(self, call: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Call now."""
        future: Future[Any] = Future()
        try:
            future.set_result(call(*arguments, **options))
        except BaseException as error:
            future.set_exception(error)
        return future


class _Client:
    """Standard input and output of the server."""

    def __init__(self, lines: list[str]) -> None:
        self.written: list[str] = []
        self._lines = lines
        self._answered = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[str]:
        for line in self._lines:
            yield line
        await self._answered.wait()
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def write(self, text: str) -> None:
        self.written.append(text)
        if '"the end"' in text:
            self._answered.set()

    async def flush(self) -> None:
        """Nothing is kept back."""
