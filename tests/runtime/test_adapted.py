"""A recognizer with a profile: what changes, what does not, and who is named."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.annotations.prediction import ProfileMark
from phonemo.annotations.turns import Turn
from phonemo.audio import Excerpt
from phonemo.errors import AudioError, CheckpointError, ModelError, UsageError
from phonemo.runtime.adaptation.pool import VectorPool
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import affine, shrink_towards
from phonemo.runtime.bundle import open_bundle, write_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.parts.speaker_turns import LEAST_SECONDS, LEAST_TURNS
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from tests.tiny_bundle import ADAPTABLE, ADAPTED, BUNDLE, CLIPS, RATE, make_clip


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(ADAPTABLE, threads=1)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    return [make_clip(RATE + 3000 * number, 100.0 + 70 * number) for number in range(8)]


@pytest.fixture(scope="module")
def profile(recognizer, clips) -> Profile:
    return recognizer.profile(clips, RATE)


@pytest.fixture(scope="module")
def conversation() -> np.ndarray:
    """Twelve buzzes, one every 3 s, with pauses; without them they would be noise."""
    pause = np.zeros(RATE * 3 // 10, np.float32)
    buzzes = (make_clip(RATE * 27 // 10, 100.0 + 50 * number) for number in range(12))
    return np.concatenate([part for buzz in buzzes for part in (buzz, pause)])


def turns_of(speakers: str, seconds: float = 2.5) -> list[Turn]:
    """A turn every 3 s by the speakers with these letters; a dot is an unknown speaker."""
    return [
        Turn(3.0 * number, 3.0 * number + seconds, None if name == "." else name)
        for number, name in enumerate(speakers)
    ]


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("kind", ["plain", "adapted"])
def test_it_says_what_torch_said(recognizer, name, kind):
    expected = json.loads(ADAPTED.read_text(encoding="utf-8"))[name][kind]
    model = recognizer
    if kind == "adapted":
        model = recognizer.adapted([make_clip(*clip) for clip in CLIPS.values()], RATE)
    prediction = model.predict(make_clip(*CLIPS[name]), RATE)
    for label, score in expected.items():
        assert prediction.scores[label] == pytest.approx(score, abs=0.05)


def test_a_vector_under_the_map_gives_the_scores(recognizer, profile, clips):
    """By the reference's own arithmetic: standardise, multiply, softmax."""
    reference = recognizer.reference
    scale, shift = affine(shrink_towards(profile.statistics, reference), reference)
    mapped = recognizer.vector_of(clips[0]) * scale + shift
    logits = (mapped - reference.centre) / reference.spread @ reference.weight.T + reference.bias
    odds = np.exp(logits - logits.max())
    prediction = recognizer.with_profile(profile).predict(clips[0], RATE)
    np.testing.assert_allclose(list(prediction.scores.values()), odds / odds.sum(), atol=1e-4)


def test_the_original_is_unchanged(recognizer, profile, clips):
    before = recognizer.predict(clips[0], RATE, shares=True)
    adapted = recognizer.with_profile(profile)
    assert adapted.graph is recognizer.graph, "the network is shared"
    prediction = adapted.predict(clips[0], RATE, shares=True)
    assert prediction.scores != before.scores
    assert recognizer.predict(clips[0], RATE, shares=True) == before
    assert before.profile is None
    assert "profile" not in before.to_dict()
    assert adapted.with_profile(None).predict(clips[0], RATE, shares=True) == before
    assert adapted.predict(clips[0], RATE, shares=True) == prediction


def test_a_prediction_names_its_profile(recognizer, profile, clips):
    prediction = recognizer.with_profile(profile).predict(clips[0], RATE)
    assert prediction.profile == ProfileMark(profile.hash, 8)
    assert prediction.to_dict()["profile"] == {"hash": profile.hash, "count": 8}
    assert prediction.among(["anger", "sadness"]).top(1).profile == prediction.profile


def test_settings_of_the_original_are_kept(profile, clips):
    model = OnnxRecognizer.load(ADAPTABLE)
    model.abstain_below = 1.0
    adapted = model.with_profile(profile)
    assert "unsure" in adapted.predict(clips[0], RATE).warnings
    (result,) = adapted.predict_many([clips[0]], RATE, jobs=2)
    assert "unsure" in result.warnings
    adapted.abstain_below = 0.0
    assert "unsure" in model.predict(clips[0], RATE).warnings


def test_every_way_to_predict_applies_it(recognizer, profile, clips, conversation):
    adapted = recognizer.with_profile(profile)
    alone = [adapted.predict(clip, RATE) for clip in clips]
    assert list(adapted.predict_many(clips, RATE, jobs=2)) == alone
    assert {item.profile for item in alone} == {profile.mark}
    whole = adapted.predict(conversation, RATE)
    assert "windowed" in whole.warnings
    assert whole.profile == profile.mark
    stream = StreamingRecognizer(adapted)
    events = [event for part in np.array_split(conversation, 50) for event in stream.push(part)]
    last, streamed = stream.finish()
    assert streamed.scores == pytest.approx(whole.scores)
    assert streamed.profile == profile.mark
    for event in events + last:
        assert (event.vector is not None) == (event.kind == "window")
    timeline = adapted.predict(clips[-1], RATE, timeline=True)
    assert timeline.profile == profile.mark
    assert timeline.segments != recognizer.predict(clips[-1], RATE, timeline=True).segments
    aligned = adapted.align(clips[0], ["m", "a", "t"], RATE)
    assert aligned.profile == profile.mark
    assert aligned.scores == alone[0].scores
    by_turns = adapted.predict(conversation, RATE, turns=turns_of("AB"))
    assert by_turns.profile == profile.mark
    assert [segment.profile for segment in by_turns.segments] == [None, None]


def test_shares_are_those_of_the_adapted_score(recognizer, profile, clips):
    adapted = recognizer.with_profile(profile)
    samples = clips[3]
    prediction = adapted.predict(samples, RATE, shares=True)
    plain = recognizer.predict(samples, RATE, shares=True)
    assert [span.share for span in prediction.spans] != [span.share for span in plain.spans]
    logits = adapted.logits(samples)
    whole = adapted.head.logits(
        logits.features, np.ones((1, len(logits.features)), bool), adapted._affine
    )
    np.testing.assert_allclose(whole[0], logits.emotions, atol=1e-4)


def test_order_jobs_and_batching_have_no_effect(recognizer, profile, clips):
    assert recognizer.profile(clips[::-1], RATE) == profile
    assert recognizer.profile(iter(clips), RATE, jobs=1) == profile
    assert recognizer.profile(clips, RATE, jobs=3) == profile
    assert recognizer.with_profile(profile).profile(clips, RATE) == profile
    pool = VectorPool(recognizer.reference)
    for clip in clips[::-1]:
        pool.take_all(recognizer.vectors([clip], RATE))
    assert pool.profile() == profile


def test_a_recording_of_one_pass_has_one_vector(recognizer, conversation):
    """Of eleven seconds, which would be several windows."""
    clip = conversation[: 11 * RATE]
    (result,) = recognizer.vectors([clip], RATE)
    np.testing.assert_array_equal(result.rows, [recognizer.vector_of(clip)])


def test_channels_are_mixed_unless_they_are_split(recognizer, clips, tmp_path):
    longest = max(map(len, clips[:2]))
    sides = [np.pad(clip, (0, longest - len(clip))) for clip in clips[:2]]
    soundfile.write(tmp_path / "call.wav", np.stack(sides, axis=1), RATE, subtype="FLOAT")
    (mixed,) = recognizer.vectors([tmp_path / "call.wav"])
    (split,) = recognizer.vectors([tmp_path / "call.wav"], channels="split")
    np.testing.assert_allclose(
        mixed.rows, [recognizer.vector_of(np.mean(sides, axis=0))], atol=1e-5
    )
    np.testing.assert_array_equal(split.rows, [recognizer.vector_of(side) for side in sides])


def test_a_long_recording_counts_by_its_windows(recognizer, conversation):
    (result,) = recognizer.vectors([conversation], RATE)
    assert len(result.rows) == 12, "36 s in windows of 3 s that do not overlap"
    np.testing.assert_array_equal(
        result.rows[2], recognizer.vector_of(conversation[6 * RATE : 9 * RATE])
    )
    assert result.seconds == pytest.approx(12 * 2.9, abs=1.5)
    quiet = np.zeros(40 * RATE, np.float32)
    quiet[6 * RATE : 9 * RATE] = conversation[: 3 * RATE]
    (held,) = recognizer.vectors([quiet], RATE)
    assert 1 <= len(held.rows) <= 2, "windows without speech add nothing"


def test_silent_and_broken_recordings_are_left_out(recognizer, profile, clips, tmp_path):
    (tmp_path / "text.wav").write_text("this is text", encoding="utf-8")
    soundfile.write(tmp_path / "good.wav", clips[0], RATE, subtype="FLOAT")
    silence = np.zeros(RATE, np.float32)
    stream = io.BytesIO()
    soundfile.write(stream, silence, RATE, format="WAV")
    given = [tmp_path / "text.wav", tmp_path / "good.wav", io.BytesIO(stream.getvalue())]
    given += [AudioError("missing_file", "not fetched"), Excerpt(tmp_path / "good.wav", 0.1, 0.9)]
    vectors = list(recognizer.vectors(given))
    assert [isinstance(item, AudioError) for item in vectors] == [True, False, False, True, False]
    pool = VectorPool(recognizer.reference).take_all(vectors)
    assert (len(pool), pool.silent, pool.failed) == (2, 1, 2)
    assert recognizer.profile([*clips, silence], RATE) == profile
    with pytest.raises(UsageError, match="1 recordings without speech, 0 that cannot be used"):
        recognizer.profile([silence], RATE)
    with pytest.raises(UsageError, match="expected speech to make a profile from"):
        recognizer.adapted([])
    with pytest.raises(UsageError, match="expected a list of recordings"):
        recognizer.profile("one.wav")


def test_a_profile_is_loaded_from_its_file(recognizer, profile, clips, tmp_path):
    profile.save(tmp_path / "office.json")
    expected = recognizer.with_profile(profile).predict(clips[0], RATE)
    assert recognizer.with_profile(tmp_path / "office.json").predict(clips[0], RATE) == expected
    assert recognizer.with_profile(str(tmp_path / "office.json")).applied == profile.mark
    text = (tmp_path / "office.json").read_text(encoding="utf-8")
    (tmp_path / "other.json").write_text(text.replace(profile.model, "0" * 64), encoding="utf-8")
    with pytest.raises(UsageError, match="make a profile with this model"):
        recognizer.with_profile(tmp_path / "other.json")


def test_threads_can_apply_different_profiles(recognizer, clips):
    models = [recognizer.adapted(clips[first : first + 3], RATE) for first in range(4)]
    expected = [model.predict(clips[0], RATE) for model in models]
    result: dict[int, list] = {}

    def work(number: int) -> None:
        result[number] = [models[number].predict(clips[0], RATE) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({item.scores["anger"] for item in expected}) == 4
    for number, answers in result.items():
        assert answers == [expected[number]] * 5


class TestBySpeaker:
    """Turns adapted by their own speaker."""

    def test_speakers_with_enough_speech_are_adapted(self, recognizer, conversation):
        turns = turns_of("ABABABABABC.")
        prediction = recognizer.predict(conversation, RATE, turns=turns, by_speaker=True)
        plain = recognizer.predict(conversation, RATE, turns=turns)
        named = {segment.speaker: segment.profile for segment in prediction.segments}
        assert named["A"].count == named["B"].count == LEAST_TURNS == 5
        assert named["A"].hash != named["B"].hash
        assert named["C"] is None
        assert named[None] is None
        assert prediction.profile is None
        for item, other in zip(prediction.segments, plain.segments, strict=True):
            assert (item.scores == other.scores) == (item.speaker not in ("A", "B"))
        pieces = [
            conversation[round(turn.start * RATE) : round(turn.end * RATE)]
            for turn in turns
            if turn.speaker == "A"
        ]
        assert recognizer.profile(pieces, RATE).mark == named["A"]
        assert prediction.to_dict()["segments"][0]["profile"] == named["A"].to_dict()
        assert "profile" not in prediction.to_dict()["segments"][-1]

    def test_one_long_turn_is_enough(self, recognizer, conversation):
        turns = [Turn(0.0, LEAST_SECONDS + 3, "A"), Turn(24.0, 30.0, "B")]
        prediction = recognizer.predict(conversation, RATE, turns=turns, by_speaker=True)
        assert [segment.profile is None for segment in prediction.segments] == [False, True]

    def test_turns_are_shrunk_towards_the_applied_profile(self, recognizer, profile, conversation):
        turns = turns_of("AAAAAA")
        source = recognizer.with_profile(profile)
        prediction = source.predict(conversation, RATE, turns=turns, by_speaker=True)
        alone = recognizer.predict(conversation, RATE, turns=turns, by_speaker=True)
        assert prediction.profile == profile.mark
        assert prediction.segments[0].profile == alone.segments[0].profile
        assert prediction.segments[0].scores != alone.segments[0].scores
        assert source.predict(conversation, RATE).profile == profile.mark

    def test_a_stream_is_read_twice(self, recognizer, conversation, tmp_path):
        soundfile.write(tmp_path / "all.wav", conversation, RATE, subtype="PCM_16")
        turns = turns_of("AAAAAA")
        expected = recognizer.predict(tmp_path / "all.wav", turns=turns, by_speaker=True)
        with open(tmp_path / "all.wav", "rb") as stream:
            assert recognizer.predict(stream, turns=turns, by_speaker=True) == expected

    def test_it_needs_turns(self, recognizer, conversation):
        with pytest.raises(UsageError, match="by_speaker needs turns"):
            recognizer.predict(conversation, RATE, by_speaker=True)


class TestWithout:
    """A bundle from before there were profiles, or one that is not whole."""

    def test_the_message_names_the_next_step(self, clips, profile):
        model = OnnxRecognizer.load(BUNDLE, threads=1)
        assert model.reference is None
        assert model.with_profile(None).predict(clips[0], RATE).profile is None
        for call in (
            lambda: model.profile(clips, RATE),
            lambda: model.adapted(clips, RATE),
            lambda: model.vectors(clips, RATE),
            lambda: model.with_profile(profile),
            lambda: model.predict(clips[0], RATE, turns=[Turn(0, 1, "A")], by_speaker=True),
        ):
            with pytest.raises(ModelError, match=r"takes no profile.*head: linear"):
                call()

    def test_a_bundle_without_its_adaptation(self, clips, tmp_path):
        bundle = open_bundle(ADAPTABLE)
        says = bundle.card.model_dump(exclude={"sha256"})
        write_bundle(tmp_path / "mine", bundle.model, says, bundle.head, bundle.adaptation)
        write_bundle(tmp_path / "mine", bundle.model, says, bundle.head)
        assert not (tmp_path / "mine" / "adaptation.npz").exists()
        assert "adaptation" not in (tmp_path / "mine" / "bundle.json").read_text(encoding="utf-8")
        model = OnnxRecognizer.load(tmp_path / "mine", threads=1)
        assert model.reference is None
        plain = OnnxRecognizer.load(ADAPTABLE, threads=1).predict(clips[0], RATE)
        assert model.predict(clips[0], RATE) == plain

    def test_a_changed_file_is_refused(self, tmp_path):
        folder = _copied(tmp_path)
        (folder / "adaptation.npz").write_bytes(b"other")
        with pytest.raises(CheckpointError, match=r"adaptation\.npz: expected SHA-256"):
            OnnxRecognizer.load(folder)
        (folder / "adaptation.npz").unlink()
        with pytest.raises(CheckpointError, match="cannot be read"):
            OnnxRecognizer.load(folder)

    def test_parts_that_do_not_fit(self, tmp_path):
        bundle, old = open_bundle(ADAPTABLE), open_bundle(BUNDLE)
        says = bundle.card.model_dump(exclude={"sha256"})
        write_bundle(tmp_path / "head", bundle.model, says, old.head, bundle.adaptation)
        with pytest.raises(CheckpointError, match=r"8 features in model\.onnx, none in head\.onnx"):
            OnnxRecognizer.load(tmp_path / "head")
        write_bundle(tmp_path / "old", old.model, says, old.head, bundle.adaptation)
        with pytest.raises(CheckpointError, match=r"no features in model\.onnx"):
            OnnxRecognizer.load(tmp_path / "old")
        write_bundle(tmp_path / "junk", bundle.model, says, bundle.head, b"junk")
        with pytest.raises(CheckpointError, match=r"junk: adaptation\.npz: cannot be read"):
            OnnxRecognizer.load(tmp_path / "junk")


def _copied(tmp_path: Path) -> Path:
    bundle = open_bundle(ADAPTABLE)
    says = bundle.card.model_dump(exclude={"sha256"})
    target = tmp_path / "copy"
    write_bundle(target, bundle.model, says, bundle.head, bundle.adaptation)
    return target
