"""The form of a request: what is taken, what is refused, and in which words."""

from __future__ import annotations

import pytest

from phonemo.runtime.windows import PLAIN, PredictOptions
from phonemo.server.pipeline import RecognizeOptions
from phonemo.server.routes.request_form import Fields, form_schema
from tests.server.asking import KIND, PATH, ask, form, part, post, wav

WAV = wav(0.1)
FILE = part("file", WAV, "clip.wav")


def send(port, *parts, kind=KIND["Content-Type"]):
    return ask(port, PATH, "POST", form(*parts), {"Content-Type": kind})


@pytest.mark.parametrize(
    ("parts", "code", "param"),
    [
        ([], "missing_file", "file"),
        ([part("top_k", b"1")], "missing_file", "file"),
        ([part("file", b"https://example.org/a.wav")], "invalid_file", "file"),
        ([part("file", b"http://127.0.0.1:1/")], "invalid_file", "file"),
        ([part("file", rb"http://a\@b/")], "invalid_file", "file"),
        ([part("file", b"file:///etc/passwd")], "invalid_file", "file"),
        ([part("url", b"http://169.254.169.254/"), FILE], "unknown_field", "url"),
        ([FILE, part("lables", b"anger")], "unknown_field", "lables"),
        ([FILE, part("top_k", b"0")], "invalid_value", "top_k"),
        ([FILE, part("top_k", b"1001")], "invalid_value", "top_k"),
        ([FILE, part("top_k", b"many")], "invalid_value", "top_k"),
        ([FILE, part("top_k", b"")], "invalid_value", "top_k"),
        ([FILE, part("timeline", b"perhaps")], "invalid_value", "timeline"),
        ([FILE, part("phonemes", b"2")], "invalid_value", "phonemes"),
        ([FILE, part("response_format", b"xml")], "invalid_value", "response_format"),
        ([FILE, part("response_format", b"JSON")], "invalid_value", "response_format"),
        ([FILE, part("labels", b"anger")], "invalid_label", "labels"),
        ([FILE, part("labels", b"")], "invalid_label", "labels"),
        ([FILE, part("labels", b"anger,joy")], "invalid_label", "labels"),
        ([FILE, part("labels", b"anger,anger")], "invalid_label", "labels"),
        ([FILE, part("top_k", b"1"), part("top_k", b"2")], "invalid_value", "top_k"),
        ([FILE, part("file", b"text")], "invalid_value", "file"),
        ([part("audio", WAV, "clip.wav")], "missing_file", "file"),
    ],
)
def test_an_invalid_form_is_rejected(port, parts, code, param):
    found = send(port, *parts)
    assert found.told == (400, code)
    assert found.data["error"]["param"] == param
    assert "\n" not in found.data["error"]["message"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([part("audio", WAV, "a.wav")], "got audio; rename the part: -F file=@my.wav"),
        ([part("top_k", b"1")], "got top_k"),
        ([], "no parts"),
        ([part("file", b"my.wav")], "-F file=@my.wav"),
        ([part("file", b"https://example.org/a.wav")], "URLs are not supported"),
    ],
)
def test_a_missing_file_is_told_with_what_came_instead(port, parts, words):
    assert words in send(port, *parts).data["error"]["message"]


def test_a_second_file_is_rejected(port):
    assert send(port, FILE, FILE).told == (400, "invalid_form")
    assert send(port, FILE, part("other", WAV, "other.wav")).told == (400, "invalid_form")


def test_a_file_in_place_of_a_text_field_is_rejected(port):
    found = send(port, part("top_k", b"1", "a.txt"))
    assert found.status == 400
    assert found.code in ("missing_file", "invalid_value")


def test_too_many_fields_are_rejected(port):
    many = [part(f"field{place}", b"") for place in range(17)]
    assert send(port, FILE, *many).told == (400, "invalid_form")


def test_a_field_has_at_most_4096_characters(port):
    assert send(port, FILE, part("model", b"m" * 4096)).told == (404, "model_not_found")
    assert send(port, FILE, part("model", b"m" * 4097)).told == (400, "invalid_form")


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/x-www-form-urlencoded", "multipart/mixed", "text/plain"],
)
def test_another_body_type_is_415(port, kind):
    found = send(port, FILE, kind=kind)
    assert found.told == (415, "unsupported_media_type")
    assert "curl -F" in found.data["error"]["message"]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=other", 'multipart/form-data; "']
)
def test_an_invalid_boundary_is_400(port, kind):
    assert send(port, FILE, kind=kind).status == 400


@pytest.mark.parametrize("name", ["utf-8", "latin-1", "nonsense", "zlib", "rot13", "utf-16"])
def test_a_valid_charset_is_accepted(port, name):
    kind = f"{KIND['Content-Type']}; charset={name}"
    assert send(port, FILE, kind=kind).status < 500


@pytest.mark.parametrize("name", ["undefined", "punycode", "unicode_escape", "utf-7"])
def test_a_charset_that_yields_invalid_text_is_not_500(port, name):
    kind = f"{KIND['Content-Type']}; charset={name}"
    assert send(port, FILE, part(r"\ud800+2AA-", rb"\ud800+2AA-"), kind=kind).status == 400


def test_invalid_utf_8_is_reported_printably(port):
    found = send(port, FILE, part("labels", b"\xff\x00\x1b[31m\xe2\x80\xae,neutral"))
    message = found.data["error"]["message"]
    assert found.told == (400, "invalid_label")
    assert message.isprintable(), message


def test_unusual_characters_in_a_field_are_reported_printably(port):
    found = send(port, FILE, part("a\x1b\u202eb", b""))
    assert found.told == (400, "unknown_field")
    assert found.data["error"]["param"] == "a??b"


def test_spaces_around_labels_are_ignored():
    found = Fields(labels=" anger , neutral", phonemes=True, top_k=2).options
    assert found == RecognizeOptions(PredictOptions(True, False), ["anger", "neutral"], 2)
    assert Fields().options == RecognizeOptions(PLAIN, [], None)


def test_the_documented_form_has_the_accepted_fields():
    schema = form_schema()["content"]["multipart/form-data"]["schema"]
    assert set(schema["properties"]) == {"file", *Fields.model_fields}
    assert schema["required"] == ["file"]
    assert schema["additionalProperties"] is False


def test_no_field_is_documented_as_nullable(port):
    """A form has no null: what is absent is left out."""
    described = form_schema()["content"]["multipart/form-data"]["schema"]["properties"]
    assert "null" not in str(described)
    assert post(port, WAV, top_k="null").told == (400, "invalid_value")
