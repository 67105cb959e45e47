"""Transcripts with emotions: what is written reads back, and any JSON gives turns or an error."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from phonemo.annotations.prediction import Word
from phonemo.annotations.subtitles import read_subtitles
from phonemo.annotations.transcript_json import rows_of
from phonemo.annotations.turn_objects import convert_turns
from phonemo.annotations.turns import read_turns
from phonemo.annotations.writers import json_file, srt, textgrid, webvtt
from phonemo.errors import UsageError
from tests.properties.strategies import HOSTILE, any_letter, many, predictions, some, texts

said = texts.map(lambda text: " ".join(text.split())).filter(bool)
named = said.filter(lambda name: name != "<NA>")
#: Without what subtitles use for themselves.
plain = st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=12)
plain_names = plain.filter(lambda name: name.isalpha() and not name.isdecimal())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("transcripts")


def with_texts(data, found, texts):
    """The prediction with a text and words in every segment."""
    return replace(found, segments=tuple(_told(data, one, texts) for one in found.segments))


def _told(data, segment, texts):
    text = data.draw(texts)
    words = text.split()
    step = (segment.end - segment.start) / len(words)
    timed = [
        Word(word, segment.start + n * step, segment.start + (n + 1) * step, segment.label, {})
        for n, word in enumerate(words)
    ]
    scored = tuple(replace(word, scores=segment.scores) for word in timed)
    return replace(segment, text=text, words=scored)


@some
@given(found=predictions(apart=True, who=st.none() | named), data=st.data())
def test_the_turns_of_a_json_file_are_the_segments(folder, found, data):
    found = with_texts(data, found, said)
    assume(found.segments)
    assume(all(one.end - one.start > 2e-4 for one in found.segments))
    path = folder / "a.json"
    path.write_bytes(json_file("a.wav", found).encode("utf-8", "replace"))
    turns = read_turns(path, "a.wav")
    assert [(turn.speaker, turn.text) for turn in turns] == [
        (one.speaker, one.text) for one in found.segments
    ]
    assert [[word.text for word in turn.words] for turn in turns] == [
        [word.text for word in one.words] for one in found.segments
    ]


@some
@given(found=predictions(apart=True, who=plain_names, labels=("anger", "calm")), data=st.data())
@pytest.mark.parametrize(("suffix", "write"), [("srt", srt), ("vtt", webvtt)])
def test_the_turns_of_subtitles_are_the_segments(folder, suffix, write, found, data):
    found = with_texts(data, found, plain)
    found = replace(found, segments=tuple(s for s in found.segments if s.end - s.start > 2e-3))
    assume(found.segments)
    path = folder / f"a.{suffix}"
    path.write_bytes(write("a.wav", found).encode())
    assert [(turn.speaker, turn.text) for turn in read_turns(path, "a.wav")] == [
        (one.speaker, one.text) for one in found.segments
    ]


@some
@given(found=predictions(who=st.none() | named), data=st.data())
def test_the_tiers_of_words_are_no_turns(folder, found, data):
    found = with_texts(data, found, said)
    assume(found.segments)
    assume(not any((one.speaker or "").startswith(("text", "word")) for one in found.segments))
    path = folder / "a.TextGrid"
    path.write_bytes(textgrid("a.wav", replace(found, spans=None)).encode())
    silent = replace(found, segments=tuple(replace(s, text=None, words=()) for s in found.segments))
    other = folder / "b.TextGrid"
    other.write_bytes(textgrid("a.wav", replace(silent, spans=None)).encode())
    assert read_turns(path, "a.wav") == read_turns(other, "a.wav")


FIELDS = ("start", "end", "duration", "offset", "speaker", "text", "word", "words", "segments")
FIELDS += ("offsets", "timestamps", "timestamp", "from", "to", "chunks", "file", "error", "channel")
numbers = st.floats() | st.integers(-5, 20) | st.just(10**400) | st.floats(0, 9)
leaves = st.none() | st.booleans() | numbers | texts | st.sampled_from(["1", "00:01.5", "0 1 A"])
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)
    ),
    max_leaves=24,
)
segments = st.fixed_dictionaries(
    {"start": numbers, "end": numbers},
    optional={"speaker": leaves, "text": leaves, "words": trees, "channel": leaves},
)


def one_line(error):
    assert "\n" not in str(error)


def check(rows):
    for row in rows:
        assert not row.turn.start < 0
        for word in row.turn.words:
            assert 0 <= word.start <= word.end < math.inf
        json.dumps([row.turn.speaker, row.turn.text], ensure_ascii=False).encode()


@many
@given(trees | st.lists(segments, max_size=4) | st.fixed_dictionaries({"segments": trees}))
def test_any_json_is_turns_or_a_usage_error(data):
    for read in (lambda: check(rows_of("a.json", data)), lambda: convert_turns(data)):
        try:
            read()
        except UsageError as error:
            one_line(error)


lines = st.sampled_from(
    ["1", "", "00:01.5 --> 00:02", "00:00:01,000 --> 00:00:02,500 x", "WEBVTT", "NOTE", "-->", "A:"]
)
letters = st.text("".join(HOSTILE), max_size=12) | st.text(any_letter, max_size=12)


@many
@given(st.lists(lines | letters, max_size=12), st.sampled_from(["a.srt", "a.vtt"]))
def test_any_lines_are_cues_or_a_usage_error(parts, name):
    try:
        check(read_subtitles(name, "\n".join(parts)))
    except UsageError as error:
        one_line(error)
