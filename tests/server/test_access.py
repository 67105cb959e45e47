"""Who may ask: keys, names of the host, origins."""

from __future__ import annotations

import hashlib
import hmac
import json
import re

import pytest
from starlette.datastructures import Headers

from phonemo.errors import ConfigError
from phonemo.server.api_errors import ApiError
from phonemo.server.auth import AccessPolicy, digest_of, is_loopback, new_key
from phonemo.server.settings import ServeAccess
from tests.server.asking import FINISH, PATH, ask, clip, events, post, raw, stream, wav
from tests.server.serving import command, served, settings
from tests.tiny_bundle import BUNDLE

KEY, DIGEST = new_key()
FRIEND, STRANGER = "https://friend.example", "https://stranger.example"


def refusal(call, **headers):
    """Status and code, or None where it is let in."""
    try:
        call(Headers({name.replace("_", "-"): value for name, value in headers.items()}))
    except ApiError as found:
        return found.status, found.code
    return None


@pytest.fixture(scope="module")
def locked():
    """A server with a key and a friend."""
    access = {"keys": [DIGEST], "cors_origins": [FRIEND]}
    with served(settings(models=(str(BUNDLE),), access=access)) as found:
        yield found.port


# Keys ---------------------------------------------------------------------------------------------


def test_a_new_key_is_long_and_unique():
    keys = [new_key() for _ in range(20)]
    assert len(dict(keys)) == 20
    for key, digest in keys:
        assert len(key) >= 43  # 32 bytes in base64
        assert digest == digest_of(key) == hashlib.sha256(key.encode()).hexdigest()


def test_a_config_accepts_only_digests():
    with pytest.raises(ValueError, match="keys"):
        ServeAccess(keys=(KEY,))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"sec_websocket_protocol": f"phonemo, phonemo.key.{KEY}"},
        {"authorization": "Bearer other", "sec_websocket_protocol": f"phonemo.key.{KEY}"},
    ],
)
def test_the_key_is_accepted(headers):
    assert refusal(AccessPolicy(ServeAccess(keys=(DIGEST,)), "::").check_key, **headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"authorization": f"Bearer {KEY.swapcase()}"},
        {"authorization": f"Bearer {DIGEST}"},
        {"authorization": "Bearer \xff\xfe"},
        {"sec_websocket_protocol": f"phonemo, {KEY}"},
        {"x_api_key": KEY},
    ],
)
def test_anything_else_is_401(headers):
    found = refusal(AccessPolicy(ServeAccess(keys=(DIGEST,)), "::").check_key, **headers)
    assert found == (401, "invalid_api_key")


def test_all_keys_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(first, second):
        compared.append((first, second))
        return first == second

    monkeypatch.setattr(hmac, "compare_digest", compare)
    digests = tuple(digest_of(name) for name in "abc")
    access = AccessPolicy(ServeAccess(keys=digests), "::")
    assert refusal(access.check_key, authorization="Bearer a") is None
    assert compared == [(digests[0], one) for one in digests], "a match does not end it"


def test_without_keys_every_request_is_accepted():
    access = AccessPolicy(ServeAccess(), "::")
    assert not access.wants_key
    assert refusal(access.check_key) is None


def test_a_server_with_keys_requires_one(locked):
    closed = post(locked, wav(0.1))
    assert closed.told == (401, "invalid_api_key")
    assert closed.headers["WWW-Authenticate"].startswith("Bearer")
    assert post(locked, wav(0.1), headers={"Authorization": "Bearer no"}).status == 401
    assert post(locked, wav(0.1), headers={"Authorization": f"Bearer {KEY}"}).status == 200
    assert ask(locked, "/v1/limits").data["key_required"] is True
    assert ask(locked, "/health/ready").status == 200


def test_a_key_in_the_url_is_ignored(locked):
    assert ask(locked, f"{PATH}?api_key={KEY}&key={KEY}", "POST").status == 401


def test_a_stream_accepts_the_key_as_subprotocol_or_header(locked):
    with stream(locked, subprotocols=["phonemo", f"phonemo.key.{KEY}"]) as client:
        assert client.subprotocol == "phonemo"
        client.send(clip().tobytes())
        client.send(FINISH)
        assert events(client)[-1]["type"] == "final"
    with stream(locked, additional_headers={"Authorization": f"Bearer {KEY}"}) as client:
        assert json.loads(client.recv())["type"] == "ready"


@pytest.mark.parametrize("offered", [None, ["phonemo"], ["phonemo", "phonemo.key.wrong"]])
def test_a_stream_without_the_key_is_rejected(locked, offered):
    with stream(locked, subprotocols=offered) as client:
        (told,) = events(client)
        assert told["error"]["code"] == "invalid_api_key"
        assert client.close_code == 1008


def test_a_new_key_is_printed_with_its_digest():
    with command("--new-key", model=False) as found:
        assert found.ended() == 0
        key, digest = re.fullmatch(r"key: +(\S+)\ndigest: +(\S+)\n", found.said).groups()
    assert digest_of(key) == digest


# Names of the host --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_loopback_addresses_are_recognized(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "name", ["localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000"]
)
def test_a_loopback_address_accepts_its_own_names(name):
    for host in ("127.0.0.1", "::1", "localhost"):
        assert refusal(AccessPolicy(ServeAccess(), host).check_host, host=name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "localhost:8000@evil.example",
        "::1",
        "[::1",
        "[::2]",
        "2130706433",
        "0.0.0.0",
        "localhost:x",
        "localhost:80:80",
    ],
)
def test_a_loopback_address_rejects_other_names(name):
    found = refusal(AccessPolicy(ServeAccess(), "127.0.0.1").check_host, host=name)
    assert found == (421, "wrong_host")


@pytest.mark.parametrize("host", ["127.0.0.2", "127.1.2.3"])
def test_any_loopback_address_accepts_itself(host):
    assert refusal(AccessPolicy(ServeAccess(), host).check_host, host=f"{host}:8000") is None


def test_an_open_address_accepts_any_name_by_default():
    assert refusal(AccessPolicy(ServeAccess(), "0.0.0.0").check_host, host="any.example") is None
    told = AccessPolicy(ServeAccess(hosts=("my.example",)), "0.0.0.0")
    assert refusal(told.check_host, host="my.example:443") is None
    assert refusal(told.check_host, host="MY.example") is None
    assert refusal(told.check_host, host="any.example") == (421, "wrong_host")


def test_a_listed_host_is_case_insensitive():
    told = AccessPolicy(ServeAccess(hosts=("My.Example",)), "0.0.0.0")
    assert refusal(told.check_host, host="my.example") is None


@pytest.mark.parametrize("path", ["/", "/health/live", "/v1/models", "/metrics", PATH, "/nowhere"])
def test_a_foreign_host_is_rejected_everywhere(port, path):
    assert ask(port, path, headers={"Host": "evil.example"}).told == (421, "wrong_host")


def test_a_request_without_a_host_is_rejected(port):
    said = raw(port, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 421 ")


def test_a_stream_with_a_foreign_host_is_rejected(port):
    said = raw(
        port,
        b"GET /v1/audio/stream HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    assert said.startswith(b"HTTP/1.1 403 ")


# Origins ------------------------------------------------------------------------------------------


def cors(found):
    return {
        name.lower(): value
        for name, value in found.headers.items()
        if name.lower().startswith("access-control-")
    }


def preflight(port, origin):
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    return ask(port, PATH, "OPTIONS", headers=asked)


@pytest.mark.parametrize("origin", [STRANGER, "null", "http://localhost:1"])
def test_by_default_other_origins_cannot_read(port, origin):
    assert cors(ask(port, "/v1/models", headers={"Origin": origin})) == {}
    assert cors(post(port, wav(0.1), headers={"Origin": origin})) == {}
    found = preflight(port, origin)
    assert found.status >= 400
    assert cors(found) == {}


def test_a_listed_origin_can_read(locked):
    allowed = cors(ask(locked, "/v1/models", headers={"Origin": FRIEND}))
    assert allowed["access-control-allow-origin"] == FRIEND
    assert "Retry-After" in allowed["access-control-expose-headers"]
    found = preflight(locked, FRIEND)
    assert found.status == 200
    assert cors(found)["access-control-allow-origin"] == FRIEND
    assert "Authorization" in cors(found)["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in cors(found)


def test_a_listed_origin_can_read_errors(locked):
    for found in (
        ask(locked, "/nowhere", headers={"Origin": FRIEND}),
        post(locked, wav(0.1), headers={"Origin": FRIEND}),
    ):
        assert found.status in (401, 404)
        assert cors(found)["access-control-allow-origin"] == FRIEND


def test_a_listed_origin_can_read_a_413(locked):
    found = post(locked, b"", headers={"Origin": FRIEND, "Content-Length": str(2**40)})
    assert found.told == (413, "body_too_large")
    assert cors(found).get("access-control-allow-origin") == FRIEND


def test_an_unlisted_origin_is_rejected(locked):
    for origin in (STRANGER, FRIEND.upper(), FRIEND + ".evil.example", FRIEND + ":444"):
        found = ask(locked, "/v1/models", headers={"Origin": origin})
        assert "access-control-allow-origin" not in cors(found)
        assert preflight(locked, origin).status == 400


@pytest.mark.parametrize(
    "origin", ["example.org", "https://example.org/", "https://example.org/a", "ftp://a", ""]
)
def test_an_invalid_origin_in_the_config_is_rejected(origin):
    with pytest.raises((ValueError, ConfigError), match="origin"):
        ServeAccess(cors_origins=(origin,))


@pytest.mark.parametrize("origin", [STRANGER, "null", "http://127.0.0.1:1", "http://["])
def test_a_page_of_another_origin_cannot_stream(server, origin):
    before = len(server.complaints.lines)
    with stream(server.port, origin=origin) as client:
        (told,) = events(client)
        assert told["error"]["code"] == "wrong_origin"
        assert client.close_code == 1008
    assert server.complaints.lines[before:] == []


def test_own_page_programs_and_listed_pages_can_stream(port, locked):
    for origin in (None, f"http://127.0.0.1:{port}"):
        with stream(port, origin=origin) as client:
            assert json.loads(client.recv())["type"] == "ready"
    with stream(locked, origin=FRIEND, subprotocols=[f"phonemo.key.{KEY}"]) as client:
        assert json.loads(client.recv())["type"] == "ready"
