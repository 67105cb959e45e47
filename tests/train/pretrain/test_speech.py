"""The bank holds what the manifests name; crops are drawn by their number alone."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from phonemo.audio import load_waveform
from phonemo.corpora.manifest import Header, Utterance, write_manifest
from phonemo.corpora.merge import merge
from phonemo.errors import ConfigError, ManifestError
from phonemo.train.pretrain.pretrain_config import PretrainConfig, StageConfig
from phonemo.train.pretrain.speech import Crops, SpeechCache, divided, open_speech_cache
from tests.train.pretrain.tiny_teaching import RATE, make_speech

OFF = {"speed": 0.0, "tone_db": 0.0, "noise_snr_db": None, "gain_db": 0.0}


def settings(*manifests: Path, **changes: object) -> PretrainConfig:
    stage = {"steps": 1, "batch_size": 1, "rate_front": 0.1}
    return PretrainConfig.model_validate(
        {
            "name": "tiny",
            "teacher": "nowhere",
            "manifests": [str(path) for path in manifests],
            "output": "nowhere",
            "front_end": stage,
            "whole": stage,
        }
        | changes
    )


def quiet(done: int, total: int) -> None:
    """Nobody looks."""


def make_bank(*sizes: int) -> SpeechCache:
    """Recording n holds nothing but the value 100 (n + 1)."""
    samples = np.concatenate([np.full(size, 100 * (n + 1), "<i2") for n, size in enumerate(sizes)])
    ids = tuple(f"talk/r{number}" for number in range(len(sizes)))
    return SpeechCache(samples, ids, np.cumsum(sizes), {})


def make_crops(bank: SpeechCache, members: list[int], seed: int = 1, **changes: object) -> Crops:
    hearing = OFF | {"shortest_seconds": 0.2, "longest_seconds": 0.5}
    stage = {"steps": 20, "batch_size": 4, "rate_front": 0.1, "hearing": hearing} | changes
    return Crops(bank, members, StageConfig.model_validate(stage), seed)


def recordings_in(crop: torch.Tensor) -> set[int]:
    return {round(float(value) * 32768) // 100 - 1 for value in crop.unique()}


# ---- the bank


def test_round_trip_in_sixteen_bits(tmp_path):
    talk = make_speech(tmp_path / "one", "talk")
    two = make_speech(tmp_path / "two", "more", (0.3, 0.2))
    calls = []
    bank = open_speech_cache(settings(talk, two), tmp_path / "runs", lambda *now: calls.append(now))
    assert bank.ids == (*(f"talk/r{n}" for n in range(6)), "more/r0", "more/r1")
    assert len(bank) == 8
    assert bank.samples.dtype == np.dtype("<i2")
    assert bank.seconds == pytest.approx(0.5 + 0.8 + 1.1 + 0.4 + 0.9 + 0.7 + 0.3 + 0.2)
    assert calls == [(number, 8) for number in range(1, 9)]
    files = [talk.parent / f"{n}.wav" for n in range(6)]
    files += [two.parent / f"{n}.wav" for n in range(2)]
    for number, file in enumerate(files):
        samples = bank.recording(number)
        assert samples.dtype == np.float32
        np.testing.assert_allclose(samples, load_waveform(file).samples, atol=1e-4)


def test_full_scale_does_not_wrap_around(tmp_path):
    make_speech(tmp_path, seconds=(0.2,))
    soundfile.write(tmp_path / "0.wav", np.full(2000, 1.5), RATE, subtype="FLOAT")
    bank = open_speech_cache(settings(tmp_path / "manifest.jsonl"), tmp_path / "runs", quiet)
    assert float(bank.recording(0).min()) > 0.999


def test_segments_and_other_rates_are_supported(tmp_path):
    tone = np.sin(np.arange(44_100) / 30)
    soundfile.write(tmp_path / "long.wav", tone, 44_100)
    rows = [
        Utterance(id="a", file="long.wav", start=0.25, end=0.5),
        Utterance(id="b", file="long.wav"),
    ]
    write_manifest(tmp_path / "m.jsonl", Header(corpus="talk", root=".", phonemo="test"), rows)
    bank = open_speech_cache(settings(tmp_path / "m.jsonl"), tmp_path / "runs", quiet)
    assert [len(bank.recording(number)) for number in (0, 1)] == [4000, 16_000]


def test_the_speech_cache_is_built_once_and_read_again(tmp_path):
    config = settings(make_speech(tmp_path / "talk"))
    first = open_speech_cache(config, tmp_path / "runs", quiet)
    (folder,) = (tmp_path / "runs").iterdir()
    before = (folder / "samples.i2").stat().st_mtime_ns
    again = open_speech_cache(config, tmp_path / "runs", lambda *_: pytest.fail("it decodes"))
    assert (folder / "samples.i2").stat().st_mtime_ns == before
    assert np.array_equal(first.samples, again.samples)
    assert (first.ids, first.skipped) == (again.ids, again.skipped)
    assert np.array_equal(first.ends, again.ends)


def test_a_changed_manifest_gets_another_speech_cache(tmp_path):
    path = make_speech(tmp_path / "talk")
    assert len(open_speech_cache(settings(path), tmp_path / "runs", quiet)) == 6
    make_speech(tmp_path / "talk", seconds=(0.5, 0.3))
    assert len(open_speech_cache(settings(path), tmp_path / "runs", quiet)) == 2
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_broken_speech_cache_is_rebuilt(tmp_path):
    config = settings(make_speech(tmp_path / "talk"))
    expected = np.array(open_speech_cache(config, tmp_path / "runs", quiet).samples)
    (folder,) = (tmp_path / "runs").iterdir()
    with (folder / "samples.i2").open("r+b") as stream:
        stream.truncate(1000)
    assert np.array_equal(open_speech_cache(config, tmp_path / "runs", quiet).samples, expected)


def test_undecodable_recordings_are_skipped_and_listed(tmp_path):
    path = make_speech(tmp_path / "talk")
    (path.parent / "2.wav").write_text("not audio")
    (path.parent / "5.wav").unlink()
    calls = []
    bank = open_speech_cache(settings(path), tmp_path / "runs", lambda *now: calls.append(now))
    assert bank.ids == ("talk/r0", "talk/r1", "talk/r3", "talk/r4")
    assert set(bank.skipped) == {"talk/r2", "talk/r5"}
    assert "2.wav" in bank.skipped["talk/r2"]
    assert calls[-1] == (6, 6), "the bar goes to its end"
    assert len(bank.recording(2)) == 6400, "the next one moves up"


def test_manifests_without_decodable_audio_are_refused(tmp_path):
    path = make_speech(tmp_path / "talk", seconds=(0.3,))
    (path.parent / "0.wav").unlink()
    with pytest.raises(ConfigError, match="expected recordings that can be decoded, got none"):
        open_speech_cache(settings(path), tmp_path / "runs", quiet)
    assert not list((tmp_path / "runs").glob("speech-????????????")), "no empty bank stays"


def test_an_excluded_corpus_is_refused(tmp_path):
    talk, test = make_speech(tmp_path / "talk"), make_speech(tmp_path / "test", "emodb")
    config = settings(talk, test, never_heard=["ravdess", "emodb"])
    with pytest.raises(ConfigError, match="expected a corpus not in never_heard, got 'emodb'"):
        open_speech_cache(config, tmp_path / "runs", quiet)
    assert not (tmp_path / "runs").exists()
    assert (
        len(open_speech_cache(settings(talk, never_heard=["emodb"]), tmp_path / "runs", quiet)) == 6
    )


def test_the_parts_of_a_merged_manifest_are_excluded_too(tmp_path):
    paths = [make_speech(tmp_path / "talk"), make_speech(tmp_path / "test", "emodb", (0.5, 0.3))]
    merge(paths, tmp_path / "both.jsonl")
    bank = open_speech_cache(settings(tmp_path / "both.jsonl"), tmp_path / "runs", quiet)
    assert bank.corpora == {"talk": 6, "emodb": 2}
    config = settings(tmp_path / "both.jsonl", never_heard=["emodb"])
    with pytest.raises(ConfigError, match="expected a corpus not in never_heard, got 'emodb'"):
        open_speech_cache(config, tmp_path / "runs", quiet)


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="phonemo prepare"):
        open_speech_cache(settings(tmp_path / "nowhere.jsonl"), tmp_path / "runs", quiet)


# ---- held out


def test_held_out_recordings_are_chosen_by_their_names(tmp_path):
    bank = make_bank(*[100] * 20)
    members, held_out = divided(bank, 5)
    assert len(held_out) == 5
    assert sorted(members + held_out) == list(range(20))
    assert members == sorted(members)
    backwards = SpeechCache(bank.samples, bank.ids[::-1], bank.ends, {})
    others = divided(backwards, 5)[1]
    assert {bank.ids[n] for n in held_out} == {backwards.ids[n] for n in others}


@pytest.mark.parametrize("number", [3, 4])
def test_held_out_must_leave_training_data(number):
    with pytest.raises(
        ConfigError, match=f"held_out below 3, the number of recordings, got {number}"
    ):
        divided(make_bank(100, 100, 100), number)


# ---- crops


def test_a_crop_depends_only_on_its_number():
    bank = make_bank(9000, 9000, 4000)
    hearing = {"shortest_seconds": 0.2, "longest_seconds": 0.5}  # with all changes
    first, second = (make_crops(bank, [0, 1, 2], hearing=hearing) for _ in range(2))
    assert len(first) == 20 * 4
    forwards = [first[number] for number in range(12)]
    for number in reversed(range(12)):
        assert torch.equal(second[number], forwards[number])
    sounds = {tuple(crop[:50].tolist()) for crop in forwards}
    assert len(sounds) > 6, "and two numbers hear different things"
    other = make_crops(bank, [0, 1, 2], seed=2, hearing=hearing)
    assert [other.samples_of(n) for n in range(9)] != [first.samples_of(n) for n in range(9)]


def test_the_crops_of_a_step_have_one_length():
    crops = make_crops(make_bank(9000, 9000), [0, 1])
    sizes = [len(crops[number]) for number in range(40)]
    steps = [set(sizes[first : first + 4]) for first in range(0, 40, 4)]
    assert all(len(step) == 1 for step in steps)
    assert len(set(sizes)) > 5
    assert min(sizes) >= 0.2 * RATE
    assert max(sizes) <= 0.5 * RATE
    assert sizes[0] == crops.samples_of(0)


def test_short_recordings_are_joined():
    crops = make_crops(make_bank(900, 900, 900, 900), [0, 1, 2, 3])
    joined = [recordings_in(crops[number]) for number in range(10)]
    assert all(len(crop) > 1 for crop in joined[:3])
    assert all(len(crops[n]) == crops.samples_of(n // 4) for n in range(10))


def test_held_out_recordings_are_never_trained_on():
    crops = make_crops(make_bank(900, 5000, 900, 9000), [0, 2, 3])
    used = set().union(*(recordings_in(crops[number]) for number in range(80)))
    assert used == {0, 2, 3}


def test_every_second_of_speech_is_equally_likely():
    """Recordings are entered as often as they are long."""
    bank = make_bank(9000, 27_000)
    crops = make_crops(bank, [0, 1], steps=100)
    first = [recordings_in(crops[number]) for number in range(400)]
    share = sum(1 in crop for crop in first) / len(first)
    assert 0.65 < share < 0.9


def test_recordings_are_cropped_at_any_position():
    ramp = SpeechCache(np.arange(16_000, dtype="<i2"), ("talk/a",), np.array([16_000]), {})
    crops = make_crops(ramp, [0])
    starts = [float(crops[number][0]) * 32768 for number in range(80)]
    ends = [float(crops[number][-1]) * 32768 for number in range(80)]
    assert min(starts) < 1000
    assert max(ends) > 14_000
    for number in range(0, 80, 7):
        assert torch.equal(crops[number].diff() * 32768, torch.ones(len(crops[number]) - 1))


def test_skipped_recordings_are_logged(tmp_path, caplog):
    """By the run, once, whether the bank was just built or not."""
    from phonemo.train.callbacks import RunProgress
    from phonemo.train.pretrain.pretraining import _prepare

    path = make_speech(tmp_path / "talk")
    (path.parent / "2.wav").write_text("not audio")
    config = settings(path, output=str(tmp_path / "runs" / "a"), held_out=9)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING), pytest.raises(ConfigError, match="held_out below 5"):
            _prepare(config, RunProgress())
        assert "1 recordings cannot be decoded" in caplog.text
    (folder,) = (tmp_path / "runs").glob("speech-*")
    assert list(json.loads((folder / "index.json").read_text())["skipped"]) == ["talk/r2"]
