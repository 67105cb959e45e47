"""Copies of a recording are found whatever their container, and near-copies by their sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soxr

from phonemo.corpora.copies import digests
from phonemo.corpora.copies.digests import cache_path, sample_digest
from phonemo.corpora.copies.fingerprint import fingerprint
from phonemo.corpora.copies.groups import Copies, find_copies, join_units
from phonemo.corpora.copies.matching import match_fingerprints
from phonemo.corpora.manifest import Manifest
from tests.corpora.recorded import RATE, manifest_of, recorded, row, write

SOUND = recorded(1)
#: A name, its samples and their form: all have the samples of SOUND.
SAME = {
    "plain.wav": (SOUND, {}),
    "free.flac": (SOUND, {}),
    "deep.flac": (SOUND, {"subtype": "PCM_24"}),
    "float.wav": (SOUND, {"subtype": "FLOAT"}),
    "other.aiff": (SOUND, {}),
    "both.wav": (np.stack([SOUND, SOUND], axis=1), {}),
    "padded.wav": (np.concatenate([np.zeros(900, np.float32), SOUND, np.zeros(5)]), {}),
}


def groups_in(folder: Path, *names: str) -> list[list[str]]:
    return find_copies(
        manifest_of(folder, [row(name) for name in names]), list(map(row, names))
    ).groups


@pytest.mark.parametrize("name", SAME)
def test_the_same_samples_are_copies_in_every_lossless_container(tmp_path, name):
    samples, form = SAME[name]
    write(tmp_path / "a.wav", SOUND)
    write(tmp_path / "b.wav", recorded(2))
    write(tmp_path / name, samples, **form)
    assert groups_in(tmp_path, "a.wav", "b.wav", name) == [["a.wav", name]]


def test_slices_of_a_file_are_compared_and_not_the_file(tmp_path):
    write(tmp_path / "long.wav", np.concatenate([SOUND, recorded(2)]))
    write(tmp_path / "cut.wav", SOUND)
    rows = [
        row("long.wav", id="first", start=0.0, end=1.5),
        row("long.wav", id="second", start=1.5),
        row("cut.wav"),
        row("long.wav", id="again", start=1.5, end=3.0),
    ]
    copies = find_copies(manifest_of(tmp_path, rows), rows)
    assert copies.groups == [["first", "cut.wav"], ["second", "again"]]
    assert copies.titles()["again"] == "long.wav 1.5-end s = long.wav 1.5-3 s"


def test_silence_and_damaged_or_missing_files_are_counted_and_match_nothing(tmp_path):
    write(tmp_path / "a.wav", np.zeros(RATE, np.float32))
    write(tmp_path / "b.wav", np.zeros(RATE, np.float32))
    (tmp_path / "c.wav").write_bytes(b"RIFF")
    rows = [row(name) for name in ("a.wav", "b.wav", "c.wav", "d.wav", "e\0.wav")]
    copies = find_copies(manifest_of(tmp_path, rows), rows)
    assert (copies.groups, copies.near, copies.unread) == ([], (), 5)
    assert sample_digest(np.full(RATE, 0.5, np.float32)) is None, "a constant is silence"


def changed(folder: Path, change: str) -> str:
    """Write SOUND with a change that people make; the file's name."""
    draw = np.random.default_rng(0)
    written = {
        "mp3": ("x.mp3", SOUND, RATE, {}),
        "opus": ("x.ogg", SOUND, RATE, {"subtype": "OPUS"}),
        "vorbis": ("x.ogg", SOUND, RATE, {}),
        "quiet": ("x.wav", SOUND / 10, RATE, {}),
        "turned": ("x.wav", -SOUND, RATE, {}),
        "8 kHz": ("x.wav", soxr.resample(SOUND, RATE, 8000), 8000, {}),
        "44.1 kHz": ("x.wav", soxr.resample(SOUND, RATE, 44_100), 44_100, {}),
        "trimmed": ("x.wav", SOUND[1600:-800], RATE, {}),
        "noisy": ("x.wav", SOUND + draw.normal(0, SOUND.std() / 32, len(SOUND)), RATE, {}),
    }
    name, samples, rate, form = written[change]
    write(folder / name, samples, rate, **form)
    return name


@pytest.mark.parametrize(
    "change",
    ["mp3", "opus", "vorbis", "quiet", "turned", "8 kHz", "44.1 kHz", "trimmed", "noisy"],
)
def test_near_copies_are_found_by_their_sound(tmp_path, change):
    for seed in range(1, 6):
        write(tmp_path / f"{seed}.wav", recorded(seed))
    rows = [row(f"{seed}.wav") for seed in range(1, 6)] + [row(changed(tmp_path, change))]
    copies = find_copies(manifest_of(tmp_path, rows), rows)
    assert copies.groups == []
    assert [(pair.first, pair.second) for pair in copies.near] == [("1.wav", rows[-1].id)]
    assert copies.near[0].bit_errors < 0.2


def test_copies_are_not_near_copies_and_near_copies_of_copies_are_named_once(tmp_path):
    write(tmp_path / "a.wav", SOUND)
    write(tmp_path / "b.flac", SOUND)
    write(tmp_path / "c.wav", SOUND / 10)
    rows = [row("a.wav"), row("b.flac"), row("c.wav")]
    copies = find_copies(manifest_of(tmp_path, rows), rows)
    assert copies.groups == [["a.wav", "b.flac"]]
    assert [(pair.first, pair.second) for pair in copies.near] == [("a.wav", "c.wav")]


def test_short_or_absent_sound_has_an_empty_fingerprint():
    assert len(fingerprint(SOUND[:2000])) == 0
    assert match_fingerprints([]) == []
    assert match_fingerprints([fingerprint(SOUND[:2000])] * 3) == []
    assert not fingerprint(np.zeros(RATE, np.float32)).any()


def test_a_long_recording_has_the_words_of_its_parts():
    long = np.tile(SOUND, 30)
    assert np.array_equal(fingerprint(long)[:80], fingerprint(SOUND)[:80])
    assert len(fingerprint(long)) > 2048, "computed in pieces"


def some(folder: Path) -> Manifest:
    for seed in (1, 2):
        write(folder / f"{seed}.wav", recorded(seed))
    return manifest_of(folder, [row("1.wav"), row("2.wav")])


def test_audio_is_decoded_once_until_its_file_changes(tmp_path, monkeypatch):
    manifest, decoded = some(tmp_path), []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    decode = digests.load_utterance
    monkeypatch.setattr(
        digests, "load_utterance", lambda *one: decoded.append(one[1].file) or decode(*one)
    )
    first = find_copies(manifest, manifest.utterances)
    assert find_copies(manifest, manifest.utterances) == first
    assert decoded == ["1.wav", "2.wav"]
    write(tmp_path / "2.wav", recorded(1))
    assert find_copies(manifest, manifest.utterances).groups == [["1.wav", "2.wav"]]
    assert decoded == ["1.wav", "2.wav", "2.wav"]


@pytest.mark.parametrize("obstacle", ["damaged", "a folder", "no folder"])
def test_without_a_usable_cache_everything_is_decoded(tmp_path, monkeypatch, obstacle):
    manifest = some(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if obstacle == "no folder":
        (tmp_path / "cache").write_text("a file")
    else:
        cache_path().parent.mkdir(parents=True)
        if obstacle == "damaged":
            cache_path().write_bytes(b"no database" * 100)
        else:
            cache_path().mkdir()
    assert len(find_copies(manifest, manifest.utterances).digests) == 2


def test_progress_counts_every_recording(tmp_path):
    manifest, calls = some(tmp_path), []
    find_copies(manifest, manifest.utterances, lambda *done: calls.append(done))
    assert calls == [(1, 2), (2, 2)]


def test_units_that_share_recordings_become_one_also_through_others():
    copies = Copies({"1": "x", "2": "x", "3": "y", "4": "y", "5": "z", "6": "w"})
    units = {"1": "c", "2": "b", "3": "b", "4": "a", "5": "d", "6": "e"}
    joined, groups = join_units(units, copies)
    assert joined == {"1": "a", "2": "a", "3": "a", "4": "a", "5": "d", "6": "e"}
    assert groups == [(["a", "b", "c"], "1 = 2")]
    assert join_units(units, replace(copies, digests={})) == (units, [])
