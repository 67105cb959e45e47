"""prepare() on fakes: counts, audio, phonemes and the written manifest."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from phonemo.annotations.tiers import TierInterval
from phonemo.annotations.writers import textgrid_of
from phonemo.corpora import CORPORA
from phonemo.corpora import prepare as audit
from phonemo.corpora import prepare as module
from phonemo.corpora.manifest import Phonemes, read_manifest
from phonemo.corpora.prepare import Prepared, prepare
from phonemo.errors import CorpusError, MissingExtraError, PhonemeError, UsageError
from phonemo.version import __version__
from tests import tiny

EMODB_COUNTS = {"happiness": 1, "neutral": 1, "anger": 1, "boredom": 1}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Calls of a fake phonemize, which returns one phoneme and rejects "Karl"."""
    texts: list[tuple[str, str]] = []

    def phonemise(text: str, language: str) -> Phonemes:
        texts.append((text, language))
        if "Karl" in text:
            raise PhonemeError("no phonemes for 'Karl'")
        return Phonemes(alphabet="ipa", source=f"fake 1.0 {language}", symbols=("a",))

    monkeypatch.setattr(module, "phonemize", phonemise)
    return texts


def publish(monkeypatch: pytest.MonkeyPatch, corpus: str, **facts: Any) -> None:
    """Replace a corpus's published counts."""
    changed = replace(CORPORA[corpus], card=replace(CORPORA[corpus].card, **facts))
    monkeypatch.setitem(CORPORA, corpus, changed)


@pytest.fixture
def emodb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake of EmoDB, with a card that matches it."""
    publish(monkeypatch, "emodb", utterances=4, speakers=3, emotions=EMODB_COUNTS)
    return tiny.make_emodb(tmp_path / "emodb")


def prepared(root: Path, **options: Any) -> Prepared:
    return prepare("emodb", root, root.parent / "manifest.jsonl", **options)


def phonemes_of(path: Path) -> Mapping[str, str | None]:
    rows = read_manifest(path).utterances
    return {row.id: row.phonemes.source if row.phonemes else None for row in rows}


class TestManifest:
    """The written manifest."""

    def test_header_and_counts(self, emodb: Path, asked: list[tuple[str, str]]) -> None:
        result = prepared(emodb)
        manifest = read_manifest(result.output)
        assert manifest.header == result.header
        assert manifest.header.root == str(emodb.resolve())
        assert manifest.header.phonemo == __version__
        assert not manifest.header.partial
        assert result.utterances == len(manifest.utterances) == 4
        assert result.emotions == EMODB_COUNTS
        assert result.speakers == {"03": 2, "08": 1, "16": 1}
        assert result.hours == pytest.approx(4 * 0.1 / 3600)
        assert result.skipped == manifest.header.skipped
        assert result.skipped["macOS ._ file"] == 2
        assert result.warnings == ()
        for utterance in manifest.utterances:
            assert manifest.audio_path(utterance).is_file()

    def test_a_relative_root_is_written_absolute(
        self, emodb: Path, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(emodb.parent)
        result = prepare("emodb", "emodb", "manifest.jsonl")
        assert result.header.root == str(emodb.resolve())

    def test_a_table_is_the_root_of_its_folder(self, tmp_path: Path) -> None:
        tiny.make_csv(tmp_path)
        result = prepare("csv", tmp_path / "table.csv", tmp_path / "m.jsonl", g2p=False)
        assert result.header.root == str(tmp_path.resolve())
        assert result.speakers == {"(none)": 1, "ann": 1, "bob": 1}
        assert result.hours == pytest.approx((0.25 + 0.25 + 0.1) / 3600)

    def test_progress_counts_to_its_total(self, emodb: Path, asked: list[tuple[str, str]]) -> None:
        calls: list[tuple[int, int]] = []
        prepared(emodb, progress=lambda done, total: calls.append((done, total)))
        assert calls == [(step, 7) for step in range(1, 8)]


class TestPhonemes:
    """Annotation is preferred to text."""

    def test_only_utterances_without_annotation_are_converted(
        self, emodb: Path, asked: list[tuple[str, str]]
    ) -> None:
        result = prepared(emodb)
        assert phonemes_of(result.output) == {
            "03a01Fa": "lablaut",
            "03a02Nc": "fake 1.0 de",
            "08b10Wb": "fake 1.0 de",
            "16a05La": "fake 1.0 de",
        }
        assert result.phoneme_sources == {"fake 1.0 de": 3, "lablaut": 1}

    def test_an_annotation_is_kept_if_its_text_is_converted_for_another(
        self, emodb: Path, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(monkeypatch, "emodb", utterances=5, emotions={})
        tiny.write_sound(emodb / "wav" / "08a01Wa.wav")
        sources = phonemes_of(prepared(emodb).output)
        assert (sources["03a01Fa"], sources["08a01Wa"]) == ("lablaut", "fake 1.0 de")

    def test_each_text_is_converted_once(
        self, tmp_path: Path, asked: list[tuple[str, str]]
    ) -> None:
        root = tiny.make_ravdess(tmp_path / "ravdess")
        tiny.write_sound(root / "Actor_02" / "03-01-02-01-01-01-02.wav")
        prepare("ravdess", root, tmp_path / "m.jsonl", allow_partial=True)
        assert sorted(asked) == [
            ("Dogs are sitting by the door.", "en"),
            ("Kids are talking by the door.", "en"),
        ]

    def test_without_g2p(self, emodb: Path, asked: list[tuple[str, str]]) -> None:
        result = prepared(emodb, g2p=False)
        assert asked == []
        assert result.phoneme_sources == {"(none)": 3, "lablaut": 1}

    def test_a_text_that_cannot_be_converted_is_a_warning(
        self, emodb: Path, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(monkeypatch, "emodb", utterances=5, emotions={**EMODB_COUNTS, "sadness": 1})
        tiny.write_sound(emodb / "wav" / "03b09Ta.wav")
        result = prepared(emodb)
        assert result.warnings == ("no phonemes for 1 text: no phonemes for 'Karl'",)
        assert phonemes_of(result.output)["03b09Ta"] is None
        assert not result.header.partial

    def test_no_words_and_no_language_are_not_converted(
        self, tmp_path: Path, asked: list[tuple[str, str]]
    ) -> None:
        tiny.make_csv(tmp_path)
        tiny.write_text(tmp_path / "table.csv", "file,transcript\ntalk.wav,Yes.\n")
        prepare("csv", tmp_path, tmp_path / "m.jsonl")
        assert asked == []

    def test_a_missing_g2p_extra_names_the_option_to_skip_it(
        self, emodb: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def phonemise(text: str, language: str) -> Phonemes:
            raise MissingExtraError("gruut", "g2p")

        monkeypatch.setattr(module, "phonemize", phonemise)
        with pytest.raises(MissingExtraError, match=r"--no-g2p.*phonemo\[g2p\]"):
            prepared(emodb)
        assert not (emodb.parent / "manifest.jsonl").exists()


class TestCounts:
    """The release's published counts."""

    @pytest.mark.parametrize(
        ("facts", "message"),
        [
            ({"utterances": 5}, "utterances: expected 5 as published, got 4"),
            ({"speakers": 2}, "speakers: expected 2 as published, got 3"),
            ({"emotions": {"anger": 2}}, "anger: expected 2 as published, got 1"),
            ({"emotions": {"surprise": 1}}, "surprise: expected 1 as published, got 0"),
        ],
    )
    def test_unmet_counts_fail_unless_allowed(
        self,
        emodb: Path,
        asked: list[tuple[str, str]],
        monkeypatch: pytest.MonkeyPatch,
        facts: Mapping[str, Any],
        message: str,
    ) -> None:
        publish(monkeypatch, "emodb", **facts)
        with pytest.raises(CorpusError, match=rf"{message};.*--allow-partial") as error:
            prepared(emodb)
        assert "file name not like 03a01Fa (1)" in str(error.value)
        assert "\n" not in str(error.value)
        assert not (emodb.parent / "manifest.jsonl").exists()
        result = prepared(emodb, allow_partial=True)
        assert result.header.partial
        assert read_manifest(result.output).header.partial
        assert result.warnings == (message,)

    def test_complete_counts_are_never_partial(
        self, emodb: Path, asked: list[tuple[str, str]]
    ) -> None:
        assert not prepared(emodb, allow_partial=True).header.partial

    def test_emotions_without_a_published_count_are_not_checked(
        self, emodb: Path, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(monkeypatch, "emodb", emotions={"anger": 1})
        assert not prepared(emodb).header.partial

    def test_published_counts_of_the_papers(self) -> None:
        cards = {name: corpus.card for name, corpus in CORPORA.items()}
        assert {name: (card.utterances, card.speakers) for name, card in cards.items()} == {
            "iemocap": (10039, 10),
            "emodb": (535, 10),
            "ravdess": (1440, 24),
            "nemo": (4481, 9),
            "speechocean762": (5000, 250),
            "cremad": (7442, 91),
            "rakshak": (None, None),
            "emotiontts": (300, 15),
            "csv": (None, None),
            "msp-podcast": (None, None),
            "audformat": (None, None),
            "lhotse": (None, None),
            "textgrid": (None, None),
        }
        for name in ("emodb", "ravdess", "nemo", "cremad", "emotiontts"):
            assert sum((cards[name].emotions or {}).values()) == cards[name].utterances


class TestAudio:
    """Every audio file is checked."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"this is not audio", "audio: cannot be decoded (text)"),
            (b"", "audio: empty"),
            (0.0, "audio: empty"),
            (0.02, "audio: shorter than 25 ms"),
        ],
    )
    def test_a_bad_file_is_skipped_and_counted(
        self, emodb: Path, asked: list[tuple[str, str]], content: bytes | float, message: str
    ) -> None:
        path = emodb / "wav" / "03a01Fa.wav"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            tiny.write_sound(path, seconds=content)
        with pytest.raises(CorpusError) as error:
            prepared(emodb)
        assert f"{message} (1, first wav/03a01Fa.wav)" in str(error.value)
        result = prepared(emodb, allow_partial=True)
        assert result.header.partial
        assert result.skipped[message] == 1
        assert "03a01Fa" not in phonemes_of(result.output)

    def test_a_missing_file_of_a_users_table_fails_too(self, tmp_path: Path) -> None:
        root = tiny.make_csv(tmp_path)
        (root / "more" / "b.flac").unlink()
        with pytest.raises(CorpusError, match=r"no such file \(1, first more/b.flac\)"):
            prepare("csv", root, tmp_path / "m.jsonl", g2p=False)
        result = prepare("csv", root, tmp_path / "m.jsonl", g2p=False, allow_partial=True)
        assert (result.utterances, result.header.partial) == (2, True)

    def test_a_segment_beyond_the_end_is_skipped(self, tmp_path: Path) -> None:
        tiny.make_csv(tmp_path)
        rows = "talk.wav,x,0,0.54\ntalk.wav,x,0.4,0.6\ntalk.wav,x,0.49,\n"
        tiny.write_text(tmp_path / "table.csv", "file,emotion,start,end\n" + rows)
        result = prepare("csv", tmp_path, tmp_path / "m.jsonl", allow_partial=True)
        assert result.skipped == {
            "segment: ends behind the end of its audio": 1,
            "segment: shorter than 25 ms": 1,
        }
        assert result.hours == pytest.approx(0.5 / 3600)

    def test_nothing_usable_is_an_error_even_if_partial_is_allowed(self, tmp_path: Path) -> None:
        tiny.write_text(tmp_path / "t.csv", "file,emotion\na.wav,x\n")
        with pytest.raises(CorpusError, match="no such file") as error:
            prepare("csv", tmp_path, tmp_path / "m.jsonl", allow_partial=True)
        assert "--allow-partial" not in str(error.value)

    def test_identical_recordings_are_a_warning_and_both_stay(
        self, emodb: Path, asked: list[tuple[str, str]]
    ) -> None:
        sound = (emodb / "wav" / "03a01Fa.wav").read_bytes()
        (emodb / "wav" / "16a05La.WAV").write_bytes(sound)
        result = prepared(emodb)
        assert result.warnings == ("identical recordings: wav/03a01Fa.wav, wav/16a05La.WAV",)
        assert result.utterances == 4

    def test_a_late_difference_is_a_difference(self, tmp_path: Path) -> None:
        tiny.write_sound(tmp_path / "a.wav", seconds=2)
        content = bytearray((tmp_path / "a.wav").read_bytes())
        content[-1] ^= 0x40
        (tmp_path / "b.wav").write_bytes(content)
        tiny.write_text(tmp_path / "t.csv", "file,emotion\na.wav,x\nb.wav,y\n")
        assert prepare("csv", tmp_path, tmp_path / "m.jsonl").warnings == ()

    def test_recordings_without_sound_are_not_called_identical(self, tmp_path: Path) -> None:
        for number in range(3):
            soundfile.write(tmp_path / f"{number}.wav", np.zeros(20_000, np.float32), 16_000)
        tiny.write_text(tmp_path / "t.csv", "file,emotion\n0.wav,x\n1.wav,x\n2.wav,y\n")
        assert prepare("csv", tmp_path, tmp_path / "m.jsonl").warnings == ()

    def test_many_duplicates_are_summarized(self, tmp_path: Path) -> None:
        for number in range(10):
            tiny.write_sound(tmp_path / f"{number}.wav", seconds=0.1 + number // 2 / 100)
            if number % 2:
                content = (tmp_path / f"{number - 1}.wav").read_bytes()
                (tmp_path / f"{number}.wav").write_bytes(content)
        rows = "".join(f"{number}.wav,x\n" for number in range(10))
        tiny.write_text(tmp_path / "t.csv", "file,emotion\n" + rows)
        warnings = prepare("csv", tmp_path, tmp_path / "m.jsonl").warnings
        assert warnings[0] == "identical recordings: 0.wav, 1.wav"
        assert warnings[3] == "and 2 more groups of identical recordings"
        assert len(warnings) == 4

    def test_the_header_of_a_sound(self, tmp_path: Path) -> None:
        tiny.write_sound(tmp_path / "a.flac", seconds=0.5, channels=2)
        assert audit.inspect(tmp_path / "a.flac") == audit.Sound(0.5, 8000, 16_000, 2)

    @pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode there")
    def test_a_name_may_be_any_bytes(self, tmp_path: Path) -> None:
        grid = textgrid_of({"emotion": [TierInterval(0.0, 0.3, "anger")]}, 0.3)
        tiny.write_sound(tmp_path / "other" / "a.wav", seconds=0.3)
        content = (tmp_path / "other" / "a.wav").read_bytes()
        for number in range(2):
            name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9%d" % number)
            Path(name + ".wav").write_bytes(content)
            Path(name + ".TextGrid").write_text(grid, encoding="utf-8")
        made = prepare("textgrid", tmp_path, tmp_path / "m.jsonl")
        assert made.utterances == 2
        assert made.warnings[0].startswith("identical recordings: ")


def test_an_unknown_corpus_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown corpus 'emo'; known: iemocap, emodb"):
        prepare("emo", tmp_path, tmp_path / "m.jsonl")


def test_a_folder_as_output_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a file to write, got a folder"):
        prepare("emodb", tmp_path, tmp_path)


@pytest.mark.parametrize("corpus", sorted(CORPORA))
def test_every_corpus_can_be_prepared(corpus: str, tmp_path: Path) -> None:
    root = tiny.FAKES[corpus](tmp_path / corpus)
    result = prepare(corpus, root, tmp_path / "m.jsonl", allow_partial=True, g2p=False)
    manifest = read_manifest(result.output)
    assert len(manifest.utterances) == result.utterances > 0
    assert sum(result.emotions.values()) == sum(result.speakers.values()) == result.utterances
    assert sum(result.phoneme_sources.values()) == result.utterances
    assert result.header.partial == (CORPORA[corpus].card.utterances is not None)
    assert all(manifest.audio_path(utterance).is_file() for utterance in manifest.utterances)
