"""What was heard, in audformat's, audinterface's, Lhotse's and pyannote's terms."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import phonemo
from phonemo.annotations.turns import Turn
from phonemo.errors import MissingExtraError, UsageError
from phonemo.integrations.audformat import emotion_feature, to_audformat
from phonemo.integrations.lhotse import to_lhotse
from phonemo.integrations.pyannote import turns_from
from tests.tiny_bundle import BUNDLE, RATE, make_clip
from tests.voices import spoken


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """A short recording, and a long one with a timeline."""
    folder = tmp_path_factory.mktemp("voices")
    paths = [spoken(folder / "short.wav"), spoken(folder / "long.wav", seconds=8.0)]
    model = phonemo.load()
    return [(str(path), model.predict(path, timeline=path.stem == "long")) for path in paths]


class TestAudformat:
    # audformat 1.4 still uses what pandas 3.1 will drop
    @pytest.mark.filterwarnings("ignore:The inplace keyword")
    def test_audformat_saves_and_loads_the_database(self, answers, tmp_path):
        audformat = pytest.importorskip("audformat")
        to_audformat(answers).save(str(tmp_path), storage_format="csv")
        frame = audformat.Database.load(str(tmp_path), load_data=True)["emotion"].get()
        (_, short), (_, long) = answers
        assert len(frame) == len(short.segments) + len(long.segments)
        assert frame["emotion"].iloc[0] == short.label
        assert bool(frame["unsure"].iloc[0]) == short.unsure
        assert frame[short.label].iloc[0] == pytest.approx(short.scores[short.label])
        assert audformat.is_segmented_index(frame.index)

    def test_phonemo_reads_the_database(self, answers, tmp_path):
        pytest.importorskip("audformat")
        from phonemo.corpora import CORPORA

        to_audformat(answers).save(str(tmp_path), storage_format="csv")
        rows = CORPORA["audformat"].read(tmp_path).utterances
        assert rows[0].emotion == answers[0][1].label

    def test_an_empty_list_is_an_error(self):
        pytest.importorskip("audformat")
        with pytest.raises(UsageError, match="pairs, got none"):
            to_audformat([])


@pytest.mark.filterwarnings("ignore")
class TestAudinterface:
    def test_files_and_signals_have_the_models_scores(self, answers):
        pytest.importorskip("audinterface")
        feature = emotion_feature()
        path, result = answers[0]
        frame = feature.process_file(path)
        assert list(frame.columns) == list(result.scores)
        assert frame.iloc[0].to_dict() == pytest.approx(result.scores, abs=1e-3)

    def test_windows_slide(self):
        pytest.importorskip("audinterface")
        feature = emotion_feature(BUNDLE, win_dur="1s", hop_dur="0.5s")
        frame = feature.process_signal(make_clip(RATE * 3, 200.0), RATE)
        assert len(frame) == 5
        np.testing.assert_allclose(frame.sum(axis=1), 1, atol=1e-6)

    def test_channels_and_rates_are_accepted(self):
        pytest.importorskip("audinterface")
        clip = make_clip(RATE, 200.0)
        one = emotion_feature(BUNDLE).process_signal(clip, RATE)
        expected = phonemo.load(BUNDLE).predict(clip, rate=RATE).scores
        assert one.iloc[0].to_dict() == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
class TestLhotse:
    def test_lhotse_saves_and_loads_the_supervisions(self, answers, tmp_path):
        lhotse = pytest.importorskip("lhotse")
        to_lhotse(answers).to_file(tmp_path / "supervisions.jsonl.gz")
        again = list(lhotse.SupervisionSet.from_file(tmp_path / "supervisions.jsonl.gz"))
        (_, short), (_, long) = answers
        assert len(again) == len(short.segments) + len(long.segments)
        first = again[0]
        assert (first.recording_id, first.custom["emotion"]) == ("short", short.label)
        assert first.custom["scores"] == pytest.approx(short.scores)
        symbols = tuple(item.symbol for item in first.alignment["phoneme"])
        assert symbols == short.phonemes
        for item, span in zip(first.alignment["phoneme"], short.spans, strict=True):
            assert item.start == pytest.approx(span.start)
            assert item.end == pytest.approx(span.end, abs=1e-4)


class Annotation:
    """What pyannote.core.Annotation offers of itself here."""

    def __init__(self, *turns: tuple[float, float, str]) -> None:
        self.turns = turns

    def itertracks(self, yield_label: bool = False):
        assert yield_label
        for number, (start, end, speaker) in enumerate(self.turns):
            yield SimpleNamespace(start=start, end=end), f"_{number}", speaker


class TestPyannote:
    def test_turns_are_predicted_separately(self, answers):
        path, _ = answers[1]
        turns = turns_from(Annotation((4.0, 7.5, "B"), (-0.01, 3.0, "A"), (3.0, 3.0, "A")))
        assert turns == (Turn(0.0, 3.0, "A"), Turn(4.0, 7.5, "B"))
        result = phonemo.load().predict(path, turns=turns)
        assert [segment.speaker for segment in result.segments] == ["A", "B"]

    def test_the_output_of_pyannote_4_is_its_exclusive_diarization(self):
        both = Annotation((0.0, 3.0, "A"), (2.0, 4.0, "B"))
        alone = Annotation((0.0, 2.0, "A"), (2.0, 4.0, "B"))
        fields = {"speaker_diarization": both, "speaker_embeddings": None}
        output = SimpleNamespace(**fields, exclusive_speaker_diarization=alone)
        assert turns_from(output) == (Turn(0.0, 2.0, "A"), Turn(2.0, 4.0, "B"))
        output = SimpleNamespace(**fields, exclusive_speaker_diarization=None)
        assert turns_from(output) == (Turn(0.0, 3.0, "A"), Turn(2.0, 4.0, "B"))

    def test_the_output_of_a_diarizer_is_turns(self, answers):
        output = SimpleNamespace(speaker_diarization=Annotation((0.0, 3.0, "A"), (4.0, 7.5, "B")))
        model, path = phonemo.load(), answers[1][0]
        assert model.predict(path, turns=output) == model.predict(path, turns=turns_from(output))

    def test_pyannotes_rttm_is_read(self, answers, tmp_path):
        lines = [
            "SPEAKER long 1 0.031 2.987 <NA> <NA> SPEAKER_00 <NA> <NA>",
            "SPEAKER long 1 2.500 1.250 <NA> <NA> SPEAKER_01 <NA> <NA>",
            "SPEAKER other 1 0.000 9.000 <NA> <NA> SPEAKER_00 <NA> <NA>",
        ]
        (tmp_path / "long.rttm").write_text("\n".join(lines) + "\n")
        result = phonemo.load().predict(answers[1][0], turns=tmp_path / "long.rttm")
        assert [segment.speaker for segment in result.segments] == ["SPEAKER_00", "SPEAKER_01"]

    @pytest.mark.parametrize(
        "wrong", [Annotation(), Annotation((2.0, 1.0, "A")), "talk.rttm", None]
    )
    def test_input_without_turns_is_one_line(self, wrong):
        with pytest.raises(
            UsageError,
            match=r"expected an? .*[Aa]nnotation.*, got",
        ):
            turns_from(wrong)


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("audformat", lambda answers: to_audformat(answers)),
        ("audinterface", lambda _: emotion_feature(BUNDLE)),
        ("lhotse", lambda answers: to_lhotse(answers)),
    ],
)
def test_a_missing_package_is_one_line(answers, monkeypatch, package, make):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match="needs an optional part"):
        make(answers)
