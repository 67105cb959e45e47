"""Health, version, models, limits, metrics and OpenAPI."""

from __future__ import annotations

import json
import re
from pathlib import Path

import onnxruntime
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter

from phonemo.server import formats
from phonemo.server.app import create_app
from phonemo.server.auth import digest_of
from phonemo.server.formats import accepted_formats, reads_media
from phonemo.server.routes.answer_schemas import EmotionAnswer, ErrorAnswer
from phonemo.server.settings import ServeLimits
from phonemo.version import __version__
from tests.server.asking import KIND, PATH, ask, form, part, post, stream, wav
from tests.server.serving import Held, served, settings
from tests.tiny_bundle import BUNDLE


@pytest.fixture(scope="module")
def described(server):
    """GET /openapi.json."""
    return ask(server.port, "/openapi.json").data


def samples_of(port):
    """Every line of /metrics: name, labels, value."""
    found = ask(port, "/metrics")
    assert found.headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(found.body.decode())
    return [one for family in families for one in family.samples]


def test_the_server_is_live_and_ready(port):
    assert ask(port, "/health/live").data == {"status": "ok"}
    assert ask(port, "/health/ready").data == {"status": "ok"}


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/"])
def test_a_probe_may_send_head(port, path):
    found = ask(port, path, "HEAD")
    assert (found.status, found.body) == (200, b"")


def test_the_version_is_returned(port):
    assert ask(port, "/version").data == {
        "phonemo": __version__,
        "onnxruntime": onnxruntime.__version__,
    }


def test_the_models_are_listed():
    with served(settings(models=(str(BUNDLE),))) as found:
        (card,) = ask(found.port, "/v1/models").data["data"]
    assert card == {
        "id": "tiny-bundle",
        "object": "model",
        "labels": ["anger", "neutral", "sadness"],
        "phonemes": True,
        "decodings": ["best-path", "beam-search"],
        "precision": "int8",
        "licence": "MIT",
        "device": "cpu",
        "whole_seconds": 30.0,
        "window_seconds": 3.0,
    }


def test_models_that_are_not_bundles_are_listed_too():
    with served(settings(), {"b": Held(), "a": Held()}) as found:
        cards = ask(found.port, "/v1/models").data["data"]
    assert [one["id"] for one in cards] == ["b", "a"]
    assert cards[0]["precision"] is None
    assert cards[0]["decodings"] == []


def test_the_formats_of_phones_are_listed_only_with_the_extra(monkeypatch):
    names = {"m4a", "webm"}
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert names & set(accepted_formats()) == set()
    assert "phonemo[media]" in formats.media_line()
    monkeypatch.setattr(formats, "find_spec", lambda name: name)
    assert names <= set(accepted_formats())
    assert "are accepted" in formats.media_line()


def test_the_limits_are_returned(port):
    limits = ServeLimits()
    assert ask(port, "/v1/limits").data == {
        "body_bytes": limits.body_bytes,
        "audio_seconds": limits.audio_seconds,
        "stream_seconds": limits.stream_seconds,
        "stream_message_bytes": limits.stream_message_bytes,
        "key_required": False,
        "formats": accepted_formats(),
        "media": reads_media(),
    }


@pytest.mark.parametrize(
    ("path", "method", "told"),
    [
        ("/nowhere", "GET", (404, "not_found")),
        ("/v1", "GET", (404, "not_found")),
        (PATH, "GET", (405, "method_not_allowed")),
        ("/version", "POST", (405, "method_not_allowed")),
        ("/version", "BREW", (405, "method_not_allowed")),
        ("/v1/audio/stream", "GET", (404, "not_found")),
        ("/web/../access.py", "GET", (404, "not_found")),
        ("/web/%2e%2e/access.py", "GET", (404, "not_found")),
        ("/web/..%2faccess.py", "GET", (404, "not_found")),
        ("/web//etc/passwd", "GET", (404, "not_found")),
    ],
)
def test_an_unknown_address_is_an_api_error(port, path, method, told):
    assert ask(port, path, method).told == told


def test_the_page_can_be_turned_off():
    with served(settings(page=False, access={"metrics": False}), {"held": Held()}) as found:
        for path in ("/", "/web/index.html", "/metrics", "/docs", "/redoc", "/favicon.ico"):
            assert ask(found.port, path).told == (404, "not_found")


# Metrics ------------------------------------------------------------------------------------------


def test_metrics_count_requests():
    with served(settings(), {"held": Held()}) as found:
        assert post(found.port, wav(0.5)).status == 200
        assert post(found.port, b"RIFF\0\0\0\0WAVE").status == 422
        counted = {
            (one.name, *sorted(one.labels.values())): one.value for one in samples_of(found.port)
        }
    assert counted["phonemo_requests_total", *sorted((PATH, "POST", "200"))] == 1
    assert counted["phonemo_requests_total", *sorted((PATH, "POST", "422"))] == 1
    assert counted["phonemo_audio_seconds_total",] == pytest.approx(1.5)  # a second to warm up
    assert counted["phonemo_errors_total", "unsupported_audio"] == 1
    assert counted["phonemo_info", __version__] == 1
    assert counted["phonemo_in_flight",] == 0
    assert counted["phonemo_batch_clips_count",] == 2


def test_errors_are_counted_by_code():
    with served(settings(), {"held": Held()}) as found:
        ask(found.port, "/nowhere")
        ask(found.port, PATH, "POST", b"nonsense", KIND)
        ask(found.port, "/", headers={"Host": "evil.example"})
        with stream(found.port, "?rate=1") as client:
            client.recv(timeout=240)
        codes = {one.labels["code"] for one in samples_of(found.port) if "errors_total" in one.name}
    assert codes >= {"not_found", "invalid_form", "wrong_host", "invalid_value"}


def test_the_number_of_metric_labels_is_bounded():
    with served(settings(), {"held": Held()}) as found:
        before = len(samples_of(found.port))
        for place in range(150):
            ask(found.port, f"/{place}/a?b={place}")
            ask(found.port, f"/web/{place}")
            ask(found.port, "/version", f"METHOD{place}")
            post(found.port, b"x", f"{place}.wav", **{f"field{place}": 1})
        assert len(samples_of(found.port)) < before + 120


def test_metrics_have_a_route_and_not_a_path(port):
    ask(port, "/web/index.html")
    ask(port, "/nowhere")
    routes = {one.labels["route"] for one in samples_of(port) if "route" in one.labels}
    assert "other" in routes
    assert not any("index" in one or "nowhere" in one for one in routes)


# OpenAPI ------------------------------------------------------------------------------------------


def operations(described):
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_is_documented(described):
    assert set(described["paths"]) == {
        *("/health/live", "/health/ready", "/version", "/v1/models", "/v1/limits", PATH),
        *("/v1/profiles", "/v1/audio/profiles"),
    }
    assert described["openapi"].startswith("3.")
    for _, _, operation in operations(described):
        assert operation["summary"]
        assert operation["tags"]


def test_every_schema_reference_resolves(described):
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)):
        assert name in described["components"]["schemas"]


def test_examples_match_their_schemas(described):
    shapes = {"EmotionAnswer": EmotionAnswer, "ErrorAnswer": ErrorAnswer}
    seen = 0
    for _, _, operation in operations(described):
        for response in operation["responses"].values():
            content = response.get("content", {}).get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            values = [one["value"] for one in content.get("examples", {}).values()]
            values += [content["example"]] if "example" in content else []
            for value in values:
                TypeAdapter(shapes[name]).validate_python(value, strict=True)
                seen += 1
    assert seen > 10


def test_error_examples_match_their_status(described):
    for _, _, operation in operations(described):
        for status, response in operation["responses"].items():
            examples = response.get("content", {}).get("application/json", {}).get("examples", {})
            for code, example in examples.items():
                assert example["value"]["error"]["code"] == code
                assert (int(status) >= 500) == (example["value"]["error"]["type"] == "server_error")


@pytest.mark.parametrize("fields", [{}, {"phonemes": 1}, {"response_format": "verbose_json"}])
def test_a_response_has_exactly_the_documented_fields(port, fields):
    found = post(port, wav(0.5), **fields).data
    EmotionAnswer.model_validate(found, strict=True)
    assert set(found) <= set(EmotionAnswer.model_fields)


def test_all_returned_statuses_are_documented(port, described):
    responses = described["paths"][PATH]["post"]["responses"]
    assert set(responses) >= {
        *("200", "400", "401", "404", "408", "413", "415", "421", "422", "429", "500", "503", "504")
    }


def test_a_required_key_is_documented_as_security(described):
    assert "securitySchemes" not in described["components"]
    locked = create_app(settings(access={"keys": [digest_of("key")]})).openapi()
    schemes = locked["components"].get("securitySchemes", {})
    assert [(one["type"], one["scheme"]) for one in schemes.values()] == [("http", "bearer")]


def test_the_example_form_works_with_the_packaged_model(described):
    """Whoever tries the description out gets an answer."""
    body = described["paths"][PATH]["post"]["requestBody"]["content"]["multipart/form-data"]
    fields = body["schema"]["properties"]
    parts = [part("file", wav(0.5), "a.wav")]
    for name, field in fields.items():
        for example in field.get("examples", [])[:1]:
            parts.append(part(name, str(example).encode()))
    with served(settings()) as found:
        assert ask(found.port, PATH, "POST", form(*parts), KIND).status == 200


def test_each_error_code_of_the_documentation_is_in_openapi(described):
    page = (Path(__file__).parents[2] / "docs/server.md").read_text()
    rows = re.findall(r"^\| (?:4|5)\d\d[\d, ]* \| ([^|]*) \|", page, re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    responses = [one["responses"] for path in described["paths"].values() for one in path.values()]
    known = json.dumps(responses)
    missing = {code for code in codes if f'"{code}"' not in known}
    assert missing == {"not_found", "method_not_allowed"}, "those are of no operation"


def test_a_slash_too_many_is_no_redirect(port):
    """A redirect is an empty answer to curl, and leads from https to http behind a proxy."""
    found = ask(port, f"{PATH}/", "POST")
    assert found.told == (405, "method_not_allowed") or found.status == 404
    assert "location" not in found.headers


def test_a_file_of_the_page_can_only_be_read(port):
    assert ask(port, "/web/index.html", "POST").headers["Allow"] == "GET, HEAD"


def test_all_methods_of_an_address_are_named(port):
    refused = ask(port, PATH)
    assert refused.headers["Allow"] == "POST, PUT"
    assert "expected POST or PUT, got GET" in refused.data["error"]["message"]
