"""Further languages by eSpeak: its phones become the closed inventory, and none is lost unseen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from phonemo.corpora.g2p import espeak
from phonemo.corpora.g2p.alphabets import IPA
from phonemo.corpora.g2p.convert import BACKENDS, backend, phonemize
from phonemo.corpora.g2p.espeak import from_espeak
from phonemo.corpora.manifest import read_manifest
from phonemo.corpora.prepare import prepare
from phonemo.errors import MissingExtraError, PhonemeError
from tests.corpora.recorded import recorded, write

TEXTS = {
    "ar": "مرحبا كيف حالك اليوم",
    "cs": "Dobrý den, řeka, čtvrt.",
    "da": "Rødgrød med fløde.",
    "el": "Καλημέρα, πώς είσαι;",
    "fi": "Hyvää huomenta!",
    "hi": "मुझे गुस्सा आ रहा है",
    "ja": "こんにちは",
    "ko": "안녕하세요",
    "no": "God morgen",
    "pt": "Não sei, amanhã.",
    "ru": "Привет, как дела?",
    "sv": "Sju sjuka",
    "th": "สวัสดี",
    "tr": "Çok güzel bir gün",
    "ur": "مجھے غصہ آ رہا ہے۔",
    "vi": "Xin chào",
}


@pytest.mark.parametrize(
    ("phone", "symbols"),
    [
        ("ˈaː", "a"),
        ("rʲ", "r"),
        ("tʃ", "t͡ʃ"),
        ("t͡ɕ", "t͡ɕ"),
        ("tsʰ", "t͡sʰ"),
        ("pʰ", "pʰ"),
        ("bʰ", "b"),
        ("ɐ̃ʊ̃", "ɑ̃ ʊ"),
        ("ẽ", "ɛ̃"),
        ("aɪ", "aɪ"),
        ("ia", "i a"),
        ("ç", "ç"),
        ("ʔ", ""),
        ("ʲ", ""),
        ("n̩", "n"),
        ("a5", "a"),
        ("", ""),
    ],
)
def test_a_phone_becomes_symbols_of_the_inventory(phone, symbols):
    assert from_espeak(phone, "pt") == tuple(symbols.split())


def test_palatal_letters_are_affricates_in_indic_languages_only():
    assert from_espeak("ɟʰ", "hi") == ("d͡ʒ",)
    assert from_espeak("ɟ", "tr") == ("ɡ",)


def test_an_unknown_phone_is_an_error_that_names_it():
    with pytest.raises(PhonemeError, match="eSpeak returned 'a☃' for language 'pt'"):
        from_espeak("a☃", "pt")


def test_every_symbol_of_the_tables_is_in_the_inventory():
    for rows in (espeak._TWO_LETTERS, espeak._NASAL, espeak._NEAREST, espeak._AFFRICATES):
        assert {symbol for symbols in rows.values() for symbol in symbols} <= set(IPA)


def corpus(folder: Path, language: str, text: str) -> Path:
    write(folder / "a.wav", recorded(1, 0.3))
    table = f"file,emotion,speaker,language,transcript\na.wav,anger,s,{language},{text}\n"
    (folder / "t.csv").write_text(table, encoding="utf-8")
    return folder / "t.csv"


def test_without_the_extra_a_language_is_named_and_the_corpus_prepared(tmp_path, monkeypatch):
    espeak._library.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"phonemo\[espeak\]"):
        phonemize("Привет", "ru")
    with pytest.raises(MissingExtraError, match=r"phonemo\[espeak\]"):
        backend("ru")
    made = prepare("csv", corpus(tmp_path, "ru", "Привет"), tmp_path / "m.jsonl")
    assert made.phoneme_sources == {"(none)": 1}
    assert any("1 text: language 'ru'" in line and "[espeak]" in line for line in made.warnings)
    espeak._library.cache_clear()


@pytest.fixture
def installed() -> None:
    pytest.importorskip("phonemizer")
    pytest.importorskip("espeakng_loader")
    espeak._library.cache_clear()
    espeak._voice.cache_clear()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("language", TEXTS)
def test_a_text_is_converted_to_the_inventory(language):
    phonemes = phonemize(TEXTS[language], language)
    assert phonemes.alphabet == "ipa"
    assert phonemes.source.startswith("espeak 1.")
    assert phonemes.source.endswith(f" {language}")
    assert len(phonemes.symbols) > 3
    assert set(phonemes.symbols) <= set(IPA)


@pytest.mark.usefixtures("installed")
def test_known_words_are_converted_as_expected():
    assert phonemize("Привет", "ru").symbols == ("p", "r", "i", "v", "e", "t")
    assert phonemize("güzel 2", "tr").symbols[:2] == ("ɡ", "y")


@pytest.mark.usefixtures("installed")
def test_a_corpus_is_prepared_with_phonemes_of_espeak(tmp_path):
    made = prepare("csv", corpus(tmp_path, "pt", "muito bom dia"), tmp_path / "m.jsonl")
    assert list(made.phoneme_sources) == [backend("pt")]
    (utterance,) = read_manifest(tmp_path / "m.jsonl").utterances
    assert utterance.phonemes is not None
    assert utterance.phonemes.symbols[0] == "m"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("language", ["xx", "qq"])
def test_a_language_without_a_voice_is_an_error(language):
    with pytest.raises(PhonemeError, match="no voice for language"):
        phonemize("text", language)


def test_languages_with_another_backend_do_not_use_espeak(monkeypatch):
    monkeypatch.setattr(espeak, "_library", None)
    assert {"en", "de", "pl", "zh"} <= BACKENDS.keys()
    assert phonemize("Dzień dobry", "pl").source == "phonemo rules pl"
