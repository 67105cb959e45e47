"""Texts that users bring: manifests, configs, and who speaks when."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from phonemo.annotations.prediction import Prediction, Segment, Word
from phonemo.annotations.turns import MAX_TURNS, Turn, read_turns
from phonemo.annotations.writers import json_file, srt, webvtt
from phonemo.annotations.writers import textgrid as as_textgrid
from phonemo.batch.inputs import items_of
from phonemo.batch.plan import BatchItem
from phonemo.config import DecoderConfig, load_config, load_section, write_config
from phonemo.corpora.manifest import Manifest, read_manifest, write_manifest
from phonemo.server.settings import load_serve_config
from phonemo.tables import parse_seconds, portable_path, read_table
from phonemo.tables.columns import TIMES
from phonemo.train.experiments.ablation_config import load_ablation_config
from phonemo.train.pretrain.pretrain_config import load_pretrain_config
from phonemo.train.transfer.study_config import load_transfer_config
from tests.fuzz.judging import cut, scratch, told, written

_MOST = 1000


def _load_decoder_config(path: Path, overrides: Sequence[str] = ()) -> DecoderConfig:
    return load_section(path, overrides, DecoderConfig)


_LOADERS: dict[bytes, Callable[..., Any]] = {
    b"run": load_config,
    b"serve": load_serve_config,
    b"ablation": load_ablation_config,
    b"pretrain": load_pretrain_config,
    b"transfer": load_transfer_config,
    b"decoder": _load_decoder_config,
}
_BATCH_SUFFIXES = {b"j": ".jsonl", b"c": ".csv", b"t": ".tsv", b"l": ".txt", b"a": ".json"}
_SCORES = {"anger": 0.75, "neutral": 0.25}


def manifest(data: bytes) -> None:
    """What is read can be written, and is the same when it is read again."""
    found = told(read_manifest, written("manifest.jsonl", data))
    if found is None:
        return
    copy = scratch() / "copy.jsonl"
    write_manifest(copy, found.header, found.utterances)
    again = read_manifest(copy)
    assert (again.header, again.utterances) == (found.header, found.utterances)
    _check_rows(again)


def _check_rows(found: Manifest) -> None:
    assert len({one.id for one in found.utterances}) == len(found.utterances)
    for one in found.utterances:
        assert one.start is None or (math.isfinite(one.start) and one.start >= 0)
        assert one.end is None or (math.isfinite(one.end) and one.end > 0)
        assert found.audio_path(one).name is not None


def batch_manifest(data: bytes) -> None:
    """The first letter says which kind of table the rest is."""
    suffix = _BATCH_SUFFIXES.get(data[:1], ".jsonl")
    path = written(f"batch{suffix}", data[1:])
    items = told(lambda: list(islice(items_of([str(path)]), _MOST)))
    for one in items or ():
        assert BatchItem.of_line(one.to_line()) == one
        assert len(one.key) == 16
        start, end = one.start or 0.0, one.end
        assert math.isfinite(start)
        assert start >= 0
        assert end is None or (math.isfinite(end) and end > start)


def table(data: bytes) -> None:
    """Rows of text, whatever the bytes are; the first letter says which suffix the file has."""
    name = f"table{_BATCH_SUFFIXES.get(data[:1], '.csv')}"
    required = ("file",) if data[:1] == b"c" else ()
    rows = told(lambda: list(read_table(name, BytesIO(data[1:]), required=required)))
    for row in rows or ():
        assert row.where.startswith(name)
        assert all(isinstance(cell, str) for cell in (*row.cells.values(), *row.extra.values()))
        told(portable_path, row.cells.get("file", ""))
        for time in TIMES:
            seconds = told(parse_seconds, row.cells.get(time, ""), time, row.where)
            assert seconds is None or 0 <= seconds < math.inf


def config(data: bytes) -> None:
    """Which kind, the file, and overrides; what is read can be written and read again."""
    kind, text, changes = cut(data, 3)
    load = _LOADERS.get(kind.strip(), load_config)
    overrides = [one for one in changes.decode("utf-8", "replace").splitlines() if one]
    found = told(load, written("config.yaml", text), overrides)
    if found is None:
        return
    copy = scratch() / "copy.yaml"
    write_config(copy, found)
    assert load(copy) == found


def textgrid(data: bytes) -> None:
    """Praat's."""
    check_turns(written("turns.TextGrid", data))


def rttm(data: bytes) -> None:
    """NIST's."""
    check_turns(written("turns.rttm", data))


def turn_table(data: bytes) -> None:
    """A table; the first letter t parts its cells by tabs."""
    suffix = ".tsv" if data[:1] == b"t" else ".csv"
    check_turns(written(f"turns{suffix}", data[1:]))


def subtitles(data: bytes) -> None:
    """SubRip, or WebVTT where the first letter is v."""
    check_turns(written("turns.vtt" if data[:1] == b"v" else "turns.srt", data[1:]))


def transcript(data: bytes) -> None:
    """JSON, or JSON lines where the first letter is l."""
    check_turns(written("turns.jsonl" if data[:1] == b"l" else "turns.json", data[1:]))


def check_turns(path: Path) -> None:
    """What is read of a file of turns can be, and what is written of it can be read."""
    found = told(read_turns, path, "clip.wav")
    told(read_turns, path, "clip.wav", 2.0)
    if found is None:
        return
    assert 0 < len(found) <= MAX_TURNS
    assert list(found) == sorted(found, key=lambda one: (one.start, one.end))
    for one in found:
        assert 0 <= one.start < one.end < math.inf
        for word in one.words:
            assert 0 <= word.start <= word.end < math.inf
            assert word.text
        assert one.text is None or " ".join(one.text.split()) == one.text != ""
        assert one.speaker is None or one.speaker.strip() == one.speaker != ""
    _check_written(found[:20])


def _check_written(turns: tuple[Turn, ...]) -> None:
    """What phonemo writes of these turns, phonemo reads."""
    seconds = max(one.end for one in turns)
    segments = tuple(_segment(one) for one in turns)
    heard = Prediction("anger", _SCORES, seconds, segments=segments)
    longest = max(one.end - one.start for one in turns)
    if longest > 1e-5 and seconds < 1e9:  # the writer's rounding leaves nothing of shorter ones
        copy = written("copy.TextGrid", as_textgrid("clip.wav", heard).encode())
        read_turns(copy, "clip.wav")
    if longest > 1e-2 and seconds < 1e9:  # theirs to milliseconds
        for suffix, write in (("srt", srt), ("vtt", webvtt), ("json", json_file)):
            copy = written(f"copy.{suffix}", write("clip.wav", heard).encode("utf-8", "replace"))
            read_turns(copy, "clip.wav")


def _segment(turn: Turn) -> Segment:
    words = tuple(Word(one.text, one.start, one.end, "anger", _SCORES) for one in turn.words)
    times = (turn.start, turn.end)
    return Segment(
        *times, "anger", _SCORES, turn.speaker, text=turn.text, channel=turn.channel, words=words
    )
